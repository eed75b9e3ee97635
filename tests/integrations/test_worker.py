"""A real Celery worker on a real Redis takes up what the API accepted; killed and started anew, it ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from consent.decide import Caller
from integrations import accepting, holding, running
from integrations.incoming import Part
from integrations.models import ImportRun
from phr.celery import app
from tests.consent.people import People
from tests.integrations.jahis_qr.samples import sample
from tests.integrations.test_killed import own_database
from tests.integrations.test_runs import FULL, JAHIS, hanas, kinds

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broker(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(app.conf, "broker_url", redis_url)
    monkeypatch.setattr(app.conf, "broker_write_url", redis_url)
    return redis_url


def worker(broker: str) -> subprocess.Popen[bytes]:
    celery = [sys.executable, "-m", "celery", "--app", "phr", "worker", "--pool", "solo", "--loglevel", "WARNING"]
    env = {**os.environ, "DATABASE_URL": own_database(), "REDIS_URL": broker}
    return subprocess.Popen(celery, env=env, cwd=ROOT)


def wait_for(state: Callable[[], bool]) -> None:
    for _ in range(3000):
        if state():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to pass")


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_worker_takes_up_what_was_accepted_and_what_a_dead_one_left(
    family: People, mother: Caller, broker: str
) -> None:
    now = timezone.now()
    parts = [Part(hanas(sample("tc08_full.txt")))]
    run = accepting.accept(JAHIS, parts, subject=family.hana.pk, by=mother, now=now, wake=False)
    # As a worker killed at its work leaves it: claimed, and silent for longer than a heartbeat may be.
    assert holding.claim(run.pk, now=now - 2 * holding.STALE)
    assert running.sweep(now=now) == 1
    first = worker(broker)
    try:
        wait_for(lambda: ImportRun.objects.get(pk=run.pk).state == "done")
        first.send_signal(signal.SIGKILL)
        first.wait()
        other = accepting.accept(JAHIS, [Part(b"nonsense")], subject=family.hana.pk, by=mother, now=timezone.now())
        first = worker(broker)
        wait_for(lambda: ImportRun.objects.get(pk=other.pk).state == "refused")
    finally:
        first.kill()
        first.wait()
    assert kinds(family.hana.pk) == FULL


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["worker", "beat"])
def test_without_the_keys_neither_worker_nor_beat_starts(broker: str, role: str, tmp_path: Path) -> None:
    env = {**os.environ, "DATABASE_URL": own_database(), "REDIS_URL": broker, "PHR_KEYS": ""}
    more = {"worker": ["--pool", "solo"], "beat": ["--pidfile", "", "--schedule", str(tmp_path / "schedule")]}
    argv = [sys.executable, "-m", "celery", "--app", "phr", role, *more[role]]
    ended = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode != 0
    assert "PHR_KEYS" in ended.stdout + ended.stderr
