"""Adoption (G-19): a child under a new identity. Nothing of the old one resolves; the history stays with the child.

For special adoption (特別養子縁組), which ends the ties to the old family. Which identity became which is known to
municipal staff only, by a row of the trust that stands in neither record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from consent import audit, grants, guardianship, holds, kin, protection
from consent.audit import Event
from consent.models import Adoption, Grant, Guardianship, JointAct, Organization, Person, Subject
from consent.refusal import Absent, Because, Refusal
from phr.records import rekeying


@dataclass(frozen=True, slots=True)
class Parent:
    """An adoptive parent as the register shows her."""

    person: Person
    evidence: Guardianship.Evidence
    review_on: date


@transaction.atomic
def record(
    *, child: UUID, name: str, parents: Sequence[Parent], starts_on: date, by: Person, now: datetime
) -> tuple[UUID, bool]:
    """Give the record a new identity and link the adoptive parents. Returns the new id, and whether it was done now.

    `by`: staff of a municipality. Old links, consents, waiting acts and logins end; the old record is locked.
    What protected the old one (hidden places, measures, holds) protects the new one. The
    caller ends its tokens (`smart.severing`). Raises Absent, Refusal, UnableToLink.
    """
    if (
        not guardianship.may_decide(by, child)
        or any(kin.are_kin(by, parent.person) for parent in parents)
        or by.organization is None
        or by.organization.kind != Organization.Kind.MUNICIPALITY
    ):
        raise Refusal("市区町村の職員だけができます / only staff of a municipality may", because=Because.FORBIDDEN)
    if (before := Adoption.objects.filter(old_id=child).first()) is not None:
        return before.new_id, False
    old = Subject.objects.select_for_update().filter(pk=child, state=Subject.State.ACTIVE).first()
    if old is None or old.birth_on is None:
        raise Absent(place="record")
    former = set(Guardianship.objects.filter(subject=old).values_list("person_id", flat=True))
    if not parents or any(parent.person.pk in former for parent in parents):
        raise Refusal("養親を指定してください / name the adoptive parents, not former ones", place="parents")
    new = Subject.objects.create(birth_on=old.birth_on, created_at=now)
    protection.carry(old=old, new=new, by=by, now=now)
    holds.carry(old=old, new=new, by=by, now=now)
    _close(old, by, now)
    rekeying.move(old.pk, new.pk, _patient(old.birth_on, name), now=now)
    Person.objects.filter(own_subject=old).update(own_subject=new)
    for parent in parents:
        guardianship.link(
            person=parent.person, subject=new, kind=Guardianship.Kind.ADOPTIVE, evidence=parent.evidence,
            starts_on=starts_on, review_on=parent.review_on, by=by, now=now,
        )  # fmt: skip
    Adoption.objects.create(old=old, new=new, recorded_by=by, at=now)
    audit.record(Event.ADOPTION_RECORDED, by=by, subject=old.pk, now=now)
    return new.pk, True


@transaction.atomic
def former(*, record: UUID, by: Person, now: datetime) -> UUID:
    """Which identity a record had, to staff of a municipality who must know; it is on the log.

    Raises Absent: none, or one of her own family.
    """
    found = Adoption.objects.filter(new_id=record).first()
    if found is None or kin.is_kin(by, found.old_id) or kin.is_kin(by, found.new_id):
        raise Absent
    audit.record(Event.ADOPTION_RECORDED, by=by, subject=found.old_id, now=now, detail={"reason": "looked up"})
    return found.old_id


def _close(old: Subject, by: Person, now: datetime) -> None:
    for link in Guardianship.objects.filter(subject=old).exclude(state=Guardianship.State.ENDED):
        guardianship.end(guardianship=link, by=by, reason="adoption", now=now)
    for grant in Grant.objects.select_for_update().filter(subject=old).exclude(state=Grant.State.INACTIVE):
        grants.end(grant, "adoption", now)
    JointAct.objects.filter(subject=old, state__in=[JointAct.State.PENDING, JointAct.State.AGREED]).update(
        state=JointAct.State.REFUSED, settled_at=now
    )
    Subject.objects.filter(pk=old.pk).update(state=Subject.State.LOCKED, consent_epoch=F("consent_epoch") + 1)


def _patient(birth_on: date, name: str) -> dict[str, object]:
    return {"active": True, "birthDate": birth_on.isoformat(), "name": [{"use": "usual", "text": name}]}
