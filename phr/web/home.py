"""The page after signing in: whose records, which apps; and the stylesheet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from consent.models import Person
from phr.smart import launches
from phr.web import connected, wording
from phr.web.names import born, name_of
from phr.web.pages import page, signed_in

STYLE = Path(__file__).parent / "static" / "tsumugi.css"


@page
@signed_in
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Whose records this person may open, and the apps she connected."""
    assert isinstance(request.user, Person)
    now = timezone.now()
    records = _records(request.user, now)
    context = {
        "person": request.user, "records": records, "apps": connected.told(request.user, now=now),
        "staff": request.user.organization is not None,
    }  # fmt: skip
    return render(request, "web/home.html", context)


def _records(person: Person, now: datetime) -> list[dict[str, Any]]:
    return [
        {
            "name": name_of(role, person, now=now), "born": born(role.birth_on), "acting": wording.acting_as(role),
        }
        for role in launches.roles_for(person, (), now=now)
        if role.key != "none"
    ]  # fmt: skip


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
