"""The page of connected apps: what each may do, for whose record, since when; stop one, or all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from consent.models import Person
from consent.refusal import Absent
from phr.smart import connected as deeds
from phr.smart import launches
from phr.web import wording
from phr.web.names import name_of
from phr.web.pages import page, signed_in


@page
@signed_in
@require_GET
def apps(request: HttpRequest) -> HttpResponse:
    """The `management_endpoint` of SMART App Launch 2.2."""
    assert isinstance(request.user, Person)
    return render(request, "web/apps.html", {"apps": told(request.user, now=timezone.now())})


def told(person: Person, *, now: datetime) -> list[dict[str, Any]]:
    """Each connected app as pages show it, the last used first."""
    roles = {(role.subject, role.capacity.value): role for role in launches.roles_for(person, (), now=now)}
    found = []
    for app in deeds.connected(person, now=now):
        role = roles.get((app.subject, app.capacity)) or roles.get((None, app.capacity))
        whose = name_of(replace(role, subject=app.subject), person, now=now) if role and app.subject else ""
        found.append({"app": app, "whose": whose, "lines": wording.lines(app.scopes)})
    return found


@page
@signed_in
@require_POST
def stop(request: HttpRequest, id: UUID) -> HttpResponse:
    """Stop an app: its tokens end with this request. Back to where the button was: here or home."""
    assert isinstance(request.user, Person)
    try:
        deeds.stop(id, by=request.user, now=timezone.now())
    except Absent:
        raise Http404 from None
    return HttpResponseRedirect("/apps" if request.POST.get("next") == "/apps" else "/")


@page
@signed_in
@require_POST
def stop_all(request: HttpRequest) -> HttpResponse:
    """Stop every app at once."""
    assert isinstance(request.user, Person)
    deeds.stop_all(by=request.user, now=timezone.now())
    return HttpResponseRedirect("/apps")
