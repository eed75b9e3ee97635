"""One parameter -> SQL over one alias: terms, ranges, texts, columns; and whom it says the matches are about. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from uuid import UUID

from phr.records import definitions
from phr.records.scoping import SQL, Params
from phr.records.search import places, ranges, words
from phr.records.search.asking import Asking, Row
from phr.records.search.conditions import FULL_TEXT
from phr.records.search.params import SearchParam
from phr.records.search.quantities import Cover
from phr.records.search.query import Condition, Near, Node, Reference, Span, Text, Token, kept_ids

# The date parameter of each type whose values span exactly the clinical time of its Facts.
CLINICAL = {
    "Observation": "date", "MedicationDispense": "whenhandedover", "Immunization": "date",
    "DiagnosticReport": "date", "Procedure": "date", "Encounter": "date",
}  # fmt: skip
# Beyond these microseconds `ranges.moment` no longer tells moments apart (years 5 and 9998): no bound there.
EARLIEST, LATEST = -6.2e16, 2.533e17


def any_of(conditions: Sequence[SQL]) -> SQL:
    return "(" + " OR ".join(conditions) + ")" if conditions else "FALSE"


def all_of(conditions: Sequence[SQL]) -> SQL:
    return "(" + " AND ".join(conditions) + ")" if conditions else "TRUE"


def looked_up(c: Condition, found: Cover, row: Row, a: Asking, *, walk: bool = True) -> SQL:
    """The terms of `found` are met, or (a modifier says so) are not. `walk`: where the condition names a person whom
    a match must be about, her record is walked."""
    negated = c.missing is True or _negates(c)
    if not any(all(way) for way in found):
        return "TRUE" if negated else "FALSE"
    sql = any_of([all_of([meets(row.alias, some, a.p) for some in way]) for way in found if all(way)])
    if negated:
        return f"NOT {sql}"
    # Beside the walk the term is near certain; CASE keeps the planner from counting it as one more rarity.
    record = _walks(c, a.p) if walk and row.alias == "r" else ""
    if record:
        return f"{record} AND CASE WHEN {sql} THEN TRUE ELSE FALSE END"
    return f"CASE WHEN {sql} THEN TRUE ELSE FALSE END" if row.walked else sql


def _negates(c: Condition) -> bool:
    """Raises TypeError for a modifier of which nobody has said what it means here."""
    match c.modifier:
        case "not" | "not-in":
            return True
        case None | "exact" | "identifier" | "in" | "above" | "below" | "of-type":
            return False  # said by the terms themselves
    raise TypeError(f"no lookup for :{c.modifier}")


def meets(r: str, hashes: Sequence[int], p: Params) -> SQL:
    return f"{r}.terms {'@>' if len(hashes) == 1 else '&&'} {p(list(hashes))}::bigint[]"


def by_rows(v: object, c: Condition, row: Row, a: Asking) -> SQL:
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


def updated(v: Span, r: str, p: Params) -> SQL:
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
    escaped = v.folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    match c.modifier:
        case None | "text":
            test = f"x.text LIKE {p(escaped + '%')}"
        case "contains":
            test = f"x.text LIKE {p('%' + escaped + '%')}"
        case "ends":
            test = f"x.text LIKE {p('%' + escaped)}"
        case "eq":
            test = f"x.text = {p(v.folded)}"
        case _:
            raise TypeError(f"no comparison of text for :{c.modifier}")
    return (
        f"EXISTS (SELECT 1 FROM phr_text x WHERE x.resource_id = {r}.id"
        f" AND x.param = ANY({p(list(kept_ids(c.param)))}::smallint[]) AND {test})"
    )
