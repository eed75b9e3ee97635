"""Rows of the permission table: disclosure, correction, erasure, moving away."""

from __future__ import annotations

from tests.access.row import Row

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("erasure", "GET", "/api/trust/records/{yuki}/erasure",                "401 200 404 404 403 404 404"),
    Row("erasure", "GET", "/api/trust/records/{hana}/erasure",                "401 404 200 404 403 404 404"),
    Row("erasure-ask", "POST", "/api/trust/records/{yuki}/erasure/ask",       "401 202 404 404 403 404 404"),
    Row("erasure-ask", "POST", "/api/trust/records/{hana}/erasure/ask",       "401 404 202 404 403 404 404"),
    Row("erasure-cancel", "POST", "/api/trust/records/{yuki}/erasure/cancel", "401 404 404 404 403 404 404"),
    Row("closing", "GET", "/api/trust/records/{yuki}/closing",                "401 200 404 404 403 404 404"),
    Row("closing", "GET", "/api/trust/records/{hana}/closing",                "401 404 200 404 403 404 404"),
    Row("closing-ask", "POST", "/api/trust/records/{yuki}/closing/ask",       "401 202 404 404 403 404 404"),
    Row("closing-ask", "POST", "/api/trust/records/{hana}/closing/ask",       "401 404 202 404 403 404 404"),
    Row("closing-cancel", "POST", "/api/trust/records/{yuki}/closing/cancel", "401 404 404 404 403 404 404"),
    Row("holds", "GET", "/api/trust/desk/holds",                              "401 403 403 403 403 200 403"),
    Row("hold-place", "POST", "/api/trust/desk/holds/place",                  "401 403 403 403 403 201 403", "hold"),
    Row("hold-lift", "POST", "/api/trust/desk/holds/0/lift",                  "401 403 403 403 403 404 403"),
    Row("disclosure", "GET", "/api/trust/records/{yuki}/disclosure",          "401 200 404 404 403 404 404"),
    Row("disclosure", "GET", "/api/trust/records/{hana}/disclosure",          "401 404 200 404 403 404 404"),
    Row("corrections", "GET", "/api/trust/records/{yuki}/corrections",        "401 200 404 404 403 404 404"),
    Row("correction-ask", "POST", "/api/trust/records/{yuki}/corrections/ask",
        "401 409 404 404 403 404 404", "correction"),
    Row("desk-corrections", "GET", "/api/trust/desk/corrections",             "401 403 403 403 403 200 403"),
    Row("correction-answer", "POST", "/api/trust/desk/corrections/0/answer",  "401 403 403 403 403 404 403", "answer"),
    Row("portability", "GET", "/api/trust/records/{yuki}/portability",        "401 200 404 404 403 404 404"),
    Row("portability", "GET", "/api/trust/records/{hana}/portability",        "401 404 200 404 403 404 404"),
    Row("transfers", "GET", "/api/trust/records/{yuki}/transfers",            "401 200 404 404 403 404 404"),
    Row("transfer-ask", "POST", "/api/trust/records/{yuki}/transfers/ask", "401 202 404 404 403 404 404", "transfer"),
    Row("transfer-cancel", "POST", "/api/trust/records/{yuki}/transfers/cancel", "401 404 404 404 403 404 404"),
)
