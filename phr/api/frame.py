"""What every endpoint of the trust's API stands in: who asks, about which record, and how a no is told.

Apps come with a token (scopes `trust.read`, `trust.write`), our pages with a session and its CSRF token; both call
the same deeds. Errors are Problem Details (RFC 9457); a challenge to prove again who one is follows RFC 9470.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import OperationalError
from django.http import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.decorators import api_view, authentication_classes, parser_classes, renderer_classes
from rest_framework.exceptions import APIException, NotAuthenticated, ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from consent import audit
from consent.audit import AuditUnavailable, Event
from consent.decide import Caller, Capacity, entitled
from consent.in_force import in_force_between
from consent.models import Person, Subject
from consent.refusal import Absent, Because, Refusal
from phr.caller import Unauthenticated, caller_of, request_id
from phr.smart import step_up
from phr.smart.launches import PURPOSES
from phr.smart.step_up import StepUpNeeded
from phr.trust.acting import caller_for, staff_caller

STATUS = {Because.INVALID: 422, Because.FORBIDDEN: 403, Because.ABSENT: 404, Because.CONFLICT: 409}
PROBLEM = "application/problem+json"

Endpoint = Callable[..., Response | HttpResponseBase]


class Problem(JSONRenderer):
    media_type = PROBLEM


class Json(JSONParser):
    """JSON; what is nested without end is none, and half a character (a lone surrogate, RFC 8259 §8.2) is no text."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            told = super().parse(stream, media_type, parser_context)
            json.dumps(told, ensure_ascii=False).encode()
        except RecursionError:
            raise ParseError("入れ子が深すぎます / nested too deeply") from None
        except UnicodeEncodeError:
            raise ParseError("文字として読めないものがあります / a lone surrogate is no character") from None
        return told


class TokenAuthentication(BaseAuthentication):
    """A bearer token: `request.auth` is its Caller, `request.user` its Person, or None for a system."""

    def authenticate(self, request: Request) -> tuple[Person | None, Caller] | None:
        if "Authorization" not in request.headers:
            return None
        caller = caller_of(request._request, now=timezone.now())  # noqa: SLF001 (the framework's own name for it)
        person = Person.objects.get(pk=caller.person) if caller.person is not None else None
        if person and caller.capacity is Capacity.STAFF and person.organization_id != caller.organization:
            raise Unauthenticated("invalid_token")  # given to her in an office that she has left
        return person, caller

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def endpoint(
    method: str,
    *,
    takes: type[serializers.Serializer[Any]] | None = None,
    gives: Any = None,
    scope: str = "trust.read",
    open: bool = False,
    status: int = 200,
    name: str = "",
    media: str = "",
) -> Callable[[Endpoint], Any]:
    """One method of one path. `takes`: the serializer of the body, checked before the function is called with it as
    `given`; `gives`: the serializer of the answer, for OpenAPI; `open`: nobody need sign in; `media`: of an answer
    that is a file."""
    answers: Any = {(status, media) if media else status: gives}

    def decorate(view: Endpoint) -> Any:
        def answered(request: Request, **place: Any) -> Response | HttpResponseBase:
            if not open:
                _admit(request, scope)
            if takes is not None:
                body = takes(data=request.data)
                body.is_valid(raise_exception=True)
                place["given"] = body.validated_data
            answer = view(request, **place)
            answer.setdefault("Cache-Control", "no-store")
            return answer

        answered.__doc__, answered.__name__ = view.__doc__, view.__name__  # what the description of the API says
        made: Any = answered
        for layer in (
            renderer_classes([JSONRenderer]),
            parser_classes([Json]),
            authentication_classes([TokenAuthentication, SessionAuthentication]),
            api_view([method]),
            extend_schema(request=takes, responses=answers, operation_id=name or view.__name__),
        ):
            made = layer(made)
        return made

    return decorate


def _admit(request: Request, scope: str) -> None:
    if request.auth is None and not isinstance(request.user, Person):
        raise NotAuthenticated
    if request.auth is None:
        step_up.require_read(request._request)  # noqa: SLF001 (the framework's own name for it)
    if isinstance(request.auth, Caller) and scope not in request.auth.rights:
        raise Refusal(f"このトークンの範囲外です / the token does not carry {scope}", because=Because.FORBIDDEN)


def person_of(request: Request) -> Person:
    """The person who asks. Raises Refusal for a system."""
    if not isinstance(request.user, Person):
        raise Refusal("人だけができます / only a person may", because=Because.FORBIDDEN)
    return request.user


def record_of(request: Request, subject: UUID, *, now: datetime, line: bool = True) -> tuple[Subject, Capacity]:
    """The record this person acts for (self or guardian), and in which capacity.

    What is read has its line in the log before the answer is made (`line`: unless the deed itself keeps one).
    Raises Absent, alike for a record that is not there, is another's, is frozen to her, or is not the token's;
    AuditUnavailable.
    """
    person, caller = person_of(request), request.auth
    if isinstance(caller, Caller) and caller.subject != subject:
        raise Absent
    capacity = entitled(in_force_between(person.pk, subject, now=now), now)
    if capacity is None or (isinstance(caller, Caller) and caller.capacity is not capacity):
        raise Absent
    if line and request.method == "GET":
        client = caller.client if isinstance(caller, Caller) else "web"
        by = caller_for(person, subject, capacity, client=client, request=request_id(request._request))  # noqa: SLF001
        match = request._request.resolver_match  # noqa: SLF001
        told = "" if match is None else match.url_name or ""
        audit.record(Event.TRUST_READ, by=by, subject=subject, now=now, detail={"kind": told})
    return Subject.objects.get(pk=subject), capacity


def read_at_desk(request: Request, event: Event, subjects: Iterable[UUID], *, by: Person, now: datetime) -> None:
    """Keep a line for each person about whom staff is going to read. Raises AuditUnavailable: then nothing is told."""
    office = by.organization
    assert office is not None  # staff_of
    caller = request.auth
    client = caller.client if isinstance(caller, Caller) else "web"
    id = request_id(request._request)  # noqa: SLF001
    staff = staff_caller(by, purpose=PURPOSES[office.kind][0], client=client, request=id)
    audit.record_many(event, by=staff, now=now, told={subject: {} for subject in subjects})


def staff_of(request: Request, *kinds: str) -> Person:
    """The person, staff of an active organisation of one of these kinds. Raises Refusal."""
    person, caller = person_of(request), request.auth
    office = person.organization
    as_staff = caller is None or (isinstance(caller, Caller) and caller.capacity is Capacity.STAFF)
    if office is None or office.state != "active" or office.kind not in kinds or not as_staff:
        raise Refusal("この操作をする資格がありません / not entitled to this", because=Because.FORBIDDEN)
    return person


def require_fresh(request: Request, *, now: datetime) -> None:
    """The person must have proved lately, and well, who she is. Raises StepUpNeeded."""
    caller = request.auth
    if isinstance(caller, Caller):
        acr, at = caller.acr, caller.authenticated_at
    else:
        acr, at = step_up.of_session(request._request)  # noqa: SLF001 (the framework's own name for it)
    step_up.require_fresh(acr=acr, authenticated_at=at, now=now)


def refused(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every no as Problem Details. None = not one of ours: the framework answers 500."""
    request: Request = context["request"]
    answer = _problem(error)
    if answer is None:
        return None
    answer["X-Request-Id"] = request_id(request._request)  # noqa: SLF001
    answer["Cache-Control"] = "no-store"
    request.accepted_renderer = Problem()
    request.accepted_media_type = PROBLEM
    return answer


def _problem(error: Exception) -> Response | None:
    match error:
        case Refusal():
            return told(STATUS[error.because], error.why, place=error.place)
        case ValidationError():
            return told(422, "入力を確かめてください / please check what was sent", errors=_places(error.detail))
        case Unauthenticated() | NotAuthenticated():
            answer = told(401, "サインインが必要です / please sign in")
            answer["WWW-Authenticate"] = "Bearer" + (f' error="{error.error}"' if getattr(error, "error", "") else "")
            return answer
        case StepUpNeeded():
            answer = told(401, str(error), acr_values=error.acr, max_age=error.max_age)
            age = "" if error.max_age is None else f', max_age="{error.max_age}"'
            challenge = f'Bearer error="insufficient_user_authentication", acr_values="{error.acr}"{age}'
            answer["WWW-Authenticate"] = challenge
            return answer
        case AuditUnavailable():
            return told(503, str(error))
        case OperationalError():
            return told(503, "一時的に利用できません / temporarily unavailable")
        case OverflowError():
            return told(422, "扱える範囲を超えています / beyond what can be handled")
        case APIException():
            return told(error.status_code, str(error.detail))
    return None


def told(status: int, detail: str, **more: Any) -> Response:
    """A Problem Details body (RFC 9457 §3)."""
    more = {name: value for name, value in more.items() if value not in ("", None)}
    return Response({"type": "about:blank", "status": status, "detail": detail, **more}, status=status)


def _places(detail: Any, place: str = "") -> list[dict[str, str]]:
    if isinstance(detail, dict):
        return [one for name, inner in detail.items() for one in _places(inner, f"{place}.{name}" if place else name)]
    if isinstance(detail, list):
        return [one for n, inner in enumerate(detail)
                for one in _places(inner, f"{place}[{n}]" if isinstance(inner, dict) else place)]  # fmt: skip
    return [{"place": _clean(place), "message": _clean(str(detail))}]


def _clean(text: str) -> str:
    """What was sent may stand in it."""
    return text.encode(errors="replace").decode()
