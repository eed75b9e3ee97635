"""Every match of a search, page by page, for an operation that keeps few of them. Use it through `gateway.Records`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from consent.audit import Event
from phr.records.reading import TooCostly
from phr.records.search.query import Query
from phr.records.searching import Searching
from phr.records.store import Stored

PAGE = 500  # resources in memory at a time


class Streaming(Searching):
    """What one caller may go through."""

    def extract(
        self, query: Query, keep: Callable[[Iterator[Stored]], list[Stored]], *, method: str, most: int
    ) -> list[Stored]:
        """What `keep` keeps of all matches, in its order; logged as told by the operation `method`.

        `keep` gets them in the order of the search. Raises TooCostly beyond `most`, and whatever `keep` raises.
        """
        kept = keep(self._matches(query, most=most))
        self._log_found(Event.RECORD_SEARCHED, {"type": query.type, "method": method}, kept)
        return kept

    def _matches(self, query: Query, *, most: int) -> Iterator[Stored]:
        """All matches, not logged: they go no further than `extract`."""
        asked = replace(query, count=PAGE)
        known, mark, seen = self._known(asked), None, 0
        while True:
            if asked.opening:
                entries, last, more, _ = self._opening_page(asked, mark, known)
            else:
                rows = self._rows(asked, mark, letter="s", known=known)
                entries, last, more = self._page(rows, PAGE, letter="s", known=known)
            seen += len(entries)
            if seen > most:
                raise TooCostly(f"more than {most} resources to go through: narrow the question, for instance by date")
            yield from entries
            if not more:
                return
            mark = self._mark(mark, last)
