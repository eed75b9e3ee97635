"""Import runs and those who do them: two at once, killed, late, without a broker."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection, connections
from django.utils import timezone

from consent.decide import Caller, Capacity
from integrations import accepting, holding, running
from integrations.incoming import Part
from integrations.models import ImportRun
from phr.records.models import Version
from tests.consent.people import People
from tests.integrations.conftest import ALL
from tests.integrations.jahis_qr.samples import DRUG, GROUP, notebook, sample
from tests.integrations.moves import FULL, JAHIS, codes, hanas, imported, kinds


def test_two_workers_at_once_do_it_once(family: People, mother: Caller, now: datetime) -> None:
    parts = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, parts, subject=family.hana.pk, by=mother, now=now, wake=False)
    held = holding.claim(run.pk, now=now)
    assert held is not None
    assert holding.claim(run.pk, now=now + timedelta(seconds=60)) is None
    taken_over = holding.claim(run.pk, now=now + timedelta(seconds=121))
    assert taken_over is not None
    with pytest.raises(running.Overtaken):
        running._import(held, clock=lambda: now, tell=lambda run: None)
    assert not kinds(family.hana.pk)
    running._import(taken_over, clock=lambda: now, tell=lambda run: None)
    assert kinds(family.hana.pk) == FULL


def test_the_sweep_wakes_what_is_due(
    family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[UUID] = []
    monkeypatch.setattr(accepting, "wake_worker", woken.append)
    parts = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, parts, subject=family.hana.pk, by=mother, now=now, wake=False)
    assert running.sweep(now=now + timedelta(seconds=10)) == 0
    assert running.sweep(now=now + timedelta(seconds=31)) == 1
    holding.claim(run.pk, now=now + timedelta(seconds=31))
    assert running.sweep(now=now + timedelta(seconds=100)) == 0
    assert running.sweep(now=now + timedelta(seconds=152)) == 1
    assert woken == [run.pk, run.pk]


def test_what_goes_wrong_inside_is_tried_again_then_failed(
    family: People, mother: Caller, now: datetime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("ひみつの内容")

    monkeypatch.setattr(running, "commit", broken)
    parts = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, parts, subject=family.hana.pk, by=mother, now=now, wake=False)
    for _ in range(running.MOST_ATTEMPTS):
        run.refresh_from_db()
        assert run.state == "accepted"
        running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    assert (run.state, codes(run)) == ("failed", {"failed"})
    assert "ひみつ" not in caplog.text
    assert "RuntimeError" in caplog.text
    assert not kinds(family.hana.pk)


def test_a_broker_that_is_away_loses_nothing(
    family: People, mother: Caller, now: datetime, django_capture_on_commit_callbacks: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def away(*args: object, **options: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(accepting.app, "send_task", away)
    with django_capture_on_commit_callbacks(execute=True):
        run = accepting.accept(JAHIS, [Part(b"x")], subject=family.hana.pk, by=mother, now=now)
    assert run.state == "accepted"


@pytest.mark.django_db(transaction=True)
def test_the_same_file_sent_twice_at_the_same_moment_is_there_once(
    family: People, mother: Caller, father: Caller, now: datetime
) -> None:
    data = hanas(sample("tc08_full.txt"))

    def send(caller: Caller) -> UUID:
        try:
            return imported(data, by=caller, subject=family.hana.pk, now=now).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(send, [mother, father] * 3))
    assert len(set(runs)) == 2
    assert kinds(family.hana.pk) == FULL
    assert not Version.objects.exists()
    assert set(ImportRun.objects.values_list("state", flat=True)) == {"done"}
    assert sum(ImportRun.objects.values_list("created", flat=True)) == 17


def test_times_are_told_by_the_clock_that_is_given(family: People, mother: Caller, now: datetime) -> None:
    run = imported(b"x", by=mother, subject=family.hana.pk, now=now)
    assert run.finished_at == now
    assert timezone.is_aware(run.created_at)
    assert connection.vendor == "postgresql"


def test_an_adult_imports_for_herself(family: People, now: datetime) -> None:
    yuki = Caller(
        client="app", capacity=Capacity.SELF, purpose="PATRQT", doors=ALL, person=family.yuki.pk,
        subject=family.yuki_subject.pk,
    )  # fmt: skip
    data = notebook(*GROUP, *DRUG, "501,備考,1").replace("見本　花子".encode("cp932"), "見本　雪".encode("cp932"))
    data = data.replace("ミホン　ハナコ".encode("cp932"), "ミホン　ユキ".encode("cp932")).replace(
        b"S500401", b"H020505"
    )
    run = imported(data, by=yuki, subject=family.yuki_subject.pk, now=now)
    assert (run.state, run.problems) == ("done", [])
    assert kinds(family.yuki_subject.pk)["MedicationDispense"] == 1
