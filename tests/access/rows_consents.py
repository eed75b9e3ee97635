"""Rows of the permission table: consents. `{grant}` is the mother's, to her clinic."""

from __future__ import annotations

from tests.access.row import Row

STOP = {"root": {"permit": False, "actors": ["class:third-party"]}}
R = "/api/trust/records"

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("consent-vocabulary", "GET", "/api/trust/vocabulary",           "200 200 200 200 200 200 200"),
    Row("consents", "GET", R + "/{yuki}/consents",                      "401 200 404 404 403 404 404"),
    Row("consents", "GET", R + "/{hana}/consents",                      "401 404 200 404 403 404 404"),
    Row("consents", "GET", R + "/{kai}/consents",                       "401 404 404 404 403 404 404"),
    Row("consent-give", "POST", R + "/{yuki}/consents/give",            "401 201 404 404 403 404 404", STOP),
    Row("consent-give", "POST", R + "/{hana}/consents/give",            "401 404 201 404 403 404 404", STOP),
    Row("consent", "GET", R + "/{yuki}/consents/{grant}",               "401 200 404 404 403 404 404"),
    Row("consent", "GET", R + "/{hana}/consents/{grant}",               "401 404 404 404 403 404 404"),
    Row("consent-versions", "GET", R + "/{yuki}/consents/{grant}/versions", "401 200 404 404 403 404 404"),
    Row("consent-replace", "PUT", R + "/{yuki}/consents/{grant}/replace",   "401 200 404 404 403 404 404", STOP),
    Row("consent-withdraw", "POST", R + "/{yuki}/consents/{grant}/withdraw", "401 200 404 404 403 404 404", {}),
    Row("consent-withdraw", "POST", R + "/{hana}/consents/{grant}/withdraw", "401 404 404 404 403 404 404", {}),
    Row("consent-pause", "POST", R + "/{yuki}/consents/{grant}/pause",   "401 200 404 404 403 404 404"),
    Row("consent-resume", "POST", R + "/{yuki}/consents/{grant}/resume", "401 200 404 404 403 404 404"),
    Row("consent-accept", "POST", R + "/{yuki}/consents/{grant}/accept", "401 409 404 404 403 404 404", {}),
    Row("consent-reject", "POST", R + "/{yuki}/consents/{grant}/reject", "401 409 404 404 403 404 404"),
    Row("consent-receipt", "GET", R + "/{yuki}/consents/{grant}/receipt", "401 200 404 404 403 404 404"),
    Row("stop", "GET", R + "/{yuki}/stop",                               "401 200 404 404 403 404 404"),
    Row("stop-everything", "POST", R + "/{yuki}/stop/everything",        "401 200 404 404 403 404 404"),
    Row("stop-everything", "POST", R + "/{hana}/stop/everything",        "401 404 200 404 403 404 404"),
    Row("resume-everything", "POST", R + "/{yuki}/stop/resume",          "401 200 404 404 403 404 404"),
)
