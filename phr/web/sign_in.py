"""Signing in and out."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
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
from phr.smart import attempts
from phr.web.pages import page


@page
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Name and password; then on to where the person was going, within this site."""
    target = safe_target(request)
    if request.user.is_authenticated and request.method == "GET":
        return HttpResponseRedirect(target)
    if request.method == "GET":
        return _form(request, target)
    name, password = request.POST.get("username", "")[:64], request.POST.get("password", "")[:1024]
    now = timezone.now()
    if attempts.too_many(name, now=now):
        return _form(
            request,
            target,
            name=name,
            status=429,
            fault=_("何度も失敗したため、15分ほど待ってからもう一度お試しください。"),
        )
    person = _person(request, name, password)
    if person is None:
        return _refused(request, target, name, now)
    return _welcome(request, person, name, target, now)


def _person(request: HttpRequest, name: str, password: str) -> Person | None:
    if "\x00" in name or "\x00" in password:
        return None
    found = authenticate(request, username=name, password=password)
    return found if isinstance(found, Person) else None


def _refused(request: HttpRequest, target: str, name: str, now: datetime) -> HttpResponse:
    attempts.failed(name, now=now)
    audit.record(Event.PERSON_SIGN_IN_FAILED, by=None, now=now, detail={"method": "password"})
    fault = _("ユーザー名またはパスワードが違います。")
    return _form(request, target, name=name, status=422, fault=fault)


def _welcome(request: HttpRequest, person: Person, name: str, target: str, now: datetime) -> HttpResponse:
    audit.record(Event.PERSON_SIGNED_IN, by=person, now=now, detail={"method": "password"})
    attempts.forget(name)
    login(request, person)
    return HttpResponseRedirect(target)


def _form(request: HttpRequest, target: str, *, name: str = "", fault: str = "", status: int = 200) -> HttpResponse:
    context = {"next": target, "username": name, "fault": fault}
    return render(request, "web/sign_in.html", context, status=status)


@page
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session; tokens of apps stay until they are stopped."""
    if isinstance(request.user, Person):
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
