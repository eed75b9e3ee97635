"""The REST door: each view translates, calls the record once, and translates back (R4 http.html)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from consent.decide import Permit
from consent.scope import Scope
from phr.caller import caller_and_standing, request_id
from phr.fhir import bundle, capability, outcome, wire
from phr.fhir.outcome import FHIR_JSON, Problem
from phr.records import definitions
from phr.records.gateway import NotFound, Records, Refused
from phr.smart import cors

View = Callable[..., HttpResponse]
HISTORY_PAGE = 100
_WHOLE = re.compile(r"0*[1-9][0-9]{0,8}")


def door(**methods: View) -> View:
    """One view for a path from one function per method; every refusal becomes an OperationOutcome."""
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    allowed = ", ".join(sorted(methods))

    @csrf_exempt
    def view(request: HttpRequest, **place: str) -> HttpResponse:
        try:
            answer = _preflight(allowed) if request.method == "OPTIONS" else handle(request, place)
        except Exception as error:  # noqa: BLE001 - the one translator at the edge
            answer = outcome.response(error)
        answer["X-Request-Id"] = request_id(request)
        answer["Cache-Control"] = "no-store"
        return cors.for_registered(request, answer) if "Origin" in request.headers else answer

    def handle(request: HttpRequest, place: dict[str, str]) -> HttpResponse:
        handler = methods.get(request.method or "")
        if handler is None:
            raise Problem(405, "not-supported", f"使える方法: {allowed} Allowed methods.", Allow=allowed)
        wire.negotiate(request)
        return handler(request, **place)

    return functools.update_wrapper(view, next(iter(methods.values())))


def _preflight(allowed: str) -> HttpResponse:
    """What a browser asks before it asks (Fetch standard, CORS preflight); it carries no token."""
    return HttpResponse(status=204, headers={"Allow": f"{allowed}, OPTIONS"})


def open_records(request: HttpRequest) -> Records:
    """The record as this request's caller may see it. A refused caller gets one in which nothing is."""
    now = timezone.now()
    caller, standing = caller_and_standing(request, now=now)
    try:
        return Records.opened_by(caller, now=now, in_force=standing)
    except Refused:
        nothing = Scope(caller.doors, (), frozenset(), caller.purpose, now, subjects=frozenset(), open_letters="")
        return Records(caller, Permit(nothing, ()), now=now)


def known(type: str) -> str:
    if type not in definitions.concrete_types():
        raise Problem(404, "not-supported", f"R4 に {type[:64]} という型はありません。No such resource type in R4.")
    return type


def admitted(records: Records, type: str, letter: str) -> None:
    """403 when the token carries nothing of this type: the one refusal that says so (token level)."""
    if not any(letter in d.letters and d.type in ("*", type) for d in records.scope.doors):
        raise Problem(403, "forbidden", f"このトークンの範囲外です。The token does not cover {type} '{letter}'.")


# -- instance ------------------------------------------------------------------------------------


def read(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "r")
    found = records.read(type, id)
    if wire.unchanged(request, found.version):
        return HttpResponse(status=304, headers={"ETag": wire.etag(found.version)})
    return wire.one(found, status=200, labels=records.shows_labels(found))


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
    found = records.vread(type, id, int(version))
    return wire.one(found, status=200, labels=records.shows_labels(found))


def history(request: HttpRequest, *, type: str, id: str) -> HttpResponse:
    records = open_records(request)
    admitted(records, known(type), "r")
    limit, before = _history_page(request)
    versions = records.history(type, id, limit=limit + 1, before=before)
    next_url = None
    if len(versions) > limit:
        versions = versions[:limit]
        next_url = f"{wire.base()}/{type}/{id}/_history?_count={limit}&_before={versions[-1].version}"
    content = wire.history(type, id, versions, own=records.author, next_url=next_url)
    return HttpResponse(content, content_type=FHIR_JSON)


def _history_page(request: HttpRequest) -> tuple[int, int | None]:
    values: dict[str, int | None] = {"_count": HISTORY_PAGE, "_before": None}
    for name, value in wire.asked(request):
        if name in values:
            if not _WHOLE.fullmatch(value):
                text = f"{name} は正の整数です。{name} must be a positive number."
                raise Problem(400, "invalid", text, f"http.{name}")
            values[name] = int(value)
        elif name not in ("_format", "_pretty"):
            text = f"{name[:64]} は履歴では使えません。Not supported on history."
            raise Problem(400, "not-supported", text, f"http.{name[:64]}")
    return min(values["_count"] or HISTORY_PAGE, HISTORY_PAGE), values["_before"]


# -- type ------------------------------------------------------------------------------------------


def search(request: HttpRequest, *, type: str) -> HttpResponse:
    return _search(request, known(type), wire.asked(request))


def post_search(request: HttpRequest, *, type: str) -> HttpResponse:
    return _search(request, known(type), wire.asked(request) + wire.form(request))


def _search(request: HttpRequest, type: str, asked: list[tuple[str, str]]) -> HttpResponse:
    records = open_records(request)
    admitted(records, type, "s")
    strict = wire.preference(request, "handling", "lenient") == "strict"
    query = wire.query(type, asked, now=records.now, strict=strict)
    page = records.search(query, cursor=query.page)
    content = wire.searchset(query, page, own=records.author, used=wire.used(query, asked))
    return HttpResponse(content, content_type=FHIR_JSON)


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
    return outcome.response(Problem(404, "not-found", "この場所には何もありません。There is nothing at this path."))


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
