"""Observation `$lastn`: the newest of each kind (R4 operation-observation-lastn).

The search parameters say which Observations are asked about; what counts as one kind is said by their codes,
which only the opened resources tell. So a question is about one person, and its candidates are bounded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from phr.fhir import wire
from phr.fhir.door import admitted
from phr.fhir.operations.answers import searchset
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.outcome import Problem
from phr.records import body
from phr.records.gateway import Page, Records, Stored, TooCostly
from phr.records.reading import PAGE_BYTES
from phr.records.search import compile as compiler
from phr.records.search.parse import Query

MOST = 20_000  # candidates of one question; few are kept
# What shapes a search's answer has no meaning here: the operation says what comes, and in which order.
SHAPING = ("_sort", "_count", "_page", "_total", "_summary", "_elements", "_include", "_revinclude", "_contained")
_EVER = datetime.min.replace(tzinfo=UTC)


@operation(
    "lastn",
    on=("Observation",),
    levels={"type"},
    definition="http://hl7.org/fhir/OperationDefinition/Observation-lastn",
    inputs=(In("max", "positiveInt"),),
    rest=True,
)
def lastn(records: Records, ask: Ask) -> bytes:
    """The newest `max` of each code among the Observations of one person that the search parameters select."""
    admitted(records, "Observation", "s")
    query = _query(records, ask)
    most = ask.one("max", 1)
    chosen = records.extract(query, lambda found: _bounded(newest_of_each(found, most)), method="$lastn", most=MOST)
    known = [(name, value) for name, value in ask.rest if name not in query.unknown]
    return searchset(records, replace(ask, rest=known), Page(chosen, None, None))


def _bounded(chosen: list[Stored]) -> list[Stored]:
    """The same, if it is little enough for one answer. Raises TooCostly."""
    if sum(len(one.body or b"") for one in chosen) > PAGE_BYTES:
        raise TooCostly(f"more than {PAGE_BYTES} bytes of Observations: narrow the question, for instance by date")
    return chosen


def _query(records: Records, ask: Ask) -> Query:
    names = {name.partition(":")[0] for name, _ in ask.rest}
    if shaping := sorted(names.intersection(SHAPING)):
        raise refused(shaping[0], "$lastn では使えません。It has no meaning in $lastn.", "not-supported")
    if "category" not in names and not any("code" in name for name in names):
        text = "category か code のどちらかが必要です。A category or a code is required."
        raise Problem(400, "required", text, "http.category")
    strict = wire.strict(ask.headers.get("Prefer", ""), "strict")
    asked = [(name, value) for name, value in ask.rest if name != "max"]
    query = wire.query("Observation", [*asked, ("_sort", "-date")], now=records.now, strict=strict)
    about = compiler.bound_to(query) or records.scope.subjects
    if about is None or len(about) != 1:
        text = "patient か subject で一人を指定してください。Name one person by patient or subject."
        raise Problem(400, "required", text, "http.patient")
    return query


# -- which are the newest of each: pure -----------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """Observations of one kind, newest first, and every name the kind was met under."""

    names: set[Hashable] = field(default_factory=set)
    members: list[Stored] = field(default_factory=list)


def newest_of_each(found: Iterable[Stored], most: int) -> list[Stored]:
    """The newest `most` of each kind, and those as old as the oldest of them; newest first.

    Two are of one kind if they share a coding (system and code), or are linked by others that do. A code without
    codings is its text, as it is written.
    """
    by_name: dict[Hashable, _Group] = {}
    for one in found:
        group = _Group(set(names(one)), [one])
        for other in {id(by_name[n]): by_name[n] for n in group.names if n in by_name}.values():
            small, group = sorted((group, other), key=lambda g: len(g.names))
            group.names |= small.names
            group.members += small.members
            by_name |= dict.fromkeys(small.names, group)
        group.members = _newest(group.members, most)  # a group that grows keeps no more of it
        by_name |= dict.fromkeys(group.names, group)
    groups = {id(group): group for group in by_name.values()}.values()
    return sorted((one for group in groups for one in group.members), key=recency, reverse=True)


def _newest(members: list[Stored], most: int) -> list[Stored]:
    ordered = sorted(members, key=recency, reverse=True)
    if len(ordered) <= most:
        return ordered
    oldest = ordered[most - 1].facts.low
    return ordered[:most] + [one for one in ordered[most:] if oldest is not None and one.facts.low == oldest]


def recency(found: Stored) -> tuple[bool, datetime, int]:
    """When it was observed; what does not say comes last, and of the same moment the one stored later first."""
    low = found.facts.low
    return low is not None, low or _EVER, found.pk


def names(found: Stored) -> set[Hashable]:
    """What the code of an Observation is called; where it has no name at all, it is a kind of its own."""
    code: Mapping[str, Any] = body.parse(found.body or b"{}").get("code", {})
    codings = {(c.get("system", ""), c["code"]) for c in code.get("coding", ()) if "code" in c}
    if codings:
        return set(codings)
    return {code["text"]} if "text" in code else {("", "", found.pk)}
