"""Families in the service: written through the gateway, once, each by its author, hidden by consent."""

from __future__ import annotations

import re
from datetime import datetime
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from consent.decide import Caller, Capacity
from consent.models import Grant, Guardianship, Organization, Person, Subject
from consent.scope import Door, Purpose
from phr.populate import demo
from phr.populate.facilities import all_facilities
from phr.populate.generate import family
from phr.populate.store import EVERY_DOOR, Registry, for_organization, for_person, register, store
from phr.records.gateway import Invalid, NotFound, Records
from phr.records.search.parse import parse

pytestmark = pytest.mark.django_db
SEED = 21


@pytest.fixture
def registry(now: datetime) -> Registry:
    return register(all_facilities(), now=now)


def resources() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM phr_resource WHERE type <> 'Organization'")
        return int(cursor.fetchone()[0])


def found(caller: Caller, type: str, now: datetime, **params: str) -> list[Any]:
    pairs = [*params.items(), ("_count", "500")]
    query = parse(type, pairs, now=now)
    return list(Records.opened_by(caller, now=now).search(query).entries)


def test_a_family_is_stored_once(registry: Registry, now: datetime) -> None:
    one = family(SEED, 0)
    assert store(one, registry, now=now) == sum(1 for _ in one.resources) == resources()
    assert store(one, registry, now=now) == 0
    assert Person.objects.get(username=one.mother.username).own_subject_id == UUID(one.mother.id)
    assert Subject.objects.filter(birth_on__isnull=False).count() == len(one.people)
    parents = 2 if one.father else 1
    assert Guardianship.objects.count() == parents * len(one.children)


def test_a_broken_family_leaves_nothing_behind(registry: Registry, now: datetime) -> None:
    one = family(SEED, 1)
    one.sheets[-1].resources.append({"resourceType": "Observation", "id": one.mother.id, "status": "zzz"})
    with pytest.raises(Invalid):
        store(one, registry, now=now)
    assert resources() == 0
    assert not Person.objects.filter(username=one.mother.username).exists()
    assert store(family(SEED, 1), registry, now=now) > 0


def test_the_mother_reads_everything_of_hers_and_the_father_nothing(registry: Registry, now: datetime) -> None:
    one = next(f for n in range(50) if (f := family(SEED, n)).father and f.children)
    store(one, registry, now=now)
    own = UUID(one.mother.id)
    mother = Person.objects.get(username=one.mother.username)
    observations = found(for_person(mother, own), "Observation", now, patient=str(own))
    assert len(observations) == sum(r["resourceType"] == "Observation" for r in one.of(one.mother.id))
    father = Person.objects.get(username=one.father.username)
    child = UUID(one.children[-1].id)
    seen = found(for_person(father, child), "Observation", now, patient=str(child))
    assert len(seen) == sum(r["resourceType"] == "Observation" for r in one.of(str(child)))
    text = b"".join(entry.body for entry in seen)
    assert one.mother.id.encode() not in text


def test_the_clinic_is_opened_only_by_a_grant(registry: Registry, now: datetime) -> None:
    without, with_grant = family(SEED, 2), family(SEED, 3)
    store(without, registry, now=now)
    store(with_grant, registry, now=now, with_grant=True)
    assert list(Grant.objects.values_list("subject_id", flat=True)) == [UUID(with_grant.mother.id)]
    for one, expected in ((without, 0), (with_grant, 1)):
        clinic = for_organization(registry.organizations[one.clinic.code], UUID(one.mother.id))
        assert len(found(clinic, "Patient", now, _id=one.mother.id)) == expected


def test_other_peoples_epds_stays_hidden(registry: Registry, now: datetime) -> None:
    """The Grant names ordinary categories: what the city wrote of smoking and another's EPDS stay closed."""
    one = family(SEED, 3)
    store(one, registry, now=now, with_grant=True)
    other = Organization.objects.get(code=one.town.obstetric[one.clinic is one.town.obstetric[0]].code)
    assert other.code != one.clinic.code
    caller = for_organization(other.pk, UUID(one.mother.id))
    assert found(caller, "Observation", now, patient=one.mother.id) == []
    clinic = for_organization(registry.organizations[one.clinic.code], UUID(one.mother.id))
    text = b"".join(e.body for e in found(clinic, "Observation", now, patient=one.mother.id)).decode()
    assert "妊娠中の喫煙" not in text


@pytest.fixture
def embedded_family(now: datetime) -> demo.DemoFamily:
    return demo.make_family(now=now)


def test_the_demo_family_can_be_made_again(embedded_family: demo.DemoFamily, now: datetime) -> None:
    again = demo.make_family(now=now)
    assert {k: p.pk for k, p in again.people.items()} == {k: p.pk for k, p in embedded_family.people.items()}
    assert Grant.objects.count() == 1
    assert Guardianship.objects.count() == 4
    assert not any(person.has_usable_password() for person in again.people.values())
    assert again.people["yuki"].own_subject_id == demo.YUKI


def test_a_password_is_for_the_demo_only(now: datetime) -> None:
    people = demo.make_family(now=now, password="tsumugi-demo").people
    assert people["yuki"].check_password("tsumugi-demo")


def test_the_demo_records_come_in_as_real_input_and_once(now: datetime) -> None:
    written = demo.import_records(now=now)
    assert written == resources() > 300
    assert demo.import_records(now=now) == 0
    yuki = Person.objects.get(username="yuki")
    visits = found(for_person(yuki, demo.YUKI), "Encounter", now, patient=str(demo.YUKI))
    assert len(visits) > 12
    observation = found(for_person(yuki, demo.HANA), "Observation", now, patient=str(demo.HANA))[0]
    assert observation.facts.subjects == (demo.HANA,)


def test_references_of_the_bundles_are_resolved(now: datetime) -> None:
    demo.import_records(now=now)
    yuki = Person.objects.get(username="yuki")
    seen = found(for_person(yuki, demo.YUKI), "Observation", now, patient=str(demo.YUKI))
    encounters = {m.decode() for e in seen for m in re.findall(rb'"Encounter/([^"]+)"', e.body)}
    assert not any(b"urn:uuid" in e.body for e in seen)
    assert encounters == {e.id for e in found(for_person(yuki, demo.YUKI), "Encounter", now, patient=str(demo.YUKI))}


def test_aunt_mei_finds_nothing(now: datetime) -> None:
    demo.import_records(now=now)
    mei = Person.objects.get(username="mei")
    for subject in (demo.YUKI, demo.HANA, demo.REN):
        caller = Caller(
            client="t", capacity=Capacity.GUARDIAN, purpose=Purpose.FAMRQT, doors=EVERY_DOOR, person=mei.pk,
            subject=subject,
        )  # fmt: skip
        with pytest.raises(Exception, match="guardianship"):
            Records.opened_by(caller, now=now)


def test_the_command_says_how_far_it_is_and_skips_what_is_there() -> None:
    out = StringIO()
    call_command("populate", families=2, seed=SEED, processes=1, stdout=out)
    assert "2 家族" in out.getvalue()
    call_command("populate", families=3, seed=SEED, processes=1, stdout=out)
    assert "1 家族" in out.getvalue()
    assert "already there: 2" in out.getvalue()
    assert Person.objects.filter(username__endswith="-mother").count() == 3


@pytest.mark.parametrize("bad", ["0", "-3", "many", "1.5", "99999999999"])
def test_a_bad_number_of_families_is_refused_clearly(bad: str) -> None:
    with pytest.raises(CommandError, match="families"):
        call_command("populate", f"--families={bad}")


def test_a_hidden_door_is_not_there(registry: Registry, now: datetime) -> None:
    one = family(SEED, 4)
    store(one, registry, now=now)
    stranger = for_organization(registry.organizations[one.town.pharmacies[0].code])
    with pytest.raises(NotFound):
        Records.opened_by(stranger, now=now).read("Patient", one.mother.id)
    assert Door("*", "cruds") in EVERY_DOOR
