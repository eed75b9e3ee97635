"""Why a decision fell as it did, step by step. Pure: what `decide` said, one resource's Facts, the effective rows.

The verdict is that of `Scope.covers` (a property test); this only tells how it came about. Whoever shows an
explanation to somebody must ask first what that somebody may know (`phr.trust.explaining`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from consent.decide import Deny, Permit
from consent.reasons import Reason, Rule
from consent.scope import ACTION_OF, LISTS, OPEN_TYPES, Basis, Facts, GrantRow, Scope, row_matches


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that spoke. `subject`: whose consent or record it is about, None = of the whole question."""

    permits: bool
    reason: Reason
    subject: UUID | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer, and the rules that spoke, in the order of the steps."""

    permitted: bool
    steps: tuple[Step, ...]


def explain(answer: Permit | Deny, facts: Facts, *, letter: str, rows: Sequence[GrantRow] = ()) -> Explanation:
    """Why one resource passes, or does not. `rows`: the effective rows of its subjects, as for `Scope.covers`."""
    if isinstance(answer, Deny):
        return Explanation(False, (Step(False, answer.because),))
    steps = tuple(_steps(answer, facts, letter, rows))
    return Explanation(answer.scope.covers(facts, letter=letter, rows=rows), steps)


def _steps(answer: Permit, facts: Facts, letter: str, rows: Sequence[GrantRow]) -> Iterator[Step]:
    scope = answer.scope
    if not any(door.admits(facts, letter) for door in scope.doors):
        yield Step(False, Reason(Rule.DOOR_CLOSED))
        return
    if not facts.subjects:
        yield _of_nobody(scope, facts, letter)
        return
    if facts.marks & scope.barred_marks:
        yield Step(False, Reason(Rule.MARKED))
        return
    for subject in facts.subjects:
        yield from _of_subject(answer, facts, subject, letter, rows)


def _of_nobody(scope: Scope, facts: Facts, letter: str) -> Step:
    if facts.type in OPEN_TYPES and letter in scope.open_letters:
        return Step(True, Reason(Rule.OPEN))
    if facts.type in LISTS and facts.author in scope.list_keepers(letter):
        return Step(True, Reason(Rule.OWN_ORGANIZATION))
    return Step(False, Reason(Rule.NO_SUBJECT))


def _of_subject(answer: Permit, facts: Facts, subject: UUID, letter: str, rows: Sequence[GrantRow]) -> Iterator[Step]:
    scope = answer.scope
    if scope.subjects is not None and subject not in scope.subjects:
        yield Step(False, Reason(Rule.OTHER_RECORD), subject)
        return
    standing = [b for b in scope.bases if b.permits(facts, subject, letter)]
    yield from (Step(True, _rests(answer, b), subject) for b in _each_rule(standing))
    if any(b.beats_deny for b in standing):
        return
    if not standing and not scope.grants:
        yield Step(False, Reason(Rule.BEYOND_GUARDIAN), subject)
    if scope.grants:
        yield from _of_grants(scope, facts, subject, letter, rows, based=bool(standing))


def _of_grants(
    scope: Scope, facts: Facts, subject: UUID, letter: str, rows: Sequence[GrantRow], *, based: bool
) -> Iterator[Step]:
    """Step L3 as `by_rows` has it, each Grant that speaks by its name."""
    hits = [
        r for r in rows if r.subject == subject and row_matches(
            r, facts, actors=scope.names(permit=r.permit), purpose=scope.purpose, action=ACTION_OF[letter],
            now=scope.now,
        )
    ]  # fmt: skip
    permits = [r for r in hits if r.permit]
    denies = [
        d for d in hits
        if not d.permit and not any(p.grant == d.grant and p.path.startswith(d.path + ".") for p in permits)
    ]  # fmt: skip
    if denies:
        yield Step(False, Reason(Rule.DENIED, _names(denies)), subject)
    elif permits:
        yield Step(True, Reason(Rule.GRANTED, _names(permits)), subject)
    elif not based:
        yield Step(False, Reason(Rule.NOT_GRANTED), subject)


def _rests(answer: Permit, basis: Basis) -> Reason:
    """A basis with what the decision said it rests on."""
    return next((reason for reason in answer.because if reason.rule is basis.why), Reason(basis.why))


def _each_rule(bases: Iterable[Basis]) -> list[Basis]:
    return list({b.why: b for b in bases}.values())


def _names(rows: Iterable[GrantRow]) -> tuple[str, ...]:
    return tuple(f"grant:{number}" for number in sorted({row.grant for row in rows}))
