"""Taking a person's record away for good: rows, index, exports on disk, and every wrapped copy of the data key.

What lies in a backup, in a cache or on a lost disk stays noise: no body opens without a row that holds its key.
A resource that is about another person too belongs to that person as much, so its body stays, sealed by her copy
of its key; it shows nothing to anybody (step L1: one of its persons is erased), leaves the index, and goes with
the second erasure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from phr.records import sealed_files
from phr.records.jobs import ExportJob

INDEX = ("phr_range", "phr_text", "phr_words")
# The rows about this person, and whether nobody else's record they are.
_ABOUT = """
SELECT r.id, NOT EXISTS (SELECT 1 FROM consent_subject o
         WHERE o.id = ANY(ARRAY[r.subject_id, r.subject2_id]) AND o.id <> %(subject)s AND o.state <> 'erased')
  FROM phr_resource r WHERE r.subject_id = %(subject)s OR r.subject2_id = %(subject)s
 ORDER BY r.id FOR UPDATE OF r
"""
# The exports that may hold lines about this person: their clients have read of her since they began.
_EXPORTS = """
SELECT j.id FROM phr_exportjob j WHERE EXISTS (
  SELECT 1 FROM consent_auditentry a WHERE a.subject = %s AND a.client = j.client
     AND a.organization = j.organization_id AND a.at >= j.created_at)
"""


@dataclass(frozen=True, slots=True)
class Shredded:
    """How many: resources gone, resources kept for the other person, exports ended, copies of keys destroyed."""

    gone: int
    shared: int
    exports: int
    keys: int


def shred(subject: UUID) -> Shredded:
    """Take the record away, in the caller's transaction: all of it or, should the process die, nothing. Repeatable."""
    with connection.cursor() as cursor:
        cursor.execute(_ABOUT, {"subject": subject})
        about = cursor.fetchall()
        alone, shared = [id for id, own in about if own], [id for id, own in about if not own]
        _out_of_index(cursor, [*alone, *shared])
        cursor.execute("UPDATE phr_resource SET terms = '{}' WHERE id = ANY(%s)", [shared])
        cursor.execute("UPDATE phr_version SET terms = '{}' WHERE resource_id = ANY(%s)", [shared])
        for table, column in (("phr_change", "resource_id"), ("phr_version", "resource_id"), ("phr_resource", "id")):
            cursor.execute(f"DELETE FROM {table} WHERE {column} = ANY(%s)", [alone])
        cursor.execute(_EXPORTS, [str(subject)])
        exports = [row[0] for row in cursor.fetchall()]
        cursor.execute("DELETE FROM consent_datakey WHERE subject_id = %s", [subject])
        keys = cursor.rowcount
    ExportJob.objects.filter(pk__in=exports).delete()
    for job in exports:  # with its row an export's key is gone; what is left of its files, should we die here, is noise
        transaction.on_commit(partial(sealed_files.remove, job))
    return Shredded(len(alone), len(shared), len(exports), keys)


def left_over(*, most: int = 100) -> list[UUID]:
    """Erased persons of whom something stands, a key above all: a write that had begun before, or a backup that was
    restored."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.id FROM consent_subject s WHERE s.state = 'erased' AND ("
            " EXISTS (SELECT 1 FROM consent_datakey k WHERE k.subject_id = s.id) OR EXISTS ("
            " SELECT 1 FROM phr_resource r WHERE r.subject_id = s.id AND (r.subject2_id IS NULL OR EXISTS ("
            " SELECT 1 FROM consent_subject o WHERE o.id = r.subject2_id AND o.state = 'erased')))) LIMIT %s",
            [most],
        )
        return [row[0] for row in cursor.fetchall()]


def _out_of_index(cursor: Any, rows: list[int]) -> None:
    for table in INDEX:
        cursor.execute(f"DELETE FROM {table} WHERE resource_id = ANY(%s)", [rows])
