"""Duties to keep a record (APPI Art. 35 (5)-(6): erasing is refused where another law bids to keep).

While a hold stands nothing of the record is erased. A hold of child protection looks like any other authority's
to the family (G-13).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from consent import audit, kin, rules
from consent.audit import Event
from consent.models import LegalHold, Organization, Person, Subject
from consent.refusal import Absent, Because, Refusal

Kind = LegalHold.Kind
DESKS = (
    Organization.Kind.MUNICIPALITY, Organization.Kind.CLINIC, Organization.Kind.HOSPITAL, Organization.Kind.OPERATOR,
)  # fmt: skip


@transaction.atomic
def place(*, subject: Subject, kind: Kind, reason: str, until: date | None, by: Person, now: datetime) -> LegalHold:
    """Keep a record from being erased, until a day (the first without the hold) or until it is lifted.

    Raises Refusal: not such staff, no reason, a day that has passed; Absent for a record that is erased.
    """
    office = _office(by, subject.pk)
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    if current.state == Subject.State.ERASED:
        raise Absent
    if not reason.strip():
        raise Refusal("理由が必要です / a reason is needed", place="reason")
    if until is not None and until <= rules.today_in_japan(now):
        raise Refusal("過ぎた日です / this day has passed", place="until")
    made = LegalHold.objects.create(
        subject=current, kind=kind, reason=reason[:300].replace("\x00", ""), until=until, organization=office,
        placed_by=by, placed_at=now,
    )  # fmt: skip
    audit.record(Event.HOLD_PLACED, by=by, subject=current.pk, now=now, detail={"hold": made.pk, "kind": str(kind)})
    return made


@transaction.atomic
def lift(*, hold: int, by: Person, now: datetime) -> LegalHold:
    """End a hold of one's own office.

    Raises Absent for another's, one's own family's or none; Refusal when it was lifted before.
    """
    office = _office(by)
    found = LegalHold.objects.select_for_update().filter(pk=hold, organization=office).first()
    if found is None or kin.is_kin(by, found.subject_id):
        raise Absent
    if found.lifted_at is not None:
        raise Refusal("すでに解除されています / lifted already", because=Because.CONFLICT)
    found.lifted_by, found.lifted_at = by, now
    found.save(update_fields=["lifted_by", "lifted_at"])
    audit.record(Event.HOLD_LIFTED, by=by, subject=found.subject_id, now=now, detail={"hold": found.pk})
    return found


def standing(subject: Subject, *, now: datetime) -> list[LegalHold]:
    """The holds in force today, those without an end first."""
    today = rules.today_in_japan(now)
    found = LegalHold.objects.filter(Q(until=None) | Q(until__gt=today), subject=subject, lifted_at=None)
    return list(found.order_by("-until", "pk"))  # PostgreSQL: null before all days


@transaction.atomic
def carry(*, old: Subject, new: Subject, by: Person, now: datetime) -> None:
    """A record gets a new identity: each hold in force stands over that too, for the office that placed it."""
    for hold in standing(old, now=now):
        made = LegalHold.objects.create(
            subject=new, kind=hold.kind, reason=hold.reason, until=hold.until, organization=hold.organization,
            placed_by=hold.placed_by, placed_at=hold.placed_at,
        )  # fmt: skip
        audit.record(Event.HOLD_PLACED, by=by, subject=new.pk, now=now, detail={"hold": made.pk, "kind": hold.kind})


def reason_told(held: Sequence[LegalHold]) -> str:
    """Why erasing waits, as the family is told; `held` is not empty."""
    kinds = {_NAMED[Kind(hold.kind)] for hold in held}
    ja, en = "・".join(sorted(ja for ja, _ in kinds)), ", ".join(sorted(en for _, en in kinds))
    until = last_day(held)
    when = ("定められた時まで", "until it is lifted") if until is None else (f"{until:%Y-%m-%d} まで", f"until {until}")
    return f"{ja}により{when[0]}保存が必要です / must be kept {when[1]}: {en}"


def last_day(held: Sequence[LegalHold]) -> date | None:
    """When the last of these ends; None = not known."""
    ends = [hold.until for hold in held]
    return None if None in ends else max(end for end in ends if end)


_NAMED = {
    Kind.MEDICAL_RECORD: ("診療録の保存義務", "the duty to keep medical records"),
    Kind.LITIGATION: ("訴訟", "litigation"),
    Kind.AUTHORITY: ("官公庁の命令", "an order of an authority"),
    Kind.CHILD_PROTECTION: ("官公庁の命令", "an order of an authority"),
}


def _office(by: Person, subject: UUID | None = None) -> Organization:
    office = by.organization
    active = office is not None and office.kind in DESKS and office.state == Organization.State.ACTIVE
    if office is None or not active or (subject is not None and kin.is_kin(by, subject)):
        raise Refusal("この操作をする資格がありません / not entitled to this", because=Because.FORBIDDEN)
    return office
