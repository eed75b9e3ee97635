"""What conditional writes stand on: one match or none, found once and held (R4 http.html §3.1.0.4.3, .6, .7.1, .8.2).

What the caller may not see does not match. Use it through `gateway.Records`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from consent import prepared
from consent.decide import Caller, Permit
from consent.scope import OPEN_TYPES
from phr.records import locks
from phr.records.admission import Admission
from phr.records.locks import Wanted
from phr.records.reading import NotFound
from phr.records.rejections import Ambiguous, Conflict
from phr.records.scoping import Params, scope_sql
from phr.records.search import compile as compiler
from phr.records.search.parse import Query
from phr.records.search.terms import literal
from phr.records.searching import Searching
from phr.records.store import Stored

P = ParamSpec("P")
R = TypeVar("R")


def accountable(deed: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """A method whose refusal may tell something of a resource (see `Conditions.accounted`)."""

    @wraps(deed)
    def accounted(self: Conditions, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.accounted():
            return deed(self, *args, **kwargs)

    return accounted


@dataclass(frozen=True, slots=True)
class Match:
    """What a condition found."""

    condition: Query
    found: Stored


class Conditions(Admission, Searching):
    """What one caller's conditions find."""

    def __init__(self, caller: Caller, permit: Permit, *, now: datetime) -> None:
        super().__init__(caller, permit, now=now)
        self._looks: list[Callable[[], None]] = []
        self._accounting = False

    @contextmanager
    def accounted(self) -> Iterator[None]:
        """Whoever is refused inside may have learnt something by that: what was looked at is on the log then too.

        A write that fails is undone, and its lines in the log with it. So this is opened outside its transaction.
        """
        if self._accounting:  # the outermost tells
            yield
            return
        self._accounting = True
        try:
            yield
        except Exception:
            for look in self._looks:
                look()
            raise
        finally:
            self._looks.clear()
            self._accounting = False

    def hold(self, wanted: Iterable[tuple[Query, Mapping[str, Any] | None]]) -> None:
        """Let no other conditional write that could meet one of these go on until this transaction ends.

        Each is a condition, and the resource that will be written if nothing matches (as it came, unchecked).
        To be called once in a transaction, before anything is read.
        """
        locks.hold(Wanted(condition.type, self._about(condition, resource)) for condition, resource in wanted)

    def _about(self, condition: Query, resource: Mapping[str, Any] | None) -> frozenset[UUID] | None:
        """The persons a conditional write can be about; None where it does not say."""
        bound = compiler.bound_to(condition)
        if bound is None and condition.type not in OPEN_TYPES:
            bound = self.scope.subjects
        return None if bound is None else bound | _named(resource)

    def matching(self, condition: Query) -> Stored | None:
        """The one match, logged. Raises Ambiguous where several match, TooCostly as a search would."""
        self._affordable(condition)
        matches = self.find(condition, letter="s", limit=2)
        look = partial(self._log_search, condition, matches)
        self._looks.append(look)
        look()
        if len(matches) > 1:
            raise Ambiguous(f"several {condition.type} resources match the condition")
        return matches[0] if matches else None

    def _still(self, match: Match | None, current: Stored) -> None:
        """Whether the resource, now locked, is still the one match. Raises Conflict."""
        if match is None or current.version == match.found.version:
            return
        if [found.id for found in self.find(match.condition, letter="s", limit=2)] != [current.id]:
            raise Conflict("what the condition found has changed meanwhile; ask again")

    def sees(self, type: str, id: str) -> bool:
        """Whether the caller may read what stands, or stood, at an id."""
        try:
            self._current(type, id, letter="r")
        except NotFound:
            return False
        return True

    def lock_all(self, names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Lock what several entries will change, in one order, so that no two transactions wait for each other.

        Names are (type, id); returns those the caller may read or change, deleted ones too.
        """
        wanted = list(names)
        if not wanted:
            return set()
        p = Params()
        blind = any("r" not in door.letters for door in self.scope.doors)  # who changes may nearly always read
        seen = " OR ".join(scope_sql(self.scope, letter, p) for letter in ("rud" if blind else "r"))
        types, ids = p([type for type, _ in wanted]), p([id for _, id in wanted])
        found = prepared.fetch(
            f"SELECT r.type, r.fhir_id FROM phr_resource r JOIN unnest({types}::text[], {ids}::text[]) AS n(type, id)"
            f" ON n.type = r.type AND n.id = r.fhir_id WHERE ({seen})"
            " ORDER BY r.type, r.fhir_id FOR UPDATE OF r",
            p.values,
        )
        return {(type, id) for type, id in found}


def _named(resource: Mapping[str, Any] | None) -> frozenset[UUID]:
    """The person a resource not yet checked is about, where it says so plainly."""
    for element in ("subject", "patient"):
        node = (resource or {}).get(element)
        reference = node.get("reference") if isinstance(node, dict) else None
        parts = literal(reference) if isinstance(reference, str) else None
        if parts is not None and parts[1] == "Patient":
            try:
                return frozenset({UUID(parts[2])})
            except ValueError:
                return frozenset()
    return frozenset()
