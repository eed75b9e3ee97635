"""Histories of random lives of three resources, held against a plain list of what happened (Hypothesis)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.family import App, Neighbourhood, pressure, weight

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = st.integers(0, 30)


@dataclass(frozen=True)
class Happened:
    """One version: of which resource, its number, when, and whether it is a deletion."""

    id: str
    version: int
    hour: int
    deleted: bool

    def __str__(self) -> str:
        return f"{self.id}/{self.version}"


def live(app: App, steps: list[tuple[int, str, int]]) -> list[Happened]:
    """Carry out the steps (which resource, what, hours since the last) and say what happened, oldest first."""
    ids: dict[int, str] = {}
    lives: dict[str, list[Happened]] = {}
    told: list[Happened] = []
    hour = 0
    for number, (which, what, later) in enumerate(steps):
        hour += later
        if which not in ids:
            made = app.made(weight() if which else pressure())
            ids[which] = made["id"]
            told.append(Happened(made["id"], 1, hour, False))
        else:
            id = ids[which]
            last = lives[id][-1]
            gone = what == "delete" and not last.deleted
            if gone:
                assert app.delete(f"Observation/{id}").status == 204
            else:
                assert app.put(weight(value=f"{number}.0") | {"id": id}).status in (200, 201)
            told.append(Happened(id, last.version + 1, hour, gone))
        lives.setdefault(told[-1].id, []).append(told[-1])
    for one in told:
        _at(one)
    return told


def _at(one: Happened) -> None:
    when = BEGAN + timedelta(hours=one.hour)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE phr_resource SET updated_at = %s WHERE fhir_id = %s AND version = %s",
                       [when, one.id, one.version])  # fmt: skip
        cursor.execute(
            "UPDATE phr_version v SET updated_at = %s FROM phr_resource r"
            " WHERE r.id = v.resource_id AND r.fhir_id = %s AND v.version = %s", [when, one.id, one.version],
        )  # fmt: skip


def expected(told: list[Happened], since: int | None, at: tuple[float, float] | None, id: str | None) -> set[str]:
    """What the specification says is in the history: half-open hours; a version ends where its successor begins."""
    ends = {(one.id, one.version): one.hour for one in told}
    found = set()
    for one in told:
        end = ends.get((one.id, one.version + 1))
        late_enough = since is None or one.hour >= since
        within = at is None or (one.hour < at[1] and (end is None or end > at[0]))
        if late_enough and within and id in (None, one.id):
            found.add(str(one))
    return found


def spelled(hour: int) -> str:
    return (BEGAN + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pages(app: App, path: str) -> list[str]:
    found, url = [], path
    while url:
        answer = app.get(url)
        assert answer.status == 200, answer
        for entry in answer.json.get("entry", []):
            found.append(f"{entry['fullUrl'].rsplit('/', 1)[1]}/{entry['response']['etag'][3:-1]}")
            assert ("resource" in entry) == (entry["request"]["method"] != "DELETE")
        url = answer.next or ""
    return found


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["put", "put", "delete"]), st.integers(0, 5)), min_size=1, max_size=8
)


@pytest.mark.spec("FHIR R4", "3.1.0.9", "history: exactly the versions of the time asked for, in order, over any pages")
@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(STEPS, st.none() | HOURS, st.none() | HOURS, st.integers(1, 5), st.sampled_from(["one", "type", "all"]))
def test_histories_are_what_happened(
    family: Neighbourhood,
    steps: list[tuple[int, str, int]],
    since: int | None,
    moment: int | None,
    count: int,
    level: str,
) -> None:
    with transaction.atomic():
        told = live(family.mother, steps)
        one = told[0].id if level == "one" else None
        asked: dict[str, Any] = {"_count": count}
        asked |= {"_since": spelled(since)} if since is not None else {}
        asked |= {"_at": spelled(moment)} if moment is not None else {}
        place = {"one": f"Observation/{one}/_history", "type": "Observation/_history", "all": "_history"}[level]
        path = f"{place}?{'&'.join(f'{k}={v}' for k, v in asked.items())}"
        found = [x for x in pages(family.mother, path) if x.split("/")[0] in {o.id for o in told}]
        transaction.set_rollback(True)
    # `_at` with seconds asks for one second: [moment, moment + 1 s), and hours are whole.
    at = None if moment is None else (float(moment), moment + 1 / 3600)
    assert set(found) == expected(told, since, at, one)
    assert len(found) == len(set(found))
    hours = {str(o): o.hour for o in told}
    assert [hours[x] for x in found] == sorted((hours[x] for x in found), reverse=True)
    for id in {o.id for o in told}:
        own = [int(x.split("/")[1]) for x in found if x.startswith(id)]
        assert own == sorted(own, reverse=True)
