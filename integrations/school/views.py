"""The forms the project brings along, for apps that show them: nobody's data, so open to everybody."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from phr.fhir import questionnaires
from phr.fhir.outcome import FHIR_JSON
from phr.records import body
from phr.records.gateway import NotFound


def questionnaire(request: HttpRequest, *, name: str) -> HttpResponse:
    """`GET /api/questionnaires/{name}`: the newest version of a form, as a FHIR Questionnaire."""
    found = next((q for q in reversed(list(questionnaires.bundled().values())) if q["id"] == name), None)
    if found is None:
        raise NotFound(name)
    return HttpResponse(body.write(found), content_type=FHIR_JSON)
