"""Rows of the permission table: the frame of the trust's API, and notices."""

from __future__ import annotations

from tests.access.row import Row

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("openapi", "GET", "/api/trust/openapi",                   "200 200 200 200 200 200 200"),
    Row("notices", "GET", "/api/trust/notices",                   "401 200 200 200 200 200 200"),
    Row("notice-acknowledge", "POST", "/api/trust/notices/0/acknowledge", "401 404 404 404 404 404 404"),
)
