"""Programs: drafted, put before the board, run, stopped, closed (IT-05, IT-50). The board itself: `board`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from consent import audit, clauses, duo, rules
from consent.audit import Event
from consent.cases import Plan
from consent.desk import operator
from consent.models import EthicsDecision, Person, Program, Recipient
from consent.refusal import Because, Refusal
from consent.scope import ALL_CATEGORIES, level_of

State, Outcome = Program.State, EthicsDecision.Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a program is to be. `low`, `high`: the clinical time it may ask for, half-open; None = open."""

    title_ja: str
    title_en: str
    purpose: str
    categories: int
    level: int
    use_class: str
    benefit_ja: str = ""
    benefit_en: str = ""
    duo: tuple[str, ...] = ()
    profiling: bool = False
    onward: bool = False
    low: datetime | None = None
    high: datetime | None = None


@transaction.atomic
def propose(*, proposal: Proposal, recipients: Sequence[Recipient], by: Person, now: datetime) -> Program:
    """Draft a program. Raises Refusal: not the operator's staff, or what cannot be a program (the place is named)."""
    operator(by)
    _check(proposal, recipients)
    told = proposal
    made = Program.objects.create(
        title_ja=told.title_ja, title_en=told.title_en, purpose=told.purpose, duo=list(told.duo),
        categories=told.categories, level=told.level, use_class=told.use_class, benefit_ja=told.benefit_ja.strip(),
        benefit_en=told.benefit_en.strip(), profiling=told.profiling, onward=told.onward, data_low=told.low,
        data_high=told.high, proposed_at=now, proposed_by=by,
    )  # fmt: skip
    made.recipients.set(recipients)
    audit.record(Event.PROGRAM_PROPOSED, by=by, now=now, detail=_detail(made))
    return made


@transaction.atomic
def submit(*, program: Program, by: Person, now: datetime) -> Program:
    """Put a draft before the board. Raises Refusal: no benefit text (IT-50), not a draft."""
    operator(by)
    current = locked(program)
    if current.state != State.DRAFT:
        raise Refusal("下書きではありません / not a draft", because=Because.CONFLICT)
    _require_benefit(current)
    _set(current, State.REVIEW, by, now)
    return current


@transaction.atomic
def close(*, program: Program, by: Person, now: datetime) -> Program:
    """Let a program come to its end: nothing is provided any more. Raises Refusal where it never ran."""
    operator(by)
    current = locked(program)
    if current.state not in (State.ACTIVE, State.STOPPED):
        raise Refusal("実施中ではありません / it does not run", because=Because.CONFLICT)
    _set(current, State.CLOSED, by, now)
    return current


def plan(program: Program, recipient: Recipient) -> Plan:
    """The program as a judgement needs it, for one recipient."""
    approval = program.approval
    return Plan(
        state=program.state, approved_until=None if approval is None else approval.valid_until,
        purpose=program.purpose, categories=program.categories, level=program.level, duo=tuple(program.duo),
        low=program.data_low, high=program.data_high, profiling=program.profiling, onward=program.onward,
        names_recipient=program.recipients.filter(pk=recipient.pk).exists(),
    )  # fmt: skip


def running(*, now: datetime) -> list[Program]:
    """The programs that may be given to now, newest first."""
    found = Program.objects.filter(state=State.ACTIVE, approval__valid_until__gt=now)
    return list(found.prefetch_related("recipients__organization").order_by("-proposed_at", "pk"))


def locked(program: Program) -> Program:
    """Changes of one program come one after another."""
    return Program.objects.select_for_update(of=("self",)).select_related("approval").get(pk=program.pk)


def _check(told: Proposal, recipients: Sequence[Recipient]) -> None:
    if not told.title_ja.strip() or not told.title_en.strip():
        raise Refusal("名称が必要です / a title is needed", place="title_ja")
    if told.purpose in rules.PROHIBITED_PURPOSES or told.purpose not in clauses.PURPOSES:
        raise Refusal("禁止または不明な目的です / a prohibited or unknown purpose", place="purpose")
    if not told.categories or told.categories & ~ALL_CATEGORIES:
        raise Refusal("項目が必要です / categories are needed", place="categories")
    if not level_of(told.categories) <= told.level <= 3:
        raise Refusal("機微度が項目と合いません / the level does not fit the categories", place="level")
    if told.use_class not in Program.UseClass.values:
        raise Refusal("利用区分が不明です / an unknown class of use", place="use_class")
    if told.duo and not duo.understood(told.duo):
        raise Refusal("DUOコードが不正です / not a set of DUO terms", place="duo")
    if told.low and told.high and told.low >= told.high:
        raise Refusal("期間が空です / an empty period", place="high")
    if not recipients or any(r.processor_of_id is not None for r in recipients):
        raise Refusal("提供先が必要です（委託先は除く） / recipients are needed, no processors", place="recipients")
    if any(told.purpose not in r.purposes for r in recipients):
        raise Refusal("契約にない目的の提供先があります / not for all recipients' contracts", place="recipients")


def follow(program: Program, decision: EthicsDecision, *, by: Person, now: datetime) -> None:
    """What a decision of the board does to its program (`board.decide`). Raises Refusal: it is not before the board."""
    if decision.outcome == Outcome.STOP:
        if program.state not in (State.CLOSED, State.STOPPED):
            _set(program, State.STOPPED, by, now)
    elif program.state not in (State.REVIEW, State.ACTIVE, State.STOPPED):
        raise Refusal("審査中ではありません / not before the board", because=Because.CONFLICT)
    elif decision.outcome == Outcome.APPROVE:
        _require_benefit(program)
        program.approval = decision
        _set(program, State.ACTIVE, by, now)
    elif program.state == State.REVIEW:
        _set(program, State.DRAFT, by, now)
    else:  # what runs and is not approved again runs no more
        _set(program, State.STOPPED, by, now)


def _require_benefit(program: Program) -> None:
    if not program.benefit_ja or not program.benefit_en:
        raise Refusal("便益の説明が必要です / the benefit must be stated", place="benefit_ja")


def _set(program: Program, state: Program.State, by: Person, now: datetime) -> None:
    program.state = state
    program.ended_at = now if state in (State.STOPPED, State.CLOSED) else None
    program.save(update_fields=["state", "ended_at", "approval"])
    Program.objects.filter(pk=program.pk).update(consent_epoch=F("consent_epoch") + 1)
    audit.record(Event.PROGRAM_CHANGED, by=by, now=now, detail={**_detail(program), "state": state.value})


def _detail(program: Program) -> dict[str, str | int | list[int]]:
    return {"program": str(program.pk), "kind": program.use_class, "categories": program.categories}
