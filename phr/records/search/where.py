"""Conditions -> SQL over one alias of `phr_resource`. Pure: text and named parameters, nothing is run here.

Every table a condition reaches carries the scope of the caller under its own alias: what cannot be seen cannot be
found through. How a step from resource to resource is written depends on how many rows it starts from:

* few (one person's record, or a step that is asked row by row): from each row to what it names, or to what names it;
* many: the far side is found first, and met by the index of `terms` or of `named`.
"""

from __future__ import annotations

from collections.abc import Sequence

from consent.scope import OPEN_TYPES
from phr.records.scoping import SQL
from phr.records.search import compartments, terms
from phr.records.search.asked import cover
from phr.records.search.asking import Asking, Row
from phr.records.search.conditions import parent
from phr.records.search.params import SearchParam
from phr.records.search.quantities import Cover
from phr.records.search.query import And, Chain, Condition, Each, Has, Node, Not, Or, Reference, Span, Token
from phr.records.search.single import all_of, any_of, by_rows, looked_up, main, meets, updated

__all__ = ["Asking", "Row", "holds", "keys", "reached", "within"]

MOST_LEVELS = 20  # of a tree that :below and :above walk


def holds(node: Node, row: Row, a: Asking) -> SQL:
    """The condition as SQL, in parentheses where it needs them. Never NULL."""
    match node:
        case Condition():
            return _condition(node, row, a)
        case And(parts):
            return all_of([holds(part, row, a) for part in parts])
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
            return looked_up(nodes[0], merged, row, a, walk=all(main(node.param) for node in nodes))
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
        return any_of([updated(v, r, a.p) for v in c.values if isinstance(v, Span)])
    if c.param.type == "reference" and c.modifier in ("above", "below"):
        return any_of([_in_tree(v, c, row, a) for v in c.values if isinstance(v, Reference)])
    found = cover(c, a.key)
    if found is not None:
        return looked_up(c, found, row, a)
    return any_of([by_rows(v, c, row, a) for v in c.values])


# From resource to resource


def reached(kind: str, inner: Node, t: Row, a: Asking) -> SQL:
    """What must hold of a row at the other end of a step: type, scope, and what is asked of it."""
    scope = a.scope(t.alias, same=t.same, common=kind in OPEN_TYPES)
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
        if row.same:  # found once for all rows
            known = f"{t}.fhir_id = ANY({a.p([str(subject) for subject in sorted(a.about)])})"
            found = [
                f"ARRAY(SELECT {t}.named # {a.p(k)}::bigint FROM phr_resource {t} WHERE {known} AND {far})"
                for k in mixed
            ]
            return f"CASE WHEN {r}.terms && ({' || '.join(found)}) THEN TRUE ELSE FALSE END"
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
        # A reference to a Patient stands in that person's record: walk it, or (of many persons) meet it by the person,
        # or by the index of terms, which takes the rare reference and the common code at once.
        refers = f"CASE WHEN {refers} THEN TRUE ELSE FALSE END" if row.few else refers
        return f"EXISTS (SELECT 1 FROM phr_resource {t} WHERE {t}.subject_id = {r}.subject_id AND {refers} AND {far})"
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
    first, t = a.table(), a.table()
    type, k = a.p(kind), a.p(own)
    step = f"{t}.terms @> ARRAY[h.named # {k}::bigint]"
    if c.modifier == "above":
        step = f"{t}.named IN (SELECT u # {k}::bigint FROM unnest(h.terms) u)"

    def there(alias: str) -> SQL:
        return f"NOT {alias}.deleted AND {a.scope(alias, common=kind in OPEN_TYPES)}"

    tree = (
        f"WITH RECURSIVE h(named, terms, level) AS (SELECT {first}.named, {first}.terms, 0 FROM phr_resource {first}"
        f" WHERE {first}.type = {type} AND {first}.fhir_id = {a.p(id)} AND {there(first)}"
        f" UNION SELECT {t}.named, {t}.terms, h.level + 1 FROM h JOIN phr_resource {t} ON {step}"
        f" WHERE h.level < {MOST_LEVELS} AND {t}.type = {type} AND {there(t)})"
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
    found = [meets(t, list(dict.fromkeys(hashes)), a.p)] if hashes else []
    if kind in types:
        found.append(f"({t}.type = {a.p(kind)} AND {t}.fhir_id = {a.p(id)})")
    if a.few or not found:
        return any_of(found)
    return f"r.id = ANY(ARRAY(SELECT {t}.id FROM phr_resource {t} WHERE {any_of(found)} AND {a.scope(t)}))"
