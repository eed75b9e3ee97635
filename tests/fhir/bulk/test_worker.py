"""A real Celery worker on a real Redis writes what was asked for; the sweep wakes it for what a lost message left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.utils import timezone

from phr.celery import app
from phr.fhir.bulk import running, tasks
from phr.records.jobs import ExportJob
from tests.family import at_home, pressure
from tests.fhir.bulk.exports import finished, job_of, kick_off
from tests.integrations.test_killed import own_database

ROOT = Path(__file__).parents[3]


@pytest.fixture
def broker(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(app.conf, "broker_url", redis_url)
    monkeypatch.setattr(app.conf, "broker_write_url", redis_url)
    return redis_url


def ended(count: int) -> bool:
    for _ in range(3000):
        if ExportJob.objects.filter(state="done").count() == count:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_worker_exports(export_folder: Path, broker: str) -> None:
    family = at_home()
    made = family.clinic.made(pressure())
    lost = kick_off(family.clinic)
    # Its message was lost, and nobody took it up for longer than one should wait.
    app.control.purge()
    ExportJob.objects.update(heartbeat_at=timezone.now() - 2 * running.OVERDUE)
    celery = [sys.executable, "-m", "celery", "--app", "phr", "worker", "--pool", "solo", "--loglevel", "WARNING"]
    env = {**os.environ, "DATABASE_URL": own_database(), "REDIS_URL": broker, "PHR_EXPORT_FOLDER": str(export_folder)}
    worker = subprocess.Popen(celery, env=env, cwd=ROOT)
    try:
        assert tasks.sweep() == 1
        assert ended(1)
        told = kick_off(family.clinic)
        assert ended(2)
    finally:
        worker.kill()
        worker.wait()
    for accepted in (lost, told):
        assert job_of(accepted)
        assert f"Observation/{made['id']}" in finished(family.clinic, accepted.headers["Content-Location"]).names()


@pytest.mark.django_db
def test_without_a_broker_the_row_is_kept(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    monkeypatch.setattr(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(app.conf, "broker_write_url", "redis://127.0.0.1:1/0")
    family = at_home()
    with django_capture_on_commit_callbacks(execute=True):
        accepted = kick_off(family.clinic)
    assert accepted.status == 202
    assert running.due(now=timezone.now() + 2 * running.OVERDUE) == [job_of(accepted)]


def test_every_thread_of_the_web_wakes_workers_by_our_broker() -> None:
    """Celery keeps the current app by thread; web answers in several, and none may fall back to another broker."""
    code = (
        "import phr.wsgi, threading; from celery import current_app; found = []\n"
        "threading.Thread(target=lambda: found.append(current_app.conf.broker_url)).start()\n"
        "while not found: pass\n"
        "print(found[0])"
    )
    env = {**os.environ, "REDIS_URL": "redis://127.0.0.1:7777/3"}
    told = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "redis://127.0.0.1:7777/3"
