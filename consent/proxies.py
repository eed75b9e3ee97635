"""The persons somebody let in: shown, confirmed again when something happened, cancelled at once (G-09, G-18).

A proxy is a Grant to a Person. When an account was recovered, a password or card changed, or a support measure
began, none of them counts until the principal has looked at the list and said which stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.db.models import F

from consent import audit, effective, grants, kin, notices
from consent.audit import Event
from consent.decide import Capacity, entitled
from consent.in_force import in_force_between
from consent.models import Grant, Person, Subject, Suspension
from consent.refusal import Absent, Because, Refusal

OPEN = (Grant.State.ACTIVE, Grant.State.PAUSED)


class Why(StrEnum):
    """What makes a principal look at her proxies again."""

    RECOVERY = "recovery"
    PASSWORD_RESET = "password-reset"
    CARD_CHANGE = "card-change"
    SUPPORT_MEASURE = "support-measure"
    CREDENTIAL = "credential"  # the credential they were created with is suspended


def of(subject: Subject) -> list[Grant]:
    """The Grants that let persons in, suspended ones too, oldest first."""
    found = Grant.objects.filter(subject=subject, state__in=OPEN).select_related("suspension", "given_by")
    return [grant for grant in found.order_by("pk") if names_a_person(grant)]


def names_a_person(grant: Grant) -> bool:
    """Whether it permits a person something."""
    return any(
        row.permit and any(name.startswith("person:") for name in row.grantees)
        for row in effective.rows_of_stored(grant)
    )


def persons_of(grant: Grant) -> list[int]:
    """Whom it lets in."""
    named = {name for row in effective.rows_of_stored(grant) if row.permit for name in row.grantees}
    return sorted(int(name.partition(":")[2]) for name in named if name.startswith("person:"))


@transaction.atomic
def suspend_all(*, subject: Subject, why: Why, now: datetime) -> int:
    """No proxy of this record counts until its principal confirms; she is told. Returns how many stopped."""
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    return _suspend(held, of(held), why, now)


@transaction.atomic
def account_changed(*, person: Person, why: Why, now: datetime) -> int:
    """Something happened to an account: every proxy this person gave, for herself or a child, must be confirmed."""
    given = Grant.objects.filter(given_by=person, state__in=OPEN).select_related("subject")
    stopped = 0
    for subject in sorted({grant.subject for grant in given}, key=lambda one: one.pk):
        held = Subject.objects.select_for_update().get(pk=subject.pk)
        stopped += _suspend(held, [g for g in of(held) if g.given_by_id == person.pk], why, now)
    return stopped


@transaction.atomic
def suspend_credential(*, person: Person, by: Person | None, now: datetime) -> int:
    """The person may not sign in any more, and the proxies created with this credential stop with it.

    Raises Absent where `by` is of her family.
    """
    if by is not None and kin.are_kin(by, person):
        raise Absent
    stopped = account_changed(person=person, why=Why.CREDENTIAL, now=now)
    Person.objects.filter(pk=person.pk).update(is_active=False)
    person.is_active = False
    audit.record(Event.PROXIES_SUSPENDED, by=by, now=now, detail={"reason": str(Why.CREDENTIAL), "second": person.pk})
    return stopped


@transaction.atomic
def restore_credential(*, person: Person, by: Person, now: datetime) -> None:
    """The person may sign in again. Her proxies still wait for her to confirm them. Raises Absent: her family."""
    if kin.are_kin(by, person):
        raise Absent
    Person.objects.filter(pk=person.pk).update(is_active=True)
    person.is_active = True
    audit.record(Event.PROXIES_CONFIRMED, by=by, now=now, detail={"reason": str(Why.CREDENTIAL), "second": person.pk})


@transaction.atomic
def confirm(*, subject: Subject, keep: Collection[int], by: Person, now: datetime) -> list[Grant]:
    """The principal has looked: the Grants in `keep` count again, the suspended others end. Returns what stands.

    Raises Absent for anybody but the person herself, or the guardian who gave them; Refusal for an unknown id.
    """
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    capacity = entitled(in_force_between(by.pk, held.pk, now=now), now)
    if capacity is None:
        raise Absent
    mine = [g for g in of(held) if capacity is Capacity.SELF or g.given_by_id == by.pk]
    if unknown := set(keep) - {grant.pk for grant in mine}:
        raise Refusal("一覧にない代理人です / not on the list", place=f"keep: {min(unknown)}")
    for grant in mine:
        if grant.pk not in keep:
            grants.end(grant, "not confirmed", now)
    Suspension.objects.filter(grant__in=mine).delete()
    kept = [grant for grant in mine if grant.pk in keep]
    for grant in kept:
        effective.rebuild(Grant.objects.select_related("subject").get(pk=grant.pk))
    _raise_epoch(held)
    audit.record(
        Event.PROXIES_CONFIRMED, by=by, subject=held.pk, now=now, detail={"count": len(kept), "total": len(mine)}
    )
    return kept


@transaction.atomic
def cancel(*, subject: Subject, grant: int, by: Person, now: datetime) -> None:
    """The principal alone cancels a proxy. Raises Absent where there is no such one for her."""
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    found = next((g for g in of(held) if g.pk == grant), None)
    if found is None:
        raise Absent
    try:
        grants.withdraw(grant=found, by=by, reason="proxy cancelled", now=now)
    except grants.UnableToWithdraw as no:
        raise Refusal(str(no), because=Because.FORBIDDEN) from no


def _suspend(subject: Subject, found: Iterable[Grant], why: Why, now: datetime) -> int:
    fresh = [grant for grant in found if not Suspension.objects.filter(grant=grant).exists()]
    Suspension.objects.bulk_create(Suspension(grant=grant, why=str(why), since=now) for grant in fresh)
    for grant in fresh:
        effective.rebuild(Grant.objects.select_related("subject").get(pk=grant.pk))
    if fresh:
        _raise_epoch(subject)
        principals = {grant.given_by for grant in fresh if grant.given_by is not None}
        principals |= set(Person.objects.filter(own_subject=subject))
        notices.tell(
            notices.Kind.PROXIES_TO_CONFIRM, to=[p for p in principals if p.is_active], subject=subject.pk, now=now,
            detail={"reason": str(why), "count": len(fresh)},
        )  # fmt: skip
        audit.record(
            Event.PROXIES_SUSPENDED, by=None, subject=subject.pk, now=now,
            detail={"reason": str(why), "count": len(fresh)},
        )  # fmt: skip
    return len(fresh)


def _raise_epoch(subject: Subject) -> None:
    Subject.objects.filter(pk=subject.pk).update(consent_epoch=F("consent_epoch") + 1)
