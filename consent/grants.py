"""Giving and withdrawing consent. What is written counts from commit: rows, epoch and log line in one transaction."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from consent import audit, authoring, effective, rules
from consent.audit import Event
from consent.clauses import Malformed, clause_from_json, clause_to_json
from consent.decide import Capacity, InForce, entitled
from consent.in_force import in_force_between
from consent.models import Grant, Guardianship, Organization, Person, Subject
from consent.scope import Clause

__all__ = [
    "Malformed", "UnableToGive", "UnableToWithdraw", "clause_from_json", "clause_to_json", "give", "withdraw",
]  # fmt: skip


class UnableToGive(Exception):
    """The person may not give this Grant; the message says why in both languages."""


class UnableToWithdraw(Exception):
    """The person may not withdraw this Grant; the message says why in both languages."""


@transaction.atomic
def give(
    *, subject: Subject, root: Clause, by: Person, capacity: str, now: datetime, supersedes: Grant | None = None
) -> Grant:
    """Give consent for a record: one's own (`capacity` self) or one's child's (guardian). It counts at once.

    `supersedes` ends an earlier Grant of the same Subject; this is then its next version.
    Raises UnableToGive (who may), authoring.OutsideProfile (what it may say).
    """
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    in_force = in_force_between(by.pk, subject.pk, now=now)
    if entitled(in_force, now) != capacity:
        raise UnableToGive("この記録について同意する資格がありません / not entitled to consent for this record")
    authoring.check(root, now=now)
    if capacity == Capacity.GUARDIAN:
        authoring.check_guardian(root, age=_age(in_force, now), guardians=_guardians(current))
    _require_registered(root)
    if supersedes is not None:
        supersedes = _superseded(supersedes, current, by, in_force, now)
    grant = Grant.objects.create(
        subject=current, given_by=by, capacity=capacity, root=clause_to_json(root), given_at=now,
        version=1 if supersedes is None else supersedes.version + 1, supersedes=supersedes,
    )  # fmt: skip
    effective.rebuild(grant)
    _raise_epoch(current)
    audit.record(
        Event.GRANT_GIVEN, by=by, subject=current.pk, now=now,
        detail={"grant": grant.pk, "grant_version": grant.version, "capacity": str(capacity)},
    )  # fmt: skip
    return grant


@transaction.atomic
def withdraw(*, grant: Grant, by: Person, reason: str, now: datetime) -> None:
    """Withdraw a Grant. It stops counting at once; the row stays, with `reason` in the person's own words.

    The person herself may; a guardian may too, but not undo what another has denied (G-15), nor what a young
    person of 16 has given. Withdrawing twice changes nothing. Raises UnableToWithdraw.
    """
    subject = Subject.objects.select_for_update().get(pk=grant.subject_id)
    current = Grant.objects.select_for_update().get(pk=grant.pk)
    _require_may_withdraw(current, by, in_force_between(by.pk, subject.pk, now=now), now)
    if current.state == Grant.State.INACTIVE:
        return
    end(current, reason, now)
    _raise_epoch(subject)
    grant.refresh_from_db()
    audit.record(
        Event.GRANT_WITHDRAWN, by=by, subject=subject.pk, now=now,
        detail={"grant": current.pk, "grant_version": current.version},
    )  # fmt: skip


def _superseded(old: Grant, subject: Subject, by: Person, in_force: InForce, now: datetime) -> Grant:
    current = Grant.objects.select_for_update().get(pk=old.pk)
    if current.subject_id != subject.pk or current.state == Grant.State.INACTIVE:
        raise UnableToGive("置き換える同意がありません / there is no such consent to supersede")
    try:
        _require_may_withdraw(current, by, in_force, now)
    except UnableToWithdraw as refusal:
        raise UnableToGive(*refusal.args) from refusal
    end(current, "superseded", now)
    return current


def end(grant: Grant, reason: str, now: datetime) -> None:
    """Make a locked, active Grant inactive and take its rows away; the calling deed raises the epoch and logs."""
    grant.state = Grant.State.INACTIVE
    grant.ended_at = now
    grant.ended_reason = reason[:200].replace("\x00", "")
    grant.save(update_fields=["state", "ended_at", "ended_reason"])
    effective.rebuild(grant)


def _require_may_withdraw(grant: Grant, by: Person, in_force: InForce, now: datetime) -> None:
    capacity = entitled(in_force, now)
    if capacity is Capacity.SELF:
        return
    if capacity is None:
        raise UnableToWithdraw("この同意を取り消す資格がありません / not entitled to withdraw this consent")
    if grant.capacity == Capacity.SELF and _age(in_force, now) >= rules.OWN_CONSENT_AGE:
        raise UnableToWithdraw("本人だけが取り消せます / only the young person may withdraw it")
    if grant.given_by_id != by.pk and effective.denies_somewhere(grant.root):
        raise UnableToWithdraw("他の人の拒否は取り消せません / what another has denied stays denied")


def _age(in_force: InForce, now: datetime) -> int:
    """Only for Subjects that have a guardian: their age is known."""
    assert in_force.birth_on is not None
    return rules.age_on(in_force.birth_on, rules.today_in_japan(now))


def _guardians(subject: Subject) -> frozenset[int]:
    links = Guardianship.objects.filter(subject=subject).exclude(state=Guardianship.State.ENDED)
    return frozenset(links.values_list("person_id", flat=True))


def _require_registered(root: Clause) -> None:
    """E-7: actors are organisations and persons that exist, or a closed class."""
    named = _actors(root)
    persons = {int(a.partition(":")[2]) for a in named if a.startswith("person:")}
    organizations = {int(a.partition(":")[2]) for a in named if a.startswith("org:")}
    found = Person.objects.filter(pk__in=persons, is_active=True).count()
    found += Organization.objects.filter(pk__in=organizations).count()
    if found != len(persons) + len(organizations):
        raise authoring.OutsideProfile("actors", "登録されていない相手です / somebody who is not registered")


def _actors(clause: Clause) -> frozenset[str]:
    return (clause.actors or frozenset()).union(*map(_actors, clause.clauses))


def _raise_epoch(subject: Subject) -> None:
    Subject.objects.filter(pk=subject.pk).update(consent_epoch=F("consent_epoch") + 1)
