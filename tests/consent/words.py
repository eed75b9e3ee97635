"""The small vocabulary the random trees, resources and scopes of the tests, small enough that they often meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from consent.scope import Clause

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
DAYS = [NOW + timedelta(days=d) for d in (-30, -20, -10, -1, 0, 1, 10, 20)]
HANA = UUID("00000000-0000-4000-8000-000000000001")
REN = UUID("00000000-0000-4000-8000-000000000002")
SUBJECTS = [HANA, REN]

PURPOSES = ["TREAT", "HRESCH", "PATRQT"]
ACTORS = ["person:1", "person:2", "org:1", "org:2", "class:clinic", "class:third-party"]
ACTIONS = ["access", "collect", "correct"]
ORDINARY = ["IMMUNIZATION", "LABORATORY", "HOME"]
LABEL_NAMES = ["PSY", "SDV", "UNCLASSIFIED"]
AUTHORS = [1, 2]
TYPES = ["Observation", "Immunization", "Patient"]
IDS = ["a", "b"]
ITEMS = [f"{t}/{i}" for t in TYPES for i in IDS]
UNKNOWN_WORD = "???"
UNKNOWN_AUTHOR = -7
UNKNOWN_LEVEL = 9


def places(root: Clause, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Where the nodes of a tree are."""
    return [path, *(p for n, child in enumerate(root.clauses) for p in places(child, (*path, n)))]


def changed(root: Clause, path: tuple[int, ...], **values: object) -> Clause:
    """The tree with the node at `path` changed."""
    if not path:
        return replace(root, **values)
    head, *rest = path
    kids = list(root.clauses)
    kids[head] = changed(kids[head], tuple(rest), **values)
    return replace(root, clauses=tuple(kids))
