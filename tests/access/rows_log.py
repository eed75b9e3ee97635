"""Rows of the permission table: the person's log."""

from __future__ import annotations

from tests.access.row import Row

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("log", "GET", "/api/trust/records/{yuki}/log",                    "401 200 404 404 403 404 404"),
    Row("log", "GET", "/api/trust/records/{hana}/log",                    "401 404 200 404 403 404 404"),
    Row("log-line", "GET", "/api/trust/records/{yuki}/log/0",             "401 404 404 404 403 404 404"),
    Row("log-proof", "GET", "/api/trust/records/{yuki}/log/0/proof",      "401 404 404 404 403 404 404"),
    Row("log-question", "POST", "/api/trust/records/{yuki}/log/0/question",
        "401 404 404 404 403 404 404", {"text": "x"}),
    Row("audit-events", "GET", "/fhir/AuditEvent?patient={yuki}",         "401 200 200 200 200 200 200"),
    Row("audit-events-search", "POST", "/fhir/AuditEvent/_search",        "401 200 200 200 200 200 200", "action=R"),
    Row("audit-event", "GET", "/fhir/AuditEvent/0",                       "401 404 404 404 404 404 404"),
)
