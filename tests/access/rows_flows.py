"""Rows of the permission table: what comes in from families: forms, measurements at home."""

from __future__ import annotations

from tests.access.row import Row
from tests.operations.test_extract import FULL

FORM = {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "resource": FULL}]}
WEIGHTS = {"samples": [{"type": "weight", "startDate": "2026-03-01T07:00:00Z", "value": 8, "unit": "kg"}]}

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("type-operation", "POST", "/fhir/QuestionnaireResponse/$extract",          "401 200 200 200 200 200 200", FORM),
    Row("metrics", "GET", "/api/metrics",           "404 404 404 404 404 404 404"),  # for monitoring, by its own bearer
    Row("home-upload", "POST", "/api/imports/home", "401 200 200 403 403 403 200", WEIGHTS),
    Row("hl7", "POST", "/api/hl7",                  "401 404 404 404 415 403 404"),  # a form is no message
    Row("questionnaire", "GET", "/api/questionnaires/school-checkup", "200 200 200 200 200 200 200"),
    Row("questionnaire", "GET", "/api/questionnaires/none", "404 404 404 404 404 404 404"),
    Row("instance-operation", "POST", "/fhir/QuestionnaireResponse/none/$extract", "401 404 404 403 404 404 404"),
)
# fmt: on
