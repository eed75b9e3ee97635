"""Rows of the permission table: what was dispensed, and the notebook that goes out."""

from __future__ import annotations

from tests.access.row import Row

NONE = {"reference": "MedicationDispense/none"}

# fmt: off
ROWS = (
    Row("due", "GET", "/api/trust/records/{yuki}/due",       "401 200 404 404 403 404 404"),
    Row("due", "GET", "/api/trust/records/{hana}/due",       "401 404 200 404 403 404 404"),
    Row("growth", "GET", "/api/trust/records/{yuki}/growth", "401 200 404 404 403 404 404"),
    Row("growth", "GET", "/api/trust/records/{hana}/growth", "401 404 200 404 403 404 404"),
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("dispensed", "GET", "/api/trust/records/{yuki}/dispensed",                     "401 200 404 404 403 404 404"),
    Row("dispensed", "GET", "/api/trust/records/{hana}/dispensed",                     "401 404 200 404 403 404 404"),
    Row("dispensed-separate", "POST", "/api/trust/records/{yuki}/dispensed/separate",
        "401 404 404 404 403 404 404", NONE),
    Row("dispensed-join", "POST", "/api/trust/records/{yuki}/dispensed/join",
        "401 404 404 404 403 404 404", NONE),
    Row("notebook", "GET", "/api/trust/records/{yuki}/notebook",                       "401 200 404 404 403 404 404"),
    Row("notebook", "GET", "/api/trust/records/{hana}/notebook",                       "401 404 200 404 403 404 404"),
    Row("notebook-symbols", "GET", "/api/trust/records/{yuki}/notebook/symbols",       "401 200 404 404 403 404 404"),
    Row("notebook-symbol", "GET", "/api/trust/records/{yuki}/notebook/symbols/1.png",  "401 200 404 404 403 404 404"),
    Row("notebook-symbol", "GET", "/api/trust/records/{yuki}/notebook/symbols/999.svg", "401 404 404 404 403 404 404"),
)
