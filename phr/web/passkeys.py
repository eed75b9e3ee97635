"""The two pages with a script: one proves with a passkey, one enrols it. The script is ours and at one fixed address.

The page carries what the browser must be asked; the script asks it and sends its answer as a plain form.
"""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from consent import audit
from consent.audit import Event
from consent.models import Person
from consent.refusal import Refusal
from phr.smart import attempts, passkeys
from phr.smart.attempts import Door, TooMany
from phr.smart.passkeys import Asked
from phr.web import session
from phr.web.pages import page, policy, problem, said, signed_in
from phr.web.security import after_first, guarded
from phr.web.sign_in import Ask, ask_of, go_on, too_many, wait_a_little

SCRIPT = Path(__file__).parent / "static" / "passkeys.js"
COOKIE = "tsumugi_challenge"


@require_GET
def script(request: HttpRequest) -> FileResponse:
    """The one script of the pages."""
    return FileResponse(SCRIPT.open("rb"), content_type="text/javascript; charset=utf-8")


@page
@require_http_methods(["GET", "POST"])
def use(request: HttpRequest) -> HttpResponse:
    """Sign in, or step up, with a passkey: possession and the device's own check of the person, so aal2 at once."""
    now, ask = timezone.now(), ask_of(request)
    if not passkeys.possible():
        return problem(request, _("このサーバーではパスキーを使えません。"), status=404)
    known = session.asked_of(request, now=now)
    if request.method == "GET":
        return _use_page(request, ask, known)
    try:
        tried = attempts.begin(Door.PASSKEY, now=now, address=attempts.address_of(request))
    except TooMany as many:
        return too_many(_use_page(request, ask, known, fault=wait_a_little()), many)
    try:
        person = passkeys.use(
            credential=request.POST.get("credential", ""), ticket=request.COOKIES.get(COOKIE, ""), of=known, now=now
        )
    except Refusal:
        audit.record(Event.PERSON_SIGN_IN_FAILED, by=known, now=now, detail={"method": "passkey"})
        return _use_page(request, ask, known, fault=_("パスキーを確かめられませんでした。"), status=422)
    attempts.succeeded(tried)
    session.begin(request, person, acr="aal2", at=now, method="passkey", now=now)
    answer = session.remember(request, go_on(request, ask, now), person, now=now)
    answer.delete_cookie(COOKIE, samesite="Strict")
    return answer


def _use_page(
    request: HttpRequest, ask: Ask, known: Person | None, *, fault: str = "", status: int = 200
) -> HttpResponse:
    asked = passkeys.ask_to_use(of=known, now=timezone.now())
    context = {"ask": ask, "options": asked.options, "fault": fault, "known": known}
    return _with_script(render(request, "web/passkey.html", context, status=status), asked)


@page
@require_http_methods(["GET", "POST"])
@signed_in
@guarded
def enrol(request: HttpRequest) -> HttpResponse:
    """A new passkey for the person signed in, who has just proved who she is."""
    assert isinstance(request.user, Person)
    now, ask = timezone.now(), ask_of(request)
    if not passkeys.possible():
        return problem(request, _("このサーバーではパスキーを使えません。"), status=404)
    if request.method == "GET":
        return _enrol_page(request, ask)
    try:
        passkeys.enrol(
            credential=request.POST.get("credential", ""), ticket=request.COOKIES.get(COOKIE, ""),
            name=request.POST.get("name", ""), by=request.user, now=now,
        )  # fmt: skip
    except Refusal as refusal:
        return _enrol_page(request, ask, fault=said(refusal), status=422)
    answer = after_first(request, ask, method="passkey", now=now)
    answer.delete_cookie(COOKIE, samesite="Strict")
    return answer


def _enrol_page(request: HttpRequest, ask: Ask, *, fault: str = "", status: int = 200) -> HttpResponse:
    assert isinstance(request.user, Person)
    asked = passkeys.ask_to_enrol(by=request.user, now=timezone.now())
    context = {"ask": ask, "options": asked.options, "fault": fault}
    return _with_script(render(request, "web/passkey_new.html", context, status=status), asked)


def _with_script(answer: HttpResponse, asked: Asked) -> HttpResponse:
    answer["Content-Security-Policy"] = f"{policy()}; script-src 'self'"
    answer.set_cookie(
        COOKIE, asked.ticket, max_age=passkeys.LIFE, httponly=True, samesite="Strict",
        secure=settings.SESSION_COOKIE_SECURE,
    )  # fmt: skip
    return answer
