"""Sessions: how one begins, what it owes, when it ends; and the browsers a person is known by.

Somebody with a second factor who has given her password only is not signed in: her session holds half a sign-in,
which opens nothing but the page that asks for the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from consent import audit
from consent.audit import Event
from consent.models import Person
from phr.smart import step_up
from phr.smart.login_models import KnownDevice

HALF_LIFE = timedelta(minutes=10)
DEVICE = "tsumugi_device"
DEVICE_LIFE = timedelta(days=180)


def begin(request: HttpRequest, person: Person, *, acr: str, at: datetime, method: str, now: datetime) -> None:
    """The person is signed in, or (in her own session) has proved again who she is. `at`: when the older factor was.

    The session gets a new key either way; somebody else's session is emptied first.
    """
    again = request.user.is_authenticated and request.user.pk == person.pk
    event = Event.PERSON_PROVED if again else Event.PERSON_SIGNED_IN
    audit.record(event, by=person, now=now, detail={"method": method, "acr": acr})
    kept = request.session.get("password_at") if again or _half_of(request) == person else None
    login(request, person, backend=settings.AUTHENTICATION_BACKENDS[0])
    if again:
        request.session.cycle_key()
    else:
        request.session["begun_at"] = int(now.timestamp())
    request.session.pop("half", None)
    if kept is None:
        request.session.pop("password_at", None)
    step_up.keep(request, acr, now=at)


def keep_password(request: HttpRequest, *, now: datetime) -> None:
    """The password was right, now."""
    request.session["password_at"] = int(now.timestamp())


def password_at(request: HttpRequest) -> datetime | None:
    at = request.session.get("password_at")
    return datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else None


def begin_half(request: HttpRequest, person: Person, *, now: datetime) -> None:
    """The password was right; a second factor is owed. A session of somebody signed in ends."""
    logout(request)
    request.session.cycle_key()
    request.session["half"] = {
        "person": person.pk, "at": int(now.timestamp()), "hash": person.get_session_auth_hash()
    }  # fmt: skip
    keep_password(request, now=now)


def asked_of(request: HttpRequest, *, now: datetime) -> Person | None:
    """Whom a page may ask for more: the person signed in, or the one who is half."""
    if isinstance(request.user, Person):
        return request.user
    person = _half_of(request)
    if person is None or now.timestamp() - request.session["half"]["at"] > HALF_LIFE.total_seconds():
        return None
    return person


def _half_of(request: HttpRequest) -> Person | None:
    """Who is half signed in. With another password than the one that was given, nobody is."""
    half = request.session.get("half")
    if not isinstance(half, dict):
        return None
    person = Person.objects.filter(pk=half["person"], is_active=True).first()
    if person is None or not constant_time_compare(half.get("hash", ""), person.get_session_auth_hash()):
        return None
    return person


def known_device(request: HttpRequest, name: str, *, now: datetime) -> str:
    """The browser's name if this person signed in completely with it before; else empty."""
    token = request.COOKIES.get(DEVICE, "")
    if not token:
        return ""
    rows = KnownDevice.objects.filter(digest=_digest(token), person__username=name.strip(), ends_at__gt=now)
    return token if rows.exists() else ""


def remember(request: HttpRequest, answer: HttpResponse, person: Person, *, now: datetime) -> HttpResponse:
    """Know this browser as hers. Of two people at one browser, the last who signed in is known."""
    if not known_device(request, person.username, now=now):
        token = secrets.token_urlsafe(32)
        KnownDevice.objects.create(person=person, digest=_digest(token), created_at=now, ends_at=now + DEVICE_LIFE)
        answer.set_cookie(
            DEVICE, token, max_age=DEVICE_LIFE, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
        )
    return answer


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()


def _operating(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/") and request.path != "/admin/login/"


def stands(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: a session has an end that no use puts off; and Django's own site wants a second factor."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            now = timezone.now()
            begun = request.session.setdefault("begun_at", int(now.timestamp()))
            if now.timestamp() - begun > settings.PHR_SESSION_HOURS * 3600:
                logout(request)
            elif _operating(request) and not step_up.satisfied(request, acr="aal2", max_age=None, now=now):
                return HttpResponseRedirect(step_up.page_url(acr="aal2", max_age=None, next=request.path))
        return get_response(request)

    return middleware
