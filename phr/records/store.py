"""Rows of the record: how a resource is written to its tables and how a row becomes a resource again.

No rule is decided here; `gateway` is the only caller. Writers run inside the gateway's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection

from consent.scope import Facts
from phr.records import vault
from phr.records.index import Indexed
from phr.records.search.terms import self_term

FACTS = (
    "{r}.subject_id, {r}.subject2_id, {r}.categories, {r}.level, {r}.clinical_low, {r}.clinical_high, {r}.author,"
    " {r}.marks"
)
STATE = "{r}.version, {r}.updated_at, {r}.deleted, {r}.key_version, {r}.body"
FACT_COLUMNS = "subject_id, subject2_id, categories, level, clinical_low, clinical_high, author, marks"


WIDTH = 19  # columns that `select` returns


@dataclass(frozen=True, slots=True)
class Stored:
    """One version as stored. `body` is the JSON text (None when deleted)."""

    pk: int
    type: str
    id: str
    version: int
    updated_at: datetime
    deleted: bool
    facts: Facts
    body: bytes | None
    because: tuple[str, ...] = ()  # the rules and consents that let this caller see it

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource ready to be stored: checked, classified, indexed, not yet sealed."""

    facts: Facts
    body: bytes
    indexed: Indexed
    version: int = 1


def select(*, terms: bool = False, extra: str = "", bodies: bool = True) -> str:
    """The head of a query for current versions. `extra` columns follow from position WIDTH on.

    Without `bodies` none is read: what is asked is only whether a resource may be seen.
    """
    extra = (", r.terms" if terms else ", NULL::bigint[] AS terms") + extra
    state = STATE.format(r="r") if bodies else STATE.format(r="r").replace("r.body", "NULL::bytea AS body")
    return (
        f"SELECT r.id, r.type, r.fhir_id, {FACTS.format(r='r')}, {state}, k.kek, k.wrapped{extra}"
        " FROM phr_resource r LEFT JOIN consent_datakey k ON k.subject_id = r.subject_id AND k.version = r.key_version"
    )


def select_versions(*, terms: bool = False) -> str:
    """The head of a query for earlier versions `v` of the resource `r`."""
    extra = ", v.terms" if terms else ", NULL::bigint[] AS terms"
    return (
        f"SELECT r.id, r.type, r.fhir_id, {FACTS.format(r='v')}, {STATE.format(r='v')}, k.kek, k.wrapped{extra}"
        " FROM phr_version v JOIN phr_resource r ON r.id = v.resource_id"
        " LEFT JOIN consent_datakey k ON k.subject_id = v.subject_id AND k.version = v.key_version"
    )


def facts_of_row(row: Sequence[Any]) -> Facts:
    subjects = tuple(s for s in row[3:5] if s is not None)
    return Facts(
        row[1], row[2], subjects, row[5], row[6], row[7], row[8], row[9], row[10], frozenset(row[18] or ())
    )  # fmt: skip


def stored(row: Sequence[Any], facts: Facts, because: tuple[str, ...] = ()) -> Stored:
    """Open one row's body. Raises vault.CannotOpen when it was altered, moved or shredded."""
    body = None
    if row[15] is not None:
        key = None if row[17] is None else vault.Key(row[14], row[16], bytes(row[17]))
        body = open_body(row[15], facts, version=row[11], key_version=row[14], key=key)
    return Stored(row[0], row[1], row[2], row[11], row[12], row[13], facts, body, because)


def open_body(sealed: bytes, facts: Facts, *, version: int, key_version: int, key: vault.Key | None) -> bytes:
    place = f"{facts.type}/{facts.id}/{version}"
    if not facts.subjects:
        return _open_commons(sealed, place, key_version)
    keys: list[vault.Key | None] = [key]
    if key is None and len(facts.subjects) == 2:
        second = vault.all_keys(facts.subjects[1])
        keys.append(second.get(int.from_bytes(bytes(sealed[1:3]), "big")))
    return vault.unseal(sealed, place=place, subjects=facts.subjects, keys=keys, version=key_version)


def _open_commons(sealed: bytes, place: str, version: int) -> bytes:
    try:
        return vault.unseal(sealed, place=place, subjects=(), keys=[_commons(version)], version=version)
    except vault.CannotOpen:
        _commons.cache_clear()  # a key made in a transaction that was rolled back may have been remembered
        return vault.unseal(sealed, place=place, subjects=(), keys=[_commons(version)], version=version)


@lru_cache(maxsize=64)
def _commons(version: int) -> vault.Key | None:
    return vault.all_keys(None).get(version)


def insert(drafts: Sequence[Draft], *, now: datetime) -> list[int]:
    """Store new resources; returns their keys in order. Raises IntegrityError when an id is taken."""
    if not drafts:
        return []
    sealed = _sealed(drafts)
    with connection.cursor() as cursor, connection.wrap_database_errors:  # COPY bypasses Django's own wrapper
        cursor.execute("SELECT nextval('phr_resource_id_seq') FROM generate_series(1, %s)", [len(drafts)])
        pks = [row[0] for row in cursor.fetchall()]
        with cursor.copy(
            "COPY phr_resource (id, type, fhir_id, named, version, updated_at, deleted, key_version, body,"
            f" {FACT_COLUMNS}, terms) FROM STDIN"
        ) as copy:
            for pk, d, (key_version, body) in zip(pks, drafts, sealed, strict=True):
                copy.write_row(
                    (pk, d.facts.type, d.facts.id, named_term(d.facts), d.version, now, False, key_version, body,
                     *fact_values(d.facts), d.indexed.terms)
                )  # fmt: skip
        _copy_index(cursor, [(pk, d.indexed) for pk, d in zip(pks, drafts, strict=True)])
        with cursor.copy("COPY phr_change (resource_id, version, method) FROM STDIN") as copy:
            for pk, d in zip(pks, drafts, strict=True):
                copy.write_row((pk, d.version, "create"))
    return pks


def named_term(facts: Facts) -> int:
    """The row's own term, by which references meet it (search/terms.py)."""
    return self_term(f"{facts.type}/{facts.id}", vault.index_key())


def fact_values(facts: Facts) -> tuple[Any, ...]:
    first, second = (*facts.subjects, None, None)[:2]
    return (first, second, facts.categories, facts.level, facts.low, facts.high, facts.author, int(facts.marks))


def _sealed(drafts: Sequence[Draft]) -> list[tuple[int, bytes]]:
    owners: set[UUID | None] = {s for d in drafts for s in (d.facts.subjects or (None,))}
    keys = vault.keys_for(owners)
    out = []
    for d in drafts:
        own = tuple(keys[s] for s in (d.facts.subjects or (None,)))
        place = f"{d.facts.type}/{d.facts.id}/{d.version}"
        out.append((own[0].version, vault.seal(d.body, place=place, subjects=d.facts.subjects, keys=own)))
    return out


def seal_one(found: Stored) -> tuple[int, bytes]:
    """One opened version sealed by the newest keys: key version and sealed body."""
    [sealed] = _sealed([Draft(found.facts, found.body or b"", Indexed([], [], []), found.version)])
    return sealed


def _copy_index(cursor: Any, rows: Sequence[tuple[int, Indexed]]) -> None:
    _copy(cursor, "phr_range (resource_id, param, low, high)", [(pk, *row) for pk, i in rows for row in i.ranges])
    _copy(cursor, "phr_text (resource_id, param, text)", [(pk, *row) for pk, i in rows for row in i.texts])
    _copy(cursor, "phr_words (resource_id, param, words)", [(pk, *row) for pk, i in rows for row in i.words])


def _copy(cursor: Any, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def replace(current: Stored, draft: Draft, *, now: datetime) -> None:
    """Move the current version to `phr_version` and put the draft in its place."""
    [(key_version, body)] = _sealed([draft])
    with connection.cursor() as cursor:
        _keep_version(cursor, current.pk)
        cursor.execute(
            "UPDATE phr_resource SET version = %s, updated_at = %s, deleted = FALSE, key_version = %s, body = %s,"
            f" ({FACT_COLUMNS}) = (%s, %s, %s, %s, %s, %s, %s, %s), terms = %s::bigint[] WHERE id = %s",
            [draft.version, now, key_version, body, *fact_values(draft.facts), draft.indexed.terms, current.pk],
        )
        _drop_index(cursor, [current.pk])
        _copy_index(cursor, [(current.pk, draft.indexed)])
        _changed(cursor, current.pk, draft.version, "update")


def remove(current: Stored, *, now: datetime) -> None:
    """Delete: the last version moves to `phr_version`; the row stays with its Facts, without body or index."""
    with connection.cursor() as cursor:
        _keep_version(cursor, current.pk)
        cursor.execute(
            "UPDATE phr_resource SET version = version + 1, updated_at = %s, deleted = TRUE, body = NULL,"
            " terms = '{}' WHERE id = %s",
            [now, current.pk],
        )
        _drop_index(cursor, [current.pk])
        _changed(cursor, current.pk, current.version + 1, "delete")


def _keep_version(cursor: Any, pk: int) -> None:
    columns = f"version, updated_at, deleted, key_version, body, {FACT_COLUMNS}, terms"
    cursor.execute(
        f"INSERT INTO phr_version (resource_id, {columns}) SELECT id, {columns} FROM phr_resource WHERE id = %s", [pk]
    )


def _drop_index(cursor: Any, pks: Sequence[int]) -> None:
    for table in ("phr_range", "phr_text", "phr_words"):
        cursor.execute(f"DELETE FROM {table} WHERE resource_id = ANY(%s)", [list(pks)])


def _changed(cursor: Any, pk: int, version: int, method: str) -> None:
    cursor.execute("INSERT INTO phr_change (resource_id, version, method) VALUES (%s, %s, %s)", [pk, version, method])


def reindex(rows: Sequence[tuple[int, Indexed, Facts]]) -> None:
    """Rewrite what derives from bodies: index and Facts. Bodies, versions, subjects and authors stay."""
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.executemany(
            "UPDATE phr_resource SET terms = %s::bigint[], named = %s, categories = %s, level = %s, clinical_low = %s,"
            " clinical_high = %s, marks = %s WHERE id = %s",
            [(i.terms, named_term(f), f.categories, f.level, f.low, f.high, int(f.marks), pk) for pk, i, f in rows],
        )
        _drop_index(cursor, [pk for pk, _, _ in rows])
        _copy_index(cursor, [(pk, i) for pk, i, _ in rows])
