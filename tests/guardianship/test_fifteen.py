"""At fifteen a guardian sees the standard set, unless the child grants more (G-10)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import grants
from consent.models import Grant, Person, Subject
from consent.scope import Clause
from phr.populate.cast import HANA
from tests.family import LOINC, App, Neighbourhood, encoded, weight
from tests.guardianship.desk import person
from tests.guardianship.test_adulthood import born, own_app, turned

LABORATORY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]
}


def blood(code: str = "718-7") -> dict[str, Any]:
    return weight(HANA, code={"coding": [{"system": LOINC, "code": code}]}, category=[LABORATORY])


@pytest.fixture
def girl(family: Neighbourhood) -> App:
    """Hana at fifteen, signed in to her own record."""
    made = Person.objects.create_user("hana", name="見本 花", own_subject=Subject.objects.get(pk=HANA))
    born(HANA, turned(15))
    assert made.pk
    return own_app("hana", HANA)


def opened(to: str, **more: Any) -> Grant:
    told: dict[str, Any] = {
        "permit": True, "actors": frozenset({f"person:{person(to).pk}"}), "purposes": frozenset({"FAMRQT"}),
        "actions": frozenset({"access"}), "categories": frozenset({"LABORATORY"}),
        "valid_to": timezone.now() + timedelta(days=100),
    }  # fmt: skip
    return grants.give(
        subject=Subject.objects.get(pk=HANA), root=Clause(**(told | more)), by=person("hana"), capacity="self",
        now=timezone.now(),
    )  # fmt: skip


@pytest.mark.G("10", "11")
def test_the_child_grants_more_and_takes_it_back(family: Neighbourhood, girl: App) -> None:
    mother = family.app("mother", patient="hana")
    father = family.app("father", patient="hana")
    grown = girl.made(weight(HANA))["id"]
    tested = girl.made(blood())["id"]
    assert girl.get(f"Observation/{tested}").status == 200
    for parent in (mother, father):
        assert parent.get(f"Observation/{grown}").status == 200, "growth is of the standard set"
        assert parent.get(f"Observation/{tested}").status == 404
    grant = opened("yuki")
    assert mother.get(f"Observation/{tested}").status == 200
    assert tested in mother.search("Observation", _count="100").content.decode()
    assert father.get(f"Observation/{tested}").status == 404, "the one she named, and no other"
    assert mother.ask("PUT", f"Observation/{tested}", encoded({**blood(), "id": tested})).status in (403, 404)
    grants.withdraw(grant=grant, by=person("hana"), reason="", now=timezone.now())
    assert mother.get(f"Observation/{tested}").status == 404
    assert mother.get(f"Observation/{grown}").status == 200


@pytest.mark.G("10")
def test_more_is_what_she_names_and_never_what_she_does_not(family: Neighbourhood, girl: App) -> None:
    mother = family.app("mother", patient="hana")
    mind = girl.made(blood("71354-5"))["id"]
    opened("yuki")
    assert mother.get(f"Observation/{mind}").status == 404, "a labelled one is not named by an ordinary category"
    opened("yuki", categories=None, labels=frozenset({"PSY"}))
    assert mother.get(f"Observation/{mind}").status == 200
    born(HANA, turned(18))
    assert mother.get(f"Observation/{mind}").status in (401, 404), "grown up, she is nobody's ward"
