"""The reading half of the gateway. Use it through `gateway.Records`.

Every read is written to the audit log before it leaves. Forbidden and nonexistent look the same:
`NotFound`, with nothing in it that differs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from consent import audit, effective, prepared
from consent.audit import Event
from consent.decide import Caller, Deny, InForce, Permit, decide
from consent.scope import Facts, GrantRow
from phr.records import store, vault
from phr.records.scoping import Known, Params, scope_sql
from phr.records.search import compile as compiler
from phr.records.search import cursor as paging
from phr.records.search.parse import Query
from phr.records.store import Stored

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
alarm = logging.getLogger("phr.alarm")


MOST_KNOWN = 64  # effective rows that go into a statement; beyond, the table is joined
# These persons, whoever shares a resource with them, and the effective rows of all of them that may matter.
_KNOWN = f"""
WITH about(id) AS (
  SELECT unnest(%(about)s::uuid[])
  UNION SELECT unnest(ARRAY[subject_id, subject2_id]) FROM phr_resource
   WHERE subject2_id IS NOT NULL AND subject_id = ANY(%(about)s::uuid[])
  UNION SELECT unnest(ARRAY[subject_id, subject2_id]) FROM phr_resource
   WHERE subject2_id IS NOT NULL AND subject2_id = ANY(%(about)s::uuid[]))
SELECT about.id, {effective.ROW} FROM about
  LEFT JOIN consent_effectivegrant e ON e.subject_id = about.id AND e.grantee = ANY(%(names)s::text[])
"""
# What the log keeps of a read: a line for each person the resource is about.
_TOLD = """
SELECT about.subject, jsonb_build_object('type', f.type, 'id', f.fhir_id, 'version', f.version,
                                         'categories', f.categories)
  FROM found f CROSS JOIN LATERAL (
    SELECT f.subject_id AS subject UNION ALL SELECT f.subject2_id WHERE f.subject2_id IS NOT NULL) about
"""


class Refused(Exception):
    """The decision denies this caller as a whole."""


class NotFound(Exception):
    """No such resource for this caller: it does not exist, or it is not shown."""


class Gone(Exception):
    """Deleted, and the caller could have read it (FHIR R4 http.html, read)."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: `cursor` asks for the next one, `total` only when it was wanted."""

    entries: list[Stored]
    cursor: str | None
    total: int | None


class Reading:
    """What one caller may read. Opened by `Records.opened_by`."""

    def __init__(self, caller: Caller, permit: Permit, *, now: datetime) -> None:
        self.caller = caller
        self.scope = permit.scope
        self.now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as it will stand in meta.lastUpdated
        self._granular = any(door.terms for door in permit.scope.doors)

    def read(self, type: str, id: str) -> Stored:
        """The current version, found and logged by one statement. Raises NotFound or Gone."""
        p = Params()
        sql = self._select_current(type, id, "r", p)
        rows = audit.fetch_logged(sql, p.values, Event.RECORD_READ, told=_TOLD, by=self.caller, now=self.now)
        return _alive(self._only(rows, type, id, letter="r"))

    def vread(self, type: str, id: str, version: int) -> Stored:
        """One version by number. Raises NotFound, or Gone where that version is the deletion."""
        found = self._current(type, id, letter="r")
        if found.version != version:
            earlier = self._earlier(found, limit=1, exactly=version)
            if not earlier:
                raise NotFound(found.reference)
            found = earlier[0]
        self._log(Event.RECORD_READ, found)
        return _alive(found)

    def history(self, type: str, id: str, *, limit: int, before: int | None = None) -> list[Stored]:
        """Versions below `before`, newest first; none is shown unless the current one is covered too."""
        current = self._current(type, id, letter="r")
        head = [current] if before is None or current.version < before else []
        self._log(Event.RECORD_HISTORY, current)
        return (head + self._earlier(current, limit=limit, before=before))[:limit]

    def search(self, query: Query, *, cursor: str | None = None) -> Page:
        """One page. Raises search.parse.BadSearch for a cursor that is not this caller's."""
        mark = paging.opened(cursor, caller=self.caller, query=query) if cursor else None
        known = self._known(query)
        total = self._count(query, known) if query.total != "none" else None
        rows: list[Any] = []
        if query.count:
            p = Params()
            scope = scope_sql(self.scope, "s", p, known=known)
            rows = _fetch(compiler.page_sql(query, scope, p, mark, key=vault.index_key(), terms=self._granular), p)
        page, more = rows[: query.count], len(rows) > query.count
        entries = self._opened(page, letter="s", known=known)
        self._log_search(query, entries)
        if not more:
            return Page(entries, None, total)
        *values, high_water = page[-1][store.WIDTH :]
        after = paging.Mark(high_water, (*values, page[-1][0]))
        return Page(entries, paging.sealed(after, caller=self.caller, query=query), total)

    def find(self, query: Query, *, letter: str, limit: int) -> list[Stored]:
        """Up to `limit` matches for a condition (If-None-Exist). Whoever discloses them writes the log."""
        p = Params()
        scope = scope_sql(self.scope, letter, p)
        sql = compiler.page_sql(query, scope, p, None, key=vault.index_key(), terms=self._granular)
        return self._opened(_fetch(sql, p)[:limit], letter=letter)

    def _count(self, query: Query, known: Known | None) -> int:
        p = Params()
        scope = scope_sql(self.scope, "s", p, known=known)
        return int(_fetch(compiler.count_sql(query, scope, p, key=vault.index_key()), p)[0][0])

    def _known(self, query: Query) -> Known | None:
        """The effective rows of everybody this search can be about, where that is clear beforehand.

        With them the search needs no join: as cheap to plan for a clinic as for the person herself.
        """
        about = compiler.bound_to(query) or self.scope.subjects
        if not self.scope.grants or not about:
            return None
        names = effective.first_grantees(self.scope.actors)
        known: dict[UUID, list[GrantRow]] = {}
        for subject, *told in prepared.fetch(_KNOWN, {"about": list(about), "names": names}):
            known.setdefault(subject, [])
            if told[0] is not None:
                known[subject].append(effective.row_of(told))
        return known if sum(map(len, known.values())) <= MOST_KNOWN else None

    def _current(self, type: str, id: str, *, letter: str, lock: bool = False) -> Stored:
        p = Params()
        sql = self._select_current(type, id, letter, p) + (" FOR UPDATE OF r" if lock else "")
        return self._only(prepared.fetch(sql, p.values), type, id, letter=letter)

    def _select_current(self, type: str, id: str, letter: str, p: Params) -> str:
        if not _ID.fullmatch(id):
            raise NotFound(f"{type}/?")  # no id that we or anybody could have given (R4 datatypes.html, id)
        return (
            f"{store.select(terms=self._granular)} WHERE r.type = {p(type)} AND r.fhir_id = {p(id)}"
            f" AND {scope_sql(self.scope, letter, p)}"
        )

    def _only(self, rows: Sequence[Any], type: str, id: str, *, letter: str) -> Stored:
        found = self._opened(rows, letter=letter)
        if not found:
            raise NotFound(f"{type}/{id}")
        return found[0]

    def _earlier(
        self, current: Stored, *, limit: int, before: int | None = None, exactly: int | None = None
    ) -> list[Stored]:
        p = Params()
        conditions = [f"v.resource_id = {p(current.pk)}", scope_sql(self.scope, "r", p, alias="v", named="r")]
        if before is not None:
            conditions.append(f"v.version < {p(before)}")
        if exactly is not None:
            conditions.append(f"v.version = {p(exactly)}")
        sql = (
            f"{store.select_versions(terms=self._granular)} WHERE {' AND '.join(conditions)}"
            f" ORDER BY v.version DESC LIMIT {p(limit)}"
        )
        return self._opened(_fetch(sql, p), letter="r")

    def _opened(self, rows: Sequence[Any], *, letter: str, known: Known | None = None) -> list[Stored]:
        """Check each row again by the Python form, then open it. A disagreement drops the row and alarms."""
        facts = [store.facts_of_row(row) for row in rows]
        grants = self._grant_rows(facts) if known is None else [r for told in known.values() for r in told]
        passed = []
        for row, fact in zip(rows, facts, strict=True):
            if self.scope.covers(fact, letter=letter, rows=grants):
                passed.append(store.stored(row, fact))
            else:
                alarm.error("scope forms disagree: a row was withheld (resource row %s)", row[0])
                audit.record(Event.RECORD_DISAGREED, by=self.caller, now=self.now, detail={"interaction": letter})
        return passed

    def _grant_rows(self, facts: Iterable[Facts]) -> Sequence[GrantRow]:
        subjects = {s for f in facts for s in f.subjects} if self.scope.grants else set()
        return effective.rows_for(subjects, self.scope.actors) if subjects else ()

    def _log(self, event: Event, found: Stored) -> None:
        f = found.facts
        detail: audit.Detail = {"type": f.type, "id": f.id, "version": found.version, "categories": f.categories}
        for subject in f.subjects or (None,):
            audit.record(event, by=self.caller, subject=subject, now=self.now, detail=detail)

    def _log_search(self, query: Query, entries: Sequence[Stored]) -> None:
        """One event per patient found; one without a patient where none was."""
        seen: dict[Any, list[int]] = {}
        for entry in entries:
            for subject in entry.facts.subjects or (None,):
                tally = seen.setdefault(subject, [0, 0])
                tally[0] += 1
                tally[1] |= entry.facts.categories
        about: dict[str, audit.Value | list[str]] = {
            "type": query.type,
            "params": list(query.names),
        }
        told: dict[Any, audit.Detail] = {s: about | {"count": n, "categories": c} for s, (n, c) in seen.items()}
        audit.record_many(Event.RECORD_SEARCHED, by=self.caller, now=self.now, told=told or {None: about})


def _alive(found: Stored) -> Stored:
    if found.deleted:
        raise Gone(found.reference)
    return found


def _fetch(sql: str, p: Params) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, p.values or None)
        return cursor.fetchall()


def open_permit(caller: Caller, in_force: InForce, *, now: datetime) -> Permit:
    """Decide for this caller. Raises Refused (audited)."""
    match decide(caller, in_force, now=now):
        case Deny(because=why):
            audit.record(Event.RECORD_REFUSED, by=caller, subject=caller.subject, now=now, detail={"because": why})
            raise Refused(why)
        case permit:
            return permit
