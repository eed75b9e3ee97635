"""Signing in and safety: what an account is proved with, to look at, add to and take from.

Whoever changes it must have proved who she is within five minutes, as well as her account can be proved.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

import segno
from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from consent.models import Person
from consent.refusal import Refusal
from phr.smart import attempts, factors, passkeys, recovery, step_up, totp
from phr.smart.attempts import Door, TooMany
from phr.smart.factors import Means
from phr.smart.login_models import Passkey
from phr.web import session
from phr.web.pages import View, page, problem, said, signed_in
from phr.web.sign_in import Ask, ask_of, too_many, wait_a_little

HERE = "/account/security"


def _guarding(level: Callable[[Means], str]) -> Callable[[View], View]:
    """Who she is must be proved afresh, at this level of her account. After a form, she comes back here."""

    def guard(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            assert isinstance(request.user, Person)
            acr, age = level(factors.of(request.user)), int(step_up.FRESH.total_seconds())
            if step_up.satisfied(request, acr=acr, max_age=age, now=timezone.now()):
                return view(request, *args, **kwargs)
            target = request.get_full_path() if request.method == "GET" else HERE
            return HttpResponseRedirect(step_up.page_url(acr=acr, max_age=age, next=target))

        return wrapped

    return guard


guarded = _guarding(lambda means: means.level)
guarded_by_the_card = _guarding(lambda means: means.card_level)  # to replace the card or take it away


@page
@require_GET
@signed_in
def security(request: HttpRequest) -> HttpResponse:
    """What the account is proved with. With a question in the address: led here to set up what was missing."""
    assert isinstance(request.user, Person)
    means, ask = factors.of(request.user), ask_of(request)
    context = {
        "means": means, "ask": ask, "wanted": ask.acr if ask.acr != "aal1" else "",
        "keys": Passkey.objects.filter(person=request.user).order_by("created_at"),
        "passkeys": passkeys.possible(), "card": bool(settings.PHR_CARD_ISSUER),
    }  # fmt: skip
    return render(request, "web/security.html", context)


@page
@require_http_methods(["GET", "POST"])
@signed_in
@guarded
def totp_new(request: HttpRequest) -> HttpResponse:
    """A secret as a QR code and as text; the first right code puts it into use, in the session that was shown it."""
    assert isinstance(request.user, Person)
    now, ask, person = timezone.now(), ask_of(request), request.user
    if request.method == "GET":
        try:
            fresh = totp.begin(by=person, now=now)
        except Refusal as refusal:
            return problem(request, said(refusal), status=409)
        request.session["totp"] = totp.mark(fresh)
        return _totp_page(request, ask, fresh)
    secret = _totp_begun(request, now)
    if secret is None:
        return HttpResponseRedirect(HERE)
    try:
        tried = attempts.begin(Door.CODE, now=now, address=attempts.address_of(request), name=person.username)
        totp.confirm(secret=secret, code=_plain(request.POST.get("code", "")), by=person, now=now)
    except TooMany as many:
        return too_many(_totp_page(request, ask, secret, fault=wait_a_little()), many)
    except Refusal as refusal:
        return _totp_page(request, ask, secret, fault=said(refusal), status=422)
    attempts.succeeded(tried)
    return after_first(request, ask, method="totp", now=now)


def _totp_begun(request: HttpRequest, now: datetime) -> str | None:
    """The secret that this session began. One begun in another is nobody's to confirm here: it may be a stranger's."""
    assert isinstance(request.user, Person)
    return totp.begun(request.user, marked=str(request.session.get("totp", "")), now=now)


def _totp_page(request: HttpRequest, ask: Ask, secret: str, *, fault: str = "", status: int = 200) -> HttpResponse:
    assert isinstance(request.user, Person)
    address = totp.address(secret, request.user)
    context = {
        "ask": ask, "fault": fault, "address": address,
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "picture": segno.make(address, error="m").svg_data_uri(scale=5, border=3, light="white"),
    }  # fmt: skip
    return render(request, "web/totp_new.html", context, status=status)


def after_first(request: HttpRequest, ask: Ask, *, method: str, now: datetime) -> HttpResponse:
    """A second factor was set up, and shown with it. With the first of all, the codes are new ones; then on."""
    assert isinstance(request.user, Person)
    at = step_up.of_session(request)[1] or now
    session.begin(request, request.user, acr="aal2", at=at, method=method, now=now)
    means = factors.of(request.user)
    if means.totp + means.passkeys == 1 or means.codes == 0:
        return _codes_page(request, ask, now)
    return HttpResponseRedirect(_onward(ask))


def _onward(ask: Ask) -> str:
    return ask.target if ask.acr else HERE


@page
@require_POST
@signed_in
@guarded
def codes_new(request: HttpRequest) -> HttpResponse:
    """Ten new recovery codes; shown this once."""
    try:
        return _codes_page(request, ask_of(request), timezone.now())
    except Refusal as refusal:
        return problem(request, said(refusal), status=409)


def _codes_page(request: HttpRequest, ask: Ask, now: datetime) -> HttpResponse:
    assert isinstance(request.user, Person)
    codes = recovery.new_codes(by=request.user, now=now)
    return render(request, "web/codes.html", {"codes": codes, "onward": _onward(ask)})


def _removing(deed: Callable[..., None]) -> View:
    @page
    @require_POST
    @signed_in
    @guarded
    def removed(request: HttpRequest, **place: UUID) -> HttpResponse:
        try:
            deed(*place.values(), by=request.user, now=timezone.now())
        except Refusal as refusal:
            return problem(request, said(refusal), status=404)
        return HttpResponseRedirect(HERE)

    return removed


totp_remove = _removing(totp.remove)
passkey_remove = _removing(passkeys.remove)


@page
@require_http_methods(["GET", "POST"])
@signed_in
@guarded
@sensitive_post_parameters("password")
def password(request: HttpRequest) -> HttpResponse:
    """A new password. This session goes on, every other ends."""
    assert isinstance(request.user, Person)
    fault = ""
    if request.method == "POST":
        now, chosen = timezone.now(), request.POST.get("password", "")[:1024]
        try:
            if chosen != request.POST.get("again"):
                raise Refusal(_("二つのパスワードが同じではありません。"))
            recovery.change_password(password=chosen, by=request.user, now=now)
        except Refusal as refusal:
            fault = said(refusal)
        else:
            update_session_auth_hash(request, request.user)
            return session.remember(request, HttpResponseRedirect(HERE), request.user, now=now)
    context = {"fault": fault}
    return render(request, "web/password.html", context, status=422 if fault else 200)


def _plain(text: str) -> str:
    return text[:64].replace("\x00", "")
