"""The REST door: each view translates, calls the record once, and translates back (R4 http.html)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from phr.fhir import capability, outcome, shape, terminology_capability, wire
from phr.fhir.door import admitted, known, nowhere, open_records
from phr.fhir.outcome import FHIR_JSON, Problem
from phr.fhir.shape import WHOLE, Shape
from phr.records import body
from phr.records.gateway import Records, Stored
from phr.trust import guardian_person

# -- instance ------------------------------------------------------------------------------------


def read(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "r")
    form = _shape(request)
    if type == guardian_person.TYPE and (own := guardian_person.own(records, id)):
        content = body.write(own if form.whole else shape.shaped(own, form))
        return HttpResponse(content, content_type=FHIR_JSON)
    return _read(request, records, records.read(type, id), form)


def _shape(request: HttpRequest) -> Shape:
    return shape.asked(wire.understood(request)) if request.META.get("QUERY_STRING") else WHOLE


def _read(request: HttpRequest, records: Records, found: Stored, form: Shape) -> HttpResponse:
    answer = wire.one(found, status=200, labels=records.shows_labels(found), shape=form)
    if wire.unchanged(request, found):
        return HttpResponse(status=304, headers={name: answer[name] for name in ("ETag", "Last-Modified")})
    return answer


def vread(request: HttpRequest, *, type: str, id: str, version: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "r")
    form = _shape(request)
    return _read(request, records, records.vread(type, id, wire.version_of(type, id, version)), form)


# -- system ------------------------------------------------------------------------------------------


STATEMENTS: dict[str, Callable[[], bytes]] = {
    "full": capability.statement,
    "normative": capability.statement,  # a server may answer with the whole
    "terminology": terminology_capability.statement,
}


def metadata(request: HttpRequest) -> HttpResponse:
    """What is served, as a whole or in part; `mode`: R4 http.html §3.1.0.10."""
    asked = wire.understood(request, "mode")
    modes = [value for name, value in asked if name == "mode"] or ["full"]
    if len(modes) > 1 or modes[0] not in STATEMENTS:
        text = f"mode は {', '.join(STATEMENTS)} のどれか一つです。Must be one of them."
        raise Problem(400, "not-supported", text, "http.mode")
    content, tag = _statement(STATEMENTS[modes[0]](), shape.asked(asked))
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if "*" in known or tag in known or tag.removeprefix("W/") in known:  # RFC 9110 §13.1.2, weak comparison
        return HttpResponse(status=304, headers={"ETag": tag})
    return HttpResponse(content, content_type=FHIR_JSON, headers={"ETag": tag})


@lru_cache(maxsize=8)
def _statement(whole: bytes, form: Shape) -> tuple[bytes, str]:
    """The part that is asked for, and a validator of it."""
    content = whole if form.whole else body.write(shape.shaped(body.parse(whole), form))
    return content, f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'


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
