"""M-1 to M-4 of the trust rules (section 4), and: a tree and its rows answer alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.evaluate import Asked, eval_grants
from consent.scope import Category, Clause, Facts, by_rows, level_of
from tests.consent import strategies as draw

ORDINARILY, AT_LENGTH = 300, 200_000
lists_of_grants = st.lists(draw.clauses(), max_size=3)


def property_test(*drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The check with 300 cases, and with `-m long` the same with 200,000."""

    def wrap(check: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.parametrize(
            "cases", [ORDINARILY, pytest.param(AT_LENGTH, marks=pytest.mark.long)], ids=["ordinarily", "at_length"]
        )
        def run(cases: int) -> None:
            settings(max_examples=cases, database=None)(given(*drawn)(check))()

        run.__doc__ = check.__doc__
        return run

    return wrap


def permitted(roots: list[Clause], asked: Asked) -> bool:
    """By tree and by rows; they must agree in everything."""
    by_tree = eval_grants(roots, asked)
    rows = draw.rows_of_all(roots)
    assert by_tree is by_rows(
        rows, asked.facts, actors=asked.actors, purpose=asked.purpose, action=asked.action, now=asked.now
    )
    return by_tree is True


@property_test(lists_of_grants, draw.questions())
def test_rows_answer_as_the_tree_does(roots: list[Clause], asked: Asked) -> None:
    permitted(roots, asked)


@property_test(lists_of_grants, draw.clauses(permit=False), draw.questions())
def test_m1_one_more_denying_grant_never_widens(roots: list[Clause], deny: Clause, asked: Asked) -> None:
    assert not (permitted([*roots, deny], asked) and not permitted(roots, asked))


@property_test(lists_of_grants, draw.clauses(permit=True), draw.questions())
def test_m2_one_permitting_grant_less_never_widens(roots: list[Clause], permit: Clause, asked: Asked) -> None:
    assert not (permitted(roots, asked) and not permitted([*roots, permit], asked))


@property_test(lists_of_grants, draw.questions(), st.sampled_from(draw.LABEL_NAMES), st.sampled_from(draw.LABEL_NAMES))
def test_m3_one_more_label_never_widens(roots: list[Clause], asked: Asked, first: str, second: str) -> None:
    once = _labelled(asked.facts, first)
    twice = _labelled(once, second)
    before, after = replace(asked, facts=once), replace(asked, facts=twice)
    assert not (permitted(roots, after) and not permitted(roots, before))


def _labelled(facts: Facts, label: str) -> Facts:
    categories = facts.categories | int(Category[label])
    return replace(facts, categories=categories, level=level_of(categories, declared=facts.level))


UNKNOWN: dict[str, object] = {
    "purposes": frozenset({draw.UNKNOWN_WORD}), "actors": frozenset({draw.UNKNOWN_WORD}),
    "actions": frozenset({draw.UNKNOWN_WORD}), "categories": frozenset({draw.UNKNOWN_WORD}),
    "labels": frozenset({draw.UNKNOWN_WORD}), "items": frozenset({draw.UNKNOWN_WORD}),
    "authors": frozenset({draw.UNKNOWN_AUTHOR}), "level": draw.UNKNOWN_LEVEL,
}  # fmt: skip


@property_test(lists_of_grants.filter(bool), draw.questions(), st.data())
def test_m4_an_unknown_value_never_widens(roots: list[Clause], asked: Asked, data: st.DataObject) -> None:
    """Where an element is stated, at any depth, its values become one unknown code."""
    number = data.draw(st.integers(0, len(roots) - 1))
    path = data.draw(st.sampled_from(draw.places(roots[number])))
    node = roots[number]
    for step in path:
        node = node.clauses[step]
    stated = [name for name in UNKNOWN if getattr(node, name) is not None]
    if not stated:
        return
    name = data.draw(st.sampled_from(stated))
    changed = [*roots]
    changed[number] = draw.changed(roots[number], path, **{name: UNKNOWN[name]})
    assert not (permitted(changed, asked) and not permitted(roots, asked))
