"""Searches as one caller may ask them. Use it through `gateway.Records`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from consent import audit
from consent.audit import Event
from consent.decide import Permit
from consent.scope import Door
from phr.records import store, vault
from phr.records.including import Including
from phr.records.reading import PAGE_BYTES, NotFound, Page, Reading, bounded, fetch
from phr.records.scoping import SQL, Known, Params, scope_sql
from phr.records.search import compile as compiler
from phr.records.search import cursor as paging
from phr.records.search.query import Query
from phr.records.store import Stored


class Searching(Including):
    """What one caller may find."""

    def search(self, query: Query, *, cursor: str | None = None) -> Page:
        """One page, logged. Raises BadSearch for a cursor that is not this caller's, TooCostly."""
        mark = paging.opened(cursor, caller=self.caller, query=query) if cursor else None
        known = self._known(query)
        total = self._count(query, known) if query.total != "none" else None
        rows = self._rows(query, mark, letter="s", known=known) if query.count else []
        entries, last, more = self._page(rows, query.count, letter="s", known=known)
        included, cut = self.included(entries, query.includes, known=known) if query.includes else ([], None)
        self._log_search(query, [*entries, *included])
        following = self._following(query, mark, last) if more else None
        return Page(entries, following, total, included, cut)

    def find(self, query: Query, *, letter: str, limit: int) -> list[Stored]:
        """Up to `limit` matches for a condition (If-None-Exist). Whoever discloses them writes the log."""
        return self._opened(self._rows(query, None, letter=letter, known=None)[:limit], letter=letter)

    def stands(self, type: str, id: str) -> None:
        """Whether the owner of a compartment is there for this caller, whatever types the token names. Raises NotFound.

        Who is told so is told of the search within, which is logged.
        """
        anything = replace(self.scope, doors=(Door("*", "s"),))
        wider = Reading(self.caller, Permit(anything, ()), now=self.now)
        if wider._current(type, id, letter="s").deleted:  # noqa: SLF001 - the same caller, looking for no type at all
            raise NotFound(f"{type}/{id}")

    def _rows(self, query: Query, mark: paging.Mark | None, *, letter: str, known: Known | None) -> list[Any]:
        """One row more than a page, if there are as many, or as far as its bytes go."""
        p = Params()
        rows: list[Any] = []
        for sql in compiler.page_sql(
            query, self._scopes(letter, p, known), p, mark, key=vault.index_key(), terms=self.granular,
            person=bool(self.scope.subjects),
        ):  # fmt: skip
            rows += fetch(bounded(sql), p)
            if len(rows) > query.count or (rows and rows[-1][-1] >= PAGE_BYTES):
                break
        return rows

    def _scopes(self, letter: str, p: Params, known: Known | None) -> compiler.Scopes:
        """What may be touched of each table a statement reaches.

        `known` are the effective rows of whom the matches can be about; a chain may lead to anybody, unless the
        token does not.
        """
        everybody = known is not None and self.scope.subjects is not None and self.scope.subjects <= known.keys()

        def scope(alias: str) -> SQL:
            return scope_sql(self.scope, letter, p, alias=alias, known=known if everybody or alias == "r" else None)

        return scope

    def _following(self, query: Query, mark: paging.Mark | None, last: Sequence[Any]) -> str:
        *values, high_water, _ = last[store.WIDTH :]
        began = mark.began if mark else self.now.isoformat()
        after = paging.Mark(high_water, (*values, last[0]), began)
        return paging.sealed(after, caller=self.caller, query=query)

    def _count(self, query: Query, known: Known | None) -> int:
        p = Params()
        scopes = self._scopes("s", p, known)
        sql = compiler.count_sql(query, scopes, p, key=vault.index_key(), person=bool(self.scope.subjects))
        return int(fetch(sql, p)[0][0])

    def _known(self, query: Query) -> Known | None:
        return self._known_about(compiler.bound_to(query) or self.scope.subjects)

    def _log_search(self, query: Query, entries: Sequence[Stored]) -> None:
        about: audit.Detail = {"type": query.type, "params": query.names + _ways(query)}
        self._log_found(Event.RECORD_SEARCHED, about, entries)


def _ways(query: Query) -> tuple[str, ...]:
    return tuple(sorted({"_revinclude" if include.reverse else "_include" for include in query.includes}))
