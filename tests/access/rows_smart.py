"""Rows of the permission table: connected apps, launches from an EHR, brands."""

from __future__ import annotations

from phr.populate.cast import YUKI
from tests.access.row import Row

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("brands", "GET", "/brands",                               "200 200 200 200 200 200 200"),
    Row("apps-page", "GET", "/apps",                              "302 200 200 200 302 200 200"),
    Row("apps-page-stop-all", "POST", "/apps/stop",               "302 302 302 302 302 302 302", ""),
    Row("apps-list", "GET", "/api/trust/apps",                    "401 200 200 403 403 403 200"),
    Row("apps-stop", "POST", "/api/trust/apps/{launch}/stop",     "401 204 404 403 403 403 404"),
    Row("apps-stop-all", "POST", "/api/trust/apps/stop",          "401 200 200 403 403 403 200"),
    Row("launch-offer", "POST", "/api/trust/desk/launches", "401 403 403 403 201 404 403", {"patient": str(YUKI)}),
)
