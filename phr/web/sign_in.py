"""Signing in and out: name and password first; what else is needed is asked on the page of `phr/web/prove.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import authenticate, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from consent import audit
from consent.audit import Event
from consent.models import Person
from phr.smart import attempts, emergency, factors, passkeys, step_up
from phr.smart.attempts import Door, TooMany
from phr.web import session
from phr.web.pages import page


@dataclass(frozen=True, slots=True)
class Ask:
    """What a page of signing in is asked: how well, how lately (seconds), and where to go then."""

    acr: str
    max_age: int | None
    target: str

    @property
    def query(self) -> str:
        told = {"acr_values": self.acr, "max_age": "" if self.max_age is None else str(self.max_age)}
        return urlencode({name: value for name, value in {**told, "next": self.target}.items() if value})


def ask_of(request: HttpRequest) -> Ask:
    """What is not understood is not asked: acr_values and max_age only ever ask for more."""
    given = request.POST if request.method == "POST" else request.GET
    age = given.get("max_age", "")
    max_age = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else None
    return Ask(step_up.wanted(given.get("acr_values", "")[:200]), max_age, safe_target(request))


@page
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Name and password; then on to where the person was going, within this site."""
    ask, now = ask_of(request), timezone.now()
    if request.method == "GET":
        if not request.user.is_authenticated:
            return _form(request, ask)
        return HttpResponseRedirect(ask.target if enough(request, ask, now) else f"/prove?{ask.query}")
    name, password = request.POST.get("username", "")[:64], request.POST.get("password", "")[:1024]
    device = session.known_device(request, name, now=now)
    about = {"device": device} if device else {"name": name}
    try:
        tried = attempts.begin(Door.PASSWORD, now=now, address=attempts.address_of(request), **about)
    except TooMany as many:
        return too_many(_form(request, ask, name=name, fault=wait_a_little(), status=429), many)
    person = _person(request, name, password)
    if person is None:
        audit.record(Event.PERSON_SIGN_IN_FAILED, by=None, now=now, detail={"method": "password"})
        return _form(request, ask, name=name, status=422, fault=_("ユーザー名またはパスワードが違います。"))
    attempts.succeeded(tried)
    if factors.of(person).second:
        session.begin_half(request, person, now=now)
        return HttpResponseRedirect(f"/prove?{ask.query}")
    session.begin(request, person, acr="aal1", at=now, method="password", now=now)
    session.keep_password(request, now=now)
    return session.remember(request, go_on(request, ask, now), person, now=now)


def enough(request: HttpRequest, ask: Ask, now: datetime) -> bool:
    return step_up.satisfied(request, acr=ask.acr, max_age=ask.max_age, now=now)


def go_on(request: HttpRequest, ask: Ask, now: datetime) -> HttpResponse:
    """To where the person was going, or to what is still missing."""
    return HttpResponseRedirect(ask.target if enough(request, ask, now) else f"/prove?{ask.query}")


def _person(request: HttpRequest, name: str, password: str) -> Person | None:
    """Unknown names, stopped accounts and wrong passwords all cost one hash."""
    if "\x00" in name or "\x00" in password:
        return None
    found = authenticate(request, username=name, password=password)
    return found if isinstance(found, Person) else None


def _form(request: HttpRequest, ask: Ask, *, name: str = "", fault: str = "", status: int = 200) -> HttpResponse:
    context = {
        "ask": ask, "username": name, "fault": fault, "passkeys": passkeys.possible(),
        "card": bool(settings.PHR_CARD_ISSUER),
    }  # fmt: skip
    return render(request, "web/sign_in.html", context, status=status)


def wait_a_little() -> str:
    return _("何度も失敗したため、しばらく待ってからもう一度お試しください。")


def too_many(answer: HttpResponse, many: TooMany) -> HttpResponse:
    """429 with the seconds to wait (RFC 6585 §4)."""
    answer.status_code = 429
    answer["Retry-After"] = str(many.wait)
    return answer


@page
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session, and what was opened in an emergency; tokens of apps stay until they are stopped."""
    if isinstance(request.user, Person):
        emergency.end_all(by=request.user, now=timezone.now())
        audit.record(Event.PERSON_SIGNED_OUT, by=request.user, now=timezone.now())
    logout(request)
    return HttpResponseRedirect(settings.LOGOUT_REDIRECT_URL)


def safe_target(request: HttpRequest) -> str:
    """`next`, if it stays on this site; the home page otherwise."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    here = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if here and "\x00" not in target else settings.LOGIN_REDIRECT_URL
