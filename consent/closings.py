"""Ending the contract for a record (解約, G-14): asked by the person, or by all of a child's guardians.

From its commit nothing new is taken in, whatever permits anything ends, recipients must delete, and no new consent or
mandate is accepted. The family goes on reading, so that a copy can be taken (disclosure, portability), and may take it
all back until `due_at`. Then the record is erased, or locked for as long as a law bids to keep it
(`phr.trust.erasing`). Denies stay: taken back, the record is as closed to others as it was before.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from consent import audit, effective, erasures, grants, joint, mandates, overdue
from consent.audit import Event
from consent.models import Erasure, Grant, JointAct, Mandate, Person, Provision, Subject
from consent.notices import Kind, family_of, tell
from consent.refusal import Because, Refusal

ENDED = "closing"  # the reason kept with whatever ends by it
_OPEN = (Grant.State.ACTIVE, Grant.State.PAUSED, Grant.State.PROPOSED)


@transaction.atomic
def ask(*, subject: Subject, by: Person, wait: timedelta, now: datetime) -> Erasure | JointAct:
    """Ask that the contract end. It can be taken back for `wait`.

    A child's record waits for the other guardian first (G-14): the JointAct that waits is answered. When it is agreed
    to, either asks once more. Raises Absent: not hers to ask for; Refusal: from 16 on the young person's alone, asked
    already, or erasing was.
    """
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    capacity = erasures.deciding(by, current, now)
    if erasures.open_one(current):
        raise Refusal("すでに申し出があります / it was asked for already", because=Because.CONFLICT)
    act = joint.ask(kind=joint.Kind.CLOSING, subject=current, by=by, now=now)
    if act.state != JointAct.State.AGREED:
        return act
    joint.use(act=act, now=now)
    made = Erasure.objects.create(
        subject=current, asked_by=by, capacity=capacity.value, joint_act=act, closing=True, asked_at=now,
        due_at=now + wait, state=Erasure.State.WAITING,
    )  # fmt: skip
    _end_rights(current, by, now)
    _told(Event.CLOSING_ASKED, Kind.CLOSING_ASKED, made, by, now)
    return made


@transaction.atomic
def cancel(*, subject: Subject, by: Person, now: datetime) -> Erasure:
    """Stay after all; the person herself, or either guardian alone, may. Raises Absent.

    What had ended stays ended: consents and the mandate are given anew.
    """
    found = erasures.taken_back(subject=subject, by=by, closing=True, now=now)
    _told(Event.CLOSING_CANCELLED, Kind.CLOSING_CANCELLED, found, by, now)
    return found


def _end_rights(subject: Subject, by: Person, now: datetime) -> None:
    if Mandate.objects.filter(subject=subject, ended_at=None).exists():
        mandates.end(subject=subject, by=by, now=now)
    for provision in Provision.objects.filter(subject=subject, state__in=overdue.OPEN).order_by("pk"):
        overdue.end(provision=provision, reason=ENDED, by=None, now=now)
    for grant in Grant.objects.select_for_update().filter(subject=subject, state__in=_OPEN).order_by("pk"):
        if effective.permits_somewhere(grant.root):
            grants.tell_recipients(grant, ENDED, now)
            grants.end(grant, ENDED, now)
            told: audit.Detail = {"grant": grant.pk, "grant_version": grant.version, "reason": ENDED}
            audit.record(Event.GRANT_WITHDRAWN, by=by, subject=subject.pk, now=now, detail=told)
    grants.raise_epoch(subject)


def _told(event: Event, kind: Kind, closing: Erasure, by: Person, now: datetime) -> None:
    about: audit.Detail = {"erasure": closing.pk, "capacity": closing.capacity, "until": closing.due_at.isoformat()}
    audit.record(event, by=by, subject=closing.subject_id, now=now, detail=about)
    family = family_of(closing.subject, now=now)
    detail: audit.Detail = {"erasure": closing.pk, "until": closing.due_at.isoformat()}
    tell(kind, to=family, subject=closing.subject_id, now=now, detail=detail)
