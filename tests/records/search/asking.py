"""Resources stored without a caller, and searches run without one: SQL alone, for a made-up scope."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from consent.models import Subject
from phr.records import body, facts, index, store, vault
from phr.records.scoping import SQL, Params
from phr.records.search.compile import NOBODY, count_sql, page_sql
from phr.records.search.cursor import Mark
from phr.records.search.query import Query
from phr.records.store import Draft
from tests.conftest import NOON
from tests.records.search import naive
from tests.records.search.world import patient_id

BEGAN = (NOON + timedelta(days=1)).isoformat()
NONE: frozenset[str] = frozenset()
EVERYBODY = frozenset(UUID(patient_id(n)) for n in range(9))  # `few`: a caller bound to all of them


def drafted(resource: naive.Resource, version: int = 1) -> Draft:
    indexed = index.index_of(resource, vault.index_key())
    return Draft(facts.facts_of(resource, author=None), body.write(resource), indexed, version)


def stored(resources: list[naive.Resource]) -> naive.World:
    """Store a world in order, five resources at a moment."""
    Subject.objects.bulk_create([Subject(id=UUID(patient_id(n)), created_at=NOON) for n in range(9)])
    stamps: dict[str, datetime] = {}
    for start in range(0, len(resources), 5):
        some, at = resources[start : start + 5], NOON + timedelta(seconds=start)
        store.insert([drafted(r) for r in some], now=at)
        stamps |= {naive.name(r): at for r in some}
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE phr_resource")
    return naive.World(resources, stamps)


def page(
    query: Query, *, hidden: frozenset[str] = NONE, few: bool = False, mark: Mark | None = None, began: str = BEGAN
) -> tuple[list[str], Mark | None]:
    """One page by SQL, for a caller from whom some resources are hidden, and where it ends."""
    p = Params()

    def scope(alias: str, *, same: bool = False, common: bool = True) -> SQL:
        return f"({alias}.type || '/' || {alias}.fhir_id <> ALL ({p(sorted(hidden))}::text[]))"

    rows: list[tuple[object, ...]] = []
    for turn in page_sql(query, scope, p, mark, key=vault.index_key(), persons=EVERYBODY if few else NOBODY):
        found = _run(turn.sql, p)
        if turn.unmoved and (not found or found[0][-1]):
            found = _run(turn.unmoved, p)
        rows += found
        if len(rows) > query.count:
            break
    names = [f"{row[1]}/{row[2]}" for row in rows[: query.count]]
    if len(rows) <= query.count:
        return names, None
    last = rows[query.count - 1]
    *values, high, _ = last[store.WIDTH :]
    told = tuple(v.isoformat() if hasattr(v, "isoformat") else v for v in values)
    return names, Mark(int(str(high)), (*told, last[0]), mark.began if mark else began)


def _run(sql: SQL, p: Params) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, p.values)
        return list(cursor.fetchall())


def pages(query: Query, *, hidden: frozenset[str] = NONE, few: bool = False) -> list[str]:
    """All pages, one after the other."""
    names, mark = page(query, hidden=hidden, few=few)
    while mark is not None:
        more, mark = page(query, hidden=hidden, few=few, mark=mark)
        assert more
        names += more
    return names


def total(query: Query, hidden: frozenset[str]) -> int:
    p = Params()

    def scope(alias: str, *, same: bool = False, common: bool = True) -> SQL:
        return f"({alias}.type || '/' || {alias}.fhir_id <> ALL ({p(sorted(hidden))}::text[]))"

    with connection.cursor() as cursor:
        cursor.execute(count_sql(query, scope, p, key=vault.index_key()), p.values)
        return int(cursor.fetchone()[0])
