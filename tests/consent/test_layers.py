"""The whole decision against its second writing (`layers`), and M-1 to M-4 for all six steps together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from consent.scope import Category, level_of
from tests.consent import random_trees, words
from tests.consent.layers import Question, permitted, question, reference

SEED, CASES, MANY = 20260401, 4000, 200_000


def same(cases: int) -> tuple[Counter[bool], Counter[str]]:
    """How often each answer came, and how often each way in was open."""
    rng, answers, ways = Random(SEED), Counter[bool](), Counter[str]()
    for number in range(cases):
        asked = question(rng)
        expected = reference(asked)
        assert permitted(asked) is expected, (number, asked)
        answers[expected] += 1
        caller = asked.caller
        ways["provision" if caller.provision else "glass" if caller.glass else caller.capacity.value] += expected
    return answers, ways


def test_the_decision_is_what_the_rules_say() -> None:
    answers, ways = same(CASES)
    assert min(answers.values()) > CASES / 20, answers  # neither answer is rare
    open_ways = {way for way, times in ways.items() if times >= 3}
    assert open_ways >= {"self", "guardian", "proxy", "staff", "system", "glass", "provision"}, ways


@pytest.mark.long
def test_the_decision_is_what_the_rules_say_200_000_times() -> None:
    same(MANY)


def m1(rng: Random, asked: Question) -> tuple[Question, Question]:
    """One more Grant all of whose Clauses deny."""
    more = (rng.choice(words.SUBJECTS), random_trees.clause(rng, permit=False))
    return replace(asked, grants=(*asked.grants, more)), asked


def m2(rng: Random, asked: Question) -> tuple[Question, Question]:
    """One Grant less, all of whose Clauses permit."""
    more = (rng.choice(words.SUBJECTS), random_trees.clause(rng, permit=True))
    return asked, replace(asked, grants=(*asked.grants, more))


def m3(rng: Random, asked: Question) -> tuple[Question, Question]:
    """A resource that bears a label gains another."""
    once = _labelled(rng, asked)
    return _labelled(rng, once), once


def m4(rng: Random, asked: Question) -> tuple[Question, Question]:
    """The values of one element, at any depth, replaced by an unknown code."""
    if not asked.grants:
        return asked, asked
    roots = random_trees.with_unknown(rng, [root for _, root in asked.grants])
    changed = tuple((subject, root) for (subject, _), root in zip(asked.grants, roots, strict=True))
    return replace(asked, grants=changed), asked


def _labelled(rng: Random, asked: Question) -> Question:
    categories = asked.facts.categories | int(Category[rng.choice(words.LABEL_NAMES)])
    level = level_of(categories, declared=asked.facts.level)
    return replace(asked, facts=replace(asked.facts, categories=categories, level=level))


@pytest.mark.parametrize("property", [m1, m2, m3, m4])
def test_nothing_that_narrows_widens(property: object) -> None:
    hold(property, CASES)


@pytest.mark.long
@pytest.mark.parametrize("property", [m1, m2, m3, m4])
def test_nothing_that_narrows_widens_200_000_times(property: object) -> None:
    hold(property, MANY)


def hold(property: object, cases: int) -> None:
    rng = Random(SEED)
    for number in range(cases):
        narrow, wide = property(rng, question(rng))  # type: ignore[operator]
        assert not permitted(narrow) or permitted(wide), (number, narrow)
