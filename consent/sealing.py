"""Sealing the log: batches of entries in commit order, each an RFC 6962 tree with a signed, chained head.

No chain runs through the rows (it would make writers wait for one another); a batch is made behind them.
A leaf holds salted commitments of the fields, so that one field can be shown without the others. The detail is
committed to as it stands, sealed: whoever has no key can verify it, and a shredded one leaves the tree whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.db import connection, transaction

from consent import merkle
from consent.models import AuditBatch
from consent.signing import key_id

LARGEST = 10_000
SKEW = timedelta(minutes=10)  # between the clocks of web and worker
FIELDS = (
    "id", "xid", "at", "event", "subject", "person", "organization", "client", "capacity", "purpose", "request",
    "version", "key_version", "detail",
)  # fmt: skip
ONE_SEALER = 0x7473_756D_7567_6901  # advisory lock

ENTRIES = """
SELECT id, xid, at, event, subject, person, organization, client, capacity, purpose, request, version,
       key_version, detail, salt
FROM consent_auditentry
"""
# Everything before the horizon has ended: no transaction still running can add an entry there.
DUE = f"""{ENTRIES}
WHERE (xid, id) > (%s, %s) AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY xid, id LIMIT %s
"""


@transaction.atomic
def seal(*, now: datetime, key: Ed25519PrivateKey, largest: int = LARGEST) -> AuditBatch | None:
    """Seal the next batch of at most `largest` entries; None if nothing is due. Call again until None.

    A second sealer waits for the first. Entries of transactions still running come with a later batch.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_SEALER])
        last = AuditBatch.objects.order_by("-sequence").first()
        cursor.execute(DUE, [last.last_xid if last else 0, last.last_entry if last else 0, largest])
        rows = cursor.fetchall()
    if not rows:
        return None
    leaves = [leaf_of(row) for row in rows]
    batch = AuditBatch(
        sequence=last.sequence + 1 if last else 1,
        sealed_at=now,
        entries=[row[0] for row in rows],
        leaves=b"".join(leaves),
        root=merkle.root(leaves),
        previous_root=bytes(last.root) if last else merkle.EMPTY,
        key_id=key_id(key.public_key()),
        last_xid=rows[-1][1],
        last_entry=rows[-1][0],
    )
    batch.signature = key.sign(head_of(batch))
    batch.save(force_insert=True)
    return batch


def leaf_of(row: Sequence[Any]) -> bytes:
    """The leaf of one entry: FIELDS in order, then the salt."""
    return merkle.leaf(canonical(commitments(row)))


def commitments(row: Sequence[Any]) -> dict[str, str]:
    """The commitment of each of FIELDS, of the same row."""
    salt = bytes(row[-1])
    return {name: _commitment(salt, name, value) for name, value in zip(FIELDS, row[:-1], strict=True)}


def _commitment(salt: bytes, name: str, value: object) -> str:
    """A hash under a salt of the field's own: showing one field does not help to guess the others."""
    own = sha256(salt + name.encode()).digest()
    return sha256(own + canonical(plain(value))).hexdigest()


def plain(value: object) -> object:
    """A field's value as it is committed to: times in UTC with microseconds, bytes in hexadecimal."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, memoryview | bytes):
        return bytes(value).hex()
    return str(value) if isinstance(value, UUID) else value


def canonical(told: object) -> bytes:
    """One spelling for one value: sorted keys, no spaces, UTF-8."""
    return msgspec.json.encode(told, order="sorted")


def head_of(batch: AuditBatch) -> bytes:
    """What is signed: the canonical JSON of `head`."""
    return canonical(head(batch))


def head(batch: AuditBatch) -> dict[str, Any]:
    """Sequence, size, root, previous root, time."""
    return {
        "sequence": batch.sequence,
        "size": len(batch.entries),
        "root": bytes(batch.root).hex(),
        "previous_root": bytes(batch.previous_root).hex(),
        "sealed_at": batch.sealed_at.astimezone(UTC).isoformat(timespec="microseconds"),
    }


def unsealed() -> int:
    """How many entries wait for a batch."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM consent_auditentry e WHERE (e.xid, e.id) > (SELECT COALESCE(max(last_xid), 0), "
            "COALESCE((array_agg(last_entry ORDER BY sequence DESC))[1], 0) FROM consent_auditbatch)"
        )
        return int(cursor.fetchone()[0])


def verify(
    *,
    public_key: Ed25519PublicKey,
    older_keys: Sequence[Ed25519PublicKey] = (),
    heads: Mapping[int, bytes] | None = None,
    within: timedelta | None = None,
) -> list[str]:
    """Every problem found, each naming its batch or entry; an empty list = nothing was altered.

    Finds changed, removed, inserted and reordered entries and changed batches. Only `heads` (roots by
    sequence, kept outside the database) can tell that the newest batches were cut off together with their
    entries, or that somebody who holds the key signed another history.

    `within`: find also entries whose time is later than their seal, or so much earlier than the last seal that left
    nothing waiting (who may add to the log can write any time into a line). None where entries are made with times
    of their own, as in a demo.
    """
    keys = {key_id(key): key for key in (*older_keys, public_key)}
    problems: list[str] = []
    previous, order, since = None, (0, 0), None
    for batch in AuditBatch.objects.order_by("sequence").iterator(chunk_size=20):
        problems += _head_problems(batch, previous, keys)
        problems += _entry_problems(batch, order)
        if within is not None:
            problems += _times(batch, None if since is None else since - within)
        if len(batch.entries) < LARGEST:  # whatever was due went into it
            since = batch.sealed_at
        previous, order = batch, (batch.last_xid, batch.last_entry)
    roots = {} if heads is None else dict(AuditBatch.objects.filter(pk__in=heads).values_list("sequence", "root"))
    for sequence, root in (heads or {}).items():
        if bytes(roots.get(sequence, b"")) != root:
            problems.append(f"batch {sequence}: not the head that was published")
    return problems + _strangers(order) + _ahead(order)


def _head_problems(
    batch: AuditBatch, previous: AuditBatch | None, keys: Mapping[str, Ed25519PublicKey]
) -> Iterator[str]:
    place = f"batch {batch.sequence}"
    leaves = leaves_of(batch)
    if batch.sequence != (previous.sequence + 1 if previous else 1):
        yield f"{place}: batches are missing before it"
    if bytes(batch.previous_root) != (bytes(previous.root) if previous else merkle.EMPTY):
        yield f"{place}: does not follow the batch before it"
    if len(leaves) != len(batch.entries) or merkle.root(leaves) != bytes(batch.root):
        yield f"{place}: its leaves do not give its root"
    key = keys.get(batch.key_id)
    if key is None:
        yield f"{place}: signed by an unknown key {batch.key_id}"
        return
    try:
        key.verify(bytes(batch.signature), head_of(batch))
    except InvalidSignature:
        yield f"{place}: its signature does not hold"


def leaves_of(batch: AuditBatch) -> list[bytes]:
    """The leaves of a batch, 32 bytes each."""
    kept = bytes(batch.leaves)
    return [kept[i : i + 32] for i in range(0, len(kept), 32)]


def _entry_problems(batch: AuditBatch, order: tuple[int, int]) -> Iterator[str]:
    place = f"batch {batch.sequence}"
    with connection.cursor() as cursor:
        cursor.execute(f"{ENTRIES} WHERE id = ANY(%s)", [list(batch.entries)])
        rows = {row[0]: row for row in cursor.fetchall()}
    for entry, sealed in zip(batch.entries, leaves_of(batch), strict=False):
        row = rows.get(entry)
        if row is None:
            yield f"{place}: entry {entry} was removed"
            continue
        if leaf_of(row) != sealed:
            yield f"{place}: entry {entry} was changed"
        if (row[1], row[0]) <= order:
            yield f"{place}: entry {entry} is out of order"
        order = (row[1], row[0])
    if order != (batch.last_xid, batch.last_entry):
        yield f"{place}: does not end where it says"


def _strangers(order: tuple[int, int]) -> list[str]:
    """Entries before the end of the last batch that no batch holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM consent_auditentry WHERE (xid, id) <= (%s, %s) "
            "EXCEPT SELECT unnest(entries) FROM consent_auditbatch ORDER BY 1 LIMIT 100",
            list(order),
        )
        return [f"entry {entry} was inserted among sealed ones" for (entry,) in cursor.fetchall()]


def _times(batch: AuditBatch, oldest: datetime | None) -> list[str]:
    """Entries that tell a time when they cannot have been written."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, at FROM consent_auditentry WHERE id = ANY(%s) AND (at > %s OR at < %s) ORDER BY id LIMIT 100",
            [list(batch.entries), batch.sealed_at + SKEW, oldest],
        )
        return [
            f"batch {batch.sequence}: entry {entry} tells another time than its own: {plain(at)}"
            for entry, at in cursor.fetchall()
        ]


def _ahead(order: tuple[int, int]) -> list[str]:
    """Entries of transactions that are yet to begin: they would never be sealed.

    Not where the sealed ones are ahead too: that is a dump in a new cluster (`manage.py doctor` tells).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            # This transaction's own number may lie beyond the last one that has ended.
            "SELECT id FROM consent_auditentry, (SELECT greatest(pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
            " pg_current_xact_id_if_assigned()::text::bigint + 1)) t(next)"
            " WHERE xid >= next AND %s < next ORDER BY id LIMIT 100",
            [order[0]],
        )
        return [f"entry {entry} is of no transaction that ever was" for (entry,) in cursor.fetchall()]
