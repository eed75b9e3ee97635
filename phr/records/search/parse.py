"""The text of a search -> `Query`.

`parse(types, pairs, now=…)` takes the decoded (name, value) pairs of a query string in their order.
What it cannot do is refused by name (`BadSearch`), never ignored, except parameters nobody knows:
those are listed in `Query.unknown` (FHIR R4 3.1.1.3: a server may ignore them, and must say so).

Where what is read:

* `values.py`: one value; `conditions.py`: modifiers, value lists; `concepts.py`: value sets and what is below a code;
* `chain.py`: chains and `_has`; `filter.py`: `_filter`; `steering.py`: order, size and shape of the answer;
* here: several types, compartments, `_list`, and what can be judged on opened bodies only (`Query.opening`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from phr.records.definitions import concrete_types
from phr.records.search import compartments, steering
from phr.records.search import filter as filtering
from phr.records.search.chain import Reader, opened
from phr.records.search.conditions import MODIFIERS, MOST_VALUES, searchable
from phr.records.search.params import COLUMNS, params_for
from phr.records.search.query import (
    BadSearch,
    Condition,
    Each,
    Has,
    Include,
    Node,
    Query,
    Token,
)  # fmt: skip
from phr.records.search.steering import DEFAULT_COUNT, INCLUDES, LARGEST_COUNT, MOST_INCLUDES, ONCE
from phr.records.search.values import PREFIXES, Asked, split, unescaped

__all__ = [
    "DEFAULT_COUNT", "LARGEST_COUNT", "MODIFIERS", "PREFIXES", "BadSearch", "Condition", "Query", "parse", "searchable",
    "split", "unescaped",
]  # fmt: skip

MOST_PARAMETERS, LONGEST_VALUE = 30, 2000
_UNSOUND = re.compile("[\x00-\x1f\ud800-\udfff]")
_DOOR = frozenset({"_format", "_pretty"})  # the door has read them
_REFUSED = {"_query": "named queries are not supported", "_score": "matches have no score here"}
Pair = tuple[str, str]


def parse(
    types: str | Sequence[str],
    pairs: Iterable[Pair],
    *,
    now: datetime,
    base: str | None = None,
    compartment: tuple[str, str] | None = None,
) -> Query:
    """The search that `pairs` describe. Raises BadSearch, and KeyError for an unknown type.

    `types`: one type, or several; none at all: those `_type` names, else every type (of the compartment).
    `base`: our own FHIR base URL; absolute references below it are read as relative ones.
    `compartment`: ("Patient", id), for `GET Patient/id/…`; also of Encounter, RelatedPerson, Practitioner, Device.
    """
    pairs = list(pairs)
    if len(pairs) > MOST_PARAMETERS:
        raise BadSearch(pairs[MOST_PARAMETERS][0][:60], f"more than {MOST_PARAMETERS} parameters")
    steering_texts: dict[str, str] = {}
    includes: list[Include] = []
    rest: list[Pair] = []
    for name, value in pairs:
        _sound(name, value)
        bare, _, modifier = name.partition(":")
        if bare in _DOOR:
            continue
        if bare in ONCE:
            if name in steering_texts or modifier:
                raise BadSearch(name, "may stand once only, without a modifier")
            steering_texts[name] = value
        elif bare in INCLUDES:
            includes.append(steering.include(name, value))
        else:
            rest.append((name, value))
    if len(includes) > MOST_INCLUDES:
        raise BadSearch("_include", f"more than {MOST_INCLUDES} includes")
    asked = _types((types,) if isinstance(types, str) else tuple(types), steering_texts, compartment)
    return _query(asked, rest, steering_texts, tuple(includes), Reader(Asked(now, base)), compartment)


def _sound(name: str, value: str) -> None:
    if len(name) > 200 or len(value) > LONGEST_VALUE:
        raise BadSearch(name[:60], f"longer than {LONGEST_VALUE} characters")
    if _UNSOUND.search(name) or _UNSOUND.search(value):
        raise BadSearch(name.encode("ascii", "replace").decode()[:60], "contains a control character")


def _types(
    given: tuple[str, ...], steering_texts: dict[str, str], compartment: tuple[str, str] | None
) -> tuple[str, ...]:
    """The types that are searched, each once, in alphabetical order where several."""
    named = steering_texts.pop("_type", None)
    if len(given) == 1 and named is None:
        return given
    within = frozenset(compartments.types(compartment[0])) if compartment else concrete_types()
    found = set(given) or set(within)
    if named is not None:
        told = {part.strip() for part in named.split(",")}
        if lost := told - concrete_types():
            raise BadSearch("_type", f"{min(lost)[:40]!r} is not a resource type")
        if lost := told - found:
            raise BadSearch("_type", f"{min(lost)} is not among the types that are searched here")
        found &= told
    return tuple(sorted(found))


def _query(
    types: tuple[str, ...],
    pairs: Sequence[Pair],
    texts: dict[str, str],
    includes: tuple[Include, ...],
    reader: Reader,
    compartment: tuple[str, str] | None,
) -> Query:
    conditions: list[Node] = []
    opening: list[Condition] = []
    unknown: list[str] = []
    for name, value in pairs:
        found = _asked(types, name, value, reader)
        if found is None:
            unknown.append(name)
        elif opened(found) is None:
            conditions.append(found)
        elif len(types) == 1 and isinstance(found, Condition):
            opening.append(found)
        else:
            raise BadSearch(name, "is in sealed text: it is searched on one type only")
    steering.contained(texts)
    shown = steering.summary(texts.get("_summary"))
    count = 0 if shown == "count" else steering.count(texts.get("_count"))
    total = steering.total(texts.get("_total"))
    return Query(
        types, tuple(conditions), steering.sort(types, texts.get("_sort")), count, "accurate" if count == 0 else total,
        texts.get("_page") or None, shown, steering.elements(texts.get("_elements")), tuple(unknown), includes,
        tuple(opening), compartment,
    )  # fmt: skip


def _asked(types: tuple[str, ...], name: str, value: str, reader: Reader) -> Node | None:
    """What one parameter asks; of several types, it must be known to every one (R4 3.1.1.3, `_type`)."""
    bare = name.partition(":")[0]
    if bare in _REFUSED:
        raise BadSearch(name, _REFUSED[bare])
    if bare == "_list":
        return _listed(name, value)
    if len(types) == 1:
        return _of_type(types[0], name, value, reader)
    if bare in COLUMNS:
        return _of_type(types[0], name, value, reader)
    found = [(type, _of_type(type, name, value, reader)) for type in types]
    known = [(type, node) for type, node in found if node is not None]
    if not known:
        return None
    if len(known) < len(types):
        lost = next(type for type, node in found if node is None)
        raise BadSearch(name, f"{lost} has no such parameter; a search on several types takes what all of them have")
    return Each(tuple(known))


def _of_type(type: str, name: str, value: str, reader: Reader) -> Node | None:
    if name == "_filter":
        return filtering.read(type, value, reader)
    if name == "_has" or name.startswith("_filter:"):
        raise BadSearch(name, "expected _has:Type:reference:parameter" if name == "_has" else "takes no modifier")
    return reader.node(type, name, value)


def _listed(name: str, value: str) -> Node:
    """`_list`: the members of a List that the caller may see (R4 3.1.1.4.16), by the references of its entries."""
    if name != "_list":
        raise BadSearch(name, "takes no modifier")
    ids = split(value, ",")
    if any(not part.strip() or part.startswith("$") for part in ids):
        raise BadSearch(name, "expected the id of a List; functional lists are not supported")
    if len(ids) > MOST_VALUES:
        raise BadSearch(name, f"more than {MOST_VALUES} values")
    known = params_for("List")
    try:
        tokens = tuple(Token(None, unescaped(part).removeprefix("List/")) for part in ids)
    except ValueError as error:
        raise BadSearch(name, str(error)) from None
    return Has(known["item"], Condition(known["_id"], tokens))
