"""M-1 to M-4 of the trust rules (section 4), and: a tree and its rows answer alike.

Twice: drawn by Hypothesis, which shrinks what it finds, and 200,000 cases each by a seeded generator (`-m long`).
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.evaluate import Asked, eval_grants
from consent.scope import Clause, by_rows
from tests.consent import random_trees as trees
from tests.consent import strategies as draw

CASES = 200_000
SEED = 20260401
lists_of_grants = st.lists(draw.clauses(), max_size=3)
seeds = st.integers(0, 2**32)


def permitted(roots: list[Clause], asked: Asked) -> bool:
    """By tree and by rows; they must agree in everything."""
    by_tree = eval_grants(roots, asked)
    rows = draw.rows_of_all(roots)
    assert by_tree is by_rows(
        rows, asked.facts, actors=asked.actors, purpose=asked.purpose, action=asked.action, now=asked.now
    )
    return by_tree is True


def m1(rng: Random, roots: list[Clause], asked: Asked) -> None:
    """One more Grant all of whose Clauses deny never widens."""
    assert not permitted([*roots, trees.clause(rng, permit=False)], asked) or permitted(roots, asked)


def m2(rng: Random, roots: list[Clause], asked: Asked) -> None:
    """One Grant less, all of whose Clauses permit, never widens."""
    assert not permitted(roots, asked) or permitted([*roots, trees.clause(rng, permit=True)], asked)


def m3(rng: Random, roots: list[Clause], asked: Asked) -> None:
    """A resource that bears a label and gains another never widens."""
    once = trees.with_label(rng, asked)
    twice = trees.with_label(rng, once)
    assert not permitted(roots, twice) or permitted(roots, once)


def m4(rng: Random, roots: list[Clause], asked: Asked) -> None:
    """The values of any element, at any depth, replaced by an unknown code never widen."""
    assert not permitted(trees.with_unknown(rng, roots), asked) or permitted(roots, asked)


PROPERTIES = [m1, m2, m3, m4]


@settings(max_examples=150)
@given(lists_of_grants, draw.questions())
def test_rows_answer_as_the_tree_does(roots: list[Clause], asked: Asked) -> None:
    permitted(roots, asked)


@pytest.mark.parametrize("holds", PROPERTIES)
def test_monotony(holds: object) -> None:
    @settings(max_examples=150)
    @given(seeds, lists_of_grants.filter(bool), draw.questions())
    def check(seed: int, roots: list[Clause], asked: Asked) -> None:
        holds(Random(seed), roots, asked)  # type: ignore[operator]

    check()


@pytest.mark.parametrize("holds", PROPERTIES)
def test_monotony_of_many_plainly_drawn_cases(holds: object) -> None:
    _run(holds, 2_000)


@pytest.mark.long
@pytest.mark.parametrize("holds", PROPERTIES)
def test_monotony_at_length(holds: object) -> None:
    _run(holds, CASES)


def _run(holds: object, cases: int) -> None:
    rng = Random(SEED)
    for _ in range(cases):
        holds(rng, trees.grants(rng), trees.asked(rng))  # type: ignore[operator]


def test_the_cases_say_something() -> None:
    """Enough of the drawn questions are permitted, denied and neither."""
    rng, answers = Random(SEED), {True: 0, False: 0, None: 0}
    for _ in range(3_000):
        answers[eval_grants(trees.grants(rng), trees.asked(rng))] += 1
    assert min(answers.values()) > 150, answers
