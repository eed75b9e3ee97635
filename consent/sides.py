"""From the tables to a judgement: who may be concerned by a request, and what is known of each person's side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from consent import effective, joint, mandates, programs, recipients, rules
from consent.cases import Case, Given, Party, Plan, Side, Wanted
from consent.decide import Capacity
from consent.duo import Intended
from consent.judgement import Judgement, judge
from consent.models import EffectiveGrant, Grant, JointAnswer, Mandate, Provision, ProvisionRequest, Subject
from consent.scope import GrantRow

NOBODY = Side(state="", age=None)  # what is judged of a request before any person is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, and all that is the same for every person."""

    wanted: Wanted
    plan: Plan
    party: Party | None
    processor: Party | None
    actors: frozenset[str]
    program: UUID
    terms: int
    now: datetime

    def case(self, side: Side) -> Case:
        return Case(
            wanted=self.wanted, plan=self.plan, party=self.party, processor=self.processor, side=side, now=self.now
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What was judged for one person, and on which Grant and Mandate it stands (None: there is none)."""

    judgement: Judgement
    grant: Grant | None
    mandate: Mandate | None


def asked(request: ProvisionRequest, *, now: datetime) -> Asked:
    """Read what a request is judged by, as it stands at this moment."""
    recipient = recipients.of_organization(request.recipient.organization_id)
    asker = recipients.of_organization(request.asked_by.organization_id)
    assert recipient is not None and asker is not None
    wanted = Wanted(
        purpose=request.purpose, categories=request.categories, level=request.level, low=request.data_low,
        high=request.data_high, profiling=request.profiling, onward=request.onward,
        listed=request.onward and recipients.may_hand_on(recipient, now=now),
        intended=Intended.from_json(request.intended),
    )  # fmt: skip
    same = asker.pk == recipient.pk
    works_for = same or asker.processor_of_id == recipient.pk
    processor = None if same else recipients.party(asker)
    if processor is not None and not works_for:
        processor = replace(processor, state="another's")
    return Asked(
        wanted=wanted, plan=programs.plan(request.program, recipient), party=recipients.party(recipient),
        processor=processor, actors=recipients.actors(recipient, now=now), program=request.program_id,
        terms=mandates.current_version(), now=now,
    )  # fmt: skip


def concerned(told: Asked) -> list[UUID]:
    """Whose record holds a permit that names this recipient, or its class: nobody else is looked at."""
    names = sorted(name for name in told.actors if name != "class:third-party")
    rows = EffectiveGrant.objects.filter(permit=True, grantee__in=names).exclude(valid_to__lte=told.now)
    found = set(rows.values_list("subject_id", flat=True))
    asking = Grant.objects.filter(state=Grant.State.ACTIVE, ask=True).select_related("subject")
    for grant in asking:
        if any(row.permit and told.actors.issuperset(row.grantees) for row in effective.rows_if_answered(grant)):
            found.add(grant.subject_id)
    return sorted(found)


def judge_all(told: Asked, subjects: Sequence[UUID]) -> dict[UUID, Found]:
    """Judge for each person. Five queries, and a few for each child with guardians."""
    people = Subject.objects.in_bulk(list(subjects))
    rows: dict[UUID, list[GrantRow]] = {s: [] for s in people}
    for row in effective.rows_for(people, told.actors):
        rows[row.subject].append(row)
    grants = Grant.objects.filter(subject__in=people, state=Grant.State.ACTIVE).select_related("subject", "given_by")
    by_subject: dict[UUID, list[Grant]] = {s: [] for s in people}
    for grant in grants.order_by("-pk"):
        by_subject[grant.subject_id].append(grant)
    standing = Mandate.objects.filter(subject__in=people, ended_at=None).select_related("terms")
    mandate = {m.subject_id: m for m in standing}
    return {s: _judge(told, people[s], rows[s], by_subject[s], mandate.get(s)) for s in people}


def judge_again(provision: Provision, *, now: datetime, answer: bool | None = None) -> Found:
    """Judge one Provision as everything stands now, on the Grant it was judged on. `answer`: the person's, if new."""
    told = asked(provision.request, now=now)
    subject = Subject.objects.get(pk=provision.subject_id)
    mandate = Mandate.objects.filter(subject=subject, ended_at=None).select_related("terms").first()
    grant = _standing(provision)
    rows = effective.rows_for([subject.pk], told.actors)
    if grant is None:
        return Found(judge(told.case(_side(told, subject, [], None, mandate))), None, mandate)
    said = provision.pk in grant.answered if answer is None else answer
    return _on_grant(told, subject, rows, grant, mandate, answer=said or answer)


def judged_rows(provision: Provision, *, actors: frozenset[str]) -> list[GrantRow]:
    """The rows by which each resource of one Provision is looked at: the permits of its Grant, and every deny."""
    grant = _standing(provision)
    return [] if grant is None else _of_grant(effective.rows_for([provision.subject_id], actors), grant)


def _standing(provision: Provision) -> Grant | None:
    """The Grant it was judged on, while it is active."""
    if provision.grant_id is None:
        return None
    return Grant.objects.filter(pk=provision.grant_id, state=Grant.State.ACTIVE).select_related("subject").first()


def _judge(
    told: Asked, subject: Subject, rows: Sequence[GrantRow], grants: Iterable[Grant], mandate: Mandate | None
) -> Found:
    """On the newest Grant that carries it; else as the newest one that speaks of it tells."""
    names = told.program
    best: Found | None = None
    for grant in grants:
        if grant.terms.get("program") not in (None, "", str(names)):
            continue
        if not any(r.permit and told.actors.issuperset(r.grantees) for r in _of_grant(rows, grant)):
            continue
        found = _on_grant(told, subject, rows, grant, mandate, answer=None)
        if found.judgement.permits:
            return found
        if best is None or (found.judgement.waits and not best.judgement.waits):
            best = found
    return best or Found(judge(told.case(_side(told, subject, rows, None, mandate))), None, mandate)


def _on_grant(
    told: Asked,
    subject: Subject,
    rows: Sequence[GrantRow],
    grant: Grant,
    mandate: Mandate | None,
    *,
    answer: bool | None,
) -> Found:
    given = Given(
        capacity=grant.capacity, profiling=grant.terms.get("profiling") is True,
        onward=grant.terms.get("onward") is True, asks=grant.ask, answer=answer,
        giver_stands=_stands(grant, subject, told.now), everybody_agreed=_agreed(grant, subject, told.now),
    )  # fmt: skip
    side = _side(told, subject, _of_grant(rows, grant), given, mandate)
    return Found(judge(told.case(side)), grant, mandate)


def _of_grant(rows: Iterable[GrantRow], grant: Grant) -> list[GrantRow]:
    """The permits of one Grant (of one that asks each time, those it would have), and the denies of all."""
    others = [row for row in rows if not row.permit or (row.grant == grant.pk and not grant.ask)]
    return others + ([row for row in effective.rows_if_answered(grant) if row.permit] if grant.ask else [])


def _side(
    told: Asked, subject: Subject, rows: Sequence[GrantRow], given: Given | None, mandate: Mandate | None
) -> Side:
    born = subject.birth_on
    return Side(
        state=subject.state, age=None if born is None else rules.age_on(born, rules.today_in_japan(told.now)),
        place_hidden=subject.location_hidden, mandate=None if mandate is None else mandate.terms.version,
        terms=told.terms, rows=rows, given=given, actors=told.actors,
    )  # fmt: skip


def _stands(grant: Grant, subject: Subject, now: datetime) -> bool:
    """Whether who gave it may still act for the record; a frozen guardian may not."""
    giver = grant.given_by
    if giver is None or not giver.is_active:
        return False
    if grant.capacity == Capacity.SELF:
        return giver.own_subject_id == subject.pk
    return giver.pk in {link.person_id for link in joint.must_agree(subject, now)}


def _agreed(grant: Grant, subject: Subject, now: datetime) -> bool:
    """G-14: every guardian whose link stands gave it, or agreed to it."""
    if grant.capacity != Capacity.GUARDIAN or grant.given_by is None:
        return True
    needed = {link.person_id for link in joint.must_agree(subject, now)}
    said = set(JointAnswer.objects.filter(act__grant=grant).values_list("person_id", flat=True)) | {grant.given_by_id}
    together = len(needed) > 1 or len(said) > 1
    return needed <= said and (together or joint.alone(subject, grant.given_by, now))
