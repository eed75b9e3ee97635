"""Query + scope -> SQL. Pure: text and named parameters, nothing is run here.

Inside one person's record the walk (subject, type, clinical time) carries a search; across persons the
terms do. Conditions on the clinical-time columns are added as necessary ones, so that the walk can stop early;
what decides is always the index (`phr_range`). Conditions stand in `where`, order and pages in `order`.
"""

from __future__ import annotations

from uuid import UUID

from consent.scope import OPEN_TYPES
from phr.records import store
from phr.records.definitions import concrete_types
from phr.records.scoping import SQL, Params
from phr.records.search.asking import Asking, Row, Scopes
from phr.records.search.cursor import Mark
from phr.records.search.order import Order, Part, order_of, parts
from phr.records.search.query import Condition, Query
from phr.records.search.single import CLINICAL, main, subjects
from phr.records.search.where import holds, within

__all__ = ["CLINICAL", "Scopes", "bound_to", "count_sql", "page_sql"]

NOBODY: frozenset[UUID] = frozenset()
_HIGHEST = "(SELECT max(id) FROM phr_resource)"


def page_sql(
    query: Query,
    scope: Scopes,
    p: Params,
    mark: Mark | None,
    *,
    key: bytes,
    terms: bool = False,
    persons: frozenset[UUID] = NOBODY,
) -> tuple[SQL, ...]:
    """The statements of a page, to be asked in turn until there is one row more than a page holds.

    The sort values and the high-water mark follow the columns of `store.select`. `scope` says for an alias what the
    caller may touch of it. `persons`: those the caller is bound to, if any.
    """
    a = _asking(query, scope, p, key, persons)
    order = order_of(query, a)
    where = _where(query, a)
    if mark is not None:
        where.append(f"r.id <= {p(mark.high_water)}")
    high_water = p(mark.high_water) if mark else _HIGHEST
    limit = f" LIMIT {p(query.count + 1)}"
    found = []
    for part in parts(order, mark, a):
        if mark is not None and mark.began is not None and order.moves:
            found.append(_unmoved(order, part, where, high_water, mark, limit, a, terms=terms))
        else:
            values = "".join(f", {k.sql}" for k in order.keys)
            head = store.select(terms=terms, extra=f"{values}, {high_water}")
            found.append(f"{head} WHERE {' AND '.join([*where, *part.where])} ORDER BY {part.by}{limit}")
    return tuple(found)


def _unmoved(
    order: Order, part: Part, where: list[SQL], high_water: SQL, mark: Mark, limit: SQL, a: Asking, *, terms: bool
) -> SQL:
    """The page in the order of when the search began: what was stored again since stands where it stood then.

    Such rows are found by the index of `updated_at`, and are few; the rest is walked as ever.
    """
    began = f"{a.p(mark.began)}::timestamptz"
    then = f"(SELECT max(v.updated_at) FROM phr_version v WHERE v.resource_id = r.id AND v.updated_at <= {began})"
    rest = [k.sql for k in order.keys[1:]]
    names = [f"k{i}" for i in range(len(order.keys))]

    def head(first: SQL) -> SQL:
        shown = "".join(f", {sql} AS {name}" for sql, name in zip([first, *rest], names, strict=True))
        return store.select(terms=terms, extra=f"{shown}, {high_water} AS high")

    still = [*where, *part.where, f"r.updated_at <= {began}"]
    # An id beyond the high-water mark, or a first version, was not there: most of what is new is put aside cheaply.
    moved = [*where, f"r.updated_at > {began}", "r.version > 1", f"{then} IS NOT NULL"]
    moved += [condition.replace("r.updated_at", then) for condition in part.where]
    ways = ["DESC" if k.descending else "ASC" for k in order.keys]
    by = ", ".join([f"{n} {way} NULLS LAST" for n, way in zip(names, ways, strict=True)])
    by += f", id {'ASC' if order.rising else 'DESC'}"
    return (
        f"SELECT * FROM (({head('r.updated_at')} WHERE {' AND '.join(still)} ORDER BY {part.by}{limit})"
        f" UNION ALL (SELECT * FROM ({head(then)} WHERE {' AND '.join(moved)}) m ORDER BY {by}{limit})) q"
        f" ORDER BY {by}{limit}"
    )


def count_sql(query: Query, scope: Scopes, p: Params, *, key: bytes, persons: frozenset[UUID] = NOBODY) -> SQL:
    a = _asking(query, scope, p, key, persons)
    return f"SELECT count(*) FROM phr_resource r WHERE {' AND '.join(_where(query, a))}"


def _asking(query: Query, scope: Scopes, p: Params, key: bytes, persons: frozenset[UUID]) -> Asking:
    few = bool(persons) or bound_to(query) is not None
    return Asking(p, key, scope, few=few, about=_one_record(query) or persons)


def _one_record(query: Query) -> frozenset[UUID]:
    """The persons one of whom is the main subject of every match; none where the search does not say."""
    for c in query.conditions if len(query.types) == 1 else ():
        if isinstance(c, Condition) and (found := subjects(c)) and (c.param.name == "_id" or main(c.param)):
            return found
    return frozenset()


def _where(query: Query, a: Asking) -> list[SQL]:
    scope = a.scope("r", same=True, common=not OPEN_TYPES.isdisjoint(query.types))
    if _one_record(query):
        # Inside one record the scope lets nearly all or nothing through; CASE keeps the planner from taking its
        # many conditions for many rarities, and sorting a whole record where the walk gives the first page.
        scope = f"CASE WHEN {scope} THEN TRUE ELSE FALSE END"
    found = [*_of_types(query.types, a), "NOT r.deleted", scope]
    if query.compartment:
        found.append(within(query.compartment, query.types, a))
    row = Row("r", a.few, bool(a.about), open=OPEN_TYPES.issuperset(query.types))
    return found + [holds(c, row, a) for c in query.conditions]


def _of_types(types: tuple[str, ...], a: Asking) -> list[SQL]:
    if len(types) == 1:
        return [f"r.type = {a.p(types[0])}"]
    return [] if len(types) == len(concrete_types()) else [f"r.type = ANY({a.p(list(types))})"]


def bound_to(query: Query) -> frozenset[UUID] | None:
    """Persons one of whom every match must be about; None where the search does not say."""
    if len(query.types) > 1:
        return None
    return _one_record(query) or next((found for c in query.conditions if (found := subjects(c))), None)
