"""The vocabulary of `strategies` drawn by a plain seeded generator: 200,000 cases in a minute instead of an hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from consent.evaluate import Asked
from consent.scope import Category, Clause, Facts, Mark, level_of
from tests.consent import words


def _few(rng: Random, values: list[Any], odd: Any, stated: float = 0.2) -> frozenset[Any] | None:
    if rng.random() > stated:
        return None
    return frozenset(odd if rng.random() < 0.1 else rng.choice(values) for _ in range(rng.choice((1, 1, 2))))


def _day(rng: Random) -> Any:
    return rng.choice(words.DAYS) if rng.random() < 0.08 else None


def clause(rng: Random, depth: int = 3, *, permit: bool | None = None) -> Clause:
    """A tree as `strategies.clauses` draws them."""
    word = words.UNKNOWN_WORD
    return Clause(
        permit=rng.random() < 0.6 if permit is None else permit,
        purposes=_few(rng, words.PURPOSES, word),
        actors=_few(rng, words.ACTORS, word, 0.35),
        actions=_few(rng, words.ACTIONS, word, 0.15),
        valid_from=_day(rng),
        valid_to=_day(rng),
        categories=_few(rng, words.ORDINARY, word),
        labels=_few(rng, words.LABEL_NAMES, word),
        level=rng.choice((1, 2, 3, 4, words.UNKNOWN_LEVEL)) if rng.random() < 0.2 else None,
        data_low=_day(rng),
        data_high=_day(rng),
        authors=_few(rng, words.AUTHORS, words.UNKNOWN_AUTHOR, 0.15),
        items=_few(rng, words.ITEMS, word, 0.1),
        clauses=tuple(clause(rng, depth - 1, permit=permit) for _ in range(rng.choice((0, 1, 1, 2)) if depth else 0)),
    )


def grants(rng: Random) -> list[Clause]:
    return [clause(rng) for _ in range(rng.choice((1, 1, 2, 3)))]


def asked(rng: Random) -> Asked:
    """A question about one resource of Hana."""
    names = rng.sample(words.ORDINARY * 3 + words.LABEL_NAMES, rng.choice((0, 1, 1, 1, 1, 2, 3)))
    categories = int(sum(Category[n] for n in set(names)))
    low = rng.choice([None, *words.DAYS])
    high = None if low is None or rng.random() < 0.1 else low + timedelta(days=rng.choice((1, 5, 15)))
    facts = Facts(
        rng.choice(words.TYPES), rng.choice(words.IDS), (words.HANA,), categories,
        level_of(categories, declared=rng.choice((0, 0, 0, 0, 0, 3, 4))), low, high, rng.choice((None, *words.AUTHORS)),
        marks=rng.choice((0, int(Mark.MIXED))),
    )  # fmt: skip
    actors = frozenset(a for a in words.ACTORS if rng.random() < 0.5)
    return Asked(facts, actors, rng.choice(words.PURPOSES), rng.choice(words.ACTIONS), words.NOW)


def with_label(rng: Random, question: Asked) -> Asked:
    facts = question.facts
    categories = facts.categories | int(Category[rng.choice(words.LABEL_NAMES)])
    return replace(
        question, facts=replace(facts, categories=categories, level=level_of(categories, declared=facts.level))
    )


UNKNOWN: dict[str, object] = {
    "purposes": frozenset({words.UNKNOWN_WORD}), "actors": frozenset({words.UNKNOWN_WORD}),
    "actions": frozenset({words.UNKNOWN_WORD}), "categories": frozenset({words.UNKNOWN_WORD}),
    "labels": frozenset({words.UNKNOWN_WORD}), "items": frozenset({words.UNKNOWN_WORD}),
    "authors": frozenset({words.UNKNOWN_AUTHOR}), "level": words.UNKNOWN_LEVEL,
}  # fmt: skip


def with_unknown(rng: Random, roots: list[Clause]) -> list[Clause]:
    """One stated element of one Clause, at any depth, its values replaced by an unknown code."""
    number = rng.randrange(len(roots))
    path = rng.choice(words.places(roots[number]))
    node = roots[number]
    for step in path:
        node = node.clauses[step]
    stated = [name for name in UNKNOWN if getattr(node, name) is not None]
    if not stated:
        return roots
    name = rng.choice(stated)
    changed = words.changed(roots[number], path, **{name: UNKNOWN[name]})
    return [*roots[:number], changed, *roots[number + 1 :]]
