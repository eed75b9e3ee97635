"""What is measured: the baseline, and the service as a clinic and as mothers use it."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
from django.db import connection
from django.utils import timezone

from consent import clauses, effective
from consent.models import EffectiveGrant, Grant, Organization, Person, Subject
from consent.scope import Clause
from phr.smart import demo
from phr.smart.models import Application
from tests.benchmarks.load import loop, measure, request
from tests.benchmarks.table import rated, row

WEIGHT = "http://loinc.org|29463-7"


def rows(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def storage() -> None:
    """Bytes per resource, indexes included: all tables of the record over all resources, and the Observations' part."""
    [(total,)] = rows(
        "SELECT sum(pg_total_relation_size(t)) FROM unnest(ARRAY['phr_resource', 'phr_range', 'phr_text', 'phr_words',"
        " 'phr_change']::regclass[]) t"
    )
    [(count, bodies, observations)] = rows(
        "SELECT count(*), avg(length(body)), count(*) FILTER (WHERE type = 'Observation') FROM phr_resource"
    )
    row("storage per resource", f"{total / count / 1024:.2f} KB",
        f"{count:,} resources, {observations / count:.0%} Observations, sealed body {bodies:.0f} bytes")  # fmt: skip


def bare(env: dict[str, str], folder: Path, options: argparse.Namespace, server: Callable[..., Any]) -> float:
    """The baseline; returns how often per second the DRF view with one SELECT answers."""
    body = json.dumps({"resourceType": "Observation", "text": "x" * 700})
    rows_url = env["DATABASE_URL"]
    with psycopg.connect(rows_url, autocommit=True) as db:
        db.execute("CREATE TABLE bare_rows (id bigserial PRIMARY KEY, body text)")
        db.execute("INSERT INTO bare_rows (body) SELECT %s FROM generate_series(1, 20000)", [body])
        one = "SELECT body FROM bare_rows WHERE id = %s"
        row(
            "bare psycopg SELECT, one thread",
            f"{loop(lambda: db.execute(one, [random.randint(1, 20000)]).fetchone()):,.0f}/s",
        )
        row(
            "bare psycopg INSERT, one thread",
            f"{loop(lambda: db.execute('INSERT INTO bare_rows (body) VALUES (%s)', [body])):,.0f}/s",
        )
    with server("tests.benchmarks.bare:application", env, folder, "/empty") as port:
        rated("bare Django view", measure(port, [request("GET", "/empty")], seconds=options.seconds))
        asked = [request("GET", f"/row/{random.randint(1, 20000)}") for _ in range(2000)]
        return rated("bare DRF view, one SELECT", measure(port, asked, seconds=options.seconds)).per_second


class Bench:
    """Tokens and targets for the measurements."""

    def __init__(self, port: int, options: argparse.Namespace) -> None:
        self.port, self.options = port, options
        [(self.clinic,)] = rows(
            "SELECT substr(grantee, 5)::bigint FROM consent_effectivegrant WHERE grantee LIKE 'org:%%'"
            " GROUP BY grantee ORDER BY count(*) DESC LIMIT 1"
        )
        organization = Organization.objects.get(pk=self.clinic)
        demo.register(clinic=organization)
        self.mothers = list(Person.objects.filter(own_subject__isnull=False, username__endswith="-mother")[:40])

    def clinic_token(self) -> str:
        return str(demo.system_token("clinic", scope="system/*.cruds", now=timezone.now())["access_token"])

    def mother_token(self, mother: Person) -> str:
        told = demo.person_token(
            mother, client_id=demo.APP, scope="patient/*.cruds launch/patient",
            patient=str(mother.own_subject_id), now=timezone.now(),
        )  # fmt: skip
        return str(told["access_token"])

    def measure(self, name: str, make: Callable[[], list[bytes]], *, weight: int = 1, note: str = "") -> float:
        if self.options.only not in name:
            return 0.0
        rate = measure(self.port, make(), seconds=self.options.seconds, weight=weight)
        return rated(name, rate, note).per_second


def ours(bench: Bench, drf: float) -> None:
    with_mothers(bench, drf)
    with_clinic(bench)
    with_many_grants(bench)


def with_mothers(bench: Bench, drf: float) -> None:
    tokens = {m.own_subject_id: bench.mother_token(m) for m in bench.mothers}
    owned = rows(
        "SELECT subject_id, fhir_id FROM phr_resource WHERE type = 'Observation' AND subject_id = ANY(%s)", list(tokens)
    )
    random.shuffle(owned)

    def each(path: Callable[[Any, str], str]) -> list[bytes]:
        return [request("GET", path(s, i), token=tokens[s]) for s, i in owned[:4000]]

    read = bench.measure("read by id", lambda: each(lambda s, i: f"/fhir/Observation/{i}"), note="mothers, own record;")
    row("  of the bare DRF view", f"{read / drf:.2f}×")
    bench.measure(
        "search subject+code, newest first",
        lambda: each(lambda s, i: f"/fhir/Observation?subject=Patient/{s}&code={WEIGHT}&_sort=-date&_count=10"),
        note="mothers, 10 a page;",
    )
    bench.measure(
        "search subject+date range",
        lambda: each(
            lambda s, i: f"/fhir/Observation?subject=Patient/{s}&date=ge2024-01-01&date=lt2024-07-01&_count=10"
        ),
        note="mothers, 10 a page;",
    )


def with_clinic(bench: Bench) -> None:
    token = bench.clinic_token()
    to_clinic = "SELECT DISTINCT subject_id FROM consent_effectivegrant WHERE grantee = %s"
    granted = [r[0] for r in rows(to_clinic, f"org:{bench.clinic}")]
    ids = rows("SELECT fhir_id FROM phr_resource WHERE type = 'Observation' AND author = %s LIMIT 4000", bench.clinic)
    bench.measure("read by id, by the clinic", lambda: [
        request("GET", f"/fhir/Observation/{i}", token=token) for (i,) in ids], note="authored by it;")  # fmt: skip
    names = ["見本", "架空", "さくら", "はる"]
    bench.measure("search by name", lambda: [
        request("GET", f"/fhir/Patient?name={_quoted(n)}&_count=10", token=token) for n in names])  # fmt: skip
    bench.measure("search by identifier", lambda: [
        request("GET", f"/fhir/Patient?identifier={_quoted(v)}", token=token) for v in _identifiers(bench)
    ])  # fmt: skip
    size = len(observation(granted[0]))
    bench.measure("create", lambda: [
        request("POST", "/fhir/Observation", token=token, body=observation(s)) for s in granted])  # fmt: skip
    bench.measure("transaction of 60", lambda: [
        request("POST", "/fhir", token=token, body=_transaction(s)) for s in granted[:20]],
        weight=60, note=f"resources; {size} bytes each;")  # fmt: skip


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text)


def _identifiers(bench: Bench) -> list[str]:
    found = rows("SELECT fhir_id FROM phr_resource WHERE type = 'Patient' LIMIT 50")
    return [f"urn:oid:1.2.392.100495.20.3.51.1|{i}" for (i,) in found]


def observation(subject: object, **more: object) -> bytes:
    return msgspec.json.encode({
        "resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}], "text": "体重"},
        "subject": {"reference": f"Patient/{subject}"}, "effectiveDateTime": "2026-03-01T09:00:00+09:00",
        "valueQuantity": {"value": 55.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    })  # fmt: skip


def _transaction(subject: object) -> bytes:
    entry = {
        "fullUrl": "", "resource": msgspec.json.decode(observation(subject)),
        "request": {"method": "POST", "url": "Observation"},
    }  # fmt: skip
    entries = [entry | {"fullUrl": f"urn:uuid:{uuid4()}"} for _ in range(60)]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def with_many_grants(bench: Bench) -> None:
    """The first search again, by a new clinic to which 1, 250, 1,000, 4,000 persons opened their records."""
    organization = Organization.objects.create(name="測定用クリニック", kind="clinic", code="9999999999")
    Application.objects.filter(client_id=demo.CLINIC).update(organization=organization)
    token = bench.clinic_token()
    real = [m.own_subject_id for m in bench.mothers]
    _grant(organization, real[:1], bench.mothers[0])
    asked = [
        request("GET", f"/fhir/Observation?subject=Patient/{real[0]}&code={WEIGHT}&_sort=-date&_count=10", token=token)
    ]
    first, have = 0.0, 1
    for many in (1, 250, 1000, 4000):
        extra = [Subject(created_at=timezone.now()) for _ in range(many - have)]
        Subject.objects.bulk_create(extra)
        _grant(organization, [s.pk for s in extra], bench.mothers[0])
        rows_done = rows("SELECT count(*) FROM consent_effectivegrant WHERE grantee = %s", f"org:{organization.pk}")
        have = many
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE consent_effectivegrant")
        assert rows_done[0][0] >= many
        rate = bench.measure(f"search subject+code, {many} granted", lambda: asked, note="by a clinic;")
        first = first or rate
        if rate:
            row(f"  cost against 1 granted, {many}", f"{first / rate:.2f}×")


def _grant(organization: Organization, subjects: list[Any], by: Person) -> None:
    now = timezone.now()
    root = Clause(
        permit=True, actors=frozenset({f"org:{organization.pk}"}), purposes=frozenset({"TREAT"}),
        categories=frozenset({"IDENTITY", "VITAL", "HOME", "PREGNANCY", "GROWTH"}),
    )  # fmt: skip
    made = Grant.objects.bulk_create(
        [
            Grant(subject_id=s, given_by=by, capacity="self", root=clauses.clause_to_json(root), given_at=now)
            for s in subjects
        ]
    )
    EffectiveGrant.objects.bulk_create(
        [effective._stored(r) for g in made for r in effective.rows_of(g.pk, g.subject_id, root)], batch_size=2000
    )
