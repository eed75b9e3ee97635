"""The whole server answers what a naive oracle says: read, search, counts, history, $everything over small worlds."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest
from django.db import transaction
from django.utils import timezone

from tests.access import oracle
from tests.access.oracle import Somebody, World
from tests.family import Neighbourhood, at_home

SEED, CASES, MANY = 5, 2_000, 100_000


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


def told_ids(answer: object) -> set[str]:
    """Of a Bundle; nothing where there is no answer."""
    if answer.status != 200:  # type: ignore[attr-defined]
        return set()
    entries = answer.json.get("entry", [])  # type: ignore[attr-defined]
    return {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries}


def check(world: World, who: Somebody) -> tuple[int, int]:
    """Ask one person everything; how many answers were compared, how many let something through."""
    cases = seen = 0

    def same(found: object, expected: object, asked: str) -> None:
        nonlocal cases, seen
        assert found == expected, (who.name, asked, who.caller, who.in_force, world.grants, world.facts)
        cases, seen = cases + 1, seen + bool(expected)

    visible = {name for name, facts in world.facts.items() if world.sees(who, facts)}
    for name in sorted(world.facts):
        status = who.app.get(name).status
        assert status in (200, 404), (who.name, name, status)
        same(status == 200, name in visible, name)
    for name in sorted(world.facts)[::5]:
        same(who.app.get(f"{name}/_history").status == 200, name in visible, f"{name}/_history")
    for type in ("Observation", "AllergyIntolerance"):
        mine = {name for name in visible if name.startswith(f"{type}/")}
        same(told_ids(who.app.get(f"{type}?_count=100")), mine, type)
        counted = who.app.get(f"{type}?_summary=count")
        same(counted.json["total"] if counted.status == 200 else 0, len(mine), f"{type} count")
        same(told_ids(who.app.get(f"{type}/_history?_count=100")), mine, f"{type} history")
    for subject in (world.mother, world.child):
        answer = who.app.get(f"Patient/{subject}/$everything?_count=100")
        whole = {name for name in visible if subject in world.facts[name].subjects}
        expected = whole if f"Patient/{subject}" in visible else set()
        same({n for n in told_ids(answer) if n in world.facts}, expected, f"{subject}/$everything")
    return cases, seen


def run(wanted: int, now: datetime, *, first: int = 0) -> tuple[int, Counter[str]]:
    """How many answers were compared, and how many let something through, person by person."""
    cases, worlds, through = 0, first, Counter[str]()
    while cases < wanted:
        with transaction.atomic():
            world = oracle.build(SEED * 1_000_003 + worlds, now)
            for who in world.people:
                more, seen = check(world, who)
                cases += more
                through[who.name] += seen
            transaction.set_rollback(True)
        worlds += 1
    return cases, through


def test_the_server_answers_what_the_oracle_says(family: Neighbourhood) -> None:
    cases, through = run(CASES, timezone.now())
    assert cases / 10 < through.total() < cases * 9 / 10
    assert {name for name, times in through.items() if not times} == {"research"}


@pytest.mark.long
def test_the_server_answers_what_the_oracle_says_100_000_times(family: Neighbourhood) -> None:
    run(MANY, timezone.now())
