"""On what one resource was let through: the rules and consents that the log names. Pure.

`Scope.covers` says whether; this says why, of what was let through already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from consent.scope import ACTION_OF, Facts, GrantRow, Scope, row_matches

OPEN, GRANTED = "L2.open-to-all", "L3.permitted"
MOST_KINDS = 32  # of Facts that one line tells apart


def grounds(scope: Scope, facts: Facts, *, letter: str, rows: Sequence[GrantRow] = ()) -> tuple[str, ...]:
    """The rules that let it through, and each consent as "grant:5"; a basis of the caller's own goes first."""
    found: dict[str, None] = {}
    for subject in facts.subjects:
        standing = [str(b.why) for b in scope.bases if b.permits(facts, subject, letter)]
        if standing:
            found |= dict.fromkeys(standing[:1])
        else:
            found |= dict.fromkeys([GRANTED, *_grants(scope, facts, subject, letter, rows)])
    return tuple(found) or (OPEN,)


def _grants(scope: Scope, facts: Facts, subject: UUID, letter: str, rows: Sequence[GrantRow]) -> Iterable[str]:
    return sorted({
        f"grant:{row.grant}"
        for row in rows
        if row.permit
        and row.subject == subject
        and row_matches(
            row, facts, actors=scope.actors, purpose=scope.purpose, action=ACTION_OF[letter], now=scope.now
        )
    })  # fmt: skip


class Tally:
    """What was found about one person: how many of which kind, so that a reader of the log can be told of some only."""

    def __init__(self) -> None:
        self.count, self.categories = 0, 0
        self._kinds: Counter[tuple[int, int, int]] = Counter()
        self._grounds: dict[str, None] = {}

    def add(self, facts: Facts, because: Iterable[str]) -> None:
        self.count += 1
        self.categories |= facts.categories
        self._kinds[facts.categories, facts.level, facts.marks] += 1
        self._grounds |= dict.fromkeys(because)

    @property
    def kinds(self) -> list[str]:
        """Each "categories:level:marks:count"; beyond MOST_KINDS all as one, as protected as the most protected."""
        kinds = self._kinds
        if len(kinds) > MOST_KINDS:
            marks = 0
            for _, _, mark in kinds:
                marks |= mark
            level = max(level for _, level, _ in kinds)
            kinds = Counter({(self.categories, level, marks): self.count})
        return [":".join(map(str, (*kind, n))) for kind, n in kinds.items()]

    @property
    def because(self) -> list[str]:
        return list(self._grounds)[:MOST_KINDS]
