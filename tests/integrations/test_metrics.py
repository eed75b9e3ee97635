"""What operators watch: true numbers, for them alone, and of nobody in particular."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from consent.audit import Event, record
from consent.decide import Caller
from consent.models import Organization, Subject
from integrations import accepting, counting, dead_letters, metrics
from integrations.incoming import Part
from tests.consent.people import People
from tests.integrations.jahis_qr.samples import sample
from tests.integrations.moves import JAHIS, hanas

TOKEN = "a bearer of the operator's monitoring"


def told(now: datetime) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(name, labels) -> value, of everything."""
    text = metrics.text(now=now).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {(s.name, frozenset(s.labels.items())): s.value for s in samples}


def value(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float | None:
    return found.get((f"tsumugi_{name}", frozenset(labels.items())))


@pytest.mark.django_db
def test_the_numbers_are_those_of_the_database(family: People, mother: Caller, now: datetime) -> None:
    before = told(now)
    assert value(before, "imports", state="accepted", kind="jahis-qr") is None
    accepting.accept(
        JAHIS, [Part(hanas(sample("tc08_full.txt")))], subject=family.hana.pk, by=mother, now=now, wake=False
    )
    dead_letters.bury(task="t", reason="away", reference="1", now=now)
    later = now + timedelta(seconds=90)
    found = told(later)
    assert value(found, "imports", state="accepted", kind="jahis-qr") == 1
    assert value(found, "import_oldest_seconds", state="accepted", kind="jahis-qr") == 90
    assert value(found, "dead_letters", task="t", reason="away") == 1
    assert value(found, "dead_letter_oldest_seconds") == 90
    unsealed = value(found, "audit_unsealed")
    record(Event.RECORD_READ, by=None, subject=family.hana.pk, now=now, detail={})
    assert value(told(later), "audit_unsealed") == (unsealed or 0) + 1
    assert (value(told(later), "audit_seal_lag_seconds") or 0) >= 90


@pytest.mark.django_db
def test_nobody_is_in_it(family: People, mother: Caller, now: datetime) -> None:
    """No id of a person, record, run or organisation, and no name."""
    run = accepting.accept(
        JAHIS, [Part(hanas(sample("tc08_full.txt")))], subject=family.hana.pk, by=mother, now=now, wake=False
    )
    dead_letters.bury(task="integrations.tasks.revive_import", reason="gave-up", reference=str(run.pk), now=now)
    text = metrics.text(now=now).decode()
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text)
    for name in [
        *Organization.objects.values_list("name", flat=True),
        *map(str, Subject.objects.values_list("pk", flat=True)),
    ]:
        assert name not in text
    labels = {name for family_ in text_string_to_metric_families(text) for s in family_.samples for name in s.labels}
    ours = labels - {"le", "generation", "implementation", "major", "minor", "patchlevel", "version"}
    assert ours <= {"state", "kind", "task", "reason", "queue", "route", "method", "status"}


@pytest.mark.django_db
def test_only_the_bearer_of_the_operator_finds_it(client: Client, settings: Any) -> None:
    def status(**headers: str) -> int:
        return client.get("/api/metrics", headers=headers).status_code

    settings.PHR_METRICS_TOKEN = ""
    assert [status(), status(Authorization="Bearer "), status(Authorization="Bearer x")] == [404] * 3
    settings.PHR_METRICS_TOKEN = TOKEN
    assert [status(), status(Authorization="Bearer x"), status(Authorization=TOKEN)] == [404] * 3
    answer = client.get("/api/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert b"tsumugi_audit_unsealed" in answer.content
    assert client.post("/api/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


@pytest.mark.django_db
def test_a_broker_that_is_away_is_told_and_hides_nothing_else(now: datetime, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    found = told(now)
    assert value(found, "broker_up") == 0
    assert value(found, "queue_messages", queue="imports") is None
    assert value(found, "audit_unsealed") is not None


@pytest.mark.django_db
def test_requests_are_counted_by_route_never_by_path(client: Client) -> None:
    def count(route: str, status: str) -> float:
        return counting.REQUESTS.labels(route, "GET", status)._value.get()

    before = count("healthz", "200"), count("none", "404")
    client.get("/healthz")
    client.get(f"/nowhere/{uuid4()}")
    assert (count("healthz", "200"), count("none", "404")) == (before[0] + 1, before[1] + 1)
    client.generic("BREW", "/healthz")
    assert "BREW" not in metrics.REGISTRY._names_to_collectors["tsumugi_requests_total"].collect()[0].samples.__repr__()


def test_several_processes_count_together(tmp_path: Path) -> None:
    """Two processes, one folder: what one counted is in what the other tells."""
    count = "from integrations.counting import REQUESTS; REQUESTS.labels('r', 'GET', '200').inc()"
    tell = (
        "from prometheus_client import CollectorRegistry, generate_latest, multiprocess\n"
        "r = CollectorRegistry(); multiprocess.MultiProcessCollector(r); print(generate_latest(r).decode())"
    )
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "phr.settings"}
    root = Path(__file__).resolve().parents[2]
    for _ in range(2):
        subprocess.run([sys.executable, "-c", count], check=True, env=env, cwd=root, timeout=30)
    done = subprocess.run([sys.executable, "-c", tell], check=True, env=env, cwd=root, timeout=30, capture_output=True)
    assert b'tsumugi_requests_total{method="GET",route="r",status="200"} 2.0' in done.stdout
