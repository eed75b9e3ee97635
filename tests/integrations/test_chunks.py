"""Big sources commit in chunks: a run that stops between two goes on where it was, and counts each row once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from consent.decide import Caller
from integrations import accepting, base, running
from integrations.ids import resource_id
from integrations.incoming import Part, Plan, Reading
from integrations.models import ImportRun
from tests.consent.people import People
from tests.integrations.test_runs import kinds

STATUS = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"


def allergy(subject: UUID, number: int) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance", "id": resource_id("AllergyIntolerance", str(subject), str(number)),
        "clinicalStatus": {"coding": [{"system": STATUS, "code": "active"}]}, "code": {"text": f"見本 {number}"},
        "patient": {"reference": f"Patient/{subject}"},
    }  # fmt: skip


class Stop(Exception):
    pass


def big(chunks: int, size: int, *, stop_before: list[int]) -> SimpleNamespace:
    """A connector whose plan is cut into chunks; it fails once before each chunk of `stop_before`."""

    def chunked(subject: UUID) -> Iterator[list[dict[str, Any]]]:
        for number in range(chunks):
            if number in stop_before:
                stop_before.remove(number)
                raise Stop
            yield [allergy(subject, number * size + n) for n in range(size)]

    def plan(content: Any, parts: Any, *, subject: UUID, **rest: Any) -> Plan:
        return Plan(total=chunks * size, chunks=chunked(subject))

    return SimpleNamespace(
        KIND="big", MAX_BYTES=100, NEEDS="AllergyIntolerance", set_of=lambda parts: "", read=lambda parts: Reading("x"),
        mismatches=lambda content, patient: [], plan=plan,
    )  # fmt: skip


@pytest.mark.parametrize("stops", [[], [1], [3], [1, 2, 3]])
def test_a_run_goes_on_after_its_last_whole_chunk(
    family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch, stops: list[int]
) -> None:
    source = big(4, 3, stop_before=list(stops))
    monkeypatch.setattr(base, "connectors", lambda: {"big": source})
    run = accepting.accept(source, [Part(b"x")], subject=family.hana.pk, by=mother, now=now, wake=False)
    progress = []
    for attempt in range(len(stops) + 1):
        at = now + timedelta(minutes=attempt)
        running.run(run.pk, clock=lambda at=at: at, tell=lambda run: progress.append(run.done))
    run.refresh_from_db()
    assert (run.state, run.created, run.unchanged, run.done, run.total) == ("done", 12, 0, 12, 12)
    assert progress == [3, 6, 9, 12]
    assert not run.problems
    assert kinds(family.hana.pk) == {"AllergyIntolerance": 12}


def test_an_empty_plan_is_done(family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    source = big(0, 0, stop_before=[])
    monkeypatch.setattr(base, "connectors", lambda: {"big": source})
    run = accepting.accept(source, [Part(b"x")], subject=family.hana.pk, by=mother, now=now, wake=False)
    running.run(run.pk, clock=lambda: now)
    assert ImportRun.objects.get(pk=run.pk).state == "done"
