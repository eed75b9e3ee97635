"""What one caller may read: one resource, one version, and what every search and history stands on.

Use it through `gateway.Records`; searches are `searching`, histories `histories`.
Every read is written to the audit log before it leaves. Forbidden and nonexistent look the same:
`NotFound`, with nothing in it that differs.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection
from psycopg.errors import QueryCanceled

from consent import audit, effective, prepared
from consent.audit import Event
from consent.decide import Caller, Deny, InForce, Permit, decide
from consent.grounds import Tally, grounds
from consent.scope import ANYONE, Basis, Facts, GrantRow
from phr.records import store
from phr.records.scoping import SQL, Known, Params, scope_sql
from phr.records.store import Stored

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
alarm = logging.getLogger("phr.alarm")


PAGE_BYTES = 16 << 20  # of sealed bodies in a page, and of opened ones: then it ends early, with one resource at least
MOST_KNOWN = 64  # effective rows that go into a statement; beyond, the table is joined
# Whether anything stands at a place, shown or not; asked only for the log.
_IS_THERE = "SELECT EXISTS (SELECT FROM phr_resource WHERE type = %(type)s AND fhir_id = %(id)s AND NOT deleted)"
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


class Refused(Exception):
    """The decision denies this caller as a whole."""


class NotFound(Exception):
    """No such resource for this caller: it does not exist, or it is not shown."""


class TooCostly(Exception):
    """What was asked would take more than this server gives one question; the text names the limit."""


class Gone(Exception):
    """Deleted, and the caller could have read it (FHIR R4 http.html, read)."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search or a history: `cursor` asks for the next one, `total` only when it was wanted.

    `included`: what stands beside the matches, and `cut`: why some of that was left out.
    """

    entries: list[Stored]
    cursor: str | None
    total: int | None
    included: Sequence[Stored] = ()
    cut: str | None = None


class Reading:
    """What one caller may read. Opened by `Records.opened_by`."""

    def __init__(self, caller: Caller, permit: Permit, *, now: datetime) -> None:
        self.caller = caller
        self.scope = permit.scope
        self.now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as it will stand in meta.lastUpdated
        self.granular = any(door.terms for door in permit.scope.doors)

    def read(self, type: str, id: str) -> Stored:
        """The current version, found and logged; by one statement where it stands on the caller's own basis.

        Raises NotFound or Gone.
        """
        with self._missing(type, id):
            return self._read(type, id)

    def _read(self, type: str, id: str) -> Stored:
        subject, basis = self.caller.subject, next((b for b in self.scope.bases if "r" in b.letters), None)
        if subject is None or basis is None:
            found = self._current(type, id, letter="r")
            self._log(Event.RECORD_READ, found)
            return _alive(found)
        p = Params()
        sql = self._select_current(type, id, "r", p)
        rows = audit.fetch_logged(
            sql, p.values, Event.RECORD_READ, subject=subject, when=_based(basis),
            detail={"type": type, "id": id, "because": [str(basis.why)]}, by=self.caller, now=self.now,
        )  # fmt: skip
        found = self._only([row for row, _ in rows], type, id, letter="r")
        if not rows[0][1]:
            self._log(Event.RECORD_READ, found)
        return _alive(found)

    @contextmanager
    def _missing(self, type: str, id: str) -> Iterator[None]:
        """Keep what was asked for and not found, and whether it is there: for those who watch over refusals.

        The same two statements either way. The line is about nobody, so it stands in no person's log; what it says
        is sealed by the commons key.
        """
        try:
            yield
        except NotFound:
            there = prepared.fetch(_IS_THERE, {"type": type, "id": id if _ID.fullmatch(id) else ""})
            event = Event.RECORD_REFUSED if there[0][0] else Event.RECORD_MISSED
            audit.record(event, by=self.caller, now=self.now, detail={"type": type, "interaction": "r"})
            raise

    def may_see(self, facts: Facts) -> bool:
        """Whether this caller would see a resource of these Facts, of which nothing need exist."""
        rows = self._grant_rows([facts])
        return self.scope.covers(facts, letter="r", rows=rows)

    def vread(self, type: str, id: str, version: int) -> Stored:
        """One version by number. Raises NotFound, or Gone where that version is the deletion."""
        with self._missing(type, id):
            found = self._current(type, id, letter="r")
        if found.version != version:
            earlier = self._earlier(found, exactly=version)
            if not earlier:
                raise NotFound(found.reference)
            found = earlier[0]
        self._log(Event.RECORD_READ, found)
        return _alive(found)

    def _known_about(self, about: frozenset[UUID] | None) -> Known | None:
        """The effective rows of everybody a search about these persons can find, where that is clear beforehand.

        With them the search needs no join: as cheap to plan for a clinic as for the person herself.
        """
        if not self.scope.grants or not about:
            return None
        names = effective.first_grantees(self.scope.names(permit=False))
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
            f"{store.select(terms=self.granular)} WHERE r.type = {p(type)} AND r.fhir_id = {p(id)}"
            f" AND {scope_sql(self.scope, letter, p)}"
        )

    def _only(self, rows: Sequence[Any], type: str, id: str, *, letter: str) -> Stored:
        found = self._opened(rows, letter=letter)
        if not found:
            raise NotFound(f"{type}/{id}")
        return found[0]

    def _earlier(self, current: Stored, *, exactly: int) -> list[Stored]:
        p = Params()
        scope = scope_sql(self.scope, "r", p, alias="v", named="r")
        conditions = f"v.resource_id = {p(current.pk)} AND v.version = {p(exactly)} AND {scope}"
        return self._opened(fetch(f"{store.select_versions(terms=self.granular)} WHERE {conditions}", p), letter="r")

    def _opened(self, rows: Sequence[Any], *, letter: str, known: Known | None = None) -> list[Stored]:
        """What passes the second look, opened."""
        return [found for found in self._judged(rows, letter=letter, known=known) if found]

    def _page(
        self, rows: Sequence[Any], count: int, *, letter: str, known: Known | None
    ) -> tuple[list[Stored], Sequence[Any], bool]:
        """As much of `rows` (of `bounded`) as a page holds, opened; the last row it took, and whether more come."""
        entries: list[Stored] = []
        taken, opened = 0, 0
        for found in self._judged(rows[:count], letter=letter, known=known):
            taken += 1
            if found:
                entries.append(found)
                opened += len(found.body or b"")
                if opened >= PAGE_BYTES:
                    break
        more = taken < len(rows) or (bool(rows) and rows[-1][-1] >= PAGE_BYTES)
        return entries, rows[taken - 1] if taken else (), more and taken > 0

    def _judged(self, rows: Sequence[Any], *, letter: str, known: Known | None = None) -> Iterator[Stored | None]:
        """Check each row again by the Python form, then open it. A disagreement drops the row and alarms."""
        facts = [store.facts_of_row(row) for row in rows]
        grants = by_subject(self._grant_rows(facts)) if known is None else known
        for row, fact in zip(rows, facts, strict=True):
            spoken = [r for subject in fact.subjects for r in grants.get(subject, ())]
            if self.scope.covers(fact, letter=letter, rows=spoken):
                yield store.stored(row, fact, grounds(self.scope, fact, letter=letter, rows=spoken))
            else:
                alarm.error("scope forms disagree: a row was withheld (resource row %s)", row[0])
                audit.record(Event.RECORD_DISAGREED, by=self.caller, now=self.now, detail={"interaction": letter})
                yield None

    def _grant_rows(self, facts: Iterable[Facts]) -> Sequence[GrantRow]:
        subjects = {s for f in facts for s in f.subjects} if self.scope.grants else set()
        return effective.rows_for(subjects, self.scope.names(permit=False)) if subjects else ()

    def _log(self, event: Event, found: Stored) -> None:
        f = found.facts
        detail: audit.Detail = {"type": f.type, "id": f.id, "version": found.version, "because": found.because}
        audit.record_many(event, by=self.caller, now=self.now, told=dict.fromkeys(f.subjects or (None,), detail))

    def _log_found(self, event: Event, about: audit.Detail, entries: Iterable[Stored]) -> None:
        """One line per patient found, with how many and of what kind; else one about whom the token is for."""
        seen: defaultdict[UUID | None, Tally] = defaultdict(Tally)
        for entry in entries:
            for subject in entry.facts.subjects or (None,):
                seen[subject].add(entry.facts, entry.because)
        told: dict[UUID | None, audit.Detail] = {
            s: {**about, "count": t.count, "categories": t.categories, "kinds": t.kinds, "because": t.because}
            for s, t in seen.items()
        }
        nothing: audit.Detail = {**about, "count": 0}
        audit.record_many(event, by=self.caller, now=self.now, told=told or {self.caller.subject: nothing})


def _based(basis: Basis) -> SQL:
    """Whether a row `found` stands on this basis of the caller's own, so that no consent needs to be named."""
    author = {ANYONE: "true", None: "found.author IS NULL"}.get(basis.author, f"found.author = {basis.author}")
    return f"found.categories & ~{basis.categories:d}::bigint = 0 AND found.level <= {basis.level:d} AND {author}"


def by_subject(rows: Iterable[GrantRow]) -> Known:
    """Each person's rows by themselves: a page about a thousand persons must not ask each row of all of them."""
    found: dict[UUID, list[GrantRow]] = {}
    for row in rows:
        found.setdefault(row.subject, []).append(row)
    return found


def _alive(found: Stored) -> Stored:
    if found.deleted:
        raise Gone(found.reference)
    return found


def fetch(sql: str, p: Params) -> list[Any]:
    """Run a search, for as long as one may take. Raises TooCostly."""
    limit = settings.PHR_SEARCH_TIMEOUT_MS
    with connection.cursor() as cursor:
        try:  # one message, two statements: the limit costs no round trip
            cursor.execute(f"SET LOCAL statement_timeout = {limit:d}; {sql}", p.values or None)
        except OperationalError as error:
            if isinstance(error.__cause__, QueryCanceled):
                raise TooCostly(f"took longer than the {limit} ms (PHR_SEARCH_TIMEOUT_MS) a search may take") from error
            raise
        cursor.nextset()
        return cursor.fetchall()


def bounded(sql: str) -> str:
    """The rows of `sql` (of `store.select`) as far as a page's bytes go; the bytes so far as the last column."""
    return (
        "SELECT * FROM (SELECT s.*, sum(coalesce(octet_length(s.body), 0)) OVER (ROWS UNBOUNDED PRECEDING) AS held"
        f" FROM ({sql}) s) t WHERE t.held - coalesce(octet_length(t.body), 0) < {PAGE_BYTES}"
    )


def open_permit(caller: Caller, in_force: InForce, *, now: datetime) -> Permit:
    """Decide for this caller. Raises Refused (audited)."""
    match decide(caller, in_force, now=now):
        case Deny(because=why):
            audit.record(Event.RECORD_REFUSED, by=caller, subject=caller.subject, now=now, detail={"because": str(why)})
            raise Refused(str(why))
        case permit:
            return permit
