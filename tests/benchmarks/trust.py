"""What the trust is measured by: consent on against off, one decision, one withdrawal, sealing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import connection
from django.utils import timezone

from consent import audit, sealing, signing
from consent.audit import Event
from consent.decide import Caller, Capacity, InForce, Link, decide
from consent.models import Organization, Person, Subject
from consent.scope import Clause, Door
from phr.trust import consents
from tests.benchmarks.complete import granted_to
from tests.benchmarks.load import measure, request
from tests.benchmarks.measurements import WEIGHT, Bench, observation, rows
from tests.benchmarks.table import row

ROUNDS = 5
Server = Callable[..., AbstractContextManager[int]]


def trust(bench: Bench, env: dict[str, str], folder: Path, server: Server) -> None:
    if bench.options.only in ("", "decision"):
        decisions()
    if bench.options.only in ("", "withdrawal"):
        withdrawal(bench)
    if bench.options.only in ("", "sealing"):
        sealing_rate()
    if bench.options.only in ("", "consent"):
        consent_on_and_off(bench, env, folder, server)


def consent_on_and_off(bench: Bench, env: dict[str, str], folder: Path, server: Server) -> None:
    """The same searches with consent and without, in turn; the ratio of the medians."""
    clinic = bench.clinic_token()
    to_clinic = "SELECT DISTINCT subject_id FROM consent_effectivegrant WHERE grantee = %s LIMIT 40"
    granted = [s for (s,) in rows(to_clinic, f"org:{bench.clinic}")]
    path = f"/fhir/Observation?subject=Patient/{{}}&code={WEIGHT}&_sort=-date&_count=10"
    asked = {
        "a mother's own": [request("GET", path.format(m.own_subject_id), token=bench.mother_token(m))
                           for m in bench.mothers],
        "by a clinic, granted": [request("GET", path.format(s), token=clinic) for s in granted],
    }  # fmt: skip
    with server("tests.benchmarks.consent_off:application", env, folder, "/readyz") as off:
        for name, requests in asked.items():
            seconds: dict[int, list[float]] = {bench.port: [], off: []}
            for _ in range(ROUNDS):
                for port, found in seconds.items():
                    found.append(1 / measure(port, requests, seconds=bench.options.seconds / 2, rounds=1).per_second)
            with_it, without = (statistics.median(found) for found in seconds.values())
            row(f"search, consent on against off, {name}", f"{with_it / without:.2f}×",
                f"{1 / with_it:,.0f}/s and {1 / without:,.0f}/s")  # fmt: skip


def _callers() -> Iterator[tuple[str, Caller, InForce]]:
    subject, today = uuid4(), date(2026, 6, 1)
    doors = (Door("*", "cruds"),)
    link = Link(id=1, state="active", starts_on=today - timedelta(days=99), ends_on=None, review_on=date(2028, 1, 1))
    person = InForce(subject_state="active", birth_on=date(2018, 6, 1), person_active=True, guardianship=link)
    yield "guardian", Caller(client="app", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=doors, person=1,
                             subject=subject), person  # fmt: skip
    yield (
        "clinic",
        Caller(client="c", capacity=Capacity.SYSTEM, purpose="TREAT", doors=doors, organization=2),
        InForce(organization_state="active", organization_kind="clinic", grants=True),
    )


def decisions() -> None:
    now, times = timezone.now(), 20_000
    for name, caller, in_force in _callers():
        begin = time.perf_counter()
        for _ in range(times):
            decide(caller, in_force, now)
        row(f"one decision, {name}", f"{(time.perf_counter() - begin) / times * 1e6:.1f} µs")


def withdrawal(bench: Bench) -> None:
    """Withdrawing a Grant of a person with 1,000 resources, the deed that the API calls, commit included."""
    from phr.populate.store import for_organization
    from phr.records.gateway import Records

    mother = Person.objects.filter(own_subject__in=granted_to(bench)).order_by("pk")[0]
    subject = mother.own_subject
    assert subject is not None
    records = Records.opened_by(for_organization(bench.clinic), now=timezone.now())
    [(has,)] = rows("SELECT count(*) FROM phr_resource WHERE subject_id = %s", subject.pk)
    if has < 1000:
        records.create_all([_decoded(observation(subject.pk)) for _ in range(1000 - has)])
    took = [_given_and_withdrawn(mother, subject, number) for number in range(30)]
    row("withdrawal of a Grant, 1,000 resources", f"{statistics.median(took) * 1000:.1f} ms",
        f"at most {max(took) * 1000:.1f} ms of {len(took)}")  # fmt: skip


def _given_and_withdrawn(mother: Person, subject: Subject, number: int) -> float:
    clinic = Organization.objects.create(name=f"測定用{number}", kind="clinic", code=f"88{number:08d}")
    root = Clause(permit=True, actors=frozenset({f"org:{clinic.pk}"}), purposes=frozenset({"TREAT"}),
                  categories=frozenset({"IDENTITY", "VITAL", "GROWTH"}))  # fmt: skip
    grant = consents.give(subject=subject, root=root, by=mother, capacity=Capacity.SELF, now=timezone.now())
    begin = time.perf_counter()
    consents.withdraw(grant=grant, by=mother, reason="", now=timezone.now())
    return time.perf_counter() - begin


def _decoded(body: bytes) -> dict[str, Any]:
    import json

    made: dict[str, Any] = json.loads(body)
    return made


def sealing_rate() -> None:
    """How many lines a second the sealer takes into signed batches: it must keep up with what reads write."""
    key, now = signing.signing_key(_audit_key()), timezone.now()
    while sealing.seal(now=now, key=key):
        pass
    told = {s: {"type": "Observation", "id": str(uuid4()), "interaction": "read"} for (s,) in rows(
        "SELECT id FROM consent_subject LIMIT 500")}  # fmt: skip
    for _ in range(60):
        audit.record_many(Event.RECORD_READ, by=None, now=now, told=told)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE consent_auditentry")
    begin, lines = time.perf_counter(), 0
    while batch := sealing.seal(now=now, key=key):
        lines += len(batch.entries)
    row("audit lines sealed", f"{lines / (time.perf_counter() - begin):,.0f}/s", f"{lines:,} lines, one process")


def _audit_key() -> str:
    from django.conf import settings

    return str(settings.PHR_AUDIT_KEY)
