"""What an export was asked for, and the walks it comes to. Pure.

The plan is kept sealed with the job: it names persons and what was searched for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from phr.records.exporting import Part
from phr.records.search.parse import BadSearch, Query, parse

SLICE = 50  # persons of one walk
MOST_FIELDS = 50  # of one `_typeFilter`


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`level`: system, patient or group. `types` None = all. `filters`: (type, query string), alternatives of a type.

    `members`: the persons it is limited to, None = any. `elements`: root elements by type, "" = of every type.
    `provenance`: "" or relevant or latest, which Provenance goes along. `ignored`: parameters that were not
    understood, and why.
    """

    request: str
    level: str
    types: list[str] | None = None
    filters: list[tuple[str, str]] = []
    members: list[UUID] | None = None
    since: datetime | None = None
    until: datetime | None = None
    elements: dict[str, list[str]] = {}
    provenance: str = ""
    ignored: list[tuple[str, str]] = []

    def packed(self) -> bytes:
        return msgspec.msgpack.encode(self)

    def kept_elements(self, type: str) -> frozenset[str] | None:
        """The elements to keep of a type; None = all."""
        if not self.elements:
            return None
        return frozenset(self.elements.get("", ())) | frozenset(self.elements.get(type, ()))


def unpacked(content: bytes) -> Plan:
    return msgspec.msgpack.decode(content, type=Plan)


def place(job: UUID) -> str:
    """Where a plan belongs, as its seal says."""
    return f"export|{job}|plan"


def walks(plan: Plan, *, now: datetime, base: str) -> list[Part]:
    """The walks of an export, in order; the same list every time for the same plan. `now`: when it was asked."""
    return [part for slice_ in _slices(plan) for part in _of_slice(plan, slice_, now, base)]


def _slices(plan: Plan) -> list[dict[str, Any]]:
    common: dict[str, Any] = {"persons": plan.level != "system", "since": plan.since, "until": plan.until}
    if plan.members is None:
        return [common]
    everybody = tuple(plan.members)
    starts = range(0, len(everybody), SLICE)
    return [{**common, "members": everybody[at : at + SLICE], "everybody": everybody} for at in starts]


def _of_slice(plan: Plan, common: dict[str, Any], now: datetime, base: str) -> Iterator[Part]:
    filtered: dict[str, list[Query]] = {}
    for type, text in plan.filters:
        filtered.setdefault(type, []).append(query(type, text, now=now, base=base))
    apart = _provenance_apart(plan)
    parts = _by_type([type for type in plan.types or () if type not in filtered], common)
    if plan.types is None:
        parts.append(Part(without=tuple(sorted({*filtered, *apart})), **common))
    parts += [Part(types=(type,), queries=tuple(queries), **common) for type, queries in filtered.items()]
    yield from parts
    if apart:
        whoever = {"members": common["everybody"]} if "everybody" in common else {}
        targets = tuple(replace(part, **whoever) for part in parts)
        own = {**common, "since": None, "until": None}
        yield Part(types=("Provenance",), targets=targets, latest=plan.provenance == "latest", **own)
    if plan.since is not None:
        yield from _by_type(plan.types, {**common, "deleted": True}) if plan.types else [Part(deleted=True, **common)]


def _by_type(types: list[str], common: dict[str, Any]) -> list[Part]:
    """A walk for each type, which has an index; of a few persons one walk of all of them is less."""
    if "members" in common:
        return [Part(types=tuple(types), **common)] if types else []
    return [Part(types=(type,), **common) for type in types]


def _provenance_apart(plan: Plan) -> tuple[str, ...]:
    """Provenance that is chosen by what it is about, instead of by its type (IG export, `includeAssociatedData`)."""
    named = plan.types is not None and "Provenance" in plan.types
    filtered = any(type == "Provenance" for type, _ in plan.filters)
    if not plan.provenance or named or filtered or (plan.types is None and plan.provenance == "relevant"):
        return ()  # all of it goes along as it is
    return ("Provenance",)


def query(type: str, text: str, *, now: datetime, base: str) -> Query:
    """One `_typeFilter`, without its type. Raises BadSearch."""
    return parse(type, pairs(text), now=now, base=base)


def pairs(text: str) -> list[tuple[str, str]]:
    """Raises BadSearch for a query string that cannot be read."""
    if text.count("&") >= MOST_FIELDS:
        raise BadSearch("_typeFilter", f"more than {MOST_FIELDS} parameters")
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        raise BadSearch("_typeFilter", "cannot be read") from None
