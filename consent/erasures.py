"""Asking that a record be erased: who may, the other guardian's word, the time to think it over, holds.

The erasing itself is `phr.trust.erasing`. Source: trust rules IT-14, G-10, G-14; APPI Art. 35.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta

from django.db import transaction

from consent import audit, guardianship, holds, rules
from consent.audit import Event
from consent.decide import Capacity
from consent.models import Erasure, Guardianship, Person, Subject
from consent.notices import Kind, family_of, tell
from consent.refusal import Absent, Because, Refusal

OPEN = (Erasure.State.PROPOSED, Erasure.State.WAITING)


@transaction.atomic
def ask(*, subject: Subject, by: Person, wait: timedelta, now: datetime) -> Erasure:
    """Ask that a record be erased: one's own, or a child's. It is due after `wait`, and after every hold.

    A child's record waits for the word of the other guardian first, where one stands (G-14).
    Raises Absent: not hers to ask for; Refusal: asked already, from 16 the young person's alone, a hold without an end.
    """
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    capacity = _entitled(by, current, now)
    if Erasure.objects.filter(subject=current, state__in=OPEN).exists():
        raise Refusal("すでに申し出があります / it was asked for already", because=Because.CONFLICT)
    held = holds.standing(current, now=now)
    if held and holds.last_day(held) is None:
        audit.record(Event.ERASURE_REFUSED, by=by, subject=current.pk, now=now, detail={"because": "hold"})
        raise Refusal(holds.reason_told(held), because=Because.CONFLICT)
    alone = capacity is Capacity.SELF or not other_guardians(current, by, now=now)
    made = Erasure.objects.create(
        subject=current, asked_by=by, capacity=capacity.value, asked_at=now, due_at=_due(current, wait, now),
        state=Erasure.State.WAITING if alone else Erasure.State.PROPOSED,
    )  # fmt: skip
    audit.record(Event.ERASURE_ASKED, by=by, subject=current.pk, now=now, detail=_about(made))
    kind = Kind.ERASURE_ASKED if alone else Kind.JOINT_ACT_ASKED
    tell(kind, to=family_of(current, now=now), subject=current.pk, now=now, detail={"erasure": made.pk})
    return made


@transaction.atomic
def agree(*, erasure: Erasure, by: Person, wait: timedelta, now: datetime) -> Erasure:
    """The other guardian's yes: the time to think it over begins. Raises Absent, Refusal (one's own request)."""
    current = _open(erasure, by, now)
    if current.state != Erasure.State.PROPOSED:
        raise Refusal("同意を待っていません / it does not wait for anybody", because=Because.CONFLICT)
    if current.asked_by_id == by.pk:
        raise Refusal("もう一人の保護者の同意が必要です / the other guardian must agree", because=Because.FORBIDDEN)
    if not guardianship.may_act_for(current.asked_by, current.subject, now):
        raise Refusal("申し出た人の資格がなくなりました / who asked may not any more", because=Because.CONFLICT)
    current.state, current.due_at = Erasure.State.WAITING, _due(current.subject, wait, now)
    current.save(update_fields=["state", "due_at"])
    audit.record(Event.ERASURE_AGREED, by=by, subject=current.subject_id, now=now, detail=_about(current))
    family = family_of(current.subject, now=now)
    tell(Kind.ERASURE_ASKED, to=family, subject=current.subject_id, now=now, detail={"erasure": current.pk})
    return current


@transaction.atomic
def cancel(*, erasure: Erasure, by: Person, now: datetime) -> Erasure:
    """Keep the record after all; either guardian may, alone. Raises Absent."""
    current = _open(erasure, by, now)
    current.state, current.ended_at = Erasure.State.CANCELLED, now
    current.save(update_fields=["state", "ended_at"])
    audit.record(Event.ERASURE_CANCELLED, by=by, subject=current.subject_id, now=now, detail=_about(current))
    family = family_of(current.subject, now=now)
    tell(Kind.ERASURE_CANCELLED, to=family, subject=current.subject_id, now=now, detail={"erasure": current.pk})
    return current


def open_one(subject: Subject) -> Erasure | None:
    return Erasure.objects.filter(subject=subject, state__in=OPEN).first()


def due(*, now: datetime) -> list[int]:
    """The requests whose time has come, the oldest first; whether a hold stands is asked when it is done."""
    found = Erasure.objects.filter(state=Erasure.State.WAITING, due_at__lte=now).order_by("due_at")
    return list(found.values_list("pk", flat=True)[:1000])


def still_wanted(erasure: Erasure, *, now: datetime) -> str | None:
    """Why a due request must not be done now; None = do it. A hold, or nobody left who may want it."""
    if holds.standing(erasure.subject, now=now):
        return "hold"
    if erasure.due_at > now:
        return "not yet"
    if guardianship.standing(erasure.asked_by, erasure.subject, now) != erasure.capacity:
        return "who asked may not any more"
    return None


def other_guardians(subject: Subject, by: Person, *, now: datetime) -> list[Person]:
    """The verified guardians beside one, whose links stand now; a frozen one is not asked (G-14)."""
    links = Guardianship.objects.filter(subject=subject, state=Guardianship.State.ACTIVE).exclude(person=by)
    found = [link.person for link in links.select_related("person").order_by("pk")]
    return [person for person in found if guardianship.standing(person, subject, now) is Capacity.GUARDIAN]


def _entitled(by: Person, subject: Subject, now: datetime) -> Capacity:
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


def _open(erasure: Erasure, by: Person, now: datetime) -> Erasure:
    subject = Subject.objects.select_for_update().get(pk=erasure.subject_id)
    if guardianship.standing(by, subject, now) is None:
        raise Absent
    found = Erasure.objects.filter(pk=erasure.pk, state__in=OPEN).select_related("subject", "asked_by").first()
    if found is None:
        raise Absent
    return found


def _due(subject: Subject, wait: timedelta, now: datetime) -> datetime:
    """After the time to think it over, and after every hold whose last day is known."""
    end = holds.last_day(held) if (held := holds.standing(subject, now=now)) else None
    after = datetime.combine(end, time(0), rules.JST) if end else now
    return max(now + wait, after)


def _about(erasure: Erasure) -> dict[str, str | int]:
    return {"erasure": erasure.pk, "capacity": erasure.capacity}
