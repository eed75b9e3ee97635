"""A school's file through the machinery: waits for its pupil, becomes her record once, is corrected and taken back."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from django.utils import timezone

from consent.models import Organization, Subject
from integrations import linking, running, taking
from integrations.items import Identity, Piece
from integrations.models import ImportRun, Unlinked
from integrations.school import connector
from integrations.school.parse import PUPIL
from phr.records import body
from phr.records.gateway import Records
from phr.records.models import Resource
from tests.integrations.school.test_school import GOLDEN, HEAD, TARO

BORN = "2013-04-02"
ID = "7461726f-0000-8000-8000-000000000002"


@pytest.fixture
def school(db: None) -> Organization:
    """A school that knows the Patient of one pupil."""
    now = timezone.now()
    made = Organization.objects.create(name="見本中学校", kind=Organization.Kind.SCHOOL, code="S110210001")
    city = Organization.objects.create(name="見本市", kind=Organization.Kind.MUNICIPALITY, code="112348")
    patient = {
        "resourceType": "Patient",
        "id": ID,
        "birthDate": BORN,
        "gender": "male",
        "name": [{"text": "見本 太郎"}],
    }
    Records.opened_by(taking.caller_for(city, client="t"), now=now).create_all([patient], keep_ids=True)
    return made


def brought(school: Organization, content: bytes, *, dry: bool = False) -> ImportRun:
    run = taking.take(
        connector, [Piece("a.csv", io.BytesIO(content))], organization=school, now=timezone.now(), profile="standard",
        by=taking.caller_for(school, client="t"), dry=dry, wake=False,
    )  # fmt: skip
    running.run(run.pk, clock=timezone.now)
    run.refresh_from_db()
    return run


def statuses() -> Counter[str]:
    rows = Resource.objects.filter(subject=ID, type="Observation", deleted=False)
    return Counter(rows.values_list("type", flat=True))


def test_through_the_machinery(school: Organization) -> None:
    rehearsed = brought(school, GOLDEN, dry=True)
    assert (rehearsed.state, rehearsed.unmatched, Unlinked.objects.count()) == ("reported", 2, 0)
    run = brought(school, GOLDEN)
    assert (run.state, run.unmatched, Unlinked.objects.count()) == ("done", 2, 2)
    number = linking._number(
        Identity(f"{PUPIL}/{school.code}", "0002", birth_date=BORN), Subject.objects.get(pk=ID).pk, ground="code",
        by=taking.caller_for(school, client="t"), now=timezone.now(),
    )  # fmt: skip
    assert number.organization == school
    first = brought(school, GOLDEN)
    assert first.created > 10 and statuses()["Observation"] > 10
    again = brought(school, GOLDEN)
    assert (again.created, again.updated) == (0, 0)
    taller = brought(school, GOLDEN.replace(b",152.0,", b",153.0,"))
    assert (taller.created, taller.updated) == (0, 2)  # the height, and the obesity that follows from it
    back = brought(school, f"{HEAD}\n{TARO[:-2]}2,\n".encode())
    assert back.retracted > 10
    records = Records.opened_by(taking.caller_for(school, client="t"), now=timezone.now())
    row = Resource.objects.filter(subject=ID, type="Observation").first()
    assert row is not None
    assert body.parse(records.read("Observation", row.fhir_id).body or b"{}")["status"] == "entered-in-error"
