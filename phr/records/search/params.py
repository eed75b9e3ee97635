"""Search parameters of R4 (and the eight of JP Core) per resource type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from consent.scope import OPEN_TYPES
from phr.records.definitions import search_table

# Data types whose tokens have no system of their own in JSON
_BARE = frozenset({"code", "boolean", "string", "id", "uri", "url", "canonical", "markdown", "Truth"})
# Types whose strings (names, addresses) stand legibly in the index, so that they can be found by their beginning.
# No other type's do: what a clinician or a family wrote is in the sealed body only.
LEGIBLE = OPEN_TYPES | {"Patient", "RelatedPerson", "Person"}
# Parameters without rows in the index: the gateway knows these from columns
COLUMNS = frozenset({"_id", "_lastUpdated"})


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the index keeps a parameter's values: the name to hash with, and a restriction on reference type."""

    name: str
    id: int  # param_id in Range and Text
    only: str | None = None


@dataclass(frozen=True, slots=True)
class SearchParam:
    """One search parameter on one type.

    `type`: token, reference, string, date, number, quantity, uri, composite, special.
    `targets`: resource types a reference may point to; empty = any.
    `types`: data types of the values. `components`: (parameter, expression) of a composite.
    `kept`: the names under which terms, ranges and texts stand; any of them answers. Usually its own;
    `patient` is kept as `subject` (only Patient), `combo-code` as `code` and `component-code`.
    """

    id: int
    name: str
    base: str
    type: str
    expression: str
    targets: tuple[str, ...]
    types: tuple[str, ...]
    components: tuple[tuple[str, str], ...]
    kept: tuple[Kept, ...]

    @property
    def bare(self) -> bool:
        """Token values are codes, booleans or strings: a system given in a search is implied and ignored."""
        return bool(self.types) and set(self.types) <= _BARE

    @property
    def own(self) -> bool:
        """Whether values are kept under the parameter's own name."""
        return self.kept[0].name == self.name

    @property
    def indexed(self) -> bool:
        """Whether the index keeps values of it (a composite has none of its own: `composites`)."""
        return bool(self.expression) and self.type != "composite"


@cache
def params_for(type_name: str) -> Mapping[str, SearchParam]:
    """Parameters of one concrete resource type by name. Raises KeyError for an unknown type."""
    ids: dict[str, int] = search_table()["ids"]
    found = {}
    for name, (kind, expression, targets, types, components, stored) in search_table()["types"][type_name].items():
        kept = tuple(Kept(other, ids[other], only or None) for other, only in stored) or (Kept(name, ids[name]),)
        found[name] = SearchParam(
            id=ids[name], name=name, base=type_name, type=kind, expression=expression,
            targets=() if targets == ["*"] else tuple(targets), types=tuple(types),
            components=tuple((other, inner) for other, inner in components), kept=kept,
        )  # fmt: skip
    return MappingProxyType(found)


@cache
def param_ids() -> Mapping[str, int]:
    """Parameter name -> the small int that stands in Range and Text rows."""
    return MappingProxyType(search_table()["ids"])
