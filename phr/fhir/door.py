"""What every view of the REST door starts with: methods, refusals, the caller's record, the token's reach."""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from consent.decide import Permit
from consent.scope import Scope
from phr.caller import caller_and_standing, request_id
from phr.fhir import outcome, wire
from phr.fhir.hinting import HintingRecords
from phr.fhir.outcome import FHIR_JSON, Problem
from phr.records import definitions
from phr.records.gateway import Records, Refused
from phr.smart import cors, step_up

View = Callable[..., HttpResponseBase]


def door(*, negotiate: Callable[[HttpRequest], None] = wire.negotiate, **methods: View) -> View:
    """One view for a path from one function per method; every refusal becomes an OperationOutcome.

    `negotiate` refuses what cannot be answered in a form the client takes.
    """
    if "GET" in methods:
        methods["HEAD"] = methods["GET"]
    allowed = ", ".join(sorted(methods))

    @csrf_exempt
    def view(request: HttpRequest, **place: str) -> HttpResponseBase:
        try:
            answer: HttpResponseBase = _preflight(allowed) if request.method == "OPTIONS" else handle(request, place)
        except Exception as error:  # noqa: BLE001 - the one translator at the edge
            answer = outcome.response(error)
        if "pretty" in request.META.get("QUERY_STRING", "") and _pretty_wanted(request):
            _spread(answer)
        if answer.status_code in (204, 304):
            del answer["Content-Type"]  # there is no content to have one
        answer["X-Request-Id"] = request_id(request)
        answer["Cache-Control"] = "no-store"
        return cors.for_registered(request, answer) if "Origin" in request.headers else answer

    def handle(request: HttpRequest, place: dict[str, str]) -> HttpResponseBase:
        handler = methods.get(request.method or "")
        if handler is None:
            raise Problem(405, "not-supported", f"使える方法: {allowed} Allowed methods.", Allow=allowed)
        negotiate(request)
        return handler(request, **place)

    made = functools.update_wrapper(view, next(iter(methods.values())))
    made.handle = handle  # type: ignore[attr-defined]  # for entries of a Bundle: refusals stay exceptions
    return made


def _pretty_wanted(request: HttpRequest) -> bool:
    try:
        return ("_pretty", "true") in wire.asked(request)
    except Problem:  # the answer says already what cannot be read
        return False


def _spread(answer: HttpResponseBase) -> None:
    """`_pretty`, for resources of every kind (R4 http.html §3.1.0.1.11)."""
    if isinstance(answer, HttpResponse) and answer.content and answer.get("Content-Type") == FHIR_JSON:
        answer.content = wire.pretty(answer.content)


def _preflight(allowed: str) -> HttpResponse:
    """What a browser asks before it asks (Fetch standard, CORS preflight); it carries no token."""
    return HttpResponse(status=204, headers={"Allow": f"{allowed}, OPTIONS"})


class DoorRecords(HintingRecords):
    """Records as this door opens them: what is written of Consent does something, and measurements are looked at."""

    def prove(self) -> None:
        step_up.require_fresh(acr=self.caller.acr, authenticated_at=self.caller.authenticated_at, now=self.now)


def open_records(request: HttpRequest) -> Records:
    """The record as this request's caller may see it. A refused caller gets one in which nothing is.

    An entry of a Bundle comes with the record that was opened for the Bundle.
    """
    opened: Records | None = getattr(request, "opened_records", None)
    if opened is not None:
        return opened
    now = timezone.now()
    caller, standing = caller_and_standing(request, now=now)
    try:
        return DoorRecords.opened_by(caller, now=now, in_force=standing)
    except Refused:
        nothing = Scope(caller.doors, (), frozenset(), caller.purpose, now, subjects=frozenset(), open_letters="")
        return DoorRecords(caller, Permit(nothing, ()), now=now)


def known(type: str) -> str:
    if type not in definitions.concrete_types():
        raise Problem(404, "not-supported", f"R4 に {type[:64]} という型はありません。No such resource type in R4.")
    return type


def admitted(records: Records, type: str | None, letter: str) -> None:
    """403 when the token carries nothing of this type (None: of any): the one refusal that says so (token level)."""
    if type in definitions.PROJECTED and letter in "cud":
        text = f"{type} はアクセス記録から作られ、書き込めません。{type} is made from the log; nobody writes it."
        raise Problem(405, "not-supported", text, Allow="GET, HEAD")
    if not any(letter in d.letters and (type is None or d.type in ("*", type)) for d in records.scope.doors):
        where = f"{type or 'this'} '{letter}'"
        raise Problem(403, "forbidden", f"このトークンの範囲外です。The token does not cover {where}.")


def nowhere() -> Problem:
    """404 for a path at which nothing is."""
    return Problem(404, "not-found", "この場所には何もありません。There is nothing at this path.")
