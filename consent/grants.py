"""Giving and withdrawing consent. What is written counts from commit: rows, epoch and log line in one transaction.

A no is on the log too: it is written after what was begun has been undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from consent import audit, authoring, collisions, contract, effective, joint, notices, receipts, rules
from consent.audit import Event
from consent.clauses import Malformed, clause_from_json, clause_to_json
from consent.decide import Capacity, InForce, consenting, entitled
from consent.in_force import in_force_between
from consent.models import Grant, Guardianship, JointAct, Organization, Person, Subject, Suspension
from consent.narrowing import Without, narrowed
from consent.receipts import Given, Terms
from consent.refusal import Because, Refusal
from consent.scope import Clause, GrantRow

__all__ = [
    "Collides", "Malformed", "Terms", "UnableToGive", "UnableToWithdraw", "accountably", "actors_of",
    "clause_from_json", "clause_to_json", "end", "give", "given", "withdraw", "withdraw_part",
]  # fmt: skip


class UnableToGive(Refusal):
    """The person may not give this Grant; the message says why in both languages."""

    because = Because.FORBIDDEN


class UnableToWithdraw(Refusal):
    """The person may not withdraw this Grant; the message says why in both languages."""

    because = Because.FORBIDDEN


class Collides(Refusal):
    """E-1: the permit would count for nothing beside an own deny, which must be superseded or withdrawn first."""

    because = Because.CONFLICT

    def __init__(self, grants: Iterable[int]) -> None:
        self.grants = tuple(grants)
        named = ", ".join(map(str, self.grants))
        super().__init__(
            f"あなたの拒否 {named} と重なります。置き換えるか、先に取り消してください"
            f" / your own deny {named} stands against it: supersede it, or withdraw it first",
            place="supersedes",
        )


@contextmanager
def accountably(subject: UUID, *, by: Person | None, now: datetime, grant: int | None = None) -> Iterator[None]:
    """A deed in a transaction of its own; its refusal stays on the log when what it began is undone."""
    try:
        with transaction.atomic():
            yield
    except Refusal as no:
        told: dict[str, audit.Value] = {"because": no.because.value, "kind": type(no).__name__}
        audit.record(Event.GRANT_REFUSED, by=by, subject=subject, now=now, detail=told | {"grant": grant})
        raise


# -- giving ----------------------------------------------------------------------------------------


def give(
    *,
    subject: Subject,
    root: Clause,
    by: Person,
    capacity: str,
    now: datetime,
    supersedes: Grant | None = None,
    terms: Terms | None = None,
    ask: bool = False,
    consent_id: str = "",
) -> Grant:
    """Give consent for a record: one's own (`capacity` self) or one's child's (guardian). It counts at once.

    What takes both guardians (G-14) is `proposed` until the other agrees. `supersedes` ends an earlier Grant of the
    same Subject; this is then its next version. `ask`: each provision is asked for. `consent_id`: its Consent.
    Raises UnableToGive (who may), authoring.OutsideProfile (what it may say), receipts.Incomplete, Collides.
    """
    with accountably(subject.pk, by=by, now=now, grant=None if supersedes is None else supersedes.pk):
        current = Subject.objects.select_for_update().get(pk=subject.pk)
        in_force = in_force_between(by.pk, subject.pk, now=now)
        if entitled(in_force, now) != capacity:
            raise UnableToGive("この記録について同意する資格がありません / not entitled to consent for this record")
        if effective.permits_somewhere(clause_to_json(root)):
            contract.require_open(subject.pk)
        waits = _check(root, current, capacity, in_force, now)
        told = replace(terms or Terms(), names=_registered(root))
        receipts.require_complete(root, told)
        old = None if supersedes is None else _supersedable(supersedes, current, by, in_force, now)
        _require_no_own_deny(root, current, by, old)
        _require_confirmed(root, current, by, capacity)
        grant = Grant.objects.create(
            subject=current, given_by=by, capacity=capacity, root=clause_to_json(root), given_at=now, ask=ask,
            version=1 if old is None else old.version + 1, supersedes=old, terms=told.as_json(),
            state=Grant.State.PROPOSED if waits else Grant.State.ACTIVE, consent_id=consent_id,
        )  # fmt: skip
        _keep_text(grant)
        if waits:
            joint.ask(kind=joint.Kind.CONSENT, subject=current, by=by, now=now, grant=grant)
            grant.refresh_from_db()
        elif old is not None:
            end(old, "superseded", now)
            tell_recipients(old, "superseded", now, but=actors_of(root))
        effective.rebuild(grant)
        raise_epoch(current)
        event = Event.GRANT_GIVEN if grant.state == Grant.State.ACTIVE else Event.GRANT_PROPOSED
        audit.record(
            event, by=by, subject=current.pk, now=now,
            detail={"grant": grant.pk, "grant_version": grant.version, "capacity": str(capacity)},
        )  # fmt: skip
        _tell_of_disagreement(grant, root, by, now)
    return grant


def given(grant: Grant) -> Given:
    """The Grant as its text and its receipt tell it. Raises Malformed."""
    return Given(
        grant=grant.pk, version=grant.version, subject=grant.subject_id, root=clause_from_json(grant.root),
        terms=receipts.terms_of(grant.terms), capacity=grant.capacity, given_at=grant.given_at, ask=grant.ask,
    )  # fmt: skip


def _check(root: Clause, subject: Subject, capacity: str, in_force: InForce, now: datetime) -> bool:
    """What it may say; whether it has to wait for the other guardian."""
    authoring.check(root, now=now)
    if capacity != Capacity.GUARDIAN:
        if authoring.takes_both(root) and consenting(in_force, now) is None:
            raise UnableToGive("16歳までは保護者が同意します / before 16 the guardians consent to this")
        return False
    authoring.check_guardian(root, age=_age(in_force, now), guardians=_guardians(subject))
    return authoring.takes_both(root)


def _keep_text(grant: Grant) -> None:
    told = given(grant)
    grant.text_sha256 = receipts.digest(receipts.text(told, told.terms.locale))
    grant.save(update_fields=["text_sha256"])


def _supersedable(old: Grant, subject: Subject, by: Person, in_force: InForce, now: datetime) -> Grant:
    current = Grant.objects.select_for_update().get(pk=old.pk)
    if current.subject_id != subject.pk or current.state == Grant.State.INACTIVE:
        raise UnableToGive("置き換える同意がありません / there is no such consent to supersede")
    waiting = JointAct.objects.filter(grant=current, state=JointAct.State.PENDING)
    # One that was to follow and never counted (the other guardian said no) leaves the place free.
    Grant.objects.filter(supersedes=current, state=Grant.State.INACTIVE).update(supersedes=None)
    if waiting.exists() or Grant.objects.filter(supersedes=current).exists():
        raise UnableToGive("ほかの手続きを待っています / it waits for something else", because=Because.CONFLICT)
    try:
        _require_may_withdraw(current, by, in_force, now)
    except UnableToWithdraw as refusal:
        raise UnableToGive(refusal.why) from refusal
    return current


def _require_no_own_deny(root: Clause, subject: Subject, by: Person, old: Grant | None) -> None:
    """E-1. A deny of another guardian is not hers to supersede: it simply wins (G-15)."""
    against = [g for g in _standing_against(root, subject) if g.given_by_id == by.pk and g != old]
    if against:
        raise Collides(grant.pk for grant in against)


def _require_confirmed(root: Clause, subject: Subject, by: Person, capacity: str) -> None:
    """G-09: a proxy that waits to be confirmed is not let in by a new consent; the list is looked at first."""
    rows = effective.rows_of(0, subject.pk, root)
    named = {name for name in _permitted(rows) if name.startswith("person:")}
    waiting = Grant.objects.filter(
        subject=subject, suspension__isnull=False, state__in=(Grant.State.ACTIVE, Grant.State.PAUSED)
    )
    if capacity != Capacity.SELF:
        waiting = waiting.filter(given_by=by)
    if named and any(named & _permitted(effective.rows_if_answered(grant)) for grant in waiting):
        raise UnableToGive("先に代理人の一覧を確認してください / confirm the list of proxies first",
                           because=Because.CONFLICT)  # fmt: skip


def _permitted(rows: Iterable[GrantRow]) -> set[str]:
    return {name for row in rows if row.permit for name in row.grantees}


def _standing_against(root: Clause, subject: Subject) -> list[Grant]:
    """The active Grants of which a deny meets a permit of this tree."""
    permits = [row for row in effective.rows_of(0, subject.pk, root) if row.permit]
    if not permits:
        return []
    standing = {g: effective.rows_of_stored(g) for g in Grant.objects.filter(subject=subject, state=Grant.State.ACTIVE)}
    kinds = _kinds([*permits, *(row for rows in standing.values() for row in rows)])
    return [grant for grant, rows in standing.items() if collisions.meet(permits, rows, kinds=kinds)]


def _kinds(rows: Iterable[GrantRow]) -> Mapping[str, str]:
    named = {int(a.partition(":")[2]) for row in rows for a in row.grantees if a.startswith("org:")}
    return {f"org:{o.pk}": f"class:{o.kind}" for o in Organization.objects.filter(pk__in=named)}


def _tell_of_disagreement(grant: Grant, root: Clause, by: Person, now: datetime) -> None:
    """G-15: what one guardian permits and another denies, in either order, is told to the desks; the deny wins."""
    if grant.capacity != Capacity.GUARDIAN:
        return
    active = Grant.objects.filter(subject=grant.subject, state=Grant.State.ACTIVE, capacity=Capacity.GUARDIAN)
    others = [effective.rows_of_stored(g) for g in active.exclude(given_by=by)]
    own = effective.rows_of(0, grant.subject_id, root)
    kinds = _kinds([*own, *(row for rows in others for row in rows)])
    if any(collisions.meet(own, rows, kinds=kinds) or collisions.meet(rows, own, kinds=kinds) for rows in others):
        joint.tell_desks(grant.subject, now, {"grant": grant.pk})


# -- withdrawing -----------------------------------------------------------------------------------


def withdraw(*, grant: Grant, by: Person, reason: str, now: datetime) -> None:
    """Withdraw a Grant. It stops counting at once; the row stays, with `reason` in the person's own words.

    The person herself may; a guardian may too, but not undo what another has denied (G-15), nor what a young
    person of 16 has given. Withdrawing twice changes nothing. Raises UnableToWithdraw.
    """
    with accountably(grant.subject_id, by=by, now=now, grant=grant.pk):
        subject = Subject.objects.select_for_update().get(pk=grant.subject_id)
        current = Grant.objects.select_for_update(of=("self",)).select_related("subject").get(pk=grant.pk)
        _require_may_withdraw(current, by, in_force_between(by.pk, subject.pk, now=now), now)
        if current.state == Grant.State.INACTIVE:
            return
        tell_recipients(current, "withdrawn", now)
        end(current, reason, now)
        raise_epoch(subject)
        grant.refresh_from_db()
        audit.record(
            Event.GRANT_WITHDRAWN, by=by, subject=subject.pk, now=now,
            detail={"grant": current.pk, "grant_version": current.version},
        )  # fmt: skip


def withdraw_part(*, grant: Grant, without: Without, by: Person, reason: str, now: datetime) -> Grant | None:
    """Withdraw a part (IT-11): the next version permits the rest. None where nothing is left: all is withdrawn.

    Asks for nothing that giving asks for: what it says was given before. Raises UnableToWithdraw, Refusal.
    """
    with accountably(grant.subject_id, by=by, now=now, grant=grant.pk):
        subject = Subject.objects.select_for_update().get(pk=grant.subject_id)
        current = Grant.objects.select_for_update().get(pk=grant.pk)
        _require_may_withdraw(current, by, in_force_between(by.pk, subject.pk, now=now), now)
        if current.state not in (Grant.State.ACTIVE, Grant.State.PAUSED):
            raise UnableToWithdraw("この同意は効力がありません / it is not in force", because=Because.CONFLICT)
        root = clause_from_json(current.root)
        rest = narrowed(root, without)
        if rest is None:
            withdraw(grant=current, by=by, reason=reason, now=now)
            grant.refresh_from_db()
            return None
        if rest == root:
            raise Refusal("この同意にはその項目がありません / there is nothing of that in this consent")
        made = _next_version(current, rest, now)
        tell_recipients(current, "part", now, but=actors_of(rest) if _only_actors(without) else frozenset())
        end(current, reason, now)
        effective.rebuild(made)
        raise_epoch(subject)
        audit.record(
            Event.GRANT_WITHDRAWN, by=by, subject=subject.pk, now=now,
            detail={"grant": current.pk, "grant_version": current.version, "kind": "part", "supersedes": made.pk},
        )  # fmt: skip
    return made


def _only_actors(without: Without) -> bool:
    return not without.categories and not without.purposes


def _next_version(old: Grant, root: Clause, now: datetime) -> Grant:
    """The same consent with less in it: given by the same person, in the same capacity, beside the same terms."""
    made = Grant.objects.create(
        subject=old.subject, given_by=old.given_by, capacity=old.capacity, root=clause_to_json(root), given_at=now,
        version=old.version + 1, supersedes=old, state=old.state, ask=old.ask, answered=old.answered, terms=old.terms,
        consent_id=old.consent_id, paused_by=old.paused_by,
    )  # fmt: skip
    _keep_text(made)
    joint.carry_over(old, made)
    for held in Suspension.objects.filter(grant=old):  # a proxy that waits to be confirmed still waits (G-09)
        Suspension.objects.create(grant=made, why=held.why, since=held.since)
    return made


def end(grant: Grant, reason: str, now: datetime) -> None:
    """Make a locked, active Grant inactive and take its rows away; the calling deed raises the epoch and logs."""
    grant.state = Grant.State.INACTIVE
    grant.ended_at = now
    grant.ended_reason = reason[:200].replace("\x00", "")
    grant.save(update_fields=["state", "ended_at", "ended_reason"])
    effective.rebuild(grant)


def require_may_withdraw(grant: Grant, by: Person, now: datetime) -> None:
    """Raises UnableToWithdraw for whoever may not stop what this Grant says."""
    _require_may_withdraw(grant, by, in_force_between(by.pk, grant.subject_id, now=now), now)


def _require_may_withdraw(grant: Grant, by: Person, in_force: InForce, now: datetime) -> None:
    capacity = entitled(in_force, now)
    if capacity is Capacity.SELF:
        return
    if capacity is None:
        raise UnableToWithdraw("この同意を取り消す資格がありません / not entitled to withdraw this consent")
    if grant.capacity == Capacity.SELF and _age(in_force, now) >= rules.OWN_CONSENT_AGE:
        raise UnableToWithdraw("本人だけが取り消せます / only the young person may withdraw it")
    if grant.state == Grant.State.PROPOSED:
        return
    if grant.given_by_id != by.pk and effective.denies_somewhere(grant.root):
        raise UnableToWithdraw("他の人の拒否は取り消せません / what another has denied stays denied")


# -- who is named, who is told ---------------------------------------------------------------------


def tell_recipients(grant: Grant, why: str, now: datetime, *, but: frozenset[str] = frozenset()) -> None:
    """Tell the organisations that were permitted, by name or by a provision, that it is so no more; they acknowledge.

    `but`: actors that stay permitted.
    """
    if grant.state not in (Grant.State.ACTIVE, Grant.State.PAUSED):
        return
    rows = effective.rows_if_answered(grant)
    named = {int(a.partition(":")[2]) for r in rows if r.permit for a in r.grantees if a.startswith("org:")}
    named |= set(grant.provisions.values_list("recipient__organization", flat=True))
    named -= {int(actor.partition(":")[2]) for actor in but if actor.startswith("org:")}
    for organization in Organization.objects.filter(pk__in=named).order_by("pk"):
        notices.tell_organization(
            notices.Kind.GRANT_ENDED, to=organization, subject=grant.subject_id, now=now,
            detail={"grant": grant.pk, "grant_version": grant.version, "because": why},
        )  # fmt: skip


def actors_of(clause: Clause) -> frozenset[str]:
    """Everybody a tree names, as actors or as authors."""
    authors = frozenset(f"org:{author}" for author in clause.authors or ())
    return (clause.actors or frozenset()).union(authors, *map(actors_of, clause.clauses))


def _registered(root: Clause) -> dict[str, str]:
    """E-7: actors are organisations and persons that exist, or a closed class. What those who are named are called."""
    named = actors_of(root)
    persons = {int(a.partition(":")[2]) for a in named if a.startswith("person:")}
    organizations = {int(a.partition(":")[2]) for a in named if a.startswith("org:")}
    found = {f"person:{p.pk}": p.name for p in Person.objects.filter(pk__in=persons, is_active=True)}
    found |= {f"org:{o.pk}": o.name for o in Organization.objects.filter(pk__in=organizations)}
    if len(found) != len(persons) + len(organizations):
        raise authoring.OutsideProfile("root.actors", "登録されていない相手です / somebody who is not registered")
    return found


def _age(in_force: InForce, now: datetime) -> int:
    """Only for Subjects that have a guardian: their age is known."""
    assert in_force.birth_on is not None
    return rules.age_on(in_force.birth_on, rules.today_in_japan(now))


def _guardians(subject: Subject) -> frozenset[int]:
    links = Guardianship.objects.filter(subject=subject).exclude(state=Guardianship.State.ENDED)
    return frozenset(links.values_list("person_id", flat=True))


def raise_epoch(subject: Subject) -> None:
    """Whatever was decided about this record before is to be decided anew."""
    Subject.objects.filter(pk=subject.pk).update(consent_epoch=F("consent_epoch") + 1)
