"""Rows of the permission table: terms, recipients, programs, provisions, benefits, complaints, incidents."""

from __future__ import annotations

from tests.access.row import Row

_T = "/api/trust"
_NONE = "00000000-0000-4000-8000-000000000000"
_YUKI, _DESK, _RECIPIENT = _T + "/records/{yuki}", _T + "/desk", _T + "/recipient"
_SPAN = {"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
_STAFF = "401 403 403 403 403 403 403"  # the trust's own desk: none of the personas sits there
_SYSTEM = "401 403 403 403 403 403 403"  # a recipient's system: the clinic is none
_PROGRAM = {
    "title_ja": "調査", "title_en": "study", "recipients": [1], "purpose": "HRESCH", "categories": ["GROWTH"],
    "level": 2, "use_class": "public-interest",
}  # fmt: skip
_REQUEST = {
    "reference": "r-1", "program": _NONE, "purpose": "HRESCH", "categories": ["GROWTH"], "level": 2,
    "until": "2027-01-01T00:00:00Z",
}  # fmt: skip
_ENTRY = {
    "organization": 1, "legal_name": "x", "legal_number": "7000012050002", "address": "x", "representative": "x",
    "contract_ref": "c-1", "contract_ends_on": "2030-01-01", "certification": "x",
    "certified_until": "2030-01-01T00:00:00Z", "purposes": ["HRESCH"],
}  # fmt: skip
_INCIDENT = {
    "kind": "leak", "happened_from": "2026-01-01T00:00:00Z", "happened_to": "2026-01-02T00:00:00Z",
    "categories": ["GROWTH"], "summary_ja": "x", "summary_en": "x",
}  # fmt: skip
_BENEFIT = {"program": _NONE, "kind": "result", "text_ja": "x", "text_en": "x"}
_REPORT = {
    "period_from": "2026-01-01", "used_for": "x", "persons_with_access": 1, "handed_on": False, "incidents": 0,
}  # fmt: skip

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("terms", "GET", _T + "/terms",                            "404 404 404 404 404 404 404"),
    Row("terms-text", "GET", _T + "/terms/" + "0" * 64,           "404 404 404 404 404 404 404"),
    Row("desk-terms", "POST", _DESK + "/terms",                   _STAFF, {"text_ja": "約款", "text_en": "terms"}),
    Row("mandates", "GET", _YUKI + "/mandates",                   "401 200 404 404 403 404 404"),
    Row("mandate-accept", "POST", _YUKI + "/mandate",             "401 409 404 404 403 404 404", {"sha256": "0" * 64}),
    Row("mandate-end", "POST", _YUKI + "/mandate/end",            "401 204 404 404 403 404 404", {}),

    Row("recipients", "GET", _T + "/recipients",                  "401 200 200 200 200 200 200"),
    Row("desk-recipients", "POST", _DESK + "/recipients",         _STAFF, _ENTRY),
    Row("desk-recipient-renew", "POST", _DESK + "/recipients/1/renew",       _STAFF, {}),
    Row("desk-recipient-purposes", "POST", _DESK + "/recipients/1/purposes", _STAFF, {"purposes": ["HRESCH"]}),
    Row("desk-recipient-suspend", "POST", _DESK + "/recipients/1/suspend",   _STAFF, {"reason": "late"}),
    Row("desk-recipient-resume", "POST", _DESK + "/recipients/1/resume",     _STAFF, {}),
    Row("desk-recipient-end", "POST", _DESK + "/recipients/1/end",           _STAFF, {}),
    Row("desk-recipient-class", "POST", _DESK + "/recipients/1/enter-class", _STAFF, {}),
    Row("desk-organization-class", "POST", _DESK + "/organizations/1/enter-class", _STAFF, {}),
    Row("desk-recipient-onward", "POST", _DESK + "/recipients/1/onward",     _STAFF,
        {"taker": 2, "basis": "x", "valid_until": "2030-01-01T00:00:00Z"}),
    Row("desk-overdue", "POST", _DESK + "/overdue",               _STAFF, {}),

    Row("programs", "GET", _T + "/programs",                      "401 200 200 200 200 200 200"),
    Row("desk-programs-all", "GET", _DESK + "/programs/all",      _STAFF),
    Row("desk-programs", "POST", _DESK + "/programs",             _STAFF, _PROGRAM),
    Row("desk-program-submit", "POST", _DESK + f"/programs/{_NONE}/submit", _STAFF, {}),
    Row("desk-program-close", "POST", _DESK + f"/programs/{_NONE}/close",   _STAFF, {}),
    Row("desk-decisions", "POST", _DESK + "/decisions",           _STAFF,
        {"program": _NONE, "outcome": "stop", "reasons": "x"}),
    Row("desk-governance", "POST", _DESK + "/governance",         _STAFF, _SPAN),

    Row("provisions", "GET", _YUKI + "/provisions",               "401 200 404 404 403 404 404"),
    Row("provisions-waiting", "GET", _YUKI + "/provisions/waiting", "401 200 404 404 403 404 404"),
    Row("provision-answer", "POST", _YUKI + f"/provisions/{_NONE}/answer", "401 404 404 404 403 404 404",
        {"yes": True}),
    Row("benefits", "GET", _YUKI + "/benefits",                   "401 200 404 404 403 404 404"),

    Row("recipient-requests-all", "GET", _RECIPIENT + "/requests/all", _SYSTEM),
    Row("recipient-requests", "POST", _RECIPIENT + "/requests",   _SYSTEM, _REQUEST),
    Row("recipient-handed", "GET", _RECIPIENT + f"/requests/{_NONE}/provisions",  "401 403 403 403 404 403 403"),
    Row("recipient-provision", "GET", _RECIPIENT + f"/provisions/{_NONE}",        "401 403 403 403 404 403 403"),
    Row("recipient-deletion", "POST", _RECIPIENT + f"/provisions/{_NONE}/deletion", _SYSTEM,
        {"method": "shredded", "signed_by": "x"}),
    Row("recipient-reports", "POST", _RECIPIENT + "/reports",     _SYSTEM, _REPORT),
    Row("recipient-benefits", "POST", _RECIPIENT + "/benefits",   _SYSTEM, _BENEFIT),
    Row("recipient-notices", "GET", _RECIPIENT + "/notices",      _SYSTEM),
    Row("recipient-acknowledge", "POST", _RECIPIENT + "/notices/0/acknowledge", _SYSTEM, {}),

    Row("complaints", "GET", _YUKI + "/complaints",               "401 200 404 404 403 404 404"),
    Row("complain", "POST", _YUKI + "/complain",                  "401 201 404 404 403 404 404",
        {"kind": "other", "text": "なぜですか"}),
    Row("complaint-close", "POST", _YUKI + f"/complaints/{_NONE}/close",   "401 404 404 404 403 404 404", {}),
    Row("complaint-reopen", "POST", _YUKI + f"/complaints/{_NONE}/reopen", "401 404 404 404 403 404 404", {}),
    Row("desk-complaints", "GET", _DESK + "/complaints",          _STAFF),
    Row("desk-complaints-report", "POST", _DESK + "/complaints/report", _STAFF, _SPAN),
    Row("desk-complaint-take", "POST", _DESK + f"/complaints/{_NONE}/take",     _STAFF, {}),
    Row("desk-complaint-answer", "POST", _DESK + f"/complaints/{_NONE}/answer", _STAFF, {"text": "x"}),

    Row("desk-incidents-all", "GET", _DESK + "/incidents/all",    _STAFF),
    Row("desk-incidents", "POST", _DESK + "/incidents",           _STAFF, _INCIDENT),
    Row("desk-incident-affected", "GET", _DESK + f"/incidents/{_NONE}/affected",     _STAFF),
    Row("desk-incident-tell", "POST", _DESK + f"/incidents/{_NONE}/tell",            _STAFF, {}),
    Row("desk-incident-commission", "POST", _DESK + f"/incidents/{_NONE}/commission", _STAFF, {}),
    Row("desk-incident-close", "POST", _DESK + f"/incidents/{_NONE}/close",          _STAFF, {}),
)
