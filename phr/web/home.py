"""The page after signing in: whose records, which apps; and the stylesheet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from consent.models import Person
from phr.smart import launches, trail
from phr.smart.models import Launch
from phr.web import wording
from phr.web.names import born, name_of
from phr.web.pages import page

STYLE = Path(__file__).parent / "static" / "tsumugi.css"


@page
@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Whose records this person may open, and the apps she connected."""
    assert isinstance(request.user, Person)
    now = timezone.now()
    records = _records(request.user, now)
    context = {"person": request.user, "records": records, "apps": _apps(request.user, records, now)}
    return render(request, "web/home.html", context)


def _records(person: Person, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "name": name_of(role, person, now=now), "born": born(role.birth_on), "acting": wording.acting_as(role),
            "subject": role.subject,
        }
        for role in launches.roles_for(person, (), now=now)
        if role.key != "none"
    ]  # fmt: skip


def _apps(person: Person, records: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    names = {record["subject"]: record["name"] for record in records if record["subject"]}
    rows = Launch.objects.filter(person=person, revoked_at=None, ends_at__gt=now).select_related("application")
    return [
        {
            "id": row.pk, "name": row.application.name, "ends_at": row.ends_at, "whose": names.get(row.subject_id, ""),
            "lines": wording.lines(tuple(row.scope.split())),
        }
        for row in rows.order_by("-created_at")[:50]
    ]  # fmt: skip


@page
@login_required
@require_POST
def stop(request: HttpRequest, id: UUID) -> HttpResponse:
    """Stop an app: its tokens end with this request."""
    assert isinstance(request.user, Person)
    now = timezone.now()
    launch = get_object_or_404(Launch.objects.select_related("application"), pk=id, person=request.user)
    if launches.end(launch, now=now):
        trail.revoked(launch, because="stopped by the person", now=now)
    return HttpResponseRedirect("/")


@page
@require_GET
def demo_callback(request: HttpRequest) -> HttpResponse:
    """Where the demo's app gets its answer. Exists in the demo only; shows no code."""
    if not settings.DEMO:
        raise Http404
    return render(request, "web/callback.html", {"error": request.GET.get("error", "")[:64]})


@require_GET
def stylesheet(request: HttpRequest) -> FileResponse:
    """The one style sheet, where no proxy serves static files."""
    return FileResponse(STYLE.open("rb"), content_type="text/css; charset=utf-8")
