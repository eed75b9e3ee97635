"""The proof that one line stands in the sealed log: for the person, and for whoever she shows it to.

How to check it, with SHA-256 and Ed25519 alone: decisions/how-a-line-is-proved.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db import connection

from consent import merkle, sealing
from consent.models import AuditBatch


@dataclass(frozen=True, slots=True)
class Proof:
    """A leaf, its way to the signed head of its batch, and the fields of it that are shown."""

    leaf: bytes
    place: int
    size: int
    path: list[bytes]
    head: dict[str, Any]
    signature: bytes
    key_id: str
    commitments: dict[str, str]
    openings: dict[str, dict[str, Any]]


def proof_of(entry: int, *, shown: Iterable[str]) -> Proof | None:
    """The proof of one line, opening the commitments of the fields `shown`; None while it waits for its seal."""
    row = _row(entry)
    batch = None if row is None else _batch(row)
    if row is None or batch is None or entry not in batch.entries:
        return None
    place = batch.entries.index(entry)
    leaves = sealing.leaves_of(batch)
    salt, values = bytes(row[-1]), dict(zip(sealing.FIELDS, row[:-1], strict=True))
    return Proof(
        leaf=leaves[place], place=place, size=len(leaves), path=merkle.proof(leaves, place),
        head=sealing.head(batch), signature=bytes(batch.signature), key_id=batch.key_id,
        commitments=sealing.commitments(row),
        openings={
            name: {"salt": sha256(salt + name.encode()).hexdigest(), "value": sealing.plain(values[name])}
            for name in shown
        },
    )  # fmt: skip


def _row(entry: int) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"{sealing.ENTRIES} WHERE id = %s", [entry])
        return cursor.fetchone()


def _batch(row: Any) -> AuditBatch | None:
    """The first batch that ends at or after the line."""
    found = AuditBatch.objects.raw(
        "SELECT * FROM consent_auditbatch WHERE (last_xid, last_entry) >= (%s, %s)"
        " ORDER BY last_xid, last_entry LIMIT 1",
        [row[1], row[0]],
    )
    return next(iter(found), None)
