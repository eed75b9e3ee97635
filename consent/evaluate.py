"""What a whole tree of Clauses answers: the reference for step L3 (trust rules, section 3.1). Pure.

Searches use the flattened rows of `consent.effective` instead; a property test keeps the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from consent import clauses
from consent.scope import Category, Clause, Facts, named

T = TypeVar("T", str, int)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: may somebody with these names do this, for this purpose, now, with this resource?"""

    facts: Facts
    actors: frozenset[str]
    purpose: str
    action: str
    now: datetime
    waiting: frozenset[str] = frozenset()  # a class still to be entered: only denies may use the name


def eval_grants(roots: Iterable[Clause], asked: Asked) -> bool | None:
    """All active Grants of a Subject: any deny denies, else any permit permits, else None (not applicable)."""
    answers = {eval_tree(root, asked) for root in roots}
    return False if False in answers else True if True in answers else None


def eval_tree(root: Clause, asked: Asked) -> bool | None:
    """One Grant: True permit, False deny, None not applicable."""
    return _eval((root,), asked)


def _eval(chain: tuple[Clause, ...], asked: Asked) -> bool | None:
    node = chain[-1]
    below = {_eval((*chain, child), asked) for child in node.clauses}
    if False in below:  # among siblings deny wins
        return False
    if True in below:  # an exception to this node
        return True
    return node.permit if match(chain, asked) else None


def match(chain: Sequence[Clause], asked: Asked) -> bool:
    """Whether the last Clause speaks of what is asked: the whole chain, read with the polarity of its leaf."""
    permit = chain[-1].permit
    data = clauses.data_chain(chain)
    return (
        all(_applies(node, asked, permit) for node in chain)
        and all(_categories(node, asked.facts, permit) for node in data)
        and _labels(data, asked.facts, permit)
        and _period(data, asked.facts, permit)
        and _authors(data, asked.facts, permit)
        and all(_meets(node.items, clauses.known_item, f"{asked.facts.type}/{asked.facts.id}", permit) for node in data)
    )


def _stated(values: frozenset[T] | None, known: Callable[[T], bool], permit: bool) -> frozenset[T] | None:
    """The understood values; None = any. What is not understood (or an empty set) widens a deny to any."""
    if values is None:
        return None
    understood = frozenset(v for v in values if known(v))
    return None if not permit and (understood != values or not values) else understood


def _meets(values: frozenset[str] | None, known: Callable[[str], bool], value: str, permit: bool) -> bool:
    stated = _stated(values, known, permit)
    return stated is None or value in stated


def _applies(node: Clause, asked: Asked, permit: bool) -> bool:
    actors = _stated(node.actors, clauses.known_actor, permit)
    return (
        (node.valid_from is None or node.valid_from <= asked.now)
        and (node.valid_to is None or asked.now < node.valid_to)
        and (actors is None or bool(actors & (asked.actors if permit else asked.actors | asked.waiting)))
        and _meets(node.purposes, clauses.PURPOSES.__contains__, asked.purpose, permit)
        and _meets(node.actions, clauses.ACTIONS.__contains__, asked.action, permit)
    )


def _categories(node: Clause, facts: Facts, permit: bool) -> bool:
    names = _stated(node.categories, clauses.ORDINARY_NAMES.__contains__, permit)
    return names is None or named(facts, int(sum(Category[name] for name in names)), permit=permit)


def _labels(data: Sequence[Clause], facts: Facts, permit: bool) -> bool:
    return _labels_permitted(data, facts) if permit else _labels_denied(data, facts)


def _labels_permitted(data: Sequence[Clause], facts: Facts) -> bool:
    """The nearest naming node names all labels, and there is one; without a naming node, only unlabelled data."""
    naming = [node.labels for node in data if node.labels is not None]
    ceilings = [node.level for node in data if node.level is not None]
    ceiling = ceilings[-1] if ceilings else 3 if naming else 2
    if ceiling not in clauses.LEVELS or facts.level > ceiling:
        return False
    if not naming:
        return facts.labels == 0
    named = sum(Category[name] for name in naming[-1] & clauses.LABEL_NAMES)
    return facts.labels != 0 and facts.labels & ~named == 0


def _labels_denied(data: Sequence[Clause], facts: Facts) -> bool:
    """Every naming node shares any label. A floor holds; the ceiling of a permit above is no floor for its deny."""
    named = [_stated(node.labels, clauses.LABEL_NAMES.__contains__, False) for node in data]
    floors = [node.level for node in data if not node.permit and node.level in clauses.LEVELS]
    return all(names is None or any(facts.labels & Category[n] for n in names) for names in named) and all(
        floor is None or facts.level >= floor for floor in floors
    )


def _period(data: Sequence[Clause], facts: Facts, permit: bool) -> bool:
    """Inside the common part of all data periods (permit), or touching it (deny). No date is unknown."""
    lows = [node.data_low for node in data if node.data_low is not None]
    highs = [node.data_high for node in data if node.data_high is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is None and high is None:
        return True
    if low is not None and high is not None and low >= high:
        return False
    if facts.low is None or facts.high is None:
        return not permit
    if permit:
        return (low is None or low <= facts.low) and (high is None or facts.high <= high)
    return (low is None or facts.high > low) and (high is None or facts.low < high)


def _authors(data: Sequence[Clause], facts: Facts, permit: bool) -> bool:
    """Among the authors every naming node allows. A resource without an author is unknown to a deny."""
    common: frozenset[int] | None = None
    for node in data:
        stated = _stated(node.authors, clauses.known_author, permit)
        if stated is not None:
            common = stated if common is None else common & stated
    if common is None or facts.author in common:
        return True
    return not permit and facts.author is None and bool(common)
