"""The birth split (G-01 to G-03): out of the mother's record a child's own, with the minimal copy and nothing else.

What the delivering clinic wrote is copied by it and remains its own. Where a copy came from stands in a Provenance
that is about the mother alone, so it is seen with her permit only; the child's Provenance names no source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from consent import audit, guardianship, rules, silence
from consent.audit import Event
from consent.models import Birth, Guardianship, Organization, Person, Silence, Subject
from consent.refusal import Absent, Because, Refusal
from phr.records import body, systems
from phr.records.gateway import Records, Refused, Stored
from phr.trust.birth_copy import Resource, belongs, copy_of, is_positive, prophylaxis
from phr.trust.clinics import acting_for

SOURCES = ("Observation", "Immunization")
MOST = 5000  # resources of the mother looked at
RECENT = timedelta(days=140)  # an unnamed pregnancy that ended so short a time ago brings no live birth
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"


@dataclass(frozen=True, slots=True)
class Newborn:
    """One live-born child. `sources`: references into the mother's record that are this child's (twins, doses)."""

    born_at: datetime
    gender: str = "unknown"
    name: str = ""
    sources: tuple[str, ...] = ()
    given: tuple[str, ...] = ()  # prophylaxis: vitamin-k, hepatitis-b, eye
    indicated: bool = False  # prophylaxis is indicated, whatever for


@dataclass(frozen=True, slots=True)
class Split:
    """The children, in order of birth; `made`: False where they were recorded before."""

    children: tuple[UUID, ...]
    made: bool


@transaction.atomic
def record(
    *,
    mother: UUID,
    children: Sequence[Newborn],
    delivered_by: Organization,
    by: Person,
    now: datetime,
    episode: str = "",
    request: str = "",
) -> Split:
    """Record live births and give each child a record of its own; the mother, if she signs in, is linked to each.

    `by`: staff of the delivering clinic, or of a municipality with the birth notice. The same birth again changes
    nothing. Raises Refusal, Absent for a mother whose record the clinic never wrote in.
    """
    _require(by, mother, delivered_by, children, now)
    held = Subject.objects.select_for_update().filter(pk=mother, state=Subject.State.ACTIVE).first()
    if held is None:
        raise Absent(place="mother")
    born_on = min(rules.today_in_japan(child.born_at) for child in children)
    before = Birth.objects.filter(mother=held, born_on=born_on).order_by("order")
    if known := tuple(before.values_list("child_id", flat=True)):
        if len(known) != len(children):
            raise Refusal("この日の出生は登録済みです / this birth is recorded", because=Because.CONFLICT)
        return Split(known, made=False)
    _require_no_loss(held, episode, born_on, now)
    records = _opened(delivered_by, mother, by, now, request)
    found = _found(records, delivered_by)
    if not found:
        raise Absent(place="mother")
    made = tuple(
        _one(held, child, order, len(children), found, delivered_by, by, now, request)
        for order, child in enumerate(children, start=1)
    )
    Birth.objects.bulk_create(
        Birth(
            mother=held, child_id=child, born_on=born_on, order=order, delivered_by=delivered_by, recorded_by=by, at=now
        )
        for order, child in enumerate(made, start=1)
    )
    audit.record(
        Event.BIRTH_RECORDED, by=by, subject=mother, now=now, detail={"children": [str(child) for child in made]}
    )
    return Split(made, made=True)


def _one(
    mother: Subject,
    child: Newborn,
    order: int,
    many: int,
    found: Sequence[Stored],
    clinic: Organization,
    by: Person,
    now: datetime,
    request: str,
) -> UUID:
    id = uuid4()
    copies = _copies(child, str(id), found, twins=many > 1)
    at = child.born_at.astimezone(rules.JST).isoformat(timespec="seconds")
    indicated = child.indicated or any(is_positive(body.parse(one.body or b"{}")) for one in found)
    own = prophylaxis(str(id), at, child.given, indicated=indicated)
    new = Records.opened_by(acting_for(clinic, None, by=by, request=request), now=now)
    stored = new.create_all([_patient(id, child, order, many, at), *(c for _, c in copies), *own], keep_ids=True)
    about = [one.reference for one in stored]
    new.create(_provenance(about, clinic, now))
    if copies:
        sources = [source for source, _ in copies]
        hers = _opened(clinic, mother.pk, by, now, request)
        hers.create(_provenance([f"Patient/{mother.pk}", *about[1 : 1 + len(copies)]], clinic, now, sources=sources))
    audit.record(Event.BIRTH_RECORDED, by=by, subject=id, now=now)
    if _linked(mother, id, by, now):
        new.create(_mother_of(id))
    return id


def _copies(child: Newborn, id: str, found: Sequence[Stored], *, twins: bool) -> list[tuple[str, Resource]]:
    """(reference of hers, the child's copy)."""
    known = {one.reference for one in found}
    if missing := [reference for reference in child.sources if reference not in known]:
        raise Refusal("母の記録にありません / not in the mother's record", place=f"sources: {missing[0][:80]}")
    out = []
    for one in found:
        content = body.parse(one.body or b"{}")
        if one.reference in child.sources or belongs(content, child.born_at, twins=twins):
            copied = copy_of(content, id)
            if copied is not None:
                out.append((one.reference, copied))
            elif one.reference in child.sources:
                raise Refusal(
                    "子に写せない項目です / this is not for the child's record", place=f"sources: {one.reference}"
                )
    return out


def _found(records: Records, clinic: Organization) -> list[Stored]:
    """What this clinic wrote about her, oldest first."""
    entries, _ = records.newest(records.caller.subject or UUID(int=0), SOURCES, most=MOST)
    own = [one for one in entries if one.facts.author == clinic.pk and len(one.facts.subjects) == 1]
    records.log_extract("birth", own)
    return sorted(own, key=lambda one: one.pk)


def _opened(clinic: Organization, subject: UUID, by: Person, now: datetime, request: str) -> Records:
    try:
        return Records.opened_by(acting_for(clinic, subject, by=by, request=request), now=now)
    except Refused:
        raise Absent(place="mother") from None


def _patient(id: UUID, child: Newborn, order: int, many: int, at: str) -> Resource:
    made: Resource = {
        "resourceType": "Patient",
        "id": str(id),
        "active": True,
        "gender": child.gender,
        "birthDate": at[:10],
        "_birthDate": {
            "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": at}]
        },
    }
    made |= {"multipleBirthInteger": order} if many > 1 else {"multipleBirthBoolean": False}
    return made | ({"name": [{"use": "usual", "text": child.name}]} if child.name else {})


def _provenance(
    targets: Sequence[str], clinic: Organization, now: datetime, *, sources: Sequence[str] = ()
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Provenance",
        "target": [{"reference": one} for one in targets],
        "recorded": now.isoformat(timespec="seconds"),
        "agent": [{"who": {"identifier": {"system": systems.INSTITUTION_10, "value": clinic.code}}}],
    }
    if sources:
        made["entity"] = [{"role": "source", "what": {"reference": one}} for one in sources]
    return made


def _mother_of(child: UUID) -> Resource:
    """That she is the mother, and nothing else about her."""
    return {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": {"reference": f"Patient/{child}"},
        "relationship": [{"coding": [{"system": PARTICIPANT, "code": "MTH"}]}],
    }


def _linked(mother: Subject, child: UUID, by: Person, now: datetime) -> bool:
    person = Person.objects.filter(own_subject=mother, is_active=True).exclude(pk=by.pk).first()
    if person is None:
        return False
    municipal = by.organization is not None and by.organization.kind == Organization.Kind.MUNICIPALITY
    subject = Subject.objects.get(pk=child)
    assert subject.birth_on is not None
    guardianship.link(
        person=person, subject=subject, kind=Guardianship.Kind.PARENT,
        evidence=Guardianship.Evidence.BIRTH_NOTICE if municipal else Guardianship.Evidence.CLINIC_IN_PERSON,
        starts_on=subject.birth_on, review_on=rules.months_after(rules.today_in_japan(now), guardianship.REVIEW_MONTHS),
        by=by, now=now,
    )  # fmt: skip
    return True


def _require(by: Person, mother: UUID, clinic: Organization, children: Sequence[Newborn], now: datetime) -> None:
    if not guardianship.may_decide(by, mother) or by.organization is None:
        raise Refusal("市区町村か医療機関の職員だけができます / only staff may", because=Because.FORBIDDEN)
    municipal = by.organization.kind == Organization.Kind.MUNICIPALITY
    if by.organization_id != clinic.pk and not municipal:
        raise Refusal("出産を扱った医療機関が登録します / the delivering clinic records it", because=Because.FORBIDDEN)
    oldest = now - timedelta(days=366 * rules.ADULT_AGE)
    if not children or any(not oldest < child.born_at <= now for child in children):
        raise Refusal("出生の日時が不正です / a time of birth that cannot be", place="children")


def _require_no_loss(mother: Subject, episode: str, born_on: Any, now: datetime) -> None:
    recent = Silence.objects.filter(subject=mother, since__gt=now - RECENT)
    if silence.kept(mother.pk, episode) if episode else recent.exists():
        raise Refusal("この妊娠は終わっています / this pregnancy has ended", because=Because.CONFLICT)
