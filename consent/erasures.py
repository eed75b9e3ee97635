"""Asking that a record be erased: who may, the other guardian's word, the time to think it over, holds.

The erasing itself is `phr.trust.erasing`. Source: trust rules IT-14, G-10, G-14; APPI Art. 35.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from uuid import UUID

from django.db import transaction

from consent import audit, guardianship, holds, joint, rules
from consent.audit import Event
from consent.decide import Capacity, consenting
from consent.in_force import in_force_between
from consent.models import Erasure, JointAct, Person, Subject, Transfer
from consent.notices import Kind, family_of, tell
from consent.refusal import Absent, Because, Refusal

MOVED_OUT_KEPT = timedelta(days=30)  # after the other trust has signed for it: time to find what is missing


@transaction.atomic
def ask(*, subject: Subject, by: Person, wait: timedelta, now: datetime) -> Erasure | JointAct:
    """Ask that a record be erased: one's own, or a child's. It is due after `wait`, and after every hold.

    A child's record waits for the other guardian first (G-14): the JointAct that waits is answered. When it is agreed
    to, either asks once more. Raises Absent: not hers to ask for; Refusal: asked already, from 16 on the young person's
    alone, a hold without an end.
    """
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    capacity = deciding(by, current, now)
    if open_one(current):
        raise Refusal("すでに申し出があります / it was asked for already", because=Because.CONFLICT)
    held = holds.standing(current, now=now)
    if held and holds.last_day(held) is None:
        raise Refusal(holds.reason_told(held), because=Because.CONFLICT)
    act = joint.ask(kind=joint.Kind.ERASURE, subject=current, by=by, now=now)
    if act.state != JointAct.State.AGREED:
        return act
    joint.use(act=act, now=now)
    made = Erasure.objects.create(
        subject=current, asked_by=by, capacity=capacity.value, joint_act=act, asked_at=now,
        due_at=_due(current, wait, now), state=Erasure.State.WAITING,
    )  # fmt: skip
    _told(Event.ERASURE_ASKED, Kind.ERASURE_ASKED, made, by, now)
    return made


@transaction.atomic
def cancel(*, subject: Subject, by: Person, now: datetime) -> Erasure:
    """Keep the record after all; the person herself, or either guardian alone, may. Raises Absent."""
    found = taken_back(subject=subject, by=by, closing=False, now=now)
    _told(Event.ERASURE_CANCELLED, Kind.ERASURE_CANCELLED, found, by, now)
    return found


def taken_back(*, subject: Subject, by: Person, closing: bool, now: datetime) -> Erasure:
    """The open request of this kind, cancelled; who calls says so. Raises Absent."""
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    found = open_one(current)
    if found is None or found.closing is not closing or guardianship.standing(by, current, now) is None:
        raise Absent
    found.state, found.ended_at = Erasure.State.CANCELLED, now
    found.save(update_fields=["state", "ended_at"])
    return found


def open_one(subject: Subject) -> Erasure | None:
    """The request that waits for its time, if there is one."""
    return Erasure.objects.filter(subject=subject, state=Erasure.State.WAITING).select_related("subject").first()


def due(*, now: datetime) -> list[int]:
    """The requests whose time has come, the oldest first; whether a hold stands is asked when it is done."""
    found = Erasure.objects.filter(state=Erasure.State.WAITING, due_at__lte=now).order_by("due_at")
    return list(found.values_list("pk", flat=True)[:1000])


def moved_out(*, now: datetime) -> list[UUID]:
    """The records that left for another trust, which has signed for them long enough ago: nobody can open them here,
    nor ask that they be erased. Not those a hold keeps."""
    gone = Transfer.objects.filter(state=Transfer.State.CONFIRMED, confirmed_at__lte=now - MOVED_OUT_KEPT)
    found = Subject.objects.filter(state=Subject.State.LOCKED, pk__in=gone.values("subject")).order_by("pk")[:1000]
    return [subject.pk for subject in found if not holds.standing(subject, now=now)]


def still_wanted(erasure: Erasure, *, now: datetime) -> str | None:
    """Why a due request must not be done now; None = do it. A hold, or nobody left who may want it."""
    if holds.standing(erasure.subject, now=now):
        return "hold"
    if erasure.due_at > now or Transfer.objects.filter(subject=erasure.subject, state=Transfer.State.PACKED).exists():
        return "not yet"  # of what was handed over this is the only whole copy until the other trust signs
    if erasure.closing and erasure.subject.state == Subject.State.LOCKED:
        return None  # its time had come while a hold stood; nobody can ask anything of it any more
    in_force = in_force_between(erasure.asked_by_id, erasure.subject_id, now=now)
    if consenting(in_force, now) != erasure.capacity:
        return "who asked may not any more"
    return None


def deciding(by: Person, subject: Subject, now: datetime) -> Capacity:
    """In which capacity a person decides what becomes of a record. Raises Absent; Refusal by age (G-10)."""
    capacity = guardianship.standing(by, subject, now)
    if capacity is None:
        raise Absent
    age = None if subject.birth_on is None else rules.age_on(subject.birth_on, rules.today_in_japan(now))
    grown = age is None or age >= rules.OWN_CONSENT_AGE
    if capacity is Capacity.GUARDIAN and grown:
        raise Refusal("本人だけができます / only the young person may", because=Because.FORBIDDEN)
    if capacity is Capacity.SELF and not grown:
        raise Refusal("16歳からできます / from 16 years of age", because=Because.FORBIDDEN)
    return capacity


def _due(subject: Subject, wait: timedelta, now: datetime) -> datetime:
    """After the time to think it over, and after every hold whose last day is known."""
    end = holds.last_day(held) if (held := holds.standing(subject, now=now)) else None
    after = datetime.combine(end, time(0), rules.JST) if end else now
    return max(now + wait, after)


def _told(event: Event, kind: Kind, erasure: Erasure, by: Person, now: datetime) -> None:
    about: audit.Detail = {"erasure": erasure.pk, "capacity": erasure.capacity}
    audit.record(event, by=by, subject=erasure.subject_id, now=now, detail=about)
    family = family_of(erasure.subject, now=now)
    tell(kind, to=family, subject=erasure.subject_id, now=now, detail={"erasure": erasure.pk})
