"""The change feed: what was written, in an order in which nothing can appear late.

A row carries the id of its transaction. Readers see only rows of transactions older than the oldest one still
running, ordered by (transaction, row): a transaction that commits late is after the mark, never before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a reader has come. The beginning is Mark(0, 0)."""

    xid: int
    id: int


@dataclass(frozen=True, slots=True)
class Changed:
    """One change: which resource, to which version, how (create, update, delete)."""

    mark: Mark
    type: str
    id: str
    version: int
    method: str
    subjects: tuple[UUID, ...] = field(default=(), repr=False)  # not for a log that prints what it holds
    author: int | None = None  # the organisation that wrote it; None = the family


def after(mark: Mark, *, limit: int = 1000) -> list[Changed]:
    """The next changes behind `mark`, at most `limit`. For workers: bound to no caller, it shows no content."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.xid, c.id, r.type, r.fhir_id, c.version, c.method, r.subject_id, r.subject2_id, r.author"
            " FROM phr_change c JOIN phr_resource r ON r.id = c.resource_id"
            " WHERE (c.xid, c.id) > (%s, %s) AND c.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            " ORDER BY c.xid, c.id LIMIT %s",
            [mark.xid, mark.id, limit],
        )
        return [_changed(Mark(row[0], row[1]), row[2:]) for row in cursor.fetchall()]


def end() -> Mark:
    """Where a reader begins who cares for nothing that is there: what still runs comes behind it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return Mark(cursor.fetchone()[0], 0)


def of(subject: UUID, *, types: list[str]) -> list[Changed]:
    """The last change of everything of these types in one record, as if it happened now; no deleted one. No marks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.type, r.fhir_id, r.version, 'update', r.subject_id, r.subject2_id, r.author FROM phr_resource r"
            " WHERE r.subject_id = %s AND r.type = ANY(%s) AND NOT r.deleted ORDER BY r.id",
            [subject, types],
        )
        return [_changed(Mark(0, 0), row) for row in cursor.fetchall()]


def _changed(mark: Mark, row: Sequence[Any]) -> Changed:
    type, id, version, method, first, second, author = row
    return Changed(mark, type, id, version, method, tuple(one for one in (first, second) if one is not None), author)
