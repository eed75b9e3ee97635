"""A condition on every dimension (IT-04): what lies inside is permitted; moved out of one dimension, it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consent import effective, grants, stopping
from consent.asking import Caller, Capacity
from consent.decide import Permit, decide
from consent.in_force import in_force_for
from consent.models import Grant, Organization
from consent.scope import Category, Clause, Door, Facts
from tests.consent.people import People

JANUARY, FEBRUARY = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2))


@dataclass(frozen=True)
class Asked:
    """One request: who, for what, of which resource, when."""

    caller: Caller
    facts: Facts
    now: datetime


def permitted(asked: Asked) -> bool:
    """The whole way of a request: what is in force, the decision, the resource."""
    found = decide(asked.caller, in_force_for(asked.caller, now=asked.now), asked.now)
    if not isinstance(found, Permit):
        return False
    rows = effective.rows_for(asked.facts.subjects, found.scope.actors)
    return found.scope.covers(asked.facts, letter="r", rows=rows)


@pytest.fixture
def grant(family: People, now: datetime) -> Grant:
    """Everything stated at once: the clinic may, for treatment, read one allergy of January, this spring."""
    root = Clause(
        permit=True, actors=frozenset({f"org:{family.clinic.pk}"}), purposes=frozenset({"TREAT"}),
        actions=frozenset({"access"}), categories=frozenset({"ALLERGY"}), items=frozenset({"AllergyIntolerance/a1"}),
        data_low=JANUARY, data_high=FEBRUARY, valid_from=now, valid_to=now + timedelta(days=90), level=2,
        authors=frozenset({family.city.pk}),
    )  # fmt: skip
    return grants.give(subject=family.yuki_subject, root=root, by=family.yuki, capacity="self", now=now)


@pytest.fixture
def inside(family: People, grant: Grant, now: datetime) -> Asked:
    facts = Facts(
        "AllergyIntolerance", "a1", (family.yuki_subject.pk,), categories=int(Category.ALLERGY), level=2,
        low=JANUARY, high=JANUARY + timedelta(days=1), author=family.city.pk,
    )  # fmt: skip
    caller = Caller(
        client="test", capacity=Capacity.SYSTEM, purpose="TREAT", doors=(Door("*", "cruds"),),
        organization=family.clinic.pk, subject=family.yuki_subject.pk,
    )  # fmt: skip
    return Asked(caller, facts, now + timedelta(days=1))


Move = Callable[[Asked, People], Asked]


def _facts(**more: Any) -> Move:
    return lambda asked, _: replace(asked, facts=replace(asked.facts, **more))


MOVES: dict[str, Move] = {
    "recipient": lambda a, f: replace(a, caller=replace(a.caller, organization=f.school.pk)),
    "purpose": lambda a, _: replace(a, caller=replace(a.caller, purpose="HPAYMT")),
    "category": _facts(categories=int(Category.MEDICATION)),
    "one category more, of level 3": _facts(categories=int(Category.ALLERGY | Category.HIV), level=3),
    "level": _facts(level=3),
    "single item": _facts(id="a2"),
    "item of another type": _facts(type="Observation"),
    "before the data period": _facts(low=JANUARY - timedelta(days=9), high=JANUARY - timedelta(days=8)),
    "over its end": _facts(high=FEBRUARY + timedelta(seconds=1)),
    "without a date": _facts(low=None, high=None),
    "author": lambda a, f: replace(a, facts=replace(a.facts, author=f.other_city.pk)),
    "before it is valid": lambda a, _: replace(a, now=a.now - timedelta(days=1, seconds=1)),
    "the second it ends": lambda a, _: replace(a, now=a.now + timedelta(days=89)),
    "another person": lambda a, f: replace(a, facts=replace(a.facts, subjects=(f.teen_subject.pk,))),
    "two persons": lambda a, f: replace(a, facts=replace(a.facts, subjects=(*a.facts.subjects, f.hana.pk))),
}


@pytest.mark.IT("04")
@pytest.mark.parametrize("dimension", MOVES)
def test_moving_out_of_one_dimension_turns_yes_into_no(inside: Asked, family: People, dimension: str) -> None:
    assert permitted(inside)
    assert not permitted(MOVES[dimension](inside, family))


@pytest.mark.IT("04")
def test_the_last_moment_inside_counts(inside: Asked) -> None:
    assert permitted(replace(inside, now=inside.now + timedelta(days=89, microseconds=-1)))
    assert permitted(replace(inside, facts=replace(inside.facts, low=JANUARY, high=FEBRUARY)))


@pytest.mark.IT("04")
def test_a_pause_and_its_end(inside: Asked, grant: Grant, family: People) -> None:
    stopping.pause(grant=grant, by=family.yuki, now=inside.now)
    assert not permitted(inside)
    stopping.resume(grant=grant, by=family.yuki, now=inside.now)
    assert permitted(inside)


@pytest.mark.IT("04")
def test_the_class_and_who_is_not_of_it(family: People, now: datetime) -> None:
    Organization.objects.filter(pk__in=[family.clinic.pk, family.school.pk]).update(class_from=now - timedelta(days=30))
    root = Clause(
        permit=True, actors=frozenset({"class:clinic"}), purposes=frozenset({"TREAT"}),
        categories=frozenset({"ALLERGY"}), valid_from=now, valid_to=now + timedelta(days=300),
    )  # fmt: skip
    grants.give(
        subject=family.yuki_subject, root=root, by=family.yuki, capacity="self", now=now,
        terms=grants.Terms(
            benefit="診療に役立つ", profiling=False, onward=False, use_class="self-benefit", withdrawal="アプリで",
            contact="窓口",
        ),
    )  # fmt: skip
    facts = Facts("AllergyIntolerance", "a1", (family.yuki_subject.pk,), categories=int(Category.ALLERGY), level=2)
    caller = Caller(
        client="test", capacity=Capacity.SYSTEM, purpose="TREAT", doors=(Door("*", "cruds"),),
        organization=family.clinic.pk, subject=family.yuki_subject.pk,
    )  # fmt: skip
    asked = Asked(caller, facts, now + timedelta(days=1))
    assert permitted(asked)
    assert not permitted(replace(asked, caller=replace(caller, organization=family.school.pk)))
    Organization.objects.filter(pk=family.clinic.pk).update(class_from=now + timedelta(days=2))
    assert not permitted(asked), "it has entered the class, and waits"


@pytest.mark.IT("04")
def test_asking_each_time(inside: Asked, family: People, now: datetime) -> None:
    """Without an answered question such a Grant permits nothing."""
    Grant.objects.all().update(ask=True)
    for grant in Grant.objects.all():
        effective.rebuild(grant)
    assert not permitted(inside)
    Grant.objects.all().update(ask=False)
    for grant in Grant.objects.all():
        effective.rebuild(grant)
    assert permitted(inside)
