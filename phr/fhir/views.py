"""The REST door: each view translates, calls the record once, and translates back (R4 http.html)."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from phr.fhir import bundle, capability, outcome, shape, wire
from phr.fhir.door import admitted, known, nowhere, open_records
from phr.fhir.outcome import FHIR_JSON, Problem
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


def update(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "u")
    resource = _resource(request, type)
    if resource.get("id") != id:
        text = "本文の id が URL と違います。The id in the body is not the one in the URL."
        raise Problem(400, "invalid", text, f"{type}.id")
    try:
        stored = records.update(type, id, resource, if_match=wire.if_match(request))
    except NotFound:
        # Hidden or absent alike; ids are the server's to give (R4 http.html §3.1.0.4.1).
        raise Problem(
            405, "not-supported", "新しい id での作成はできません。This server gives the ids.", Allow="GET, HEAD"
        ) from None
    prefer = wire.preference(request, "return", "representation")
    return wire.one(stored, status=200, labels=records.shows_labels(stored), location=True, prefer=prefer)


def delete(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "d")
    gone = records.delete(type, id, if_match=wire.if_match(request))
    answer = HttpResponse(status=204)
    if gone:
        answer["ETag"] = wire.etag(gone.version)
    return answer


def vread(request: HttpRequest, *, type: str, id: str, version: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "r")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise NotFound(f"{type}/{id}")
    form = _shape(request)
    return _read(request, records, records.vread(type, id, int(version)), form)


# -- type ------------------------------------------------------------------------------------------


def create(request: HttpRequest, *, type: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "c")
    resource = _resource(request, type)
    prefer = wire.preference(request, "return", "representation")
    asked = request.headers.get("If-None-Exist")
    if asked is None:
        stored, created = records.create(resource), True
    else:
        admitted(records, type, "s")
        stored, created = records.create_unless(resource, wire.condition(type, asked, now=records.now))
    labels = records.shows_labels(stored)
    return wire.one(stored, status=201 if created else 200, labels=labels, location=True, prefer=prefer)


# -- system ------------------------------------------------------------------------------------------


def post_bundle(request: HttpRequest) -> HttpResponse:
    records = open_records(request)
    content = wire.json_body(request)
    prefer = wire.preference(request, "return", "minimal")
    return HttpResponse(bundle.process(records, content, prefer=prefer), content_type=FHIR_JSON)


def metadata(request: HttpRequest) -> HttpResponse:
    return HttpResponse(capability.statement(), content_type=FHIR_JSON)


def nothing_here(request: HttpRequest, **place: str) -> HttpResponse:
    return outcome.response(nowhere())


def _resource(request: HttpRequest, type: str) -> dict[str, Any]:
    resource = wire.json_body(request)
    if resource.get("resourceType") != type:
        raise Problem(
            400, "invalid", f"本文は {type} ではありません。The body is not a {type}.", f"{type}.resourceType"
        )
    return resource


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
