"""What was given up is kept with its reason, and an operator has it tried again or lets it go."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from celery import shared_task
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from consent.decide import Caller
from integrations import accepting, dead_letters, holding, originals, running, upkeep
from integrations import tasks as ours
from integrations.incoming import Part
from integrations.models import DeadLetter, ImportRun
from phr.celery import Retried, app
from tests.consent.people import People
from tests.integrations.jahis_qr.samples import sample
from tests.integrations.moves import JAHIS, hanas

State = ImportRun.State


@given(st.integers(1, 1000), st.floats(0, 1))
def test_pauses_grow_to_an_hour_and_spread(attempts: int, share: float) -> None:
    pause = dead_letters.pause(attempts, share=share)
    whole = dead_letters.pause(attempts, share=1)
    assert timedelta(seconds=15) <= pause <= timedelta(hours=1)
    assert whole / 2 <= pause <= whole
    assert dead_letters.pause(attempts + 1, share=share) >= pause


@pytest.mark.django_db
def test_one_letter_of_one_thing_until_it_is_decided(now: datetime) -> None:
    told = {"task": "t", "reference": "7", "now": now}
    first = dead_letters.bury(reason="away", error=TimeoutError("a name that must not be kept"), **told)
    again = dead_letters.bury(reason="refused", **told)
    assert (first.pk, again.times, again.reason, again.error) == (again.pk, 2, "refused", "")
    assert "must not" not in str(list(DeadLetter.objects.values()))
    dead_letters.discard(first.pk, now=now)
    assert dead_letters.bury(reason="away", **told).pk != first.pk
    with pytest.raises(DeadLetter.DoesNotExist):
        dead_letters.retry(first.pk, now=now)
    assert dead_letters.forget(before=now + timedelta(days=1)) == 1
    assert DeadLetter.objects.count() == 1


def failing(people: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch) -> ImportRun:
    """A run that fails each time it is tried, until it is given up."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("something of hers that must not be kept")

    parts = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, parts, subject=people.hana.pk, by=mother, now=now, wake=False)
    with monkeypatch.context() as patch:
        patch.setattr(running, "_planned", broken)
        for _ in range(holding.MOST_ATTEMPTS):
            running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    return run


@pytest.mark.django_db
def test_an_import_that_failed_is_a_dead_letter_and_can_be_tried_again(
    family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = failing(family, mother, now, monkeypatch)
    assert run.state == State.FAILED
    letter = dead_letters.waiting().get()
    assert (letter.task, letter.reference, letter.reason) == (holding.REVIVE, str(run.pk), "gave-up")
    sent: list[Any] = []
    monkeypatch.setattr(ours.run_import, "delay", sent.append)
    dead_letters.retry(letter.pk, now=now, send=lambda task, args: app.tasks[task](*args))
    assert sent == [str(run.pk)]
    running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    assert (run.state, run.created > 0) == (State.DONE, True)
    assert not run.parts.exists()
    assert not dead_letters.waiting()


@pytest.mark.django_db
def test_a_failed_import_waits_longer_before_each_try(
    family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_planned", lambda *a, **k: 1 / 0)
    parts = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, parts, subject=family.hana.pk, by=mother, now=now, wake=False)
    woken: list[Any] = []
    monkeypatch.setattr(accepting, "wake_worker", woken.append)
    running.run(run.pk, clock=lambda: now)
    running.sweep(now=now + running.OVERDUE)
    assert woken == []
    running.sweep(now=now + running.OVERDUE + timedelta(seconds=31))
    assert woken == [run.pk]


@pytest.mark.django_db
def test_without_its_original_or_brought_in_anew_it_stays_failed(
    family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = failing(family, mother, now, monkeypatch)
    accepting.accept(
        JAHIS, [Part(hanas(sample("tc08_full.txt")))], subject=family.hana.pk, by=mother, now=now, wake=False
    )
    assert holding.revive(run.pk, now=now) is False
    ImportRun.objects.exclude(pk=run.pk).delete()
    assert originals.destroy(run)
    assert holding.revive(run.pk, now=now) is False


@pytest.mark.django_db
def test_the_parts_of_a_failed_import_go_when_its_days_are_over(
    family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = failing(family, mother, now, monkeypatch)
    upkeep.sweep(now=now + timedelta(days=29))
    assert run.parts.exists()
    upkeep.sweep(now=now + timedelta(days=31))
    assert not run.parts.exists()


@pytest.mark.django_db
def test_what_any_task_raises_in_the_end_is_kept() -> None:
    @shared_task(name="tests.breaks")
    def breaks(id: str) -> None:
        raise ValueError(f"{id} and a name")

    breaks.apply(args=["9"])
    letter = dead_letters.waiting().get()
    assert (letter.task, letter.reference, letter.reason, letter.error) == (
        "tests.breaks",
        "9",
        "unhandled",
        "ValueError",
    )


def test_what_may_pass_is_tried_again_by_every_task() -> None:
    for name, task in app.tasks.items():
        if not name.startswith("celery."):
            assert isinstance(task, Retried), name
            assert task.retry_jitter and task.retry_backoff and task.max_retries == 6


def test_every_task_has_a_queue_of_its_kind_and_an_end() -> None:
    app.loader.import_default_modules()
    queues = {q.name for q in app.conf.task_queues}
    assert queues == {"imports", "peers", "exports", "trust"}
    routed = {
        name: app.amqp.router.route({}, name)["queue"].name for name in app.tasks if not name.startswith("celery.")
    }
    assert routed["integrations.tasks.run_import"] == "imports"
    assert routed["integrations.tasks.sync_peer"] == "peers"
    assert routed["integrations.tasks.retry_delivery"] == "peers"
    assert routed["phr.fhir.bulk.tasks.run_export"] == "exports"
    assert routed["consent.tasks.seal_audit"] == "trust"
    assert app.conf.task_time_limit > app.conf.task_soft_time_limit > 0
    for limits in app.conf.task_annotations.values():
        assert limits["time_limit"] > limits["soft_time_limit"]


@pytest.mark.django_db
def test_the_command_lists_retries_and_discards(now: datetime, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(dead_letters, "_send", lambda task, args: sent.append((task, args)))
    made = [dead_letters.bury(task="t", reference=str(n), reason="away", now=now).pk for n in range(3)]
    call_command("dead_letters", stdout=StringIO())
    assert capsys.readouterr().out.count(" away ") == 3
    call_command("dead_letters", "retry", str(made[0]))
    call_command("dead_letters", "discard", str(made[1]))
    call_command("dead_letters", "retry", "--all", "--reason", "away")
    assert sent == [("t", ["0"]), ("t", ["2"])]
    assert not dead_letters.waiting()
    for wrong in (["retry"], ["discard", "999999"]):
        with pytest.raises(CommandError):
            call_command("dead_letters", *wrong)
