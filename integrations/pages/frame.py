"""What these pages have in common: who acts, how lately she proved who she is, and how refusals are said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from consent.decide import Caller, Capacity
from consent.models import Person
from consent.refusal import Absent, Because, Refusal
from consent.scope import Door
from phr.caller import request_id
from phr.records.gateway import Forbidden, Gone, NotFound, Refused
from phr.smart import launches, step_up
from phr.web.pages import View, page, problem, said, signed_in

CLIENT = "web"


def staff(view: View) -> View:
    """A page for staff of an organisation; for anybody else it is not there."""

    @page
    @signed_in
    @_told
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if office(request) is None:
            raise Http404
        return view(request, *args, **kwargs)

    return wrapped


def person(view: View) -> View:
    """A page for whoever is signed in."""
    return page(signed_in(_told(view)))


def _told(view: View) -> View:
    """What deeds refuse, said on a page."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except (Absent, NotFound, Gone, Refused):
            raise Http404 from None
        except Refusal as refusal:
            status = 409 if refusal.because is Because.CONFLICT else 403
            return problem(request, said(refusal), status=status)
        except Forbidden:
            raise Http404 from None

    return wrapped


def office(request: HttpRequest) -> launches.Role | None:
    """The person's role in an organisation that is active, or None."""
    assert isinstance(request.user, Person)
    roles = launches.roles_for(request.user, (), now=timezone.now())
    return next((role for role in roles if role.capacity is Capacity.STAFF and role.organization), None)


def caller(request: HttpRequest) -> Caller:
    """The staff member as the deeds know her. Call below `staff`."""
    role = office(request)
    assert isinstance(request.user, Person) and role is not None and role.organization is not None
    acr, at = step_up.of_session(request)
    return Caller(
        client=CLIENT, capacity=Capacity.STAFF, purpose=role.purpose, doors=(Door("*", "cruds"),),
        person=request.user.pk, organization=role.organization.pk, request=request_id(request), acr=acr,
        authenticated_at=at,
    )  # fmt: skip


def proved(back: Callable[..., str]) -> Callable[[View], View]:
    """The person must have proved afresh who she is, before a number is linked. `back`: the page she comes back to."""

    def guard(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            acr, age = settings.PHR_ACR_DEEDS, int(step_up.FRESH.total_seconds())
            if step_up.satisfied(request, acr=acr, max_age=age, now=timezone.now()):
                return view(request, *args, **kwargs)
            return HttpResponseRedirect(step_up.page_url(acr=acr, max_age=age, next=back(**kwargs)))

        return wrapped

    return guard


def now() -> datetime:
    """Pages are doors: they ask the clock."""
    return timezone.now()
