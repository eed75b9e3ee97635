"""What a clinician keeps from guardians, or from the family, for a young person's sake (G-10, G-12, G-13).

A mark goes on the item and on all that follows from it; what refers to it later bears it too (`records.marking`).
Wish and assessment stand in the record, marked themselves; the log says that a mark was set to staff only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F

from consent import audit, guardianship, rules
from consent.audit import Event
from consent.models import Organization, Person, Subject
from consent.refusal import Absent, Because, Refusal
from phr.records import marking, systems
from phr.records.gateway import Gone, NotFound, Records, Refused, Stored
from phr.trust.clinics import acting_for

ASKING_AGE = 12  # from here on a child can ask staff to mark items
_CLINICAL = frozenset({Organization.Kind.CLINIC, Organization.Kind.HOSPITAL})


class Assessment(StrEnum):
    """What the clinician found of the young person's capacity to decide this."""

    COMPETENT = "competent"
    NOT_COMPETENT = "not-competent"


class Wish(StrEnum):
    """What the young person wishes."""

    HIDE = "hide"  # from guardians
    SHARE = "share"


class Kind(StrEnum):
    """The marks. Whom they bar: guardians and proxies; of child protection also the young person."""

    MINOR_CONFIDENTIAL = "minor-confidential"
    CHILD_PROTECTION = "child-protection"


@transaction.atomic
def record_wish(
    *,
    subject: UUID,
    encounter: str,
    assessment: Assessment,
    wish: Wish,
    by: Person,
    now: datetime,
    request: str = "",
) -> list[str]:
    """Record what a young person wishes of one encounter, and hide it with all that follows if she is competent.

    `by`: staff of the clinic that wrote the Encounter. Returns what was marked. Raises Absent, Refusal.
    """
    clinic = _clinician(by, subject)
    held = _minor(subject, now)
    records = _opened(clinic, held, by, now, request)
    if _read(records, f"Encounter/{encounter}").facts.author != clinic.pk:
        raise Absent(place="encounter")
    hides = assessment is Assessment.COMPETENT and wish is Wish.HIDE
    marked = _mark(held, [f"Encounter/{encounter}"], Kind.MINOR_CONFIDENTIAL, now) if hides else []
    note = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": systems.OWN_ITEM, "code": "confidentiality.wish"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "encounter": {"reference": f"Encounter/{encounter}"},
        "effectiveDateTime": now.isoformat(timespec="seconds"),
        "component": [_said("confidentiality.assessment", assessment), _said("confidentiality.wish", wish)],
    }
    records.create(marking.with_mark(note, Kind.MINOR_CONFIDENTIAL))
    _told(Event.MARK_SET, held, by, now, Kind.MINOR_CONFIDENTIAL, marked, {"assessment": assessment, "wish": wish})
    return marked


@transaction.atomic
def mark(*, subject: UUID, items: Sequence[str], kind: Kind, by: Person, now: datetime, request: str = "") -> list[str]:
    """Mark items this desk may read, and what follows from them. A child of 12 can ask for it; child protection is
    the staff's own duty. Returns what was marked. Raises Absent, Refusal."""
    if not guardianship.may_decide(by, subject) or by.organization is None:
        raise Refusal("市区町村か医療機関の職員だけができます / only staff may", because=Because.FORBIDDEN)
    held = _minor(subject, now)
    assert held.birth_on is not None
    if kind is Kind.MINOR_CONFIDENTIAL and rules.age_on(held.birth_on, rules.today_in_japan(now)) < ASKING_AGE:
        raise Refusal("12歳から申し出られます / a child can ask from 12", because=Because.CONFLICT)
    records = _opened(by.organization, held, by, now, request)
    for item in items:
        _read(records, item)
    marked = _mark(held, items, kind, now)
    _told(Event.MARK_SET, held, by, now, kind, marked, {})
    return marked


@transaction.atomic
def release(
    *, subject: UUID, items: Sequence[str], to_everybody: bool, by: Person, now: datetime, request: str = ""
) -> list[str]:
    """A clinician lets the young person see what child protection hid; guardians only if `to_everybody`.

    Returns what changed. Raises Absent, Refusal.
    """
    clinic = _clinician(by, subject)
    held = Subject.objects.select_for_update().filter(pk=subject, state=Subject.State.ACTIVE).first()
    if held is None:
        raise Absent
    records = _opened(clinic, held, by, now, request)
    for item in items:
        _read(records, item)
    found = marking.following(held.pk, items)
    changed = marking.replace_mark(
        found, Kind.CHILD_PROTECTION, None if to_everybody else Kind.MINOR_CONFIDENTIAL, now=now
    )
    _raise_epoch(held)
    _told(Event.MARK_RELEASED, held, by, now, Kind.CHILD_PROTECTION, changed, {})
    return changed


def _mark(subject: Subject, items: Sequence[str], kind: Kind, now: datetime) -> list[str]:
    marked = marking.mark(marking.following(subject.pk, items), kind, now=now)
    _raise_epoch(subject)
    return marked


def _clinician(by: Person, subject: UUID) -> Organization:
    clinic = by.organization
    if not guardianship.may_decide(by, subject) or clinic is None or clinic.kind not in _CLINICAL:
        raise Refusal("医療機関の職員だけができます / only staff of a clinic may", because=Because.FORBIDDEN)
    return clinic


def _minor(subject: UUID, now: datetime) -> Subject:
    held = Subject.objects.select_for_update().filter(pk=subject, state=Subject.State.ACTIVE).first()
    if held is None:
        raise Absent
    if held.birth_on is None or rules.age_on(held.birth_on, rules.today_in_japan(now)) >= rules.ADULT_AGE:
        raise Refusal("未成年ではありません / not known to be a minor", because=Because.CONFLICT)
    return held


def _opened(clinic: Organization, subject: Subject, by: Person, now: datetime, request: str) -> Records:
    try:
        return Records.opened_by(acting_for(clinic, subject.pk, by=by, request=request), now=now)
    except Refused:
        raise Absent from None


def _read(records: Records, reference: str) -> Stored:
    kind, _, id = reference.partition("/")
    try:
        return records.read(kind, id)
    except (NotFound, Gone):
        raise Absent(place="items") from None


def _said(code: str, answer: str) -> dict[str, object]:
    return {
        "code": {"coding": [{"system": systems.OWN_ITEM, "code": code}]},
        "valueCodeableConcept": {"coding": [{"system": f"{systems.OWN}/CodeSystem/confidentiality", "code": answer}]},
    }


def _raise_epoch(subject: Subject) -> None:
    Subject.objects.filter(pk=subject.pk).update(consent_epoch=F("consent_epoch") + 1)


def _told(
    event: Event, subject: Subject, by: Person, now: datetime, kind: Kind, items: Sequence[str], said: dict[str, str]
) -> None:
    told: dict[str, audit.Value] = {"mark": str(kind), "count": len(items)}
    told |= {name: str(value) for name, value in said.items()}
    audit.record(event, by=by, subject=subject.pk, now=now, detail=told)
