"""Pausing one consent, and stopping everything at once (IT-04, IT-12). What is stopped is stopped at commit."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from consent import audit, authoring, effective, grants, rules
from consent.audit import Event
from consent.clauses import clause_from_json, clause_to_json
from consent.decide import THIRD_PARTY, Capacity, entitled
from consent.grants import UnableToGive, UnableToWithdraw, accountably
from consent.in_force import in_force_between
from consent.models import Grant, Guardianship, Person, Subject
from consent.refusal import Because
from consent.scope import Clause

# Deny wins, and nobody but the person and her guardians is without this name: one Grant stops everything.
STOP = Clause(permit=False, actors=frozenset({THIRD_PARTY}))


def pause(*, grant: Grant, by: Person, now: datetime) -> None:
    """A permit counts for nothing until it is resumed. Whoever may withdraw it may; a deny is not paused.

    Pausing twice changes nothing. Raises UnableToWithdraw.
    """
    with accountably(grant.subject_id, by=by, now=now, grant=grant.pk):
        current = _locked(grant)
        grants.require_may_withdraw(current, by, now)
        if current.state == Grant.State.PAUSED:
            return
        if current.state != Grant.State.ACTIVE or not _permits(current):
            raise UnableToWithdraw("休止できるのは有効な許可だけです / only a permit in force is paused",
                                   because=Because.CONFLICT)  # fmt: skip
        grants.tell_recipients(current, "paused", now)
        current.paused_by = by
        _set(grant, current, Grant.State.PAUSED, Event.GRANT_PAUSED, by, now)


def resume(*, grant: Grant, by: Person, now: datetime) -> None:
    """A paused permit counts again, if it may still be given today. Whoever paused it lifts the pause, nobody else
    while he may still act for the record (G-15). Raises UnableToGive, OutsideProfile.
    """
    with accountably(grant.subject_id, by=by, now=now, grant=grant.pk):
        current = _locked(grant)
        in_force = in_force_between(by.pk, current.subject_id, now=now)
        capacity = entitled(in_force, now)
        own_pause = current.paused_by_id == by.pk
        if capacity is None or (capacity != current.capacity and not own_pause):
            raise UnableToGive("再開する資格がありません / not entitled to resume it")
        if current.state == Grant.State.ACTIVE:
            return
        if current.state != Grant.State.PAUSED:
            raise UnableToGive("休止中の同意ではありません / it is not paused", because=Because.CONFLICT)
        if not own_pause:
            _require_nobody_elses_pause(current, now)
        if capacity is Capacity.GUARDIAN:
            _require_still_hers(current, by, now)
        current.paused_by = None
        _set(grant, current, Grant.State.ACTIVE, Event.GRANT_RESUMED, by, now)


def stop_everything(*, subject: Subject, by: Person, capacity: str, now: datetime) -> Grant:
    """Deny everything to everybody but the person and her guardians; an own stop that stands is returned.

    Every organisation that was permitted is told. Raises UnableToGive.
    """
    with transaction.atomic():
        held = Subject.objects.select_for_update().get(pk=subject.pk)
        for grant in stops(held):
            if grant.given_by_id == by.pk:
                return grant
        made = grants.give(subject=held, root=STOP, by=by, capacity=capacity, now=now)
        for grant in Grant.objects.filter(subject=held, state=Grant.State.ACTIVE).exclude(pk=made.pk):
            grants.tell_recipients(grant, "stopped", now)
    return made


def resume_everything(*, subject: Subject, by: Person, now: datetime) -> list[Grant]:
    """Withdraw the stops this person may withdraw; another guardian's stays (G-15). Returns those that still stand."""
    with transaction.atomic():
        Subject.objects.select_for_update().get(pk=subject.pk)
        capacity = entitled(in_force_between(by.pk, subject.pk, now=now), now)
        if capacity is None:
            raise UnableToWithdraw("この記録の停止を解く資格がありません / not entitled to resume this record")
        for grant in stops(subject):
            if capacity is Capacity.SELF or grant.given_by_id == by.pk:
                grants.withdraw(grant=grant, by=by, reason="resumed", now=now)
    return stops(subject)


def stops(subject: Subject) -> list[Grant]:
    """The Grants by which everything is stopped now, oldest first."""
    return list(
        Grant.objects.filter(subject=subject, state=Grant.State.ACTIVE, root=clause_to_json(STOP)).order_by("pk")
    )


def _locked(grant: Grant) -> Grant:
    Subject.objects.select_for_update().get(pk=grant.subject_id)
    return Grant.objects.select_for_update(of=("self",)).select_related("subject").get(pk=grant.pk)


def _permits(grant: Grant) -> bool:
    return isinstance(grant.root, dict) and grant.root.get("permit") is True


def _require_nobody_elses_pause(grant: Grant, now: datetime) -> None:
    paused_by = grant.paused_by_id
    if paused_by is not None and entitled(in_force_between(paused_by, grant.subject_id, now=now), now) is not None:
        raise UnableToGive("休止した人だけが再開できます / only who paused it resumes it")


def _require_still_hers(grant: Grant, by: Person, now: datetime) -> None:
    """A guardian lets again only what she could give today (her own age table, no other's consent)."""
    subject = grant.subject
    assert subject.birth_on is not None
    if by.pk not in (grant.given_by_id, grant.paused_by_id):
        raise UnableToGive("同意した人だけが再開できます / only who gave it resumes it")
    guardians = Guardianship.objects.filter(subject=subject).exclude(state=Guardianship.State.ENDED)
    authoring.check_guardian(
        clause_from_json(grant.root), age=rules.age_on(subject.birth_on, rules.today_in_japan(now)),
        guardians=frozenset(guardians.values_list("person_id", flat=True)),
    )  # fmt: skip


def _set(given: Grant, current: Grant, state: Grant.State, event: Event, by: Person, now: datetime) -> None:
    current.state = given.state = state
    current.save(update_fields=["state", "paused_by"])
    effective.rebuild(current)
    grants.raise_epoch(current.subject)
    audit.record(
        event, by=by, subject=current.subject_id, now=now,
        detail={"grant": current.pk, "grant_version": current.version},
    )  # fmt: skip
