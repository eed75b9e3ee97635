"""Publishing the heads of the log outside the database, so that whoever owns that cannot write another history.

To a file that only grows, to an address, or to both; each head once it is sealed, in order, again until it is taken.
A line of the file, and the body of a POST, is one head: {"head": …, "key_id": …, "signature": base64}; the signature
(Ed25519) is over the canonical JSON of `head`.
"""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from consent.models import AuditBatch, PublishedHead
from consent.outside import NotDelivered, post
from consent.sealing import canonical, head

AT_ONCE = 100  # heads sent to an address in one run
ONE_PUBLISHER = 0x7473_756D_7567_6902  # advisory lock
LONGEST = 4096  # bytes of one head
alarm = logging.getLogger("phr.alarm")

Where = PublishedHead.Where


class UnreadableHeads(ValueError):
    """A file of heads has a line that is none; the text says which."""


def document(batch: AuditBatch) -> bytes:
    """One head as it is published."""
    signature = base64.b64encode(bytes(batch.signature)).decode()
    return canonical({"head": head(batch), "key_id": batch.key_id, "signature": signature})


def publish(*, now: datetime) -> int:
    """Publish what is sealed and not yet outside; returns how many heads were taken. Twice at once is harmless."""
    done = 0
    if path := settings.PHR_AUDIT_HEADS_FILE:
        done += _published(Where.FILE, lambda batches: _appended(Path(path), batches), now)
    if url := settings.PHR_AUDIT_HEADS_URL:
        done += _published(Where.URL, lambda batches: _sent(url, batches), now)
    return done


@transaction.atomic
def _published(where: str, deliver: Callable[[Iterable[AuditBatch]], Iterator[int]], now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ONE_PUBLISHER])
        if not cursor.fetchone()[0]:
            return 0
    last = PublishedHead.objects.filter(pk=where).values_list("sequence", flat=True).first() or 0
    taken: list[int] = []
    try:
        if where == Where.FILE:
            known, last = last, _mended(Path(settings.PHR_AUDIT_HEADS_FILE))  # a file that was lost is written anew
            if last < known:
                alarm.error("the file of heads was cut: it ends at %d, and %d was published", last, known)
        taken.extend(deliver(AuditBatch.objects.filter(sequence__gt=last).order_by("sequence")))
    except (OSError, NotDelivered, UnreadableHeads) as error:
        alarm.error("heads of the log are not published (%s): %s", where, error)
    if taken:
        PublishedHead.objects.update_or_create(where=where, defaults={"sequence": taken[-1], "at": now})
    return len(taken)


def _appended(path: Path, batches: Iterable[AuditBatch]) -> Iterator[int]:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        for batch in batches:
            _written(file, document(batch) + b"\n")
            yield batch.sequence
    finally:
        os.close(file)


def _written(file: int, told: bytes) -> None:
    """All of it, and on the disk."""
    while told:
        told = told[os.write(file, told) :]
    os.fsync(file)


def _mended(path: Path) -> int:
    """`last_in`, after a last line that was not written to its end is whole again or gone: a crash, a full disk.

    Only what follows the last newline is touched. Raises UnreadableHeads, OSError.
    """
    if not path.exists():
        return 0
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        end = os.pread(file, 2 * LONGEST, max(0, size - 2 * LONGEST))
        tail = end[end.rfind(b"\n") + 1 :]
        if tail and (len(tail) < len(end) or len(end) == size):  # else: no line of ours is so long
            _tail_mended(file, tail, size)
    finally:
        os.close(file)
    return last_in(path)


def _tail_mended(file: int, tail: bytes, size: int) -> None:
    try:
        _of(tail, "its last line")
    except UnreadableHeads:
        alarm.error("the last line of the file of heads was torn: %d bytes are taken away", len(tail))
        os.ftruncate(file, size - len(tail))
        os.fsync(file)
    else:
        os.lseek(file, 0, os.SEEK_END)
        _written(file, b"\n")  # only its newline was lost


def _sent(url: str, batches: Iterable[AuditBatch]) -> Iterator[int]:
    for _, batch in zip(range(AT_ONCE), batches, strict=False):
        post(url, document(batch))
        yield batch.sequence


def last_in(path: Path) -> int:
    """The sequence of the last head in a file; 0 where there is none. Raises UnreadableHeads."""
    if not path.exists():
        return 0
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * LONGEST))
        lines = file.read().splitlines()
    return _of(lines[-1], "its last line")[0] if lines else 0


def read(path: Path) -> dict[int, bytes]:
    """The roots in a file of heads, by sequence. Raises UnreadableHeads, also where two of one sequence differ."""
    found: dict[int, bytes] = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            sequence, root = _of(line, f"line {number}")
            if found.setdefault(sequence, root) != root:
                raise UnreadableHeads(f"line {number}: another head of batch {sequence}")
    return found


def _of(line: bytes, place: str) -> tuple[int, bytes]:
    try:
        told = json.loads(line)["head"]
        return int(told["sequence"]), bytes.fromhex(told["root"])
    except (ValueError, KeyError, TypeError):
        raise UnreadableHeads(f"{place} is no head") from None


def cut() -> bool:
    """Whether the file of heads holds less than was written to it. Raises UnreadableHeads, OSError."""
    told = PublishedHead.objects.filter(pk=Where.FILE).values_list("sequence", flat=True).first() or 0
    return last_in(Path(settings.PHR_AUDIT_HEADS_FILE)) < told


def behind(where: str) -> AuditBatch | None:
    """The oldest sealed batch that is not published there; None where all are."""
    last = PublishedHead.objects.filter(pk=where).values_list("sequence", flat=True).first() or 0
    return AuditBatch.objects.filter(sequence__gt=last).order_by("sequence").first()
