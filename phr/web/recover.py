"""Who forgot her password: what to do, and the form for the code that an officer opened for her in person."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from consent import audit
from consent.audit import Event
from consent.refusal import Refusal
from phr.smart import attempts, passkeys, recovery
from phr.smart.attempts import Door, TooMany
from phr.web.pages import page, said
from phr.web.sign_in import too_many, wait_a_little


@page
@sensitive_post_parameters("code", "password", "again")
@require_http_methods(["GET", "POST"])
def recover(request: HttpRequest) -> HttpResponse:
    """A new password by a ticket. Signing in comes after it, with every factor the account has."""
    if request.method == "GET":
        return _form(request)
    now = timezone.now()
    name, code = request.POST.get("username", "")[:64], request.POST.get("code", "")[:64]
    password = request.POST.get("password", "")[:1024]
    if password != request.POST.get("again"):
        return _form(request, name=name, fault=_("二つのパスワードが同じではありません。"), status=422)
    try:
        tried = attempts.begin(Door.RECOVERY, now=now, address=attempts.address_of(request))
    except TooMany as many:
        return too_many(_form(request, name=name, fault=wait_a_little()), many)
    try:
        recovery.recover(username=name.replace("\x00", "\ufffd"), code=code, password=password, now=now)
    except Refusal as refusal:
        audit.record(Event.PERSON_SIGN_IN_FAILED, by=None, now=now, detail={"method": "recovery"})
        return _form(request, name=name, fault=said(refusal), status=422)
    attempts.succeeded(tried)
    return render(request, "web/recovered.html", {})


def _form(request: HttpRequest, *, name: str = "", fault: str = "", status: int = 200) -> HttpResponse:
    context = {"username": name, "fault": fault, "passkeys": passkeys.possible()}
    return render(request, "web/recover.html", context, status=status)
