"""番号の結び付き: families see which organisations know them by which number, make a code to link one, end one."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from consent.asking import FAMILY
from consent.models import Person
from integrations import linking
from integrations.models import LocalNumber
from integrations.pages import frame
from phr.smart import launches
from phr.smart.launches import Role
from phr.web.names import name_of

GROUNDS = LocalNumber.Ground


@frame.person
@require_GET
def numbers(request: HttpRequest) -> HttpResponse:
    """Every link of everybody this person acts for."""
    assert isinstance(request.user, Person)
    records = [_record(role, request.user) for role in _roles(request.user)]
    return render(request, "imports/numbers.html", {"records": records})


def _back(**place: object) -> str:
    return reverse("numbers")


@frame.person
@require_POST
@frame.proved(_back)
def code(request: HttpRequest) -> HttpResponse:
    """A code for one member, shown once."""
    assert isinstance(request.user, Person)
    role = next((r for r in _roles(request.user) if r.key == request.POST.get("record")), None)
    if role is None or role.subject is None:
        raise Http404
    at = frame.now()
    made, kept = linking.make_code(subject=role.subject, by=request.user, now=at)
    context = {"code": f"{made[:5]} {made[5:]}", "until": kept.until, "whose": name_of(role, request.user, now=at)}
    return render(request, "imports/code.html", context)


@frame.person
@require_POST
def end(request: HttpRequest, id: int) -> HttpResponse:
    """End one link."""
    assert isinstance(request.user, Person)
    linking.unlink(number=id, by=request.user, now=frame.now())
    return HttpResponseRedirect(reverse("numbers"))


def _roles(person: Person) -> list[Role]:
    roles = launches.roles_for(person, (), now=frame.now())
    return [role for role in roles if role.capacity in FAMILY and role.subject is not None]


def _record(role: Role, person: Person) -> dict[str, Any]:
    assert role.subject is not None
    at = frame.now()
    found = linking.numbers_of(subject=role.subject, by=person, now=at)
    return {
        "key": role.key, "name": name_of(role, person, now=at),
        "numbers": [
            {"id": row.pk, "office": row.organization.name, "value": value, "since": row.since,
             "ground": _ground(row.ground)}
            for row, value in found
        ],
    }  # fmt: skip


def _ground(ground: str) -> str:
    return {
        GROUNDS.IDENTIFIER.value: _("記録にある番号と一致"), GROUNDS.DESK.value: _("窓口で確認"),
        GROUNDS.CODE.value: _("コードで確認"), GROUNDS.LAUNCH.value: _("サインインで確認"),
    }.get(ground, ground)  # fmt: skip
