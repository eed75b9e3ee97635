"""Locks that make conditional writes follow each other (R4 http.html §3.1.0.8.2: avoid two clients creating one thing).

Two conditions may be spelled differently and still speak of the same resource, so what is locked is not the
text. A condition about known persons locks its type for each of them, and shares the type as a whole; any other
locks the whole type. All locks of one transaction are taken at once, in one order, before anything is read.
They end with the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from django.db import connection

# Locked one by one; beyond, the type is, or the prefix: the database's table of locks is shared, and not large.
MOST_PERSONS = MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """A conditional write on `type`; `about` the persons it can be about, None = anybody or nobody."""

    type: str
    about: frozenset[UUID] | None


def hold(wanted: Iterable[Wanted]) -> None:
    """Take the locks of all conditional writes of this transaction."""
    _take(steps(wanted))


def steps(wanted: Iterable[Wanted]) -> list[tuple[str, str]]:
    """Names and lock functions, in the order in which everybody takes them."""
    about: dict[str, set[UUID] | None] = {}
    for one in wanted:
        before = about.get(one.type, set())
        persons = None if one.about is None or before is None else before | one.about
        about[one.type] = persons if persons is None or len(persons) <= MOST_PERSONS else None
    found = []
    for type, persons in about.items():
        found.append((type, "pg_advisory_xact_lock" + ("" if persons is None else "_shared")))
        found += [(f"{type} {person}", "pg_advisory_xact_lock") for person in persons or ()]
    return sorted(found)


def hold_names(prefix: str, names: Iterable[str]) -> None:
    """Take the locks of ids below a prefix that may not exist yet, so that only one writer creates each."""
    wanted = sorted(set(names))
    lock = "pg_advisory_xact_lock"
    if len(wanted) > MOST_NAMES:
        _take([(prefix, lock)])
    else:
        _take([(prefix, f"{lock}_shared"), *((name, lock) for name in wanted)])


def _take(taken: list[tuple[str, str]]) -> None:
    """One after the other, in this order: a target list is evaluated from left to right."""
    if taken:
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"{lock}({number(name)})" for name, lock in taken))


def number(name: str) -> int:
    """The key of an advisory lock: 64 bits of a name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
