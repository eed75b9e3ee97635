"""What a recipient's system is told does not depend on anybody who did not consent (IT-07, IT-10)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import grants, mandates
from consent.models import Person, Provision, Subject
from consent.scope import Clause
from tests.api.test_provisions import World, world
from tests.family import Neighbourhood, weight
from tests.institution import Trust

__all__ = ["world"]  # a fixture


def refuses(institution: Trust, subject: Subject, person: Person, to: int) -> None:
    """A deny beside a permit to her clinic."""
    stop = Clause(permit=False, actors=frozenset({f"org:{to}"}))
    grants.give(subject=subject, root=stop, by=person, capacity="self", now=timezone.now())


def no_mandate(institution: Trust, subject: Subject, person: Person, to: int) -> None:
    institution.given(subject, person, f"org:{to}")


def is_asked(institution: Trust, subject: Subject, person: Person, to: int) -> None:
    institution.entrusted(subject, person)
    institution.given(subject, person, f"org:{to}", ask=True)


def withdrew(institution: Trust, subject: Subject, person: Person, to: int) -> None:
    institution.entrusted(subject, person)
    given = institution.given(subject, person, f"org:{to}")
    grants.withdraw(grant=given, by=person, reason="", now=timezone.now())


def another_program(institution: Trust, subject: Subject, person: Person, to: int) -> None:
    institution.entrusted(subject, person)
    institution.given(subject, person, f"org:{to}", program="00000000-0000-4000-8000-000000000000")


def told(world: World, id: str) -> tuple[Any, ...]:
    """Everything the system sees of one request, but for the moments."""
    page = world.app.ask("GET", f"/api/trust/recipient/requests/{id}/provisions")
    fetched = [world.fetch(one["id"]) for one in page.json["provisions"]]
    bodies = [{k: v for k, v in f.json.items() if k != "timestamp"} for f in fetched]
    headers = {k: v for k, v in page.headers.items() if k != "X-Request-Id"}
    return page.status, page.content, headers, [f.status for f in fetched], bodies


@pytest.mark.IT("07", "10", "34")
@pytest.mark.parametrize("how", [refuses, no_mandate, is_asked, withdrew, another_program])
def test_who_did_not_consent_leaves_no_trace(
    family: Neighbourhood, institution: Trust, world: World, how: Callable[..., None]
) -> None:
    id = world.ask().json["id"]
    before = told(world, id)
    otsu = Person.objects.get(username="otsu")
    assert otsu.own_subject is not None
    family.stranger.made(weight(otsu.own_subject.pk))
    how(institution, otsu.own_subject, otsu, world.to.organization_id)
    assert told(world, id) == before
    # And a request made after it is answered as one made before it.
    assert len(world.handed()) == 1
    assert Provision.objects.filter(subject=otsu.own_subject, state="permitted").count() == 0


def test_the_same_person_who_does_consent_is_seen(family: Neighbourhood, institution: Trust, world: World) -> None:
    """The test above can fail."""
    id = world.ask().json["id"]
    before = told(world, id)
    otsu = Person.objects.get(username="otsu")
    assert otsu.own_subject is not None
    institution.entrusted(otsu.own_subject, otsu)
    institution.given(otsu.own_subject, otsu, f"org:{world.to.organization_id}")
    assert told(world, id) != before
    assert len(world.handed(until=(timezone.now() + timedelta(days=1)).isoformat())) == 2
    assert mandates.current_version() == 1
