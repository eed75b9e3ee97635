"""Searches as one caller may ask them. Use it through `gateway.Records`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connection

from consent import audit
from consent.audit import Event
from consent.decide import Permit
from consent.scope import Door
from phr.records import body, costing, opening, store, vault
from phr.records.including import Including
from phr.records.reading import PAGE_BYTES, NotFound, Page, Reading, TooCostly, bounded, fetch
from phr.records.scoping import SQL, Known, Params, scope_sql
from phr.records.search import compile as compiler
from phr.records.search import cursor as paging
from phr.records.search.query import BadSearch, Query
from phr.records.store import Stored

OPERATOR = "class:operator"  # how the scope names a caller that acts for an organisation of the kind `operator`
MOST_OPENED = 5000  # candidates of one page, where only opened bodies can tell
CHUNK = 200  # of them at a time


class Searching(Including):
    """What one caller may find."""

    def search(self, query: Query, *, cursor: str | None = None) -> Page:
        """One page, logged. Raises BadSearch for a cursor that is not this caller's, TooCostly."""
        mark = paging.opened(cursor, caller=self.caller, epoch=self.scope.epoch, query=query) if cursor else None
        self._affordable(query)
        known = self._known(query)
        if query.opening:
            entries, last, more, total = self._opening_page(query, mark, known)
        else:
            total = self._count(query, known) if query.total != "none" else None
            rows = self._rows(query, mark, letter="s", known=known) if query.count else []
            entries, last, more = self._page(rows, query.count, letter="s", known=known)
        included, cut = self.included(entries, query.includes, known=known) if query.includes else ([], None)
        self._log_search(query, [*entries, *included])
        following = None
        if more:
            following = paging.sealed(self._mark(mark, last), caller=self.caller, epoch=self.scope.epoch, query=query)
        return Page(entries, following, total, included, cut)

    def find(self, query: Query, *, letter: str, limit: int) -> list[Stored]:
        """Up to `limit` matches for a condition (If-None-Exist). Whoever discloses them writes the log."""
        if query.opening:
            self._bound_for_opening(query)
            return [found for _, found in islice(self._candidates(query, None, None, letter=letter), limit)]
        rows = self._rows(replace(query, count=limit), None, letter=letter, known=None)
        return self._opened(rows[:limit], letter=letter)

    def stands(self, type: str, id: str) -> None:
        """Whether the owner of a compartment is there for this caller, whatever types the token names. Raises NotFound.

        Who is told so is told of the search within, which is logged.
        """
        anything = replace(self.scope, doors=(Door("*", "s"),))
        wider = Reading(self.caller, Permit(anything, ()), now=self.now)
        if wider._current(type, id, letter="s").deleted:  # noqa: SLF001 - the same caller, looking for no type at all
            raise NotFound(f"{type}/{id}")

    def _affordable(self, query: Query) -> None:
        """Refuse what would read a large store from end to end, unless an operator asks. Raises TooCostly."""
        if self.scope.subjects is not None or query.compartment or compiler.bound_to(query) is not None:
            return
        if OPERATOR in self.scope.actors:
            return
        culprit = costing.reads_everything(query)
        if culprit and stored() > settings.PHR_LARGEST_SCAN:
            raise TooCostly(
                f"{culprit}: 全件を読むことになります。This would read every resource, and more than"
                f" {settings.PHR_LARGEST_SCAN} (PHR_LARGEST_SCAN) are stored. Add a patient, a code, a date or a name."
            )

    def _rows(self, query: Query, mark: paging.Mark | None, *, letter: str, known: Known | None) -> list[Any]:
        """One row more than a page, if there are as many, or as far as its bytes go."""
        p = Params()
        rows: list[Any] = []
        for turn in compiler.page_sql(
            query, self._scopes(letter, p, known), p, mark, key=vault.index_key(), terms=self.granular,
            persons=self.scope.subjects or compiler.NOBODY,
        ):  # fmt: skip
            found = fetch(bounded(turn.sql), p)
            if turn.unmoved and (not found or found[0][-2]):
                found = fetch(bounded(turn.unmoved), p)
            rows += found
            if len(rows) > query.count or (rows and rows[-1][-1] >= PAGE_BYTES):
                break
        return rows

    def _scopes(self, letter: str, p: Params, known: Known | None) -> compiler.Scopes:
        """What may be touched of each table a statement reaches.

        `known` are the effective rows of whom the matches can be about; a chain may lead to anybody, unless the
        token does not, or it stays with the `same` person.
        """
        everybody = known is not None and self.scope.subjects is not None and self.scope.subjects <= known.keys()

        closed = replace(self.scope, open_letters="")  # what is of no open type needs no word about them

        def scope(alias: str, *, same: bool = False, common: bool = True) -> SQL:
            told = known if everybody or same else None
            return scope_sql(self.scope if common else closed, letter, p, alias=alias, known=told)

        return scope

    def _mark(self, mark: paging.Mark | None, last: Sequence[Any]) -> paging.Mark:
        """Where the next page goes on, after the row `last`."""
        *values, high_water, _, _ = last[store.WIDTH :]
        return paging.Mark(high_water, (*values, last[0]), mark.began if mark else self.now.isoformat())

    def _count(self, query: Query, known: Known | None) -> int:
        p = Params()
        scopes = self._scopes("s", p, known)
        sql = compiler.count_sql(
            query, scopes, p, key=vault.index_key(), persons=self.scope.subjects or compiler.NOBODY
        )
        return int(fetch(sql, p)[0][0])

    # -- what only opened bodies can answer ----------------------------------------------------------

    def _opening_page(
        self, query: Query, mark: paging.Mark | None, known: Known | None
    ) -> tuple[list[Stored], Sequence[Any], bool, int | None]:
        """As `_page`, of the candidates of which the opening conditions hold; and the total, if it is wanted."""
        self._bound_for_opening(query)
        entries: list[Stored] = []
        last: Sequence[Any] = ()
        more, bytes_shown, counted = False, 0, 0
        counting = query.total != "none"
        for row, found in self._candidates(query, mark, known) if query.count else ():
            if len(entries) == query.count or bytes_shown >= PAGE_BYTES:
                more = True
                break
            entries.append(found)
            bytes_shown += len(found.body or b"")
            last = row
        if counting:
            counted = sum(1 for _ in self._candidates(query, None, known))
        return entries, last, more, counted if counting else None

    def _bound_for_opening(self, query: Query) -> None:
        if self.scope.subjects is None and compiler.bound_to(query) is None and not _of_patient(query):
            name = query.opening[0].param.name
            raise BadSearch(name, f"stands in sealed text: add patient=… so that one record is searched for {name}")

    def _candidates(
        self, query: Query, mark: paging.Mark | None, known: Known | None, *, letter: str = "s"
    ) -> Iterator[tuple[Sequence[Any], Stored]]:
        """Row and resource of every match from a mark on, opened chunk by chunk. Raises TooCostly."""
        chunk = replace(query, count=CHUNK)
        opened = 0
        while True:
            rows = self._rows(chunk, mark, letter=letter, known=known)
            taken = rows[:CHUNK]
            for row, found in zip(taken, self._judged(taken, letter=letter, known=known), strict=True):
                opened += 1
                if opened > MOST_OPENED:
                    raise TooCostly(
                        f"{query.opening[0].param.name}: more than {MOST_OPENED} resources would have to be opened;"
                        " narrow the search by date or code"
                    )
                if found and _all_hold(found, query):
                    yield row, found
            if len(rows) <= CHUNK and (not rows or rows[-1][-1] < PAGE_BYTES):
                return
            mark = self._mark(mark, taken[-1])

    def _known(self, query: Query) -> Known | None:
        return self._known_about(compiler.bound_to(query) or self.scope.subjects)

    def _log_search(self, query: Query, entries: Sequence[Stored]) -> None:
        about: audit.Detail = {"type": query.type, "params": query.names + _ways(query)}
        self._log_found(Event.RECORD_SEARCHED, about, entries)


@lru_cache(maxsize=1)
def _counted(minute: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = 'phr_resource'::regclass")
        return int(cursor.fetchone()[0])


def stored() -> int:
    """How many resources there are, as the planner last knew; asked once a minute."""
    return _counted(int(monotonic() // 60))


def _all_hold(found: Stored, query: Query) -> bool:
    resource = body.parse(found.body or b"{}")
    return all(opening.holds(resource, condition) for condition in query.opening)


def _of_patient(query: Query) -> bool:
    return query.compartment is not None and query.compartment[0] == "Patient"


def _ways(query: Query) -> tuple[str, ...]:
    return tuple(sorted({"_revinclude" if include.reverse else "_include" for include in query.includes}))
