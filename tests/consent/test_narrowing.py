"""Withdrawal in part never widens; a collision is told whenever a deny would win."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.clauses import ORDINARY_NAMES
from consent.collisions import meet
from consent.effective import rows_of
from consent.evaluate import Asked, eval_grants, eval_tree
from consent.narrowing import Without, narrowed
from consent.scope import Category, Clause, by_rows
from tests.consent import strategies as draw

KINDS = {"org:1": "class:clinic", "org:2": "class:hospital"}
ACTORS = st.sampled_from([
    frozenset({"org:1", "class:clinic", "class:third-party"}), frozenset({"org:2", "class:third-party"}),
    frozenset({"person:1", "class:third-party"}), frozenset({"person:2", "org:1", "class:clinic", "class:third-party"}),
])  # fmt: skip
PARTS = st.builds(
    Without,
    categories=st.frozensets(st.sampled_from(draw.ORDINARY + draw.LABEL_NAMES), max_size=2),
    purposes=st.frozensets(st.sampled_from(draw.PURPOSES), max_size=2),
    actors=st.frozensets(st.sampled_from(draw.ACTORS), max_size=2),
)


def only(*values: str) -> frozenset[str]:
    return frozenset(values)


@pytest.mark.IT("11")
@settings(max_examples=500)
@given(draw.clauses(2), PARTS, draw.questions())
def test_a_part_less_never_permits_more(root: Clause, without: Without, asked: Asked) -> None:
    never_permits_more(root, without, asked)


@pytest.mark.long
@settings(max_examples=5_000)
@given(draw.clauses(2), PARTS, draw.questions())
def test_a_part_less_never_permits_more_at_length(root: Clause, without: Without, asked: Asked) -> None:
    never_permits_more(root, without, asked)


def never_permits_more(root: Clause, without: Without, asked: Asked) -> None:
    """Of trees as they may be written: one permit below another names a level-3 category and nothing else of data."""
    root = _written(root)
    rest = narrowed(root, without)
    if root.permit and rest is not None and eval_tree(rest, asked) is True:
        assert eval_tree(root, asked) is True


def _written(root: Clause) -> Clause:
    """E-7: what permits below a permit names labels; deeper down polarities alternate."""
    below = []
    for child in root.clauses:
        if child.permit == root.permit and not root.permit:
            continue
        kept = Clause(permit=True, labels=child.labels or only("PSY")) if child.permit == root.permit else child
        below.append(replace(kept, clauses=tuple(k for k in child.clauses if k.permit != child.permit)))
    return replace(root, clauses=tuple(below))


@pytest.mark.IT("11")
@given(PARTS)
def test_what_is_taken_out_is_permitted_no_more(without: Without) -> None:
    root = Clause(permit=True, actors=only("org:1", "org:2"), purposes=only("TREAT", "HRESCH"))
    rest = narrowed(root, without)
    for category in without.categories & ORDINARY_NAMES:
        if rest is not None:
            assert category not in (rest.categories or only(category))
    for actor in without.actors & root.actors:
        assert rest is None or actor not in rest.actors  # type: ignore[operator]
    for purpose in without.purposes & root.purposes:
        assert rest is None or purpose not in rest.purposes  # type: ignore[operator]


def test_a_level_3_category_outlives_the_ordinary_ones_beside_it() -> None:
    root = Clause(permit=True, actors=only("org:1"), purposes=only("TREAT"), categories=only("HOME"),
                  clauses=(Clause(permit=True, labels=only("PSY")),))  # fmt: skip
    rest = narrowed(root, Without(categories=only("HOME")))
    assert rest == Clause(permit=True, actors=only("org:1"), purposes=only("TREAT"), labels=only("PSY"))
    assert narrowed(root, Without(categories=only("PSY"))) == replace(root, clauses=())
    assert narrowed(root, Without(categories=only("PSY", "HOME"))) is None
    assert narrowed(root, Without()) == root


@settings(max_examples=500)
@given(draw.clauses(1, permit=True), draw.clauses(1), draw.questions(), ACTORS)
def test_wherever_a_deny_would_win_the_two_collide(
    permit: Clause, deny: Clause, asked: Asked, actors: frozenset[str]
) -> None:
    collide(permit, deny, replace(asked, actors=actors))


@pytest.mark.long
@settings(max_examples=5_000)
@given(draw.clauses(1, permit=True), draw.clauses(1), draw.questions(), ACTORS)
def test_wherever_a_deny_would_win_the_two_collide_at_length(
    permit: Clause, deny: Clause, asked: Asked, actors: frozenset[str]
) -> None:
    collide(permit, deny, replace(asked, actors=actors))


def collide(permit: Clause, deny: Clause, asked: Asked) -> None:
    """E-1: the check may ask once too often, never once too seldom."""
    if eval_tree(permit, asked) is not True or eval_grants([permit, deny], asked) is True:
        return
    new, standing = rows_of(0, draw.HANA, permit), rows_of(1, draw.HANA, deny)
    told = {"actors": asked.actors, "purpose": asked.purpose, "action": asked.action, "now": asked.now}
    assert by_rows(new, asked.facts, **told) is True  # type: ignore[arg-type]
    assert meet(new, standing, kinds=KINDS)


@pytest.mark.parametrize(
    ("deny", "collides"),
    [
        (Clause(permit=False), True),
        (Clause(permit=False, actors=only("org:1")), True),
        (Clause(permit=False, actors=only("org:2")), False),
        (Clause(permit=False, actors=only("class:clinic")), True),
        (Clause(permit=False, actors=only("class:hospital")), False),
        (Clause(permit=False, actors=only("class:third-party")), True),
        (Clause(permit=False, purposes=only("HRESCH")), False),
        (Clause(permit=False, categories=only("LABORATORY")), False),
        (Clause(permit=False, categories=only("HOME")), True),
        (Clause(permit=False, labels=only("PSY")), False),
        (Clause(permit=False, level=3), False),
        (Clause(permit=True, actors=only("org:1"), clauses=(Clause(permit=False, categories=only("HOME")),)), True),
    ],
)
def test_what_collides(deny: Clause, collides: bool) -> None:
    permit = Clause(permit=True, actors=only("org:1"), purposes=only("TREAT"), categories=only("HOME"))
    new, standing = rows_of(0, draw.HANA, permit), rows_of(1, draw.HANA, deny)
    assert meet(new, standing, kinds=KINDS) is collides
    assert Category.HOME
