"""What tells where a person is: hidden at once when a guardian asks, shown again by staff only (G-06, G-08)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet

from consent import audit, guardianship, proxies
from consent.audit import Event
from consent.decide import Caller, entitled
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
    COURT_ORDER = "court-order"  # the same, by an order
    UNFOUNDED = "unfounded"
    WITHDRAWN = "withdrawn"


STANDING = (str(Outcome.MEASURE), str(Outcome.COURT_ORDER))  # outcomes that keep places hidden
_OVER = "measure-over"  # what a measure becomes when staff show the place again
_MUNICIPALITY = Organization.Kind.MUNICIPALITY


@transaction.atomic
def set_location(*, subject: Subject, hidden: bool, reason: Reason, by: Person, now: datetime) -> None:
    """Hide or show what tells of a place: provider, pharmacy, municipality, appointment, address, source of the log.

    Everybody but the person herself and those who treat her is concerned, from commit on. A support measure also
    has every proxy confirmed again (G-09). What a measure hid only a desk of the same kind shows again; a support
    measure only the municipality that set it, or a municipality where a clinic told of it. Raises Refusal otherwise,
    or unless `by` is staff of a municipality, clinic or hospital.
    """
    _require_desk(by, subject)
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    if not hidden:
        _require_who_set_it(held, by)
        measures(held).update(outcome=_OVER)
    elif reason is not Reason.OWN_REQUEST:
        outcome = Outcome.COURT_ORDER if reason is Reason.COURT_ORDER else Outcome.MEASURE
        ProtectionCase.objects.create(
            subject=held, asked_by=by, opened_at=now, closed_by=by, closed_at=now, outcome=str(outcome)
        )
    _hide(held, hidden, reason, by, now)
    if hidden and reason is Reason.SUPPORT_MEASURE:
        proxies.suspend_all(subject=subject, why=proxies.Why.SUPPORT_MEASURE, now=now)


@transaction.atomic
def told(*, subjects: Iterable[UUID], organization: Organization, by: Caller, now: datetime) -> int:
    """An organisation's own register says 不開示 (支援措置) of these persons: their places are hidden, from commit on.

    A measure stands from then on, once, which that organisation's desk may end. What the register says no more stays
    hidden. Returns of how many this was new.
    """
    asked = Subject.objects.select_for_update(no_key=True).filter(pk__in=list(subjects)).order_by("pk")
    new = 0
    for subject in asked:
        if ProtectionCase.objects.filter(subject=subject, told_by=organization, outcome__in=STANDING).exists():
            continue
        ProtectionCase.objects.create(
            subject=subject, told_by=organization, opened_at=now, closed_at=now, outcome=str(Outcome.MEASURE)
        )
        _hide(subject, True, Reason.SUPPORT_MEASURE, by, now)
        proxies.suspend_all(subject=subject, why=proxies.Why.SUPPORT_MEASURE, now=now)
        new += 1
    return new


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
    if outcome is Outcome.MEASURE:
        proxies.suspend_all(subject=subject, why=proxies.Why.SUPPORT_MEASURE, now=now)
    elif not others.exists() and not measures(subject).exists():
        _hide(subject, False, Reason.ENDED, by, now)


def measures(subject: Subject) -> QuerySet[ProtectionCase]:
    """The measures that stand over a record; `closed_by` is who set each."""
    return ProtectionCase.objects.filter(subject=subject, outcome__in=STANDING)


def carry(*, old: Subject, new: Subject, by: Person, now: datetime) -> None:
    """A record gets a new identity: what was hidden stays hidden, what stands or waits goes on there.

    Who of the old family asked is not told there: the officer stands in her place.
    """
    Subject.objects.filter(pk=new.pk).update(location_hidden=old.location_hidden)
    for case in measures(old).order_by("pk"):
        ProtectionCase.objects.create(
            subject=new, asked_by=None if case.told_by else case.closed_by or by, told_by=case.told_by,
            opened_at=case.opened_at, closed_by=case.closed_by, closed_at=case.closed_at, outcome=case.outcome,
        )  # fmt: skip
    waiting = ProtectionCase.objects.filter(subject=old, closed_at=None)
    if waiting.exists():
        ProtectionCase.objects.create(subject=new, asked_by=by, opened_at=now)
        waiting.update(closed_at=now, closed_by=by, outcome="moved")


def _require_who_set_it(subject: Subject, by: Person) -> None:
    """Raises Refusal where `by`'s desk is none that may show again what was hidden; whose ground is not known is a
    municipality's."""
    known = list(ProtectionCase.objects.filter(subject=subject).select_related("closed_by__organization", "told_by"))
    standing = [case for case in known if case.outcome in STANDING]
    if all(_may_end(case, by) for case in standing) and (known or guardianship.is_municipal(by)):
        return
    raise Refusal("措置を行った窓口だけが解除できます / only the desk that set it may", because=Because.FORBIDDEN)


def _may_end(case: ProtectionCase, by: Person) -> bool:
    setter = case.told_by if case.closed_by is None else case.closed_by.organization
    if setter is None:
        return guardianship.is_municipal(by)
    if setter.kind == _MUNICIPALITY and case.outcome == Outcome.MEASURE:
        return by.organization_id == setter.pk
    clinical = case.outcome == Outcome.COURT_ORDER and setter.kind != _MUNICIPALITY
    return guardianship.is_municipal(by) is not clinical


def open_cases(desk: Organization, *, now: datetime) -> list[ProtectionCase]:
    """The cases of children whose guardians this desk verified, and of grown-ups; the oldest first."""
    mine = Guardianship.objects.filter(verified_by__organization=desk).values("subject")
    cases = ProtectionCase.objects.filter(closed_at=None, opened_at__lte=now)
    linked = Guardianship.objects.values("subject")
    return list((cases.filter(subject__in=mine) | cases.exclude(subject__in=linked)).order_by("opened_at", "pk"))


def _hide(subject: Subject, hidden: bool, reason: Reason, by: Person | Caller, now: datetime) -> None:
    changed = Subject.objects.filter(pk=subject.pk).exclude(location_hidden=hidden)
    if changed.update(location_hidden=hidden, consent_epoch=F("consent_epoch") + 1):
        event = Event.LOCATION_HIDDEN if hidden else Event.LOCATION_SHOWN
        audit.record(event, by=by, subject=subject.pk, now=now, detail={"reason": str(reason)})


def _require_desk(by: Person, subject: Subject) -> None:
    if not guardianship.may_decide(by, subject.pk):
        raise Refusal("市区町村か医療機関の職員だけができます / only staff may", because=Because.FORBIDDEN)
