"""Request -> consent.decide.Caller: who asks, by which token."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import uuid4

from django.http import HttpRequest

from consent.decide import Caller, Capacity, InForce
from phr.records import vault
from phr.smart.scopes import doors_of, rights_of
from phr.smart.tokens import bearer

_REQUEST_ID = re.compile(r"[A-Za-z0-9.\-]{1,36}")


class Unauthenticated(Exception):
    """No usable access token (RFC 6750 §3). `error` is the code of the challenge, empty when none was sent."""

    def __init__(self, error: str = "") -> None:
        super().__init__("an access token is required" if not error else "the access token is not usable")
        self.error = error


def caller_of(request: HttpRequest, *, now: datetime) -> Caller:
    """The caller behind the bearer token of the Authorization header; never from the query string."""
    return caller_and_standing(request, now=now)[0]


def caller_and_standing(request: HttpRequest, *, now: datetime) -> tuple[Caller, InForce]:
    """The caller, and what is in force for that caller, read together. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated
    found = bearer(token.strip(), now=now)
    if found is None:
        raise Unauthenticated("invalid_token")
    caller = Caller(
        client=found.client_id,
        capacity=Capacity(found.capacity),
        purpose=found.purpose,
        doors=doors_of(found.scope, vault.index_key()),
        person=found.person,
        organization=found.organization,
        subject=found.subject,
        request=request_id(request),
        token=str(found.launch),
        acr=found.acr,
        authenticated_at=found.authenticated_at,
        rights=rights_of(found.scope),
        glass=found.glass,
    )
    return caller, found.in_force


def request_id(request: HttpRequest) -> str:
    """The client's X-Request-Id where it is a sane one, else a new one; the same for the whole request."""
    known: str | None = getattr(request, "_tsumugi_id", None)
    if known is None:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        known = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
        request._tsumugi_id = known  # type: ignore[attr-defined]  # noqa: SLF001
    return known
