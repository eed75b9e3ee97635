"""Conditions -> SQL over one alias of `phr_resource`. Pure: text and named parameters, nothing is run here.

Every table a condition reaches carries the scope of the caller under its own alias: what cannot be seen cannot be
found through. How a step from resource to resource is written depends on how many rows it starts from:

* few (one person's record, or a step that is asked row by row): from each row to what it names, or to what names it;
* many: the far side is found first, and met by the index of `terms` or of `named`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Protocol
from uuid import UUID

from consent.scope import OPEN_TYPES
from phr.records import definitions
from phr.records.scoping import SQL, Params
from phr.records.search import compartments, places, ranges, terms, words
from phr.records.search.asked import cover
from phr.records.search.conditions import FULL_TEXT, parent
from phr.records.search.params import SearchParam
from phr.records.search.quantities import Cover
from phr.records.search.query import (
    And,
    Chain,
    Condition,
    Each,
    Has,
    Near,
    Node,
    Not,
    Or,
    Reference,
    Span,
    Text,
    Token,
    kept_ids,
)  # fmt: skip

# The date parameter of each type whose values span exactly the clinical time of its Facts.
CLINICAL = {
    "Observation": "date", "MedicationDispense": "whenhandedover", "Immunization": "date",
    "DiagnosticReport": "date", "Procedure": "date", "Encounter": "date",
}  # fmt: skip
# Beyond these microseconds `ranges.moment` no longer tells moments apart (years 5 and 9998): no bound there.
EARLIEST, LATEST = -6.2e16, 2.533e17
MOST_LEVELS = 20  # of a tree that :below and :above walk


class Scopes(Protocol):
    """What the caller may touch of an alias; `same`: its row is about the person the searched rows are about."""

    def __call__(self, alias: str, *, same: bool = False) -> SQL: ...


@dataclass(slots=True)
class Asking:
    """What one statement is made with. `few`: its own rows are one person's record, whose main person is `same`."""

    p: Params
    key: bytes
    scope: Scopes
    few: bool = False
    same: bool = False
    tables: int = 0

    def table(self) -> str:
        """An alias that is not used yet."""
        self.tables += 1
        return f"t{self.tables}"


@dataclass(frozen=True, slots=True)
class Row:
    """The row a condition speaks of: its alias, and whether it is one of few.

    `same`: it is about the one person the search is bound to. `walked`: it is found by walking that record, and an
    index of terms would only cost time. `open`: it belongs to no one; of such there are few beside the records.
    """

    alias: str
    few: bool
    same: bool = False
    walked: bool = False
    open: bool = False


def holds(node: Node, row: Row, a: Asking) -> SQL:
    """The condition as SQL, in parentheses where it needs them. Never NULL."""
    match node:
        case Condition():
            return _condition(node, row, a)
        case And(parts):
            return _all([holds(part, row, a) for part in parts])
        case Or(parts):
            return any_of([holds(part, row, a) for part in parts])
        case Not(part):
            return f"NOT ({holds(part, row, a)})"
        case Each(parts):
            return _each(parts, row, a)
        case Chain(param, targets):
            return any_of([_leads(param, kind, inner, row, a) for kind, inner in targets])
        case Has(param, inner):
            return _named(param, inner, row, a)


def any_of(conditions: Sequence[SQL]) -> SQL:
    return "(" + " OR ".join(conditions) + ")" if conditions else "FALSE"


def _all(conditions: Sequence[SQL]) -> SQL:
    return "(" + " AND ".join(conditions) + ")" if conditions else "TRUE"


def _each(parts: Sequence[tuple[str, Node]], row: Row, a: Asking) -> SQL:
    """By type. Hashes speak of one type only: those of all types are looked up together."""
    first = parts[0][1]
    if all(node == first for _, node in parts):
        return f"({row.alias}.type = ANY({a.p([type for type, _ in parts])}) AND {holds(first, row, a)})"
    nodes = [node for _, node in parts if isinstance(node, Condition)]
    alike = {(node.modifier, node.missing) for node in nodes}
    covers = [cover(node, a.key) for node in nodes]
    if len(nodes) == len(parts) and len(alike) == 1 and all(found is not None for found in covers):
        merged = _merged([found for found in covers if found is not None])
        if merged is not None:
            return _looked_up(nodes[0], merged, row, a)
    return any_of([f"({row.alias}.type = {a.p(type)} AND {holds(node, row, a)})" for type, node in parts])


def _merged(covers: Sequence[Cover]) -> Cover | None:
    if any(len(way) != 1 for found in covers for way in found):
        return None
    return (((tuple(term for found in covers for way in found for term in way[0])),),)


# One parameter


def _condition(c: Condition, row: Row, a: Asking) -> SQL:
    r = row.alias
    if c.param.name == "_id":
        return f"{r}.fhir_id = ANY({a.p([v.code for v in c.values if isinstance(v, Token)])})"
    if c.param.name == "_lastUpdated":
        return any_of([_updated(v, r, a.p) for v in c.values if isinstance(v, Span)])
    if c.param.type == "reference" and c.modifier in ("above", "below"):
        return any_of([_in_tree(v, c, row, a) for v in c.values if isinstance(v, Reference)])
    found = cover(c, a.key)
    if found is not None:
        return _looked_up(c, found, row, a)
    return any_of([_by_rows(v, c, row, a) for v in c.values])


def _looked_up(c: Condition, found: Cover, row: Row, a: Asking) -> SQL:
    negated = c.missing is True or c.modifier in ("not", "not-in")
    if not any(all(way) for way in found):
        return "TRUE" if negated else "FALSE"
    sql = any_of([_all([_meets(row.alias, some, a.p) for some in way]) for way in found if all(way)])
    if negated:
        return f"NOT {sql}"
    # Beside the walk the term is near certain; CASE keeps the planner from counting it as one more rarity.
    walk = _walks(c, a.p) if row.alias == "r" else ""
    if walk:
        return f"{walk} AND CASE WHEN {sql} THEN TRUE ELSE FALSE END"
    return f"CASE WHEN {sql} THEN TRUE ELSE FALSE END" if row.walked else sql


def _meets(r: str, hashes: Sequence[int], p: Params) -> SQL:
    return f"{r}.terms {'@>' if len(hashes) == 1 else '&&'} {p(list(hashes))}::bigint[]"


def _by_rows(v: object, c: Condition, row: Row, a: Asking) -> SQL:
    match v:
        case Span():
            return _in_range(v, c, row.alias, a.p)
        case Text():
            return _in_text(v, c, row.alias, a.p)
        case Near():
            return places.within(v, c.param, row.alias, a.p)
    raise TypeError(f"no condition for {v!r}")


def subjects(c: Node) -> frozenset[UUID] | None:
    """The persons one of whom a match must be about, where a condition says so."""
    if not isinstance(c, Condition) or c.param.name not in ("patient", "subject", "_id"):
        return None
    if c.modifier is not None or c.missing is not None:
        return None
    if c.param.name == "_id" and c.param.base == "Patient":
        found = [_uuid(v.code or "") for v in c.values if isinstance(v, Token)]
    elif c.param.name == "_id":
        return None
    else:
        found = [_patient(v) for v in c.values]
    return frozenset(s for s in found if s) if all(found) else None


def _walks(c: Condition, p: Params) -> SQL:
    """A search for one Patient as subject concerns that person's record only: say so, for the record walk."""
    found = sorted(subjects(c) or ())
    if not found:
        return ""
    first = f"r.subject_id = {p(found[0])}" if len(found) == 1 else f"r.subject_id = ANY({p(found)})"
    return first if main(c.param) else f"({first} OR r.subject2_id = ANY({p(found)}))"


@cache
def main(param: SearchParam) -> bool:
    """Whether the parameter reads the one element whose person Facts put first (facts.subjects_of)."""
    element = re.fullmatch(rf"{param.base}\.(subject|patient)(\.where\(resolve\(\) is Patient\))?", param.expression)
    return element is not None and definitions.fields(param.base)[element[1]].max == 1


def _patient(value: object) -> UUID | None:
    if isinstance(value, Reference) and value.reference and value.reference.startswith("Patient/"):
        return _uuid(value.reference.removeprefix("Patient/"))
    return None


@lru_cache(maxsize=4096)
def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _updated(v: Span, r: str, p: Params) -> SQL:
    # updated_at is stored to the millisecond; as a range it is [at, at + 1 ms).
    return in_span(v, f"{r}.updated_at", f"{r}.updated_at + interval '1 millisecond'", p, moments=True)


def _in_range(v: Span, c: Condition, r: str, p: Params) -> SQL:
    exists = (
        f"EXISTS (SELECT 1 FROM phr_range x WHERE x.resource_id = {r}.id"
        f" AND x.param = ANY({p(list(kept_ids(c.param)))}::smallint[]) AND {in_span(v, 'x.low', 'x.high', p)})"
    )
    if CLINICAL.get(c.param.base) != c.param.name:
        return exists
    return f"({bounds(v, p, r)}{exists})"


def bounds(v: Span, p: Params, r: str = "r") -> SQL:
    """What the clinical time must be at least, so that the walk through a record can stop."""
    if v.low < EARLIEST or v.high > LATEST:
        return ""
    low, high = ranges.moment(v.low), ranges.moment(v.high)
    match v.prefix:
        case "eq" | "ap":
            return f"{r}.clinical_low < {p(high)} AND {r}.clinical_high > {p(low)} AND "
        case "gt":
            return f"{r}.clinical_high > {p(high)} AND "
        case "ge" | "sa":
            return f"{r}.clinical_high > {p(low)} AND "
        case "lt":
            return f"{r}.clinical_low < {p(low)} AND "
        case "le" | "eb":
            return f"{r}.clinical_low < {p(high)} AND "
    return ""


def in_span(v: Span, low: SQL, high: SQL, p: Params, *, moments: bool = False) -> SQL:
    """`ranges.holds` as SQL over a stored half-open range."""
    a, b = (ranges.moment(v.low), ranges.moment(v.high)) if moments else (v.low, v.high)
    inside = f"({low} >= {p(a)} AND {high} <= {p(b)})"
    return {
        "eq": inside,
        "ne": f"NOT {inside}",
        "gt": f"{high} > {p(b)}",
        "lt": f"{low} < {p(a)}",
        "ge": f"({high} > {p(b)} OR {inside})",
        "le": f"({low} < {p(a)} OR {inside})",
        "sa": f"{low} >= {p(b)}",
        "eb": f"{high} <= {p(a)}",
        "ap": f"({low} < {p(b)} AND {high} > {p(a)})",
    }[v.prefix]


def _in_text(v: Text, c: Condition, r: str, p: Params) -> SQL:
    if c.param.name in FULL_TEXT:
        return words.holds(v, c.param, r, p)
    if c.modifier == "eq":
        test = f"x.text = {p(v.folded)}"
    else:
        escaped = v.folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        before = "%" if c.modifier in ("contains", "ends") else ""
        test = f"x.text LIKE {p(before + escaped + ('' if c.modifier == 'ends' else '%'))}"
    return (
        f"EXISTS (SELECT 1 FROM phr_text x WHERE x.resource_id = {r}.id"
        f" AND x.param = ANY({p(list(kept_ids(c.param)))}::smallint[]) AND {test})"
    )


# From resource to resource


def reached(kind: str, inner: Node, t: Row, a: Asking) -> SQL:
    """What must hold of a row at the other end of a step: type, scope, and what is asked of it."""
    scope = a.scope(t.alias, same=t.same)
    return f"{t.alias}.type = {a.p(kind)} AND NOT {t.alias}.deleted AND {scope} AND {holds(inner, t, a)}"


def keys(param: SearchParam, kind: str | None, a: Asking) -> list[int]:
    """What the references of a parameter mix into the terms of what they name."""
    kept = [k for k in param.kept if kind is None or k.only in (None, kind)]
    return [terms.reference_key(param.base, k.name, a.key) for k in kept]


def _leads(param: SearchParam, kind: str, inner: Node, row: Row, a: Asking) -> SQL:
    """`row` refers by `param` to a resource of the type `kind`, of which `inner` holds."""
    t, r, mixed = a.table(), row.alias, keys(param, kind, a)
    if not mixed:
        return "FALSE"
    if not row.few:
        far = reached(kind, inner, Row(t, False, open=kind in OPEN_TYPES), a)
        found = [f"ARRAY(SELECT {t}.named # {a.p(k)}::bigint FROM phr_resource {t} WHERE {far})" for k in mixed]
        return f"{r}.terms && ({' || '.join(found)})"
    if kind == "Patient" and main(param):
        far = reached(kind, inner, Row(t, True, row.same, walked=True), a)
        named = any_of([f"{r}.terms @> ARRAY[{t}.named # {a.p(k)}::bigint]" for k in mixed])
        return f"EXISTS (SELECT 1 FROM phr_resource {t} WHERE {t}.fhir_id = {r}.subject_id::text AND {named} AND {far})"
    far = reached(kind, inner, Row(t, True), a)
    either = any_of([f"{t}.named = u # {a.p(k)}::bigint" for k in mixed])
    return f"EXISTS (SELECT 1 FROM unnest({r}.terms) u JOIN phr_resource {t} ON {either} WHERE {far})"


def _named(param: SearchParam, inner: Node, row: Row, a: Asking) -> SQL:
    """A resource of the type `param.base`, of which `inner` holds, refers to `row` by `param`."""
    t, r, mixed = a.table(), row.alias, keys(param, None, a)
    refers = any_of([f"{t}.terms @> ARRAY[{r}.named # {a.p(k)}::bigint]" for k in mixed])
    if main(param) and _only_patients(param):
        far = reached(param.base, inner, Row(t, True, row.same, walked=row.few), a)
        # A reference to a Patient stands in that person's record: walk it, or meet it by the person.
        return (
            f"EXISTS (SELECT 1 FROM phr_resource {t} WHERE {t}.subject_id = {r}.subject_id"
            f" AND CASE WHEN {refers} THEN TRUE ELSE FALSE END AND {far})"
        )
    if row.few or row.open:
        far = reached(param.base, inner, Row(t, True), a)
        return f"EXISTS (SELECT 1 FROM phr_resource {t} WHERE {refers} AND {far})"
    far = reached(param.base, inner, Row(t, False), a)
    found = [f"SELECT u # {a.p(k)}::bigint FROM phr_resource {t}, unnest({t}.terms) u WHERE {far}" for k in mixed]
    return f"{r}.named IN ({' UNION ALL '.join(found)})"


def _only_patients(param: SearchParam) -> bool:
    return param.targets == ("Patient",) or all(kept.only == "Patient" for kept in param.kept)


def _in_tree(v: Reference, c: Condition, row: Row, a: Asking) -> SQL:
    """`:below`, `:above` of a reference: what it names, or something below or above that in the tree of its type."""
    kind, id = (v.reference or "/").split("/")[:2]
    up = parent(kind)
    assert up is not None
    mixed, own = keys(c.param, kind, a), keys(up, kind, a)[0]
    first, t, all_ids = a.table(), a.table(), a.p(id)
    type, k = a.p(kind), a.p(own)
    step = f"{t}.terms @> ARRAY[h.named # {k}::bigint]"
    if c.modifier == "above":
        step = f"{t}.named IN (SELECT u # {k}::bigint FROM unnest(h.terms) u)"
    tree = (
        f"WITH RECURSIVE h(named, terms, level) AS (SELECT {first}.named, {first}.terms, 0 FROM phr_resource {first}"
        f" WHERE {first}.type = {type} AND {first}.fhir_id = {all_ids} AND NOT {first}.deleted AND {a.scope(first)}"
        f" UNION SELECT {t}.named, {t}.terms, h.level + 1 FROM h JOIN phr_resource {t} ON {step}"
        f" WHERE h.level < {MOST_LEVELS} AND {t}.type = {type} AND NOT {t}.deleted AND {a.scope(t)})"
    )
    found = [f"ARRAY({tree} SELECT h.named # {a.p(m)}::bigint FROM h)" for m in mixed]
    return f"{row.alias}.terms && ({' || '.join(found)})" if found else "FALSE"


# Compartments


def within(compartment: tuple[str, str], types: Sequence[str], a: Asking) -> SQL:
    """Rows that belong to a compartment by any of its references; its owner does too.

    Across persons they are found apart, and first: else the planner, hoping to fill a page soon, walks the store in
    the order of the result (measured, 30,000 resources, a person of whom a clinic sees nothing: 280 ms against 4).
    """
    kind, id = compartment
    t = "r" if a.few else a.table()
    links = [link for type in types for link in compartments.links(kind, type)]
    hashes = [
        terms.reference_term(param.base, kept.name, f"{kind}/{id}", a.key)
        for param in links
        for kept in param.kept
        if kept.only in (None, kind)
    ]
    found = [_meets(t, list(dict.fromkeys(hashes)), a.p)] if hashes else []
    if kind in types:
        found.append(f"({t}.type = {a.p(kind)} AND {t}.fhir_id = {a.p(id)})")
    if a.few or not found:
        return any_of(found)
    return f"r.id = ANY(ARRAY(SELECT {t}.id FROM phr_resource {t} WHERE {any_of(found)} AND {a.scope(t)}))"
