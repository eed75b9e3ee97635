"""Searches as one caller may ask them. Use it through `gateway.Records`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consent import audit
from consent.audit import Event
from phr.records import store, vault
from phr.records.reading import Page, Reading, bounded, fetch
from phr.records.scoping import Known, Params, scope_sql
from phr.records.search import compile as compiler
from phr.records.search import cursor as paging
from phr.records.search.parse import Query
from phr.records.store import Stored


class Searching(Reading):
    """What one caller may find."""

    def search(self, query: Query, *, cursor: str | None = None) -> Page:
        """One page, logged. Raises BadSearch for a cursor that is not this caller's, TooCostly."""
        mark = paging.opened(cursor, caller=self.caller, query=query) if cursor else None
        known = self._known(query)
        total = self._count(query, known) if query.total != "none" else None
        rows: list[Any] = []
        if query.count:
            p = Params()
            scope = scope_sql(self.scope, "s", p, known=known)
            sql = compiler.page_sql(query, scope, p, mark, key=vault.index_key(), terms=self.granular)
            rows = fetch(bounded(sql), p)
        entries, last, more = self._page(rows, query.count, letter="s", known=known)
        self._log_search(query, entries)
        if not more:
            return Page(entries, None, total)
        *values, high_water, _ = last[store.WIDTH :]
        after = paging.Mark(high_water, (*values, last[0]))
        return Page(entries, paging.sealed(after, caller=self.caller, query=query), total)

    def find(self, query: Query, *, letter: str, limit: int) -> list[Stored]:
        """Up to `limit` matches for a condition (If-None-Exist). Whoever discloses them writes the log."""
        p = Params()
        scope = scope_sql(self.scope, letter, p)
        sql = compiler.page_sql(query, scope, p, None, key=vault.index_key(), terms=self.granular)
        return self._opened(fetch(sql, p)[:limit], letter=letter)

    def _count(self, query: Query, known: Known | None) -> int:
        p = Params()
        scope = scope_sql(self.scope, "s", p, known=known)
        return int(fetch(compiler.count_sql(query, scope, p, key=vault.index_key()), p)[0][0])

    def _known(self, query: Query) -> Known | None:
        return self._known_about(compiler.bound_to(query) or self.scope.subjects)

    def _log_search(self, query: Query, entries: Sequence[Stored]) -> None:
        about: audit.Detail = {"type": query.type, "params": query.names}
        self._log_found(Event.RECORD_SEARCHED, about, entries)
