"""Query + scope -> SQL. Pure: text and named parameters, nothing is run here.

Inside one person's record the walk (subject, type, clinical time) carries a search; across persons the
terms do. Conditions on the clinical-time columns are added as necessary ones, so that the walk can stop early;
what decides is always the index (`phr_range`).
"""

from __future__ import annotations

import re
from functools import cache
from uuid import UUID

from phr.records import definitions, store
from phr.records.scoping import SQL, Params
from phr.records.search import ranges
from phr.records.search.cursor import Mark
from phr.records.search.params import SearchParam
from phr.records.search.query import Condition, Query, Reference, SortKey, Span, Text, Token, asked_terms, kept_ids

# The date parameter of each type whose values span exactly the clinical time of its Facts.
CLINICAL = {
    "Observation": "date", "MedicationDispense": "whenhandedover", "Immunization": "date",
    "DiagnosticReport": "date", "Procedure": "date", "Encounter": "date",
}  # fmt: skip
# Beyond these microseconds `ranges.moment` no longer tells moments apart (years 5 and 9998): no bound there.
EARLIEST, LATEST = -6.2e16, 2.533e17

Order = tuple[SQL, bool]  # expression, descending


def page_sql(query: Query, scope: SQL, p: Params, mark: Mark | None, *, key: bytes, terms: bool = False) -> SQL:
    """One row more than a page holds; the sort values and the high-water mark follow the columns of `store.select`."""
    order = [_sort_expression(k, query.type, p) for k in query.sort]
    where = [_where(query, scope, p, key)]
    if mark is not None:
        where.append(f"r.id <= {p(mark.high_water)}")
        where.append(_after(order, query.sort, mark, p))
    high_water = p(mark.high_water) if mark else "(SELECT max(id) FROM phr_resource)"
    extra = "".join(f", {expression}" for expression, _ in order) + f", {high_water}"
    by = [f"{expression} {'DESC' if descending else 'ASC'} NULLS LAST" for expression, descending in order]
    return (
        f"{store.select(terms=terms, extra=extra)} WHERE {' AND '.join(where)}"
        f" ORDER BY {', '.join([*by, 'r.id DESC'])} LIMIT {p(query.count + 1)}"
    )


def count_sql(query: Query, scope: SQL, p: Params, *, key: bytes) -> SQL:
    return f"SELECT count(*) FROM phr_resource r WHERE {_where(query, scope, p, key)}"


def _where(query: Query, scope: SQL, p: Params, key: bytes) -> SQL:
    if any(_subjects(c) and _main(c.param) for c in query.conditions):
        # Inside one record the scope lets nearly all or nothing through; CASE keeps the planner from taking its
        # many conditions for many rarities, and sorting a whole record where the walk gives the first page.
        scope = f"CASE WHEN {scope} THEN TRUE ELSE FALSE END"
    parts = [f"r.type = {p(query.type)}", "NOT r.deleted", scope]
    parts += [_condition(c, query.type, p, key) for c in query.conditions]
    return " AND ".join(parts)


def _condition(c: Condition, type: str, p: Params, key: bytes) -> SQL:
    if c.param.name == "_id":
        return f"r.fhir_id = ANY({p([v.code for v in c.values if isinstance(v, Token)])})"
    if c.param.name == "_lastUpdated":
        return _any([_updated(v, p) for v in c.values if isinstance(v, Span)])
    if c.missing is not None:
        present = f"r.terms @> {p(list(asked_terms(c, key)))}::bigint[]"
        return f"NOT ({present})" if c.missing else present
    first = c.values[0]
    if isinstance(first, Span):
        return _any([_in_range(v, c, type, p) for v in c.values if isinstance(v, Span)])
    if isinstance(first, Text) and c.modifier != "exact":
        return _any([_in_text(v, c, p) for v in c.values if isinstance(v, Text)])
    hashes = list(asked_terms(c, key))
    if not hashes:
        return "TRUE" if c.modifier == "not" else "FALSE"
    found = f"r.terms {'@>' if len(hashes) == 1 else '&&'} {p(hashes)}::bigint[]"
    if c.modifier == "not":
        return f"NOT ({found})"
    walk = _walks(c, p)
    # Beside the walk the term is near certain; CASE keeps the planner from counting it as one more rarity.
    return f"{walk} AND CASE WHEN {found} THEN TRUE ELSE FALSE END" if walk else found


def bound_to(query: Query) -> frozenset[UUID] | None:
    """Persons one of whom every match must be about; None where the search does not say."""
    return next((found for c in query.conditions if (found := _subjects(c))), None)


def _subjects(c: Condition) -> frozenset[UUID] | None:
    if c.modifier is not None or c.missing is not None or c.param.name not in ("patient", "subject"):
        return None
    found = [_patient(v) for v in c.values]
    return frozenset(s for s in found if s) if all(found) else None


def _walks(c: Condition, p: Params) -> SQL:
    """A search for one Patient as subject concerns that person's record only: say so, for the record walk."""
    subjects = sorted(_subjects(c) or ())
    if not subjects:
        return ""
    first = f"r.subject_id = {p(subjects[0])}" if len(subjects) == 1 else f"r.subject_id = ANY({p(subjects)})"
    return first if _main(c.param) else f"({first} OR r.subject2_id = ANY({p(subjects)}))"


@cache
def _main(param: SearchParam) -> bool:
    """Whether the parameter reads the one element whose person Facts put first (facts.subjects_of)."""
    element = re.fullmatch(rf"{param.base}\.(subject|patient)(\.where\(resolve\(\) is Patient\))?", param.expression)
    return element is not None and definitions.fields(param.base)[element[1]].max == 1


def _patient(value: object) -> UUID | None:
    if isinstance(value, Reference) and value.reference and value.reference.startswith("Patient/"):
        try:
            return UUID(value.reference.removeprefix("Patient/"))
        except ValueError:
            return None
    return None


def _any(conditions: list[SQL]) -> SQL:
    return "(" + " OR ".join(conditions) + ")" if conditions else "FALSE"


def _updated(v: Span, p: Params) -> SQL:
    # updated_at is stored to the millisecond; as a range it is [at, at + 1 ms).
    return _holds(v, "r.updated_at", "r.updated_at + interval '1 millisecond'", p, moments=True)


def _in_range(v: Span, c: Condition, type: str, p: Params) -> SQL:
    holds = _holds(v, "x.low", "x.high", p)
    ids = f"{p(list(kept_ids(c.param)))}::smallint[]"
    exists = f"EXISTS (SELECT 1 FROM phr_range x WHERE x.resource_id = r.id AND x.param = ANY({ids}) AND {holds})"
    if CLINICAL.get(type) != c.param.name:
        return exists
    return f"({_bounds(v, p)}{exists})"


def _bounds(v: Span, p: Params) -> SQL:
    """What must hold of the clinical time if any of its parts answers the prefix."""
    if v.low <= EARLIEST or v.high >= LATEST:
        return ""
    low, high = ranges.moment(v.low), ranges.moment(v.high)
    match v.prefix:
        case "eq" | "ap":
            return f"r.clinical_low < {p(high)} AND r.clinical_high > {p(low)} AND "
        case "gt":
            return f"r.clinical_high > {p(high)} AND "
        case "ge" | "sa":
            return f"r.clinical_high > {p(low)} AND "
        case "lt":
            return f"r.clinical_low < {p(low)} AND "
        case "le" | "eb":
            return f"r.clinical_low < {p(high)} AND "
    return ""


def _holds(v: Span, low: SQL, high: SQL, p: Params, *, moments: bool = False) -> SQL:
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


def _in_text(v: Text, c: Condition, p: Params) -> SQL:
    escaped = v.folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = f"%{escaped}%" if c.modifier == "contains" else f"{escaped}%"
    return (
        "EXISTS (SELECT 1 FROM phr_text x WHERE x.resource_id = r.id"
        f" AND x.param = ANY({p(list(kept_ids(c.param)))}::smallint[]) AND x.text LIKE {p(pattern)})"
    )


# -- order and paging ------------------------------------------------------------------------------


def _sort_expression(k: SortKey, type: str, p: Params) -> Order:
    """Ascending by the lowest value, descending by the lowest too for dates (when it began), else by the highest."""
    if k.param.name == "_id":
        return "r.fhir_id", k.descending
    if k.param.name == "_lastUpdated":
        return "r.updated_at", k.descending
    if CLINICAL.get(type) == k.param.name:
        return "r.clinical_low", k.descending
    ids = f"{p(list(kept_ids(k.param)))}::smallint[]"
    table, column = ("phr_text", "text") if k.param.type == "string" else ("phr_range", "low")
    pick = "max" if k.descending else "min"
    return (
        f"(SELECT {pick}(x.{column}) FROM {table} x WHERE x.resource_id = r.id AND x.param = ANY({ids}))",
        k.descending,
    )


def _after(order: list[Order], keys: tuple[SortKey, ...], mark: Mark, p: Params) -> SQL:
    """Rows that come later in the order than the mark: by the first key that differs; absent values come last."""
    *values, row = mark.after
    condition = f"r.id < {p(row)}"
    for (expression, descending), key, value in reversed(list(zip(order, keys, values, strict=True))):
        if value is None:
            condition = f"({expression} IS NULL AND {condition})"
            continue
        cast = "::timestamptz" if isinstance(value, str) and key.param.type == "date" else ""
        here = f"{p(value)}{cast}"
        beyond = f"{expression} {'<' if descending else '>'} {here}"
        condition = f"({beyond} OR {expression} IS NULL OR ({expression} = {here} AND {condition}))"
    return condition
