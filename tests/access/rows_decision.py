"""Rows of the permission table: emergency access. The clinic's token is a system's, so nobody here is on duty."""

from __future__ import annotations

from tests.access.row import Row

_WHY = {"reason": "unconscious", "text": "意識がなく、薬の確認が必要です"}
_WHOM = {"patient": "59756b69-0000-8000-8000-000000000001"}

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("emergency-open", "POST", "/api/trust/desk/emergencies",  "401 403 403 403 403 403 403", _WHY | _WHOM),
    Row("emergency-whole", "POST", "/api/trust/desk/emergencies/0/whole", "401 403 403 403 403 403 403", _WHY),
    Row("emergency-end", "POST", "/api/trust/desk/emergencies/0/end",     "401 403 403 403 403 403 403"),
    Row("emergencies-to-review", "GET", "/api/trust/desk/emergencies/to-review", "401 403 403 403 403 200 403"),
    Row("emergency-review", "POST", "/api/trust/desk/emergencies/0/review", "401 403 403 403 403 404 403",
        {"outcome": "justified"}),
    Row("emergencies", "GET", "/api/trust/records/{yuki}/emergencies",   "401 200 404 404 403 404 404"),
)
