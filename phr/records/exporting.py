"""What one caller may take out in bulk: read in chunks by row, every row looked at again, every chunk on the log.

A chunk is read within the scope of a decision of its own, so what is withdrawn in between stops what follows.
What lies in a file is asked for once more when it leaves (`standing`).
Source: Bulk Data Access IG 3.0.0, export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from django.db import connection

from consent import audit, prepared
from consent.audit import Event
from consent.decide import Caller, InForce, Permit
from consent.in_force import in_force_for
from consent.scope import Door
from phr.records import store, vault
from phr.records.reading import PAGE_BYTES, Reading, bounded, open_permit
from phr.records.scoping import SQL, Params, scope_sql
from phr.records.search import terms
from phr.records.search.query import Query
from phr.records.search.where import Asking, Row, holds
from phr.records.searching import Searching
from phr.records.store import Stored

CHUNK = 2000  # rows
WINDOW = 200_000  # row ids a chunk looks at: however few of them may be seen, a chunk ends
# A write that began before this much time may still be under way unseen: its moment is taken before it begins.
UNSEEN = "2 seconds"
# The moment up to which all that was written can be seen, and the newest row.
_MOMENT = f"""
SELECT least(%(now)s::timestamptz, min(xact_start)) - interval '{UNSEEN}',
       (SELECT coalesce(max(id), 0) FROM phr_resource)
  FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() AND state <> 'idle'
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One walk of an export. None = any.

    `types`, none = all, and of all those it is `without`; `queries`: one of which must match; `deleted`: what
    is deleted, instead of what stands; `persons`: only what is about a person; `members`: about these as main
    person, or as second one with a main person outside `everybody`. `since`: changed after; `until`: before.
    `targets`, of a walk of Provenance: it must be about a resource of one of these; `latest`: and be the newest.
    """

    types: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()
    deleted: bool = False
    persons: bool = False
    members: tuple[UUID, ...] | None = None
    everybody: tuple[UUID, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    targets: tuple[Part, ...] = ()
    latest: bool = False


class Export(Searching):
    """The record as one caller may take it out."""

    @classmethod
    def opened_by(cls, caller: Caller, *, now: datetime, in_force: InForce | None = None) -> Self:
        """Decide, as for any reading. Raises Refused (audited)."""
        return cls(caller, open_permit(caller, in_force or in_force_for(caller, now=now), now=now), now=now)

    @classmethod
    def of(cls, reading: Reading) -> Self:
        """The same record, decided already in this very request."""
        return cls(reading.caller, Permit(reading.scope, ()), now=reading.now)

    def moment(self) -> tuple[datetime, int]:
        """Up to when all that was written can be seen, and the newest row (transactionTime, high water)."""
        with connection.cursor() as cursor:
            cursor.execute(_MOMENT, {"now": self.now})
            at, high_water = cursor.fetchone()
        return at, high_water

    def chunk(self, part: Part, *, after: int, high_water: int) -> tuple[Iterator[Stored], int]:
        """What a part has after this row, opened one by one, and up to which row that is all of it.

        The part is at its end when that reaches the high water.
        """
        end = high_water if part.members is not None else min(high_water, after + WINDOW)
        p = Params()
        with connection.cursor() as cursor:
            cursor.execute(self._select(part, after, end, p), p.values)
            rows = cursor.fetchall()
        cut = len(rows) == CHUNK or (bool(rows) and rows[-1][-1] >= PAGE_BYTES)
        found = (entry for entry in self._judged(rows, letter="s") if entry)
        return found, rows[-1][0] if cut else end

    def _select(self, part: Part, after: int, end: int, p: Params) -> SQL:
        where = [f"r.id > {p(after)} AND r.id <= {p(end)}", *self._where(part, p)]
        if part.targets:
            where.append(self._provenance(part, p))
        sql = f"{store.select(terms=self.granular)} WHERE {' AND '.join(where)} ORDER BY r.id LIMIT {CHUNK}"
        return bounded(sql)

    def _where(self, part: Part, p: Params) -> list[SQL]:
        """What a row `r` of a part must be, this caller's scope included."""
        where = [scope_sql(self.scope, "s", p), *_conditions(part, p)]
        if part.queries:
            asking = Asking(p, vault.index_key(), self._scopes("s", p, None))
            where.append(f"({' OR '.join(matching(query, asking) for query in part.queries)})")
        return where

    def _provenance(self, part: Part, p: Params) -> SQL:
        """A target of the row `r` is in one of the parts. Below the SELECT, `r` is that target."""
        key = p(terms.reference_key("Provenance", "target", vault.index_key()))
        targets = " OR ".join(f"({' AND '.join(self._where(target, p))})" for target in part.targets)
        newest = f" AND NOT EXISTS ({self._newer(p)})" if part.latest else ""
        pointed = f"SELECT r.id AS own, u AS term, u # {key}::bigint AS named FROM unnest(r.terms) u"
        return (
            f"EXISTS (SELECT 1 FROM ({pointed}) m JOIN phr_resource r ON r.named = m.named WHERE ({targets}){newest})"
        )

    def _newer(self, p: Params) -> SQL:
        return (
            "SELECT 1 FROM phr_resource q WHERE q.type = 'Provenance' AND NOT q.deleted AND q.id > m.own"
            f" AND q.terms @> ARRAY[m.term] AND {scope_sql(self.scope, 's', p, alias='q')}"
        )

    def standing(self, rows: Sequence[int], *, deleted: bool) -> dict[int, Stored]:
        """Which of these rows the caller may still take out, as they are now; without bodies."""
        p = Params()
        state = "r.deleted" if deleted else "NOT r.deleted"
        head, scope = store.select(terms=self.granular, bodies=False), scope_sql(self.scope, "s", p)
        with connection.cursor() as cursor:
            cursor.execute(f"{head} WHERE r.id = ANY({p(list(rows))}) AND {state} AND {scope}", p.values)
            found = cursor.fetchall()
        return {entry.pk: entry for entry in self._judged(found, letter="s") if entry}

    def unknown(self, subjects: Iterable[UUID]) -> set[UUID]:
        """The persons whose Patient this caller cannot see, whether it is there or not."""
        wanted, p = set(subjects), Params()
        anything = replace(self.scope, doors=(Door("*", "cruds"),))
        sql = (
            f"SELECT r.subject_id FROM phr_resource r WHERE r.type = 'Patient' AND NOT r.deleted"
            f" AND r.fhir_id = ANY({p([str(s) for s in wanted])}) AND {scope_sql(anything, 's', p)}"
        )
        return wanted - {row[0] for row in prepared.fetch(sql, p.values)}

    def log(self, event: Event, entries: Iterable[Stored], about: audit.Detail) -> None:
        """One line for each person concerned; none where nothing was found."""
        if found := list(entries):
            self._log_found(event, about, found)


def _conditions(part: Part, p: Params) -> Iterator[SQL]:
    yield "r.deleted" if part.deleted else "NOT r.deleted"
    if part.types:
        yield f"r.type = {p(part.types[0])}" if len(part.types) == 1 else f"r.type = ANY({p(list(part.types))})"
    if part.without:
        yield f"r.type <> ALL({p(list(part.without))})"
    if part.persons:
        yield "r.subject_id IS NOT NULL"
    if part.members is not None:
        yield _about(part, p)
    if part.since is not None:
        yield f"r.updated_at > {p(part.since)}"
    if part.until is not None:
        yield f"r.updated_at < {p(part.until)}"


def _about(part: Part, p: Params) -> SQL:
    """Rows of these persons, each in the slice of its main person: in no two slices."""
    own = f"r.subject_id = ANY({p(list(part.members or ()))})"
    shared = f"r.subject2_id = ANY({p(list(part.members or ()))}) AND r.subject_id <> ALL({p(list(part.everybody))})"
    return f"({own} OR {shared})"


def matching(query: Query, asking: Asking) -> SQL:
    """What a search on one type asks of a row `r`, beside its type."""
    return "(" + (" AND ".join(holds(c, Row("r", asking.few), asking) for c in query.conditions) or "TRUE") + ")"
