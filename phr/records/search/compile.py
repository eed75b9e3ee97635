"""Query + scope -> SQL. Pure: text and named parameters, nothing is run here.

Inside one person's record the walk (subject, type, clinical time) carries a search; across persons the
terms do. Conditions on the clinical-time columns are added as necessary ones, so that the walk can stop early;
what decides is always the index (`phr_range`). Conditions stand in `where`, order and pages in `order`.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from consent.scope import OPEN_TYPES
from phr.records import store
from phr.records.definitions import concrete_types
from phr.records.scoping import SQL, Params
from phr.records.search.asking import Asking, Row, Scopes
from phr.records.search.cursor import Mark
from phr.records.search.order import Order, Part, as_of_then, order_of, parts
from phr.records.search.query import Condition, Query
from phr.records.search.single import CLINICAL, main, subjects
from phr.records.search.where import holds, within

__all__ = ["CLINICAL", "Scopes", "Turn", "bound_to", "count_sql", "page_sql"]

NOBODY: frozenset[UUID] = frozenset()
_HIGHEST = "(SELECT max(id) FROM phr_resource)"


@dataclass(frozen=True, slots=True)
class Turn:
    """One statement of a page. Its last column says whether rows were stored again since the search began: then, and
    where it finds nothing at all, `unmoved` is asked instead.

    So a page costs what the first does while nothing changes: most of a page's time goes into planning its scope, and
    `unmoved` has it twice.
    """

    sql: SQL
    unmoved: SQL | None = None


def page_sql(
    query: Query,
    scope: Scopes,
    p: Params,
    mark: Mark | None,
    *,
    key: bytes,
    terms: bool = False,
    persons: frozenset[UUID] = NOBODY,
) -> tuple[Turn, ...]:
    """The statements of a page, to be asked in turn until there is one row more than a page holds.

    The sort values, the high-water mark and whether rows have moved follow the columns of `store.select`. `scope` says
    for an alias what the caller may touch of it. `persons`: those the caller is bound to, if any.
    """
    a = _asking(query, scope, p, key, persons)
    order = order_of(query, a)
    where = _where(query, a)
    if mark is not None:
        where.append(f"r.id <= {p(mark.high_water)}")
    high_water = p(mark.high_water) if mark else _HIGHEST
    limit = f" LIMIT {p(query.count + 1)}"
    moves = mark is not None and mark.began is not None and order.moves
    changed = _changed(query, mark, a) if mark is not None and moves else "FALSE"
    found = []
    for part in parts(order, mark, a):
        values = "".join(f", {k.sql}" for k in order.keys)
        head = store.select(terms=terms, extra=f"{values}, {high_water}, {changed}")
        plain = f"{head} WHERE {' AND '.join([*where, *part.where])} ORDER BY {part.by}{limit}"
        unmoved = _unmoved(order, part, where, high_water, mark, limit, a, terms=terms) if mark and moves else None
        found.append(Turn(plain, unmoved))
    return tuple(found)


def _changed(query: Query, mark: Mark, a: Asking) -> SQL:
    """Whether a resource that was there has been stored again since the search began: one look at an index.

    Nothing is told of it but which statement is asked. Of one record, what happens to others does not count.
    """
    asked = _of_types(query.types, a)
    asked += [f"r.updated_at > {a.p(mark.began)}::timestamptz", f"r.id <= {a.p(mark.high_water)}"]
    if a.about:
        persons = f"ANY({a.p(sorted(a.about))}::uuid[])"
        asked.append(f"(r.subject_id = {persons} OR r.subject2_id = {persons} OR r.subject_id IS NULL)")
    return f"EXISTS (SELECT 1 FROM phr_resource r WHERE {' AND '.join(asked)})"


def _unmoved(
    order: Order, part: Part, where: list[SQL], high_water: SQL, mark: Mark, limit: SQL, a: Asking, *, terms: bool
) -> SQL:
    """The page in the order of when the search began: what was stored again since stands where it stood then.

    Such rows are found by the index of `updated_at`, and are few; the rest is walked as ever.
    """
    began = f"{a.p(mark.began)}::timestamptz"
    names = [f"k{i}" for i in range(len(order.keys))]

    def head(values: list[SQL]) -> SQL:
        shown = "".join(f", {sql} AS {name}" for sql, name in zip(values, names, strict=True))
        return store.select(terms=terms, extra=f"{shown}, {high_water} AS high, FALSE AS changed")

    still = [*where, *part.where, f"r.updated_at <= {began}"]
    # The version of then; a first version was not there: what is new is put aside cheaply.
    then = (
        " CROSS JOIN LATERAL (SELECT v.updated_at, v.clinical_low FROM phr_version v WHERE v.resource_id = r.id"
        f" AND v.updated_at <= {began} ORDER BY v.version DESC LIMIT 1) was"
    )
    moved = [*where, f"r.updated_at > {began}", "r.version > 1", *(as_of_then(sql) for sql in part.where)]
    ways = ["DESC" if k.descending else "ASC" for k in order.keys]
    by = ", ".join([f"{n} {way} NULLS LAST" for n, way in zip(names, ways, strict=True)])
    by += f", id {'ASC' if order.rising else 'DESC'}"
    values = [k.sql for k in order.keys]
    stood = head([as_of_then(sql) for sql in values])
    return (
        f"SELECT * FROM (({head(values)} WHERE {' AND '.join(still)} ORDER BY {part.by}{limit})"
        f" UNION ALL (SELECT * FROM ({stood}{then} WHERE {' AND '.join(moved)}) m ORDER BY {by}{limit})) q"
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
