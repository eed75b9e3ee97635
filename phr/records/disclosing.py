"""Every version of one person's record that a caller may see, in flat memory: for a disclosure, or for moving away.

A chunk is read within a decision of its own, so what ends in between stops what follows. Who tells of them writes
the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from consent.audit import Event
from consent.decide import Caller
from phr.records import store
from phr.records.gateway import Records
from phr.records.models import Resource
from phr.records.reading import bounded, fetch
from phr.records.scoping import SQL, Params, scope_sql
from phr.records.store import Stored

CHUNK = 500  # versions
Clock = Callable[[], datetime]


class Whole(Records):
    """The record of one person as it may be handed to her."""

    def versions(
        self, subject: UUID, *, after: tuple[int, int], upto: int, earlier: bool = True
    ) -> tuple[list[Stored], tuple[int, int] | None]:
        """The next versions by (row, version), opened, and after which the next chunk begins; None at the end.

        `upto`: the last row; `earlier`: also those that were overtaken.
        """
        p = Params()
        rows = fetch(bounded(self._select(subject, after, upto, earlier, p)), p)
        known = self._known_about(frozenset({subject}))
        found, last, more = self._page(rows, CHUNK, letter="s", known=known)
        return found, (last[0], last[11]) if more else None

    def _select(self, subject: UUID, after: tuple[int, int], upto: int, earlier: bool, p: Params) -> SQL:
        known = self._known_about(frozenset({subject}))
        now, then = (scope_sql(self.scope, "s", p, alias=alias, named="r", known=known) for alias in "rv")
        about, row, version, limit = p(subject), p(after[0]), p(after[1]), p(CHUNK + 1)
        own = f"(r.subject_id = {about} OR r.subject2_id = {about}) AND r.id <= {p(upto)} AND {now}"
        newest = (
            f"{store.select(terms=self.granular)} WHERE {own} AND (r.id, r.version) > ({row}, {version})"
            f"{'' if earlier else ' AND NOT r.deleted'} ORDER BY r.id LIMIT {limit}"
        )
        if not earlier:
            return newest
        past = (
            f"{store.select_versions(terms=self.granular)} WHERE {own} AND {then}"
            f" AND (v.resource_id, v.version) > ({row}, {version}) ORDER BY v.resource_id, v.version LIMIT {limit}"
        )
        return f"({newest}) UNION ALL ({past}) ORDER BY id, version LIMIT {limit}"

    def tell(self, method: str, found: list[Stored]) -> None:
        """Keep on the log what is about to leave."""
        if found:
            self._log_found(Event.RECORD_EXPORTED, {"type": "*", "method": method}, found)


def newest_row() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM phr_resource")
        return int(cursor.fetchone()[0])


def alone_about(subject: UUID, *, but: Collection[str]) -> set[tuple[str, str]]:
    """Type and id of every current resource about this person and nobody else, whoever may see it.

    `but`: types that do not count. Never to be shown: it is what a hand-over is held against.
    """
    found = Resource.objects.filter(subject=subject, subject2=None, deleted=False).exclude(type__in=but)
    return set(found.values_list("type", "fhir_id"))


def walk(caller: Caller, subject: UUID, *, clock: Clock, method: str, earlier: bool = True) -> Iterator[Stored]:
    """All of it, decided and logged chunk by chunk. Raises Refused when the caller may no longer."""
    after: tuple[int, int] | None = (0, 0)
    upto = newest_row()
    while after is not None:
        with transaction.atomic():
            records = Whole.opened_by(caller, now=clock())
            found, after = records.versions(subject, after=after, upto=upto, earlier=earlier)
            records.tell(method, found)
        yield from found
