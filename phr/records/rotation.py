"""Renewing data keys: a new key version per subject, and every body sealed anew under it.

Content and version stay: only the sealing changes, which is the one thing ever rewritten in `phr_version`.
Resumable: what is sealed by the newest key already is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection, transaction

from phr.records import sealed_files, store, vault
from phr.records.jobs import ExportJob
from phr.records.rebuild import WHOLE

BATCH = 200


def reseal(*, progress: Callable[[int], None] = lambda done: None) -> int:
    """Give every subject (and the commons) a new data key and seal all its bodies by it; returns how many."""
    done = 0
    for subject in _owners():
        newest = _renew(subject)
        for table in ("phr_resource", "phr_version"):
            while count := _batch(table, subject, newest):
                done += count
                progress(done)
    return done


def rewrap_exports() -> int:
    """Wrap the keys of all exports by the current key-encryption key; returns how many. Resumable."""
    jobs = ExportJob.objects.exclude(kek=vault.keyring().current)
    done = 0
    for id, kek, wrapped in jobs.values_list("pk", "kek", "wrapped"):
        new, again = sealed_files.rewrap(id, kek, wrapped)
        done += ExportJob.objects.filter(pk=id, kek=kek).update(kek=new, wrapped=again)
    return done


def _owners() -> list[UUID | None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT subject_id FROM consent_datakey")
        return [row[0] for row in cursor.fetchall()]


@transaction.atomic
def _renew(subject: UUID | None) -> int:
    """The newest key version; a new one unless the last run left bodies behind."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [str(subject)])
    newest = max(vault.all_keys(subject), default=0)
    if newest == 0:
        return 0  # erased meanwhile
    if _behind(subject, newest):
        return newest
    kek = vault.keyring().current
    wrapped = vault.wrap(AESGCM.generate_key(256), subject=subject, version=newest + 1, kek=kek)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO consent_datakey (subject_id, version, kek, wrapped) VALUES (%s, %s, %s, %s)",
            [subject, newest + 1, kek, wrapped],
        )
    return newest + 1


def _behind(subject: UUID | None, newest: int) -> bool:
    with connection.cursor() as cursor:
        for table in ("phr_resource", "phr_version"):
            cursor.execute(
                f"SELECT EXISTS (SELECT 1 FROM {table} WHERE subject_id IS NOT DISTINCT FROM %s"
                f" AND key_version < %s AND body IS NOT NULL AND {WHOLE.format(r=table)})",
                [subject, newest],
            )
            if cursor.fetchone()[0]:
                return True
    return False


@transaction.atomic
def _batch(table: str, subject: UUID | None, newest: int) -> int:
    current = table == "phr_resource"
    select = store.select() if current else store.select_versions()
    alias = "r" if current else "v"
    with connection.cursor() as cursor:
        cursor.execute(
            f"{select} WHERE {alias}.subject_id IS NOT DISTINCT FROM %s AND {alias}.key_version < %s"
            f" AND {alias}.body IS NOT NULL AND {WHOLE.format(r=alias)}"
            f" ORDER BY {alias}.id LIMIT {BATCH} FOR UPDATE OF {alias}",
            [subject, newest],
        )
        rows = cursor.fetchall()
        for row in rows:
            _seal_anew(cursor, table, row)
    return len(rows)


def _seal_anew(cursor: Any, table: str, row: Any) -> None:
    found = store.stored(row, store.facts_of_row(row))
    key_version, sealed = store.seal_one(found)
    where = "id = %s" if table == "phr_resource" else "resource_id = %s AND version = %s"
    keys = [found.pk] if table == "phr_resource" else [found.pk, found.version]
    cursor.execute(f"UPDATE {table} SET key_version = %s, body = %s WHERE {where}", [key_version, sealed, *keys])
