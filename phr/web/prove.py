"""Asking for what is missing: a fresh password, a second factor, the card; nothing that was just given.

It serves who is half signed in and who must step up (RFC 9470). What counts is the older of the factors given.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from consent import audit
from consent.audit import Event
from consent.models import Person
from phr.smart import attempts, factors, passkeys, recovery, step_up, totp
from phr.smart.attempts import Door, TooMany
from phr.smart.factors import Means
from phr.web import session
from phr.web.pages import page
from phr.web.sign_in import Ask, ask_of, enough, too_many, wait_a_little


@dataclass(frozen=True, slots=True)
class Missing:
    """What the page must ask: `level` is what answering all of it reaches."""

    level: str
    password: bool
    code: bool


class Wrong(Exception):
    """A factor was wrong; `args[0]` says which, to the person."""


@page
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def prove(request: HttpRequest) -> HttpResponse:
    """The person of this session proves who she is, once more or better."""
    now, ask = timezone.now(), ask_of(request)
    person = session.asked_of(request, now=now)
    if person is None:
        return HttpResponseRedirect(f"/sign-in?{ask.query}")
    if enough(request, ask, now):
        return HttpResponseRedirect(ask.target)
    means = factors.of(person)
    missing = missing_of(request, ask, means, now)
    if missing.level == "aal3" or (missing.code and means.card and not means.second):
        return _card_page(request, ask, means)
    if missing.code and not means.second and not missing.password:
        return HttpResponseRedirect(f"/account/security?{ask.query}")  # set one up first
    if request.method == "GET":
        return _form(request, ask, means, missing)
    try:
        at, method = _check(request, person, missing if means.second else _password_only(missing), now)
    except TooMany as many:
        return too_many(_form(request, ask, means, missing, fault=wait_a_little()), many)
    except Wrong as wrong:
        audit.record(Event.PERSON_SIGN_IN_FAILED, by=person, now=now, detail={"method": "step-up"})
        return _form(request, ask, means, missing, fault=str(wrong), status=422)
    level = "aal2" if missing.code and means.second else "aal1"
    session.begin(request, person, acr=level, at=at, method=method, now=now)
    target = ask.target if enough(request, ask, now) else f"/prove?{ask.query}"
    return session.remember(request, HttpResponseRedirect(target), person, now=now)


def missing_of(request: HttpRequest, ask: Ask, means: Means, now: datetime) -> Missing:
    """What this session still has to be asked. It never falls below the level it has, nor below the person's own."""
    held, _at = step_up.of_session(request)
    floors = [ask.acr or "aal1", "aal2" if means.second else "aal1", "aal2" if held == "aal3" else held or "aal1"]
    level = max(floors, key=step_up.LEVELS.index)
    code = level != "aal1"
    # Whatever is sent is looked at: where nothing else is, the password is. So no sign-in is made whole by nothing.
    return Missing(level, _password_is_old(request, ask, now) or not code, code)


def _password_is_old(request: HttpRequest, ask: Ask, now: datetime) -> bool:
    given = session.password_at(request)
    if given is None:
        return True
    most = session.HALF_LIFE if ask.max_age is None else max(step_up.LEAST, timedelta(seconds=ask.max_age))
    return now - given > most


def _password_only(missing: Missing) -> Missing:
    return Missing(missing.level, missing.password, code=False)


def _check(request: HttpRequest, person: Person, missing: Missing, now: datetime) -> tuple[datetime, str]:
    """Look at what was given. Returns when the older factor was given, and how. Raises Wrong or TooMany."""
    given = session.password_at(request)
    address = attempts.address_of(request)
    if missing.password:
        device = session.known_device(request, person.username, now=now)
        about = {"device": device} if device else {"name": person.username}
        tried = attempts.begin(Door.PASSWORD, now=now, address=address, **about)
        password = request.POST.get("password", "")[:1024]
        if "\x00" in password or not person.check_password(password):
            raise Wrong(_("パスワードが違います。"))
        attempts.succeeded(tried)
        given = now
    if not missing.code:
        session.keep_password(request, now=given or now)
        return given or now, "password"
    tried = attempts.begin(Door.CODE, now=now, address=address, name=person.username)
    method = _right_code(request.POST.get("code", "")[:64], person, now)
    if not method:
        raise Wrong(_("確認コードが違います。一度使ったコードは使えません。"))
    attempts.succeeded(tried)
    session.keep_password(request, now=given or now)
    return given or now, method


def _right_code(code: str, person: Person, now: datetime) -> str:
    """How the code proves her: "totp", "recovery-code", or "" when it does not."""
    if "\x00" in code:
        return ""
    if totp.right(code, of=person, now=now):
        return "totp"
    return "recovery-code" if recovery.use_code(code, of=person, now=now) else ""


def _form(
    request: HttpRequest, ask: Ask, means: Means, missing: Missing, *, fault: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "ask": ask, "means": means, "missing": missing, "fault": fault, "code": missing.code and means.second,
        "passkey": means.passkeys and passkeys.possible(), "typed": means.totp or means.codes,
        "card": means.card, "half": not request.user.is_authenticated,
    }  # fmt: skip
    return render(request, "web/prove.html", context, status=status)


def _card_page(request: HttpRequest, ask: Ask, means: Means) -> HttpResponse:
    context = {"ask": ask, "linked": means.card, "possible": bool(settings.PHR_CARD_ISSUER)}
    return render(request, "web/prove_card.html", context, status=200 if settings.PHR_CARD_ISSUER else 403)
