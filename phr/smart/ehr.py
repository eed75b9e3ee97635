"""What is open where an app is started: an EHR's launch value, and the encounter a person chooses.

An EHR keeps its context here and gives the app an opaque value, good once and for minutes, for staff of its own
organisation only. What the staff cannot see cannot be put into a context: it looks as if it were not there.
Source: SMART App Launch 2.2, sections 2.1.2 (EHR launch), 3.1.3 (context scopes), 2.1.5.1 (fhirContext).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db.models import Q

from consent.decide import Caller, Capacity
from consent.models import Organization, Person
from consent.refusal import Absent, Because, Refusal
from consent.scope import Door
from phr.records import body
from phr.records.gateway import Gone, NotFound, Records, Refused
from phr.records.search import parse
from phr.records.store import Stored
from phr.smart.launches import PURPOSES, Role
from phr.smart.models import LaunchContext

LIFE = timedelta(minutes=5)
CARING = frozenset({
    Organization.Kind.CLINIC, Organization.Kind.HOSPITAL, Organization.Kind.PHARMACY, Organization.Kind.MUNICIPALITY,
    Organization.Kind.AMBULANCE, Organization.Kind.SCHOOL,
})  # fmt: skip
MOST_ENCOUNTERS = 20
_DOORS = (Door("Patient", "rs"), Door("Encounter", "rs"))


def offer(
    *, organization: Organization, person: Person | None, subject: UUID | None, encounter: str = "",
    context: Mapping[str, Any], by: Person | Caller, now: datetime,
) -> str:  # fmt: skip
    """Keep what is open, for `person` of this organisation (None: any of its staff). Returns the launch value.

    Raises Absent for a patient, an encounter or a person that is not there for who asks; Refusal.
    """
    if organization.kind not in CARING or organization.state != Organization.State.ACTIVE:
        raise Refusal("この操作をする資格がありません / not entitled to this", because=Because.FORBIDDEN)
    if person is not None and not (person.is_active and person.organization_id == organization.pk):
        raise Absent(place="person")
    if encounter and subject is None:
        raise Refusal("受診には患者が要ります / an encounter needs its patient", place="patient")
    if subject is not None:
        _require_seen(_asker(organization, by, subject), subject, encounter, now)
    value = secrets.token_urlsafe(32)
    LaunchContext.objects.create(
        digest=digest(value), organization=organization, person=person, subject_id=subject, encounter=encounter,
        context=dict(context), created_at=now, expires_at=now + LIFE,
    )  # fmt: skip
    return value


def digest(value: str) -> str:
    """How a launch value is kept."""
    return sha256(value.encode("utf-8", "replace")).hexdigest()


def standing(value: str, *, by: Person, now: datetime) -> LaunchContext | None:
    """The context an app brings, if it was made for this person or her office, is in time, unused, and seen by her."""
    found = (
        LaunchContext.objects.select_related("organization", "subject")
        .filter(Q(person=None) | Q(person=by), organization=by.organization_id, used_at=None, expires_at__gt=now)
        .filter(pk=digest(value))
        .first()
    )
    return found if found and role_in(found, by, now=now) else None


def role_in(found: LaunchContext, person: Person, *, now: datetime) -> Role | None:
    """The one role of an EHR launch: staff of its organisation, bound to its patient. None: not (or no longer) hers."""
    office = found.organization
    if person.organization_id != office.pk or office.state != Organization.State.ACTIVE:
        return None
    if found.subject is not None:
        try:
            _require_seen(_asker(office, person, found.subject_id), found.subject.id, found.encounter, now)
        except Absent:
            return None
    return Role(
        "staff", Capacity.STAFF, PURPOSES[office.kind][0], found.subject_id,
        found.subject.birth_on if found.subject else None, organization=office,
    )  # fmt: skip


def use(found: LaunchContext, *, now: datetime) -> bool:
    """Take a launch value out of use. False if another request was faster."""
    return bool(LaunchContext.objects.filter(pk=found.pk, used_at=None, expires_at__gt=now).update(used_at=now))


def encounters(role: Role, person: Person, *, now: datetime) -> list[tuple[str, str]]:
    """The newest encounters of a role's patient, as (FHIR id, when), of which a person may choose one."""
    caller = Caller(
        client="web", capacity=role.capacity, purpose=role.purpose, doors=_DOORS, person=person.pk,
        organization=role.organization.pk if role.organization else None, subject=role.subject,
    )  # fmt: skip
    asked = [("_sort", "-date"), ("_count", str(MOST_ENCOUNTERS))]
    try:
        page = Records.opened_by(caller, now=now).search(parse.parse("Encounter", asked, now=now))
    except Refused:
        return []
    return [(found.id, _when(found)) for found in page.entries]


def _when(found: Stored) -> str:
    period = body.parse(found.body or b"{}").get("period", {})
    return str(period.get("start", ""))[:10]


def _asker(organization: Organization, by: Person | Caller, subject: UUID | None) -> Caller:
    system = isinstance(by, Caller) and by.person is None
    return Caller(
        client=by.client if isinstance(by, Caller) else "web", capacity=Capacity.SYSTEM if system else Capacity.STAFF,
        purpose=PURPOSES[organization.kind][0], doors=_DOORS, organization=organization.pk, subject=subject,
        person=by.person if isinstance(by, Caller) else by.pk,
    )  # fmt: skip


def _require_seen(asker: Caller, subject: UUID, encounter: str, now: datetime) -> None:
    """Raises Absent: nonexistent, another's and hidden look the same."""
    try:
        records = Records.opened_by(asker, now=now)
        records.read("Patient", str(subject))
        if encounter and set(records.read("Encounter", encounter).facts.subjects) != {subject}:
            raise Absent(place="patient")
    except (Refused, NotFound, Gone):
        raise Absent(place="patient") from None
