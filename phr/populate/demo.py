"""The demo family in the service: people, links, one Grant, and records brought in as real input.

`make_family` makes the people; `import_records` brings their records through the REST door's own code.
Both may be run again: what is there stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction

from consent.models import Grant, Guardianship, Organization, Person, Subject
from phr.fhir import bundle
from phr.populate import store
from phr.populate.bundles import MEDICATION_NOTEBOOK, Import, imports
from phr.populate.cast import (
    CAST,
    CHILDREN,
    CITY_A,
    FACILITIES,
    HANA,
    ICHIRO,
    OBSTETRIC,
    REN,
    SUBJECTS,
    YUKI,
    Cast,
)
from phr.populate.people import Human, patient
from phr.records.gateway import Records

__all__ = [
    "CAST", "HANA", "ICHIRO", "MEDICATION_NOTEBOOK", "REN", "YUKI", "DemoFamily", "import_records", "make_family",
]  # fmt: skip
CLIENT = "demo"


@dataclass(frozen=True, slots=True)
class DemoFamily:
    """Everybody by username, every organisation by code, the four subjects: yuki, ichiro, hana, ren."""

    people: Mapping[str, Person]
    organizations: Mapping[str, Organization]
    subjects: Mapping[str, Subject]

    @property
    def clinic(self) -> Organization:
        return self.organizations[OBSTETRIC.code]


@transaction.atomic
def make_family(*, now: datetime, password: str | None = None) -> DemoFamily:
    """Make (once) the people of the demo, verified links to both children, and Yuki's Grant to her clinic.

    `password`: for all of them, in the demo only; None: nobody can sign in with a password.
    """
    organizations = {f.code: _organization(f.code, f.name, f.kind) for f in FACILITIES}
    subjects = {_NAMES[human.id]: _subject(human, now) for human in SUBJECTS}
    secret = make_password(password)
    people = {cast.username: _person(cast, organizations, secret) for cast in CAST}
    officer = next(p for p in people.values() if p.organization == organizations[CITY_A.code])
    for child in CHILDREN:
        for parent in (people["yuki"], people["ichiro"]):
            if not Guardianship.objects.filter(person=parent, subject_id=UUID(child.id)).exists():
                store.link(parent, UUID(child.id), since=child.birth_on, by=officer, now=now)
    if not Grant.objects.filter(subject_id=YUKI).exists():
        store.open_to_clinic(people["yuki"], organizations[OBSTETRIC.code].pk, now=now)
    return DemoFamily(people, organizations, subjects)


_NAMES = {str(YUKI): "yuki", str(ICHIRO): "ichiro", str(HANA): "hana", str(REN): "ren"}


def _subject(human: Human, now: datetime) -> Subject:
    defaults = {"birth_on": human.birth_on, "created_at": now}
    return Subject.objects.get_or_create(id=UUID(human.id), defaults=defaults)[0]


def _organization(code: str, name: str, kind: str) -> Organization:
    told = {"name": name, "kind": kind, "class_from": store.LONG_AGO}
    return Organization.objects.get_or_create(code=code, defaults=told)[0]


def _person(cast: Cast, organizations: Mapping[str, Organization], secret: str) -> Person:
    return Person.objects.get_or_create(
        username=cast.username,
        defaults={
            "name": cast.name,
            "kana": cast.kana,
            "own_subject_id": cast.own,
            "organization": organizations[cast.works_at] if cast.works_at else None,
            "password": secret,
        },
    )[0]


@transaction.atomic
def import_records(*, now: datetime) -> int:
    """Bring in (once) the family's Patients and the Bundles of `demo/*.json`; returns the number of resources."""
    family = make_family(now=now)
    yuki = family.people["yuki"]
    if _has_patient(yuki, now):
        return 0
    for facility in FACILITIES:
        store.publish(facility, family.organizations[facility.code], now=now)
    for human in SUBJECTS:
        clinic = OBSTETRIC if human.id == str(YUKI) else None
        writer = family.people.get(human.username) or yuki
        caller = store.for_person(writer, UUID(human.id), client=CLIENT)
        store.bring_in(caller, [patient(human, clinic, city=CITY_A.city)], now=now)
    return len(SUBJECTS) + sum(_import(one, family, now) for one in imports())


def _has_patient(yuki: Person, now: datetime) -> bool:
    records = Records.opened_by(store.for_person(yuki, YUKI, client=CLIENT), now=now)
    try:
        records.read("Patient", str(YUKI))
    except store.NotFound:
        return False
    return True


def _import(one: Import, family: DemoFamily, now: datetime) -> int:
    subject = UUID(one.subject)
    if one.author:
        caller = store.for_organization(family.organizations[one.author].pk, subject, client=CLIENT)
    else:
        caller = store.for_person(family.people["yuki"], subject, client=CLIENT)
    content = one.bundle()
    bundle.process(Records.opened_by(caller, now=now), content, prefer="minimal")
    return len(content["entry"])
