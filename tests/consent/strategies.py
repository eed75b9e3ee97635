"""Random trees, resources, rows and scopes over a vocabulary small enough that they often meet.

Reusable: the test that the Python form and the SQL form of a Scope agree draws from here too.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random
from uuid import UUID

from hypothesis import strategies as st

from consent.effective import rows_of
from consent.evaluate import Asked
from consent.reasons import Rule
from consent.scope import ANYONE, LABELS, LETTERS, Basis, Category, Clause, Door, Facts, GrantRow, Mark, Scope, level_of
from tests.consent import random_trees
from tests.consent.words import (
    ACTIONS,
    ACTORS,
    AUTHORS,
    DAYS,
    HANA,
    IDS,
    ITEMS,
    LABEL_NAMES,
    NOW,
    ORDINARY,
    PURPOSES,
    REN,
    SUBJECTS,
    TYPES,
    UNKNOWN_AUTHOR,
    UNKNOWN_LEVEL,
    UNKNOWN_WORD,
    changed,
    places,
)  # fmt: skip

__all__ = [
    "ACTIONS", "ACTORS", "AUTHORS", "DAYS", "HANA", "IDS", "ITEMS", "LABEL_NAMES", "NOW", "ORDINARY", "PURPOSES",
    "REN", "SUBJECTS", "TYPES", "UNKNOWN_AUTHOR", "UNKNOWN_LEVEL", "UNKNOWN_WORD", "bases", "changed", "clauses",
    "doors", "facts", "places", "questions", "row_lists", "rows_of_all", "scopes",
]  # fmt: skip


def _few(values: list[str] | list[int]) -> st.SearchStrategy[frozenset | None]:
    """Often not stated; else one or two values."""
    return st.one_of(st.none(), st.none(), st.frozensets(st.sampled_from(values), min_size=1, max_size=2))


def clauses(depth: int = 3, *, permit: bool | None = None, unknowns: bool = True) -> st.SearchStrategy[Clause]:
    """Trees up to `depth` below the root. `permit` fixes the polarity of every Clause."""
    odd = [UNKNOWN_WORD] if unknowns else []
    below = st.just(()) if depth == 0 else st.lists(
        clauses(depth - 1, permit=permit, unknowns=unknowns), max_size=2
    ).map(tuple)  # fmt: skip
    return st.builds(
        Clause,
        permit=st.booleans() if permit is None else st.just(permit),
        purposes=_few(PURPOSES + odd),
        actors=_few(ACTORS + odd),
        actions=_few(ACTIONS + odd),
        valid_from=st.sampled_from([None, None, None, *DAYS]),
        valid_to=st.sampled_from([None, None, None, *DAYS]),
        categories=_few(ORDINARY + odd),
        labels=_few(LABEL_NAMES + odd),
        level=st.sampled_from([None, None, 1, 2, 3, 4] + ([UNKNOWN_LEVEL] if unknowns else [])),
        data_low=st.sampled_from([None, None, None, *DAYS]),
        data_high=st.sampled_from([None, None, None, *DAYS]),
        authors=_few(AUTHORS + ([UNKNOWN_AUTHOR] if unknowns else [])),
        items=st.one_of(st.none(), st.none(), _few(ITEMS + odd)),
        clauses=below,
    )


@st.composite
def facts(draw: st.DrawFn, *, subjects: list[UUID] = SUBJECTS) -> Facts:
    """Resources as `facts_of` would make them: half-open clinical time or none, level from the categories."""
    names = draw(st.lists(st.sampled_from(ORDINARY + ORDINARY + LABEL_NAMES), max_size=3, unique=True))
    categories = int(sum(Category[n] for n in names))
    low, high = None, None
    if draw(st.booleans()):
        low = draw(st.sampled_from(DAYS))
        high = low + timedelta(days=draw(st.sampled_from([1, 5, 15])))
    elif draw(st.booleans()):
        low = draw(st.sampled_from(DAYS))
    return Facts(
        type=draw(st.sampled_from(TYPES)),
        id=draw(st.sampled_from(IDS)),
        subjects=tuple(draw(st.lists(st.sampled_from(subjects), min_size=1, max_size=2, unique=True))),
        categories=categories,
        level=level_of(categories, declared=draw(st.sampled_from([0, 0, 0, 3, 4]))),
        low=low,
        high=high,
        author=draw(st.sampled_from([None, *AUTHORS])),
        marks=draw(st.sampled_from([0, 0, 0, int(Mark.MIXED), int(Mark.LOCATION), int(Mark.MINOR_CONFIDENTIAL)])),
        terms=draw(st.frozensets(st.integers(1, 3), max_size=2)),
    )


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    return Asked(
        facts=draw(facts(subjects=[HANA])),
        actors=draw(st.frozensets(st.sampled_from(ACTORS), max_size=4)),
        purpose=draw(st.sampled_from(PURPOSES)),
        action=draw(st.sampled_from(ACTIONS)),
        now=NOW,
    )


def rows_of_all(roots: list[Clause], subject: UUID = HANA) -> list[GrantRow]:
    return [row for number, root in enumerate(roots) for row in rows_of(number, subject, root)]


def row_lists(*, subjects: list[UUID] = SUBJECTS, max_grants: int = 3) -> st.SearchStrategy[list[GrantRow]]:
    """Rows of a few Grants, each of one Subject: what the effective-grant table may hold. Seeded: ten times faster."""

    def rows(seed: int) -> list[GrantRow]:
        rng = Random(seed)
        given = [(rng.choice(subjects), random_trees.clause(rng, 2)) for _ in range(rng.randint(0, max_grants))]
        return [row for number, (subject, root) in enumerate(given) for row in rows_of(number, subject, root)]

    return st.integers(0, 2**32).map(rows)


@st.composite
def bases(draw: st.DrawFn, *, subjects: list[UUID] = SUBJECTS) -> Basis:
    masks = st.sampled_from([
        int(sum(Category)), int(sum(Category)) & ~LABELS, 0, int(Category.HOME), int(Category.PSY) | int(Category.HOME),
    ])  # fmt: skip
    return Basis(
        why=Rule.GRANTED,
        subject=draw(st.sampled_from([None, *subjects])),
        author=draw(st.sampled_from([ANYONE, None, *AUTHORS])),
        categories=draw(masks),
        level=draw(st.integers(1, 4)),
        letters=draw(st.sampled_from([LETTERS, "rs", "rsc", "ud", ""])),
        beats_deny=draw(st.booleans()),
    )


def doors() -> st.SearchStrategy[Door]:
    terms = st.lists(st.frozensets(st.integers(1, 3), max_size=2), max_size=2).map(tuple)
    return st.builds(
        Door, type=st.sampled_from(["*", "*", *TYPES]), letters=st.sampled_from([LETTERS, "rs", "c", ""]), terms=terms
    )


def scopes(*, subjects: list[UUID] = SUBJECTS) -> st.SearchStrategy[Scope]:
    """Any Scope decide() could make, and many it could not."""
    return st.builds(
        Scope,
        doors=st.lists(doors(), max_size=2).map(tuple),
        bases=st.lists(bases(subjects=subjects), max_size=2).map(tuple),
        actors=st.frozensets(st.sampled_from(ACTORS), max_size=4),
        purpose=st.sampled_from(PURPOSES),
        now=st.just(NOW),
        subjects=st.one_of(st.none(), st.frozensets(st.sampled_from(subjects), max_size=2)),
        grants=st.booleans(),
        barred_marks=st.sampled_from([0, 0, int(Mark.LOCATION), int(sum(Mark))]),
        open_letters=st.sampled_from(["", "rs", "rscu"]),
    )
