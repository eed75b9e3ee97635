"""Which resources a caller may know of at all: for what speaks about resources without showing them, as the log does.

Use it through `gateway.Records`. Nothing of a resource leaves here but its Facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from consent import prepared
from consent.scope import Facts
from phr.records import store
from phr.records.reading import Reading
from phr.records.scoping import Params, scope_sql


class Knowing(Reading):
    """What one caller may know to exist."""

    def may_know(self, references: Iterable[str]) -> dict[str, Facts]:
        """The Facts of those of these ("Type/id") that this caller may read, as they stand now; deleted ones too."""
        names = sorted({name for name in references if name.count("/") == 1})
        if not names:
            return {}
        p = Params()
        types, ids = zip(*(name.split("/") for name in names), strict=True)
        sql = (
            f"{store.select(terms=self.granular, bodies=False)} WHERE (r.type, r.fhir_id) IN"
            f" (SELECT * FROM unnest({p(list(types))}::text[], {p(list(ids))}::text[]))"
            f" AND {scope_sql(self.scope, 'r', p)}"
        )
        facts = [store.facts_of_row(row) for row in prepared.fetch(sql, p.values)]
        rows = self._grant_rows(facts)
        return {f"{f.type}/{f.id}": f for f in facts if self.scope.covers(f, letter="r", rows=rows)}

    def would_see(self, subject: UUID) -> Callable[[Facts], bool]:
        """Whether this caller might read what has these Facts; the consents of one person are read once."""
        rows = self._grant_rows([Facts("*", "", (subject,))])
        return lambda facts: self.scope.covers(facts, letter="r", rows=rows)
