"""What a search finds, said as plainly as possible: a Query held against plain resources, one by one.

No index, no hashes, no SQL, and none of the code that makes them: values are read from the JSON by hand, for the
types and parameters that `world.py` makes. Order and pages are Python's own sort.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from phr.records.search.query import (
    Amount,
    And,
    Chain,
    Condition,
    Each,
    Has,
    Logical,
    Node,
    Not,
    Or,
    Paired,
    Query,
    Reference,
    SortKey,
    Span,
    Text,
    Token,
    Uri,
)  # fmt: skip

Resource = dict[str, Any]
JAPAN = timezone(timedelta(hours=9))
# unit -> (canonical unit, factor)
UNITS: dict[str, tuple[str, Fraction]] = {
    "kg": ("g", Fraction(1000)), "g": ("g", Fraction(1)), "cm": ("m", Fraction(1, 100)), "m": ("m", Fraction(1)),
}  # fmt: skip


def get(node: Any, path: str) -> list[Any]:
    """Every value at a dotted path, arrays opened."""
    found = [node]
    for name in path.split("."):
        found = [inner for outer in found if isinstance(outer, dict) for inner in _list(outer.get(name))]
    return found


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def codings(path: str) -> Callable[[Resource], list[Any]]:
    return lambda r: [(c.get("system", ""), c["code"]) for c in get(r, path + ".coding")]


def codes(path: str) -> Callable[[Resource], list[Any]]:
    return lambda r: [(None, "true" if v is True else "false" if v is False else v) for v in get(r, path)]


def at(*paths: str) -> Callable[[Resource], list[Any]]:
    return lambda r: [value for path in paths for value in get(r, path)]


def refs(path: str, only: str | None = None) -> Callable[[Resource], list[Any]]:
    return lambda r: [
        node for node in get(r, path)
        if only is None or node.get("reference", "").split("/")[0] == only or node.get("type") == only
    ]  # fmt: skip


READ: dict[tuple[str, str], Callable[[Resource], list[Any]]] = {
    ("Patient", "family"): at("name.family"), ("Patient", "given"): at("name.given"),
    ("Patient", "gender"): codes("gender"),
    ("Patient", "birthdate"): at("birthDate"), ("Patient", "organization"): refs("managingOrganization"),
    ("Patient", "identifier"): lambda r: [(n.get("system", ""), n["value"]) for n in get(r, "identifier")],
    ("Organization", "name"): at("name"), ("Organization", "partof"): refs("partOf"),
    ("Organization", "active"): codes("active"),
    ("Observation", "code"): codings("code"), ("Observation", "category"): codings("category"),
    ("Observation", "status"): codes("status"), ("Observation", "date"): at("effectiveDateTime", "effectivePeriod"),
    ("Observation", "subject"): refs("subject"), ("Observation", "patient"): refs("subject", "Patient"),
    ("Observation", "performer"): refs("performer"), ("Observation", "has-member"): refs("hasMember"),
    ("Observation", "value-quantity"): at("valueQuantity"),
    ("Observation", "component-code"): codings("component.code"),
    ("Observation", "component-value-quantity"): at("component.valueQuantity"),
    ("Observation", "combo-code"): lambda r: codings("code")(r) + codings("component.code")(r),
    ("Observation", "combo-value-quantity"): at("valueQuantity", "component.valueQuantity"),
    ("List", "item"): refs("entry.item"), ("List", "status"): codes("status"), ("List", "subject"): refs("subject"),
    ("List", "patient"): refs("subject", "Patient"),
}  # fmt: skip
for _type in ("Patient", "Organization", "Observation", "List"):
    READ[_type, "_tag"] = lambda r: [(t.get("system", ""), t["code"]) for t in get(r, "meta.tag")]
    READ[_type, "_profile"] = at("meta.profile")


@dataclass(frozen=True)
class World:
    """All resources the caller may see, with when each was stored."""

    resources: Sequence[Resource]
    stored: dict[str, datetime]

    def named(self, reference: str) -> Resource | None:
        return next((r for r in self.resources if name(r) == reference), None)


def name(r: Resource) -> str:
    return f"{r['resourceType']}/{r['id']}"


def about(r: Resource) -> str:
    """The id of the Patient who is the subject."""
    return next((n["reference"].partition("/")[2] for n in get(r, "subject") if "reference" in n), "")


def found(query: Query, world: World, *, rising: bool = False) -> list[str]:
    """`Type/id` of every match, in order; ties newest stored (last in the list) first, or oldest if `rising`."""
    hits = [
        r
        for r in world.resources
        if r["resourceType"] in query.types and all(_holds(n, r, world) for n in query.conditions)
    ]
    if not rising:
        hits.reverse()
    for key in reversed(query.sort):
        valued = [(_sorted_by(key, r, world), r) for r in hits]
        there = sorted((pair for pair in valued if pair[0] is not None), key=_first, reverse=key.descending)
        hits = [r for _, r in there] + [r for value, r in valued if value is None]
    return [name(r) for r in hits]


def _first(pair: tuple[Any, Resource]) -> Any:
    return pair[0]


def _holds(node: Node, r: Resource, world: World) -> bool:
    match node:
        case Condition():
            return _condition(node, r, world)
        case And(parts):
            return all(_holds(part, r, world) for part in parts)
        case Or(parts):
            return any(_holds(part, r, world) for part in parts)
        case Not(part):
            return not _holds(part, r, world)
        case Each(parts):
            return any(kind == r["resourceType"] and _holds(part, r, world) for kind, part in parts)
        case Chain(param, targets):
            reached = [world.named(n["reference"]) for n in _values(param, r) if "reference" in n]
            return any(
                there is not None and there["resourceType"] == kind and _holds(inner, there, world)
                for there in reached for kind, inner in targets
            )  # fmt: skip
        case Has(param, inner):
            return any(
                other["resourceType"] == param.base and _holds(inner, other, world)
                and any(n.get("reference") == name(r) for n in _values(param, other))
                for other in world.resources
            )  # fmt: skip


def _values(param: Any, r: Resource) -> list[Any]:
    return READ[r["resourceType"], param.name](r)


def _condition(c: Condition, r: Resource, world: World) -> bool:
    if c.param.name == "_id":
        return any(isinstance(v, Token) and v.code == r["id"] for v in c.values)
    if c.param.name == "_lastUpdated":
        stamp = _micros(world.stored[name(r)])
        return any(_in_span(v, (stamp, stamp + 1000)) for v in c.values if isinstance(v, Span))
    if any(isinstance(v, Paired) for v in c.values):
        return any(_paired(c.param.name, v, r) for v in c.values if isinstance(v, Paired))
    values = _values(c.param, r)
    if c.missing is not None:
        return (not values) == c.missing
    met = any(_meets(asked, value, c.modifier) for asked in c.values for value in values)
    return met != (c.modifier == "not")


def _paired(kind: str, pair: Paired, r: Resource) -> bool:
    """`component-…`: both of one component; `combo-…`: of one component, or of the resource itself."""
    nodes = get(r, "component") + ([r] if kind.startswith("combo") else [])
    return any(
        any(_meets(pair.values[0], value, None) for value in codings("code")(node))
        and any(_meets(pair.values[1], value, None) for value in get(node, "valueQuantity"))
        for node in nodes
    )


def _meets(asked: Any, value: Any, modifier: str | None) -> bool:
    match asked:
        case Token(system, code):
            return (value[0] is None or system is None or value[0] == system) and (code is None or value[1] == code)
        case Reference(reference, id):
            told = value.get("reference", "")
            return told == reference if reference else told.split("/")[-1] == id
        case Logical(system, text):
            node = value.get("identifier", {})
            return node.get("value") == text and (system is None or node.get("system", "") == system)
        case Uri(uri):
            return bool(value == uri)
        case Span():
            return _in_span(asked, _span(value))
        case Text(folded, exact):
            return _like(folded, exact, value, modifier)
        case Amount():
            return _measures(asked, value)
    raise TypeError(asked)


def _like(folded: str, exact: str, value: str, modifier: str | None) -> bool:
    low = value.lower()
    return {
        None: low.startswith(folded), "contains": folded in low, "exact": value == exact, "eq": low == folded,
        "ends": low.endswith(folded),
    }[modifier]  # fmt: skip


def _measures(asked: Amount, node: dict[str, Any]) -> bool:
    value = Fraction(Decimal(str(node["value"])))
    low, high, at = (Fraction(Decimal(repr(x))) for x in (asked.low, asked.high, asked.number))
    if asked.system:
        if node.get("system") != asked.system or asked.code not in UNITS:
            return False
        unit, factor = UNITS[asked.code]
        if node.get("code") not in UNITS or UNITS[node["code"]][0] != unit:
            return False
        value *= UNITS[node["code"]][1]
        low, high, at = low * factor, high * factor, at * factor
    elif asked.code and asked.code not in (node.get("code"), node.get("unit")):
        return False
    inside = low <= value < high
    return {
        "eq": inside, "ap": inside, "ne": not inside, "gt": value > at, "sa": value > at, "lt": value < at,
        "eb": value < at, "ge": value >= at, "le": value <= at,
    }[asked.prefix]  # fmt: skip


def _in_span(asked: Span, kept: tuple[float, float]) -> bool:
    inside = asked.low <= kept[0] and kept[1] <= asked.high
    return {
        "eq": inside, "ne": not inside, "gt": kept[1] > asked.high, "lt": kept[0] < asked.low,
        "ge": inside or kept[1] > asked.high, "le": inside or kept[0] < asked.low, "sa": kept[0] >= asked.high,
        "eb": kept[1] <= asked.low, "ap": kept[0] < asked.high and asked.low < kept[1],
    }[asked.prefix]  # fmt: skip


def _span(value: Any) -> tuple[float, float]:
    """A day, or a period of days, in microseconds; days are Japan's."""
    if isinstance(value, dict):
        low = _span(value["start"])[0] if "start" in value else -9e18
        return low, _span(value["end"])[1] if "end" in value else 9e18
    day = date.fromisoformat(value)
    low = _micros(datetime(day.year, day.month, day.day, tzinfo=JAPAN))
    return low, low + 86400e6


def _micros(at: datetime) -> float:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6


def _sorted_by(key: SortKey, r: Resource, world: World) -> Any:
    if key.through is not None:
        ends = [world.named(n["reference"]) for n in _values(key.through, r) if "reference" in n]
        of_type = [there for there in ends if there is not None and there["resourceType"] == key.param.base]
        found = [v for there in of_type if (v := _own_value(key, there, world)) is not None]
        return (max if key.descending else min)(found, default=None)
    return _own_value(key, r, world)


def _own_value(key: SortKey, r: Resource, world: World) -> Any:
    if key.param.name == "_id":
        return r["id"]
    if key.param.name == "_lastUpdated":
        return world.stored[name(r)]
    values = _values(key.param, r)
    if key.param.type == "date":
        values = [_span(v)[0] for v in values]
    elif key.param.type == "string":
        values = [v.lower() for v in values]
    return (max if key.descending else min)(values, default=None)
