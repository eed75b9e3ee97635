"""Rebuild what derives from the bodies: index rows and Facts. Bodies and versions stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection, transaction

from consent.scope import Facts
from phr.records import body, facts, index, store, vault
from phr.records.index import Indexed

BATCH = 500
# A row is left as it is while one of the persons it is about is erased: she must not come back into the index, nor
# be given a key.
WHOLE = (
    "NOT EXISTS (SELECT 1 FROM consent_subject x"
    " WHERE x.id = ANY(ARRAY[{r}.subject_id, {r}.subject2_id]) AND x.state = 'erased')"
)


def reindex(*, type: str | None = None, progress: Callable[[int], None] = lambda done: None) -> int:
    """Index every current resource (of one type) anew, in small transactions; returns how many."""
    done, last = 0, 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"{store.select()} WHERE r.id > %s AND NOT r.deleted AND (%s::text IS NULL OR r.type = %s)"
                f" AND {WHOLE.format(r='r')} ORDER BY r.id LIMIT {BATCH} FOR UPDATE OF r",
                [last, type, type],
            )
            rows = cursor.fetchall()
            store.reindex([_derived(row) for row in rows])
        if not rows:
            return done
        last = rows[-1][0]
        done += len(rows)
        progress(done)


def _derived(row: Sequence[Any]) -> tuple[int, Indexed, Facts]:
    found = store.stored(row, store.facts_of_row(row))
    resource = body.parse(found.body or b"")
    derived = facts.facts_of(resource, author=found.facts.author)
    return found.pk, index.index_of(resource, vault.index_key()), derived
