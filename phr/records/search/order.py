"""The order of a result, and where a page goes on. Pure.

Values first, then what has none; ties by row id. Where the first key is a column, the statement says where the page
begins in the words of an index (`(low, id) < (…)`), so that any page costs what the first does; a page may then be two
statements: the rows with a value, and those without.

`_lastUpdated` and the clinical date change under the feet of whoever turns pages. Each row keeps the place it had when
the search began (`Mark.began`): what was stored again since is put where its version of then stood. Nothing is lost or
met twice. Of other keys earlier versions keep no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phr.records.scoping import SQL
from phr.records.search.asking import Asking, Row
from phr.records.search.cursor import Mark
from phr.records.search.params import SearchParam
from phr.records.search.query import And, Query, SortKey, kept_ids
from phr.records.search.single import CLINICAL, any_of, main
from phr.records.search.where import keys, reached

_UPDATED = "r.updated_at"
_ALWAYS = ("r.fhir_id", _UPDATED)  # columns that are never empty
_CLINICAL = "r.clinical_low"
_COLUMNS = (*_ALWAYS, _CLINICAL)
_KEPT = {_UPDATED: "was.updated_at", _CLINICAL: "was.clinical_low"}  # what `phr_version` keeps of the order


@dataclass(frozen=True, slots=True)
class Key:
    """One sort key: what to compare, which way, and the cast of its value in a Mark."""

    sql: SQL
    descending: bool
    cast: str = ""

    @property
    def always(self) -> bool:
        return self.sql in _ALWAYS

    @property
    def by(self) -> SQL:
        # Without NULLS LAST where nothing is empty: so the index can be read backwards.
        return f"{self.sql} {'DESC' if self.descending else 'ASC'}{'' if self.always else ' NULLS LAST'}"


@dataclass(frozen=True, slots=True)
class Part:
    """One statement's share of a page: which rows, in which order."""

    where: tuple[SQL, ...]
    by: SQL


@dataclass(frozen=True, slots=True)
class Order:
    """The keys of a search; ties go newest first, or `rising`, as the index does
    that is read backwards."""

    keys: tuple[Key, ...]
    rising: bool

    @property
    def row(self) -> SQL:
        return f"r.id {'ASC' if self.rising else 'DESC'}"

    @property
    def by(self) -> SQL:
        return ", ".join([*(key.by for key in self.keys), self.row])

    @property
    def moves(self) -> bool:
        """Whether an update moves a row in a way that earlier versions tell of."""
        return any(key.sql in _KEPT for key in self.keys)


def as_of_then(sql: SQL) -> SQL:
    """An order's key or condition, of the version `was` in place of the current one."""
    for now, then in _KEPT.items():
        sql = sql.replace(now, then)
    return sql


def order_of(query: Query, a: Asking) -> Order:
    found = tuple(_key(k, query, a) for k in query.sort)
    return Order(found, len(found) == 1 and found[0].sql in _COLUMNS and not found[0].descending and not a.few)


def parts(order: Order, mark: Mark | None, a: Asking) -> list[Part]:
    """The statements of a page, to be asked one after the other until it is full."""
    if mark is None:
        return _first(order, a)
    *values, row = mark.after
    if not order.keys:
        return [Part((_beyond_row(order, row, a),), order.by)]
    first, value = order.keys[0], values[0]
    if value is None:
        return [_without(order, values, row, a)]
    here = f"{a.p(value)}{first.cast}"
    if first.sql not in _COLUMNS:
        return [Part((_after(order, order.keys, values, row, a),), order.by)]
    sign = "<" if first.descending else ">"
    if len(order.keys) == 1 and (first.descending or order.rising):
        reach: tuple[SQL, ...] = (f"({first.sql}, r.id) {sign} ({here}, {a.p(row)})",)
    else:
        reach = (f"{first.sql} {sign}= {here}", _after(order, order.keys, values, row, a))
    return [Part(reach, _led(order))] + ([] if first.always else [_without(order, None, 0, a)])


def _first(order: Order, a: Asking) -> list[Part]:
    """Newest first is how the record is walked, empty ones at the end; the other way the empty ones are apart."""
    first = order.keys[0] if order.keys else None
    if first is None or a.few or first.always or first.descending or first.sql not in _COLUMNS:
        return [Part((), order.by)]
    return [Part((f"{first.sql} IS NOT NULL",), _led(order)), _without(order, None, 0, a)]


def _led(order: Order) -> SQL:
    """The order of rows that have a value: the words of the index, read forwards or backwards."""
    first, *rest = order.keys
    way = "DESC NULLS LAST" if first.descending else "ASC NULLS FIRST"
    lead = first.by if first.always else f"{first.sql} {way}"
    return ", ".join([lead, *(key.by for key in rest), order.row])


def _without(order: Order, values: Sequence[object] | None, row: int, a: Asking) -> Part:
    """The rows whose first key is empty; after `values` where a page ended among them."""
    first, *rest = order.keys
    empty = f"{first.sql} IS NULL"
    by = ", ".join([*(key.by for key in rest), order.row])
    if values is None:
        return Part((empty,), by)
    return Part((empty, _after(order, rest, values[1:], row, a)), by)


def _after(order: Order, keys: Sequence[Key], values: Sequence[object], row: int, a: Asking) -> SQL:
    """Rows later than these: by the first key that differs; an empty value comes last."""
    condition = _beyond_row(order, row, a)
    for key, value in reversed(list(zip(keys, values, strict=True))):
        if value is None:
            condition = f"({key.sql} IS NULL AND {condition})"
            continue
        here = f"{a.p(value)}{key.cast}"
        beyond = f"{key.sql} {'<' if key.descending else '>'} {here}"
        if not key.always:
            beyond = f"{beyond} OR {key.sql} IS NULL"
        condition = f"({beyond} OR ({key.sql} = {here} AND {condition}))"
    return condition


def _beyond_row(order: Order, row: int, a: Asking) -> SQL:
    return f"r.id {'>' if order.rising else '<'} {a.p(row)}"


# What is compared


def _key(k: SortKey, query: Query, a: Asking) -> Key:
    """Ascending by the lowest value, descending by the highest."""
    if k.through is not None:
        return Key(_through(k, k.through, a), k.descending, _cast(k))
    if k.param.name == "_id":
        return Key("r.fhir_id", k.descending)
    if k.param.name == "_lastUpdated":
        return Key(_UPDATED, k.descending, _cast(k))
    if len(query.types) == 1 and CLINICAL.get(query.types[0]) == k.param.name:
        return Key(_CLINICAL, k.descending, "::timestamptz")
    return Key(f"(SELECT {_picked(k)} FROM {_rows(k, a)} AND x.resource_id = r.id)", k.descending)


def _cast(k: SortKey) -> str:
    return "::timestamptz" if k.param.name == "_lastUpdated" else ""


def _picked(k: SortKey, t: str = "") -> SQL:
    columns = {"_id": f"{t}.fhir_id", "_lastUpdated": f"{t}.updated_at"}
    column = columns.get(k.param.name) or ("x.text" if k.param.type == "string" else "x.low")
    return f"{'max' if k.descending else 'min'}({column})"


def _rows(k: SortKey, a: Asking) -> SQL:
    table = "phr_text" if k.param.type == "string" else "phr_range"
    return f"{table} x WHERE x.param = ANY({a.p(list(kept_ids(k.param)))}::smallint[])"


def _through(k: SortKey, through: SearchParam, a: Asking) -> SQL:
    """The value at the other end of a reference, as far as the caller may see that resource."""
    t, kind = a.table(), k.param.base
    direct = kind == "Patient" and main(through)
    far = reached(kind, And(()), Row(t, True, direct and bool(a.about)), a)
    mixed = keys(through, kind, a)
    if direct:
        named = any_of([f"r.terms @> ARRAY[{t}.named # {a.p(key)}::bigint]" for key in mixed])
        start = f"phr_resource {t}"
        far = f"{t}.fhir_id = r.subject_id::text AND {named} AND {far}"
    else:
        either = any_of([f"{t}.named = u # {a.p(key)}::bigint" for key in mixed])
        start = f"unnest(r.terms) u JOIN phr_resource {t} ON {either}"
    if k.param.name in ("_id", "_lastUpdated"):
        return f"(SELECT {_picked(k, t)} FROM {start} WHERE {far})"
    value = f"(SELECT {_picked(k)} FROM {_rows(k, a)} AND x.resource_id = {t}.id)"
    return f"(SELECT {'max' if k.descending else 'min'}({value}) FROM {start} WHERE {far})"
