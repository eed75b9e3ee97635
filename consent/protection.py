"""What tells where a person is: hidden at once when a guardian asks, shown again by staff only (G-06, G-08)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.db.models import F

from consent import audit, guardianship, proxies
from consent.audit import Event
from consent.decide import entitled
from consent.in_force import in_force_between
from consent.models import Guardianship, Organization, Person, ProtectionCase, Subject
from consent.refusal import Absent, Because, Refusal


class Reason(StrEnum):
    """Why a place is hidden or shown again."""

    SUPPORT_MEASURE = "support-measure"  # 支援措置
    COURT_ORDER = "court-order"
    OWN_REQUEST = "own-request"
    ENDED = "ended"


class Outcome(StrEnum):
    """What staff made of a case."""

    MEASURE = "measure"  # 支援措置 began: places stay hidden
    UNFOUNDED = "unfounded"
    WITHDRAWN = "withdrawn"


@transaction.atomic
def set_location(*, subject: Subject, hidden: bool, reason: Reason, by: Person, now: datetime) -> None:
    """Hide or show what tells of a place: provider, pharmacy, municipality, appointment, address, source of the log.

    Everybody but the person herself and those who treat her is concerned, from commit on. A support measure also
    has every proxy confirmed again (G-09). Raises Refusal unless `by` is staff of a municipality, clinic or hospital.
    """
    _require_desk(by, subject)
    _hide(subject, hidden, reason, by, now)
    if hidden and reason is Reason.SUPPORT_MEASURE:
        proxies.suspend_all(subject=subject, why=proxies.Why.SUPPORT_MEASURE, now=now)


@transaction.atomic
def ask(*, subject: Subject, by: Person, now: datetime) -> ProtectionCase:
    """The person or a guardian asks for protection: places are hidden at once, and a case opens for staff.

    Asked twice, one case. Raises Absent for anybody else.
    """
    Subject.objects.select_for_update().get(pk=subject.pk)
    if entitled(in_force_between(by.pk, subject.pk, now=now), now) is None:
        raise Absent
    _hide(subject, True, Reason.OWN_REQUEST, by, now)
    case, made = ProtectionCase.objects.get_or_create(
        subject=subject, asked_by=by, closed_at=None, defaults={"opened_at": now}
    )
    if made:
        audit.record(Event.PROTECTION_ASKED, by=by, subject=subject.pk, now=now, detail={"case": case.pk})
    return case


@transaction.atomic
def close(*, case: ProtectionCase, outcome: Outcome, by: Person, now: datetime) -> None:
    """Staff close a case. Unless a measure began, places are shown again when no other case is open. Raises Refusal."""
    subject = Subject.objects.select_for_update().get(pk=case.subject_id)
    _require_desk(by, subject)
    current = ProtectionCase.objects.select_for_update().get(pk=case.pk)
    if current.closed_at is not None:
        raise Refusal("すでに終わっています / already closed", because=Because.CONFLICT)
    current.closed_at, current.closed_by, current.outcome = now, by, str(outcome)
    current.save(update_fields=["closed_at", "closed_by", "outcome"])
    audit.record(
        Event.PROTECTION_CLOSED, by=by, subject=subject.pk, now=now,
        detail={"case": current.pk, "reason": str(outcome)},
    )  # fmt: skip
    others = ProtectionCase.objects.filter(subject=subject).filter(closed_at=None)
    measures = ProtectionCase.objects.filter(subject=subject, outcome=str(Outcome.MEASURE))
    if outcome is Outcome.MEASURE:
        proxies.suspend_all(subject=subject, why=proxies.Why.SUPPORT_MEASURE, now=now)
    elif not others.exists() and not measures.exists():
        _hide(subject, False, Reason.ENDED, by, now)


def open_cases(desk: Organization, *, now: datetime) -> list[ProtectionCase]:
    """The cases of children whose guardians this desk verified, and of grown-ups; the oldest first."""
    mine = Guardianship.objects.filter(verified_by__organization=desk).values("subject")
    cases = ProtectionCase.objects.filter(closed_at=None, opened_at__lte=now)
    linked = Guardianship.objects.values("subject")
    return list((cases.filter(subject__in=mine) | cases.exclude(subject__in=linked)).order_by("opened_at", "pk"))


def _hide(subject: Subject, hidden: bool, reason: Reason, by: Person, now: datetime) -> None:
    changed = Subject.objects.filter(pk=subject.pk).exclude(location_hidden=hidden)
    if changed.update(location_hidden=hidden, consent_epoch=F("consent_epoch") + 1):
        event = Event.LOCATION_HIDDEN if hidden else Event.LOCATION_SHOWN
        audit.record(event, by=by, subject=subject.pk, now=now, detail={"reason": str(reason)})


def _require_desk(by: Person, subject: Subject) -> None:
    if not guardianship.may_decide(by, subject.pk):
        raise Refusal("市区町村か医療機関の職員だけができます / only staff may", because=Because.FORBIDDEN)
