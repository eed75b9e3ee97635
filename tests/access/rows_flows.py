"""Rows of the permission table: what comes in from families: forms, measurements at home."""

from __future__ import annotations

from tests.access.row import Row
from tests.operations.test_extract import FULL

FORM = {"resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "resource": FULL}]}

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("type-operation", "POST", "/fhir/QuestionnaireResponse/$extract",          "401 200 200 200 200 200 200", FORM),
    Row("instance-operation", "POST", "/fhir/QuestionnaireResponse/none/$extract", "401 404 404 403 404 404 404"),
)
# fmt: on
