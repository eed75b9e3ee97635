"""Rows of the permission table: guardianship at the desk, and what a person says of her record or her child's."""

from __future__ import annotations

from tests.access.row import Row

_DESK = "/api/trust/desk"
_NOBODY = "00000000-0000-4000-8000-000000000000"
_HANA = "/api/trust/records/{hana}"

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("desk-links", "GET", _DESK + "/records/{hana}/guardianships", "401 403 403 403 403 200 403"),
    Row("desk-reviews", "GET", _DESK + "/reviews",                "401 403 403 403 403 200 403"),
    Row("desk-link", "POST", _DESK + "/guardianships",            "401 422 422 422 422 422 422", {}),
    Row("desk-renew", "POST", _DESK + "/guardianships/0/renew",   "401 403 403 403 403 404 403",
        {"evidence": "court-order", "review_on": "2026-12-01"}),
    Row("desk-freeze", "POST", _DESK + "/guardianships/0/freeze", "401 403 403 403 403 404 403", {"reason": "review"}),
    Row("desk-release", "POST", _DESK + "/guardianships/0/release", "401 403 403 403 403 404 403", {}),
    Row("desk-end", "POST", _DESK + "/guardianships/0/end",       "401 403 403 403 403 404 403", {"reason": "moved"}),
    Row("desk-location", "POST", _DESK + "/records/{hana}/location", "401 403 403 403 403 204 403",
        {"hidden": False, "reason": "ended"}),
    Row("desk-cases", "GET", _DESK + "/protection-cases",         "401 403 403 403 403 200 403"),
    Row("desk-case-close", "POST", _DESK + "/protection-cases/0/close", "401 403 403 403 403 404 403",
        {"outcome": "unfounded"}),
    Row("desk-birth", "POST", _DESK + "/births",                  "401 403 403 403 403 404 403",
        {"mother": _NOBODY, "children": [{"born_at": "2026-01-01T00:00:00Z"}], "delivered_by": "9919000001"}),
    Row("desk-loss", "POST", _DESK + "/losses",                   "401 403 403 403 403 403 403",
        {"mother": _NOBODY, "episode": "x", "loss": "ectopic", "on": "2026-01-01"}),
    Row("desk-death", "POST", _DESK + "/deaths",                  "401 403 403 403 403 404 403",
        {"record": _NOBODY, "on": "2026-01-01"}),
    Row("desk-wish", "POST", _DESK + "/records/{hana}/wishes",    "401 403 403 403 403 403 403",
        {"encounter": "x", "assessment": "competent", "wish": "hide"}),
    Row("desk-mark", "POST", _DESK + "/records/{hana}/marks",     "401 403 403 403 403 404 403",
        {"items": ["Observation/x"], "mark": "child-protection"}),
    Row("desk-mark-release", "POST", _DESK + "/records/{hana}/marks/release", "401 403 403 403 403 403 403",
        {"items": ["Observation/x"]}),
    Row("desk-adoption", "POST", _DESK + "/adoptions",            "401 403 403 403 403 404 403",
        {"record": _NOBODY, "name": "x", "starts_on": "2026-01-01",
         "parents": [{"person": 1, "evidence": "family-register", "review_on": "2026-12-31"}]}),
    Row("desk-former", "GET", _DESK + "/records/{hana}/former",   "401 403 403 403 403 404 403"),
    Row("desk-suspend", "POST", _DESK + "/persons/0/suspend",     "401 403 403 403 403 404 403", {}),
    Row("desk-restore", "POST", _DESK + "/persons/0/restore",     "401 403 403 403 403 404 403", {}),
    Row("guardianship-leave", "POST", _HANA + "/guardianship/leave", "401 404 204 404 403 404 404", {}),
    Row("joint-acts", "GET", _HANA + "/joint-acts",               "401 404 200 404 403 404 404"),
    Row("joint-act-agree", "POST", _HANA + "/joint-acts/0/agree", "401 404 404 404 403 404 404", {}),
    Row("joint-act-refuse", "POST", _HANA + "/joint-acts/0/refuse", "401 404 404 404 403 404 404", {}),
    Row("proxies", "GET", _HANA + "/proxies",                     "401 404 200 404 403 404 404"),
    Row("proxies-confirm", "POST", _HANA + "/proxies/confirm",    "401 404 200 404 403 404 404", {"keep": []}),
    Row("proxy-cancel", "POST", _HANA + "/proxies/0/cancel",      "401 404 404 404 403 404 404", {}),
    Row("protection", "POST", _HANA + "/protection",              "401 404 201 404 403 404 404", {}),
    Row("childhood", "GET", _HANA + "/childhood",                 "401 404 404 404 403 404 404"),
)
