"""Deeds that put an invented family into the service, through the same doors production uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from consent import grants, guardianship, rules
from consent.decide import Caller, Capacity
from consent.models import Guardianship, Organization, Person, Subject
from consent.scope import Clause, Door, Purpose
from phr.populate.facilities import Facility
from phr.populate.family import Family
from phr.populate.people import Human
from phr.populate.sheet import Resource, Sheet
from phr.records.gateway import NotFound, Records

EVERY_DOOR = (Door("*", "cruds"),)
CLIENT = "populate"
# What a mother opens to the clinic that cares for her, for treatment
FOR_THE_CLINIC = frozenset({
    "IDENTITY", "PREGNANCY", "BIRTH", "MEDICATION", "ALLERGY", "IMMUNIZATION", "LABORATORY", "VITAL", "HOME", "CARE",
})  # fmt: skip
REVIEW_MONTHS = 24
LONG_AGO = datetime(2020, 4, 1, tzinfo=rules.JST)  # when the invented organisations entered their classes


@dataclass(frozen=True, slots=True)
class Registry:
    """Organizations by code, and of each municipality one officer who verifies guardians."""

    organizations: Mapping[str, int]
    officers: Mapping[str, Person]


def register(facilities: Iterable[Facility], *, now: datetime) -> Registry:
    """Make the organisations (once), their FHIR Organizations, and the officers."""
    organizations, officers = {}, {}
    for facility in facilities:
        found, _ = Organization.objects.get_or_create(
            code=facility.code, defaults={"name": facility.name, "kind": facility.kind, "class_from": LONG_AGO}
        )
        organizations[facility.code] = found.pk
        publish(facility, found, now=now)
        if found.kind == Organization.Kind.MUNICIPALITY:
            officers[facility.code] = _officer(found)
    return Registry(organizations, officers)


def publish(facility: Facility, organization: Organization, *, now: datetime) -> None:
    """Store the facility's FHIR Organization, once."""
    records = Records.opened_by(for_organization(organization.pk), now=now)
    try:
        records.read("Organization", facility.id)
    except NotFound:
        records.create_all([facility.resource()], keep_ids=True)


def _officer(organization: Organization) -> Person:
    name = f"{organization.name} 窓口"
    person, made = Person.objects.get_or_create(
        username=f"officer-{organization.code}", defaults={"name": name, "organization": organization}
    )
    if made:
        person.set_unusable_password()
        person.save(update_fields=["password"])
    return person


def for_organization(organization: int, subject: UUID | None = None, *, client: str = CLIENT) -> Caller:
    """An organisation's own system that writes what the organisation found."""
    return Caller(
        client=client, capacity=Capacity.SYSTEM, purpose=Purpose.TREAT, doors=EVERY_DOOR,
        organization=organization, subject=subject,
    )  # fmt: skip


def for_person(person: Person, subject: UUID, *, client: str = CLIENT) -> Caller:
    """A person at her own record, or a guardian at a child's."""
    own = person.own_subject_id == subject
    return Caller(
        client=client, capacity=Capacity.SELF if own else Capacity.GUARDIAN,
        purpose=Purpose.PATRQT if own else Purpose.FAMRQT, doors=EVERY_DOOR, person=person.pk, subject=subject,
    )  # fmt: skip


@transaction.atomic
def store(family: Family, registry: Registry, *, now: datetime, with_grant: bool = False) -> int:
    """Store one family, all or nothing; returns how many resources. 0: it is there already.

    `with_grant`: the mother opens her record to her clinic.
    """
    if Person.objects.filter(username=family.mother.username).exists():
        return 0
    Subject.objects.bulk_create(
        [Subject(id=UUID(human.id), birth_on=human.birth_on, created_at=now) for human in family.people]
    )
    parents = {human.id: _person(human) for human in (family.mother, family.father) if human}
    officer = registry.officers[family.town.municipality.code]
    for child in family.children:
        for parent in parents.values():
            link(parent, UUID(child.id), since=child.birth_on, by=officer, now=now)
    written = sum(_write(sheet, parents, family.mother, registry, now) for sheet in family.sheets)
    if with_grant:
        clinic = registry.organizations[family.clinic.code]
        open_to_clinic(parents[family.mother.id], clinic, now=now)
    return written


def _person(human: Human) -> Person:
    person = Person(username=human.username, name=human.name, kana=human.kana, own_subject_id=UUID(human.id))
    person.set_unusable_password()
    person.save(force_insert=True)
    return person


def link(parent: Person, child: UUID, *, since: date, by: Person, now: datetime) -> Guardianship:
    """A parent's verified link, by the birth notice."""
    return guardianship.link(
        person=parent, subject=Subject(id=child, birth_on=since), kind=Guardianship.Kind.PARENT,
        evidence=Guardianship.Evidence.BIRTH_NOTICE, starts_on=since,
        review_on=rules.months_after(rules.today_in_japan(now), REVIEW_MONTHS), by=by, now=now,
    )  # fmt: skip


def open_to_clinic(mother: Person, clinic: int, *, now: datetime) -> None:
    """The mother's Grant to her clinic: the ordinary categories it needs, for treatment, to read."""
    root = Clause(
        permit=True,
        purposes=frozenset({Purpose.TREAT}),
        actors=frozenset({f"org:{clinic}"}),
        actions=frozenset({"access"}),
        categories=FOR_THE_CLINIC,
    )
    own = mother.own_subject
    assert own is not None
    grants.give(subject=own, root=root, by=mother, capacity=Capacity.SELF, now=now)


def _write(sheet: Sheet, parents: Mapping[str, Person], mother: Human, registry: Registry, now: datetime) -> int:
    if not sheet.resources:
        return 0
    subject = UUID(sheet.subject)
    if sheet.facility:
        caller = for_organization(registry.organizations[sheet.facility.code], subject)
    else:
        caller = for_person(parents.get(sheet.subject) or parents[mother.id], subject)
    return bring_in(caller, sheet.resources, now=now)


def bring_in(caller: Caller, resources: list[Resource], *, now: datetime) -> int:
    """Store new resources under their own ids, as one caller may."""
    return len(Records.opened_by(caller, now=now).create_all(resources, keep_ids=True))
