"""Clauses: which values are understood, how a chain of them reads, how a tree is spelled as JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from consent.scope import LABELS, Category, Clause, Purpose

PURPOSES = frozenset(str(p) for p in Purpose)
ACTIONS = frozenset({"access", "collect", "correct", "disclose"})  # FHIR consentaction
ORDINARY_NAMES = frozenset(str(c.name) for c in Category if not c & LABELS)
LABEL_NAMES = frozenset(str(c.name) for c in Category if c & LABELS)
# The kinds of organisation, and everybody who is neither the person nor a guardian.
CLASSES = frozenset({
    "clinic", "hospital", "pharmacy", "municipality", "school", "ambulance", "research", "operator", "third-party",
})  # fmt: skip
LEVELS = range(1, 5)
DEEPEST = 8  # levels of nesting clause_from_json will read
_ACTOR = re.compile(r"(?:person|org):[1-9][0-9]{0,18}|class:([a-z-]+)")
_ITEM = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64}")


def known_actor(value: str) -> bool:
    found = _ACTOR.fullmatch(value)
    return found is not None and (found[1] is None or found[1] in CLASSES)


def known_item(value: str) -> bool:
    return _ITEM.fullmatch(value) is not None


def known_author(value: int) -> bool:
    return value > 0


def states_data(clause: Clause) -> bool:
    """Whether the Clause itself says anything about the data (not about who, why and when)."""
    stated = (
        clause.categories, clause.labels, clause.level, clause.data_low, clause.data_high, clause.authors, clause.items
    )  # fmt: skip
    return any(value is not None for value in stated)


def data_chain(chain: Sequence[Clause]) -> tuple[Clause, ...]:
    """The nodes of a chain whose data conditions count, root first.

    A child of the same polarity that states data replaces those above it (so an ordinary category and,
    below it, a level-3 one can stand together); a child of the opposite polarity keeps them: it is an
    exception to them.
    """
    kept: tuple[Clause, ...] = ()
    parent: Clause | None = None
    for node in chain:
        if parent is not None and node.permit == parent.permit and states_data(node):
            kept = ()
        kept += (node,)
        parent = node
    return kept


class Malformed(ValueError):
    """A tree that cannot be read; the message names the place, never the value."""


def clause_to_json(clause: Clause) -> dict[str, Any]:
    """The JSON form kept in `Grant.root`: what is not stated is absent, sets are sorted lists, times ISO 8601."""
    told: dict[str, Any] = {}
    for field in fields(clause):
        value = getattr(clause, field.name)
        if isinstance(value, frozenset):
            told[field.name] = sorted(value)
        elif isinstance(value, datetime):
            told[field.name] = value.isoformat()
        elif isinstance(value, tuple):
            if value:
                told[field.name] = [clause_to_json(child) for child in value]
        elif value is not None:
            told[field.name] = value
    return told


def clause_from_json(told: object, place: str = "root", depth: int = 0) -> Clause:
    """Read the JSON form back. Raises Malformed for an unknown key, a wrong type, an empty list, a naive time.

    Values that are not understood (an unknown purpose code) are kept: they narrow a permit and widen a deny.
    """
    if not isinstance(told, Mapping):
        raise Malformed(f"{place}: not an object")
    if depth > DEEPEST:
        raise Malformed(f"{place}: nested too deeply")
    if unknown := sorted(str(key) for key in told if key not in _READERS):
        raise Malformed(f"{place}: unknown key {unknown[0][:40]!r}")
    if "permit" not in told:
        raise Malformed(f"{place}: permit is missing")
    stated = {
        key: read(told[key], f"{place}.{key}") for key, read in _READERS.items() if key in told and key != "clauses"
    }
    below = told.get("clauses", [])
    if not isinstance(below, list):
        raise Malformed(f"{place}.clauses: not a list")
    children = tuple(clause_from_json(c, f"{place}.clauses[{n}]", depth + 1) for n, c in enumerate(below))
    return Clause(**stated, clauses=children)


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise Malformed(f"{place}: neither true nor false")
    return value


def _number(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"{place}: not a whole number")
    return value


def _word(value: object, place: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 128:
        raise Malformed(f"{place}: not a text of 1 to 128 characters")
    return value


def _instant(value: object, place: str) -> datetime:
    try:
        instant = datetime.fromisoformat(_word(value, place))
    except ValueError:
        raise Malformed(f"{place}: not a date and time") from None
    if instant.tzinfo is None:
        raise Malformed(f"{place}: no time zone")
    return instant


def _set_of(read: Callable[[object, str], Any]) -> Callable[[object, str], frozenset[Any]]:
    def read_set(value: object, place: str) -> frozenset[Any]:
        if not isinstance(value, list) or not value:
            raise Malformed(f"{place}: not a list of at least one")
        return frozenset(read(one, f"{place}[{n}]") for n, one in enumerate(value))

    return read_set


_READERS: Mapping[str, Callable[[object, str], Any]] = {
    "permit": _flag,
    "purposes": _set_of(_word),
    "actors": _set_of(_word),
    "actions": _set_of(_word),
    "valid_from": _instant,
    "valid_to": _instant,
    "categories": _set_of(_word),
    "labels": _set_of(_word),
    "level": _number,
    "data_low": _instant,
    "data_high": _instant,
    "authors": _set_of(_number),
    "items": _set_of(_word),
    "clauses": _flag,  # read by hand above; here so that the key is known
}
