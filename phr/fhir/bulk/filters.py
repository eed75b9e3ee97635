"""`_typeFilter`: searches that narrow an export, each for one type; several of a type are alternatives.

Separated by commas, or repeated; without `_include`, `_sort` and the like (Bulk Data Access IG 3.0.0, export).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from phr.fhir.bulk import plan
from phr.records import definitions
from phr.records.search.parse import BadSearch, Query

Faults = Callable[[str, str, str], None]
MOST = 20
# Commas also stand inside a search: one ends it only where another begins.
_BETWEEN = re.compile(r",(?=[A-Z][A-Za-z]*\?)")
# How a result is shown is no matter of what is exported.
SHOWING = frozenset({
    "_include", "_revinclude", "_sort", "_count", "_total", "_summary", "_elements", "_page", "_contained",
    "_containedType", "_format", "_pretty", "_score", "_query", "_type", "_maxresults",
})  # fmt: skip


def read(
    texts: Iterable[str], types: list[str] | None, *, now: datetime, base: str, faults: Faults
) -> list[tuple[str, str]]:
    """(type, query string) of each. Raises what `faults` raises."""
    out: list[tuple[str, str]] = []
    for text in (part for value in texts for part in _BETWEEN.split(value)):
        type, mark, criteria = text.strip().partition("?")
        problem = _fault(type, mark, criteria, types, now, base)
        if problem or len(out) == MOST:
            faults("_typeFilter", "使えない条件です。", problem or f"At most {MOST} filters.")
        else:
            out.append((type, criteria))
    return out


def _fault(type: str, mark: str, criteria: str, types: list[str] | None, now: datetime, base: str) -> str:
    """Why this filter cannot be used; "" = it can."""
    if not mark or type not in definitions.concrete_types():
        return "Expected Type?parameter=value."
    if types is not None and type not in types:
        return f"{type} is not among _type."
    try:
        found = plan.query(type, criteria, now=now, base=base)
    except BadSearch as error:
        return str(error)
    return unusable(found, criteria)


def unusable(found: Query, criteria: str) -> str:
    """What of a well-formed search no export can go by."""
    showing = sorted({name.partition(":")[0] for name, _ in plan.pairs(criteria)} & SHOWING)
    if showing:
        return f"{showing[0]} shows a result; it does not filter."
    if found.unknown:
        return f"{found.unknown[0][:60]} is not a search parameter of {found.type}."
    if getattr(found, "opening", ()):
        return "What is sealed in bodies cannot be searched in bulk."
    return "" if found.conditions else "It has no criteria."
