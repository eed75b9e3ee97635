"""Parameters that steer the answer instead of narrowing it (FHIR R4 3.1.1.5). Pure.

`_sort`, `_count`, `_total`, `_summary`, `_elements`, `_include`, `_revinclude`, `_contained`.
"""

from __future__ import annotations

from collections.abc import Sequence

from phr.records.definitions import concrete_types
from phr.records.search.conditions import searchable
from phr.records.search.params import COLUMNS, LEGIBLE, SearchParam, params_for
from phr.records.search.query import BadSearch, Include, SortKey, kept_ids

DEFAULT_COUNT, LARGEST_COUNT = 50, 500
MOST_KEYS, MOST_INCLUDES = 3, 20
ONCE = frozenset(
    {"_sort", "_count", "_total", "_summary", "_elements", "_page", "_contained", "_containedType", "_type"}
)
INCLUDES = frozenset({"_include", "_revinclude"})
_SUMMARIES = frozenset({"true", "text", "data", "count", "false"})


def count(text: str | None) -> int:
    if text is None:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadSearch("_count", "must be a whole number from 0 on")
    return min(int(text), LARGEST_COUNT)


def one_of(name: str, text: str | None, known: Sequence[str]) -> str | None:
    if text is not None and text not in known:
        raise BadSearch(name, "must be one of " + ", ".join(known))
    return text


def summary(text: str | None) -> str | None:
    return one_of("_summary", text, sorted(_SUMMARIES))


def total(text: str | None) -> str:
    return one_of("_total", text, ("none", "estimate", "accurate")) or "none"


def elements(text: str | None) -> tuple[str, ...]:
    return tuple(e.strip() for e in (text or "").split(",") if e.strip())


def contained(steering: dict[str, str]) -> None:
    """Contained resources are not found by themselves. Raises BadSearch for a search that wants them."""
    if one_of("_contained", steering.get("_contained"), ("true", "both", "false")) not in (None, "false"):
        raise BadSearch("_contained", "contained resources are not searched; only false is answered")
    if "_containedType" in steering:
        raise BadSearch("_containedType", "contained resources are not searched")


# Order


def sort(types: Sequence[str], text: str | None) -> tuple[SortKey, ...]:
    """The keys of `_sort`. Raises BadSearch for one that has no order here."""
    parts = [part.strip() for part in text.split(",")] if text else []
    if len(parts) > MOST_KEYS:
        raise BadSearch("_sort", f"more than {MOST_KEYS} keys")
    return tuple(_key(types, part.removeprefix("-"), part.startswith("-")) for part in parts)


def _key(types: Sequence[str], name: str, descending: bool) -> SortKey:
    head, dot, last = name.partition(".")
    if dot:
        return _chained(types, head, last, name, descending)
    params = [params_for(type).get(name) for type in types]
    first = params[0]
    if first is None or not all(p and _ordered(p) and kept_ids(p) == kept_ids(first) for p in params):
        raise BadSearch("_sort", f"cannot sort by {name[:60]!r}: only dates and names have an order here")
    return SortKey(first, descending)


def _chained(types: Sequence[str], head: str, last: str, name: str, descending: bool) -> SortKey:
    """One step along a reference: `subject.name`, `subject:Patient.name`."""
    bare, _, kind = head.partition(":")
    through = params_for(types[0]).get(bare) if len(types) == 1 else None
    if through is None or through.type != "reference" or "Reference" not in through.types:
        raise BadSearch("_sort", f"cannot sort by {name[:60]!r}: {bare[:40]!r} is no reference of one type")
    only = tuple(kept.only for kept in through.kept if kept.only)
    reached = (kind,) if kind else only or through.targets
    if kind and (kind not in concrete_types() or (through.targets and kind not in through.targets)):
        raise BadSearch("_sort", f"{bare} does not point to {kind[:40]}")
    found = [p for target in reached if (p := params_for(target).get(last)) and _ordered(p)]
    if len(found) != 1:
        raise BadSearch(
            "_sort", f"cannot sort by {name[:60]!r}" + (f": name the type, {bare}:Patient.…" if found else "")
        )
    return SortKey(found[0], descending, through)


def _ordered(param: SearchParam) -> bool:
    """Whether the index keeps an order: what was measured or written in clinical types has none in clear."""
    if param.name in COLUMNS:
        return True
    legible = param.type == "string" and param.base in LEGIBLE
    return searchable(param) and bool(param.expression) and (param.type == "date" or legible)


# Includes


def include(name: str, text: str) -> Include:
    """One `_include` or `_revinclude`: `*`, `Type:*`, `Type:reference` or `Type:reference:Target`. Raises BadSearch."""
    bare, _, modifier = name.partition(":")
    if modifier not in ("", "iterate"):
        raise BadSearch(name, f"modifier :{modifier[:40]} is not supported here")
    reverse, iterate = bare == "_revinclude", modifier == "iterate"
    if text == "*":
        return Include("*", None, None, reverse, iterate)
    source, *rest = text.split(":")
    if source not in concrete_types() or not 1 <= len(rest) <= 2:
        raise BadSearch(name, "expected *, Type:*, Type:reference or Type:reference:Target")
    target = rest[1] if len(rest) == 2 and rest[1] else None
    if target is not None and target not in concrete_types():
        raise BadSearch(name, f"{target[:40]} is not a resource type")
    if rest[0] == "*":
        return Include(source, None, target, reverse, iterate)
    param = params_for(source).get(rest[0])
    if param is None or param.type != "reference" or not searchable(param):
        raise BadSearch(name, f"{source} has no reference {rest[0][:40]!r}")
    if target and param.targets and target not in param.targets:
        raise BadSearch(name, f"{source}.{param.name} does not point to {target}")
    return Include(source, param, target, reverse, iterate)
