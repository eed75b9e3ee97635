"""The REST door: each view translates, calls the record once, and translates back (R4 http.html)."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from phr.fhir import capability, outcome, shape, terminology_capability, wire
from phr.fhir.door import admitted, known, nowhere, open_records
from phr.fhir.outcome import FHIR_JSON
from phr.fhir.shape import WHOLE, Shape
from phr.records.gateway import NotFound, Records, Stored

# -- instance ------------------------------------------------------------------------------------


def read(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "r")
    form = _shape(request)
    return _read(request, records, records.read(type, id), form)


def _shape(request: HttpRequest) -> Shape:
    return shape.asked(wire.asked(request)) if request.META.get("QUERY_STRING") else WHOLE


def _read(request: HttpRequest, records: Records, found: Stored, form: Shape) -> HttpResponse:
    answer = wire.one(found, status=200, labels=records.shows_labels(found), shape=form)
    if wire.unchanged(request, found):
        return HttpResponse(status=304, headers={name: answer[name] for name in ("ETag", "Last-Modified")})
    return answer


def vread(request: HttpRequest, *, type: str, id: str, version: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "r")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise NotFound(f"{type}/{id}")
    form = _shape(request)
    return _read(request, records, records.vread(type, id, int(version)), form)


# -- system ------------------------------------------------------------------------------------------


def metadata(request: HttpRequest) -> HttpResponse:
    """What is served; `mode=terminology`: which code systems are at hand (R4 http.html §3.1.0.10)."""
    of_terminology = ("mode", "terminology") in wire.asked(request)
    content = terminology_capability.statement() if of_terminology else capability.statement()
    return HttpResponse(content, content_type=FHIR_JSON)


def nothing_here(request: HttpRequest, **place: str) -> HttpResponse:
    return outcome.response(nowhere())


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The process can serve: the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("database unavailable\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")
