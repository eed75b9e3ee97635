"""Rows of the permission table: what comes in from families: forms, measurements at home."""

from __future__ import annotations

from tests.access.row import Row
from tests.operations.test_extract import FULL

FORM = {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "resource": FULL}]}
WEIGHTS = {"samples": [{"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": 8, "unit": "kg"}]}
UPLOAD = "what=school-csv/standard"

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("type-operation", "POST", "/fhir/QuestionnaireResponse/$extract",          "401 200 200 200 200 200 200", FORM),
    Row("metrics", "GET", "/api/metrics",           "404 404 404 404 404 404 404"),  # for monitoring, by its own bearer
    Row("home-upload", "POST", "/api/imports/home", "401 200 200 403 403 403 200", WEIGHTS),
    Row("hl7", "POST", "/api/hl7",                  "401 404 404 404 415 403 404"),  # a form is no message
    # -- pages: a session is what counts, so the clinic's system is anonymous here; desks are for staff alone --
    Row("imports-page", "GET", "/imports",                                         "302 404 404 404 302 200 404"),
    Row("import-new", "GET", "/imports/new",                                       "302 404 404 404 302 200 404"),
    Row("import-new", "POST", "/imports/new",                                    "302 404 404 404 302 422 404", UPLOAD),
    Row("import-page", "GET", "/imports/{run}",                                    "302 404 404 404 302 404 404"),
    Row("import-page-steer", "POST", "/imports/{run}/proceed",                     "302 404 404 404 302 404 404", ""),
    Row("import-page-steer", "POST", "/imports/{run}/nothing",                     "302 404 404 404 302 404 404", ""),
    Row("import-queue", "GET", "/imports/queue",                                   "302 404 404 404 302 200 404"),
    Row("import-case", "GET", "/imports/queue/0",                                  "302 404 404 404 302 404 404"),
    Row("import-case-link", "POST", "/imports/queue/0/link",                       "302 404 404 404 302 302 404", ""),
    Row("import-case-code", "POST", "/imports/queue/0/code",                       "302 404 404 404 302 302 404", ""),
    Row("import-case-dismiss", "POST", "/imports/queue/0/dismiss",                 "302 404 404 404 302 404 404", ""),
    Row("family-numbers", "GET", "/api/trust/records/{yuki}/numbers",              "401 200 404 404 403 404 404"),
    Row("family-numbers", "GET", "/api/trust/records/{hana}/numbers",              "401 404 200 404 403 404 404"),
    Row("family-number-end", "POST", "/api/trust/records/{yuki}/numbers/0/end",    "401 404 404 404 403 404 404"),
    Row("family-link-code", "POST", "/api/trust/records/{yuki}/link-code",         "401 201 404 404 403 404 404"),
    Row("family-link-code", "POST", "/api/trust/records/{hana}/link-code",         "401 404 201 404 403 404 404"),
    Row("numbers", "GET", "/numbers",                                              "302 200 200 200 302 200 200"),
    Row("number-code", "POST", "/numbers/code",                                    "302 302 302 302 302 302 302", ""),
    Row("number-end", "POST", "/numbers/0/end",                                    "302 404 404 404 302 404 404", ""),
    Row("questionnaire", "GET", "/api/questionnaires/school-checkup", "200 200 200 200 200 200 200"),
    Row("questionnaire", "GET", "/api/questionnaires/none", "404 404 404 404 404 404 404"),
    Row("instance-operation", "POST", "/fhir/QuestionnaireResponse/none/$extract", "401 404 404 403 404 404 404"),
)
# fmt: on
