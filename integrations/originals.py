"""The input of a feed as it came: sealed slice by slice under a key of the run's own, read again in flat memory.

    slice = size of name(2) name, zstd(up to 1 MiB)        the name at the head of a piece's first slice only

With the wrapped key the original is gone, whatever a backup still holds.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from integrations.ids import digest
from integrations.items import Piece
from integrations.models import ImportRun, ImportSlice
from phr.records import sealed_files, vault
from phr.records.vault import CannotOpen

SLICE = 1 << 20
AHEAD = 8  # slices fetched at a time
MOST_PIECES = 200_000
LONGEST_NAME = 1000
_HEAD = struct.Struct(">H")


_UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class TooLarge(Exception):
    """The pieces together are larger, or more, than the feed takes."""


def clean(name: str) -> str:
    """The name of a piece without what is no text, and no longer than is kept."""
    return _UNCLEAN.sub("\ufffd", name).encode()[:LONGEST_NAME].decode("utf-8", "ignore")


def keep(run: ImportRun, pieces: Iterable[Piece], *, limit: int) -> None:
    """Read the pieces to their end, seal them, and note size and hash on the run. Call inside a transaction.

    Raises TooLarge. The hash of one piece is that of its bytes; of several, one over their names and hashes.
    """
    kek, wrapped, key = sealed_files.new_key(run.pk)
    waiting: list[ImportSlice] = []
    hashes: list[str] = []
    number = total = 0
    for place, piece in enumerate(pieces):
        hasher = hashlib.sha256()
        called = clean(piece.name)
        name = called.encode()
        if place >= MOST_PIECES:
            raise TooLarge
        for content in _slices(piece):
            total += len(content)
            if total > limit:
                raise TooLarge
            hasher.update(content)
            sealed = _sealed(run, key, number, name, content)
            waiting.append(ImportSlice(run=run, number=number, piece=place, sealed=sealed))
            name, number = b"", number + 1
            if len(waiting) >= AHEAD:
                ImportSlice.objects.bulk_create(waiting)
                waiting.clear()
        hashes.append(f"{called}:{hasher.hexdigest()}")
    ImportSlice.objects.bulk_create(waiting)
    run.kek, run.wrapped, run.bytes_total = kek, wrapped, total
    run.sha256 = hashes[0].rpartition(":")[2] if len(hashes) == 1 else digest(*sorted(hashes))


def _slices(piece: Piece) -> Iterator[bytes]:
    """At least one, so that an empty file has a place for its name."""
    content = piece.stream.read(SLICE)
    yield content
    while content := piece.stream.read(SLICE):
        yield content


def _sealed(run: ImportRun, key: AESGCM, number: int, name: bytes, content: bytes) -> bytes:
    plain = _HEAD.pack(len(name)) + name + zstandard.ZstdCompressor(level=1).compress(content)
    return sealed_files.seal(key, plain, _place(run, number))


def _place(run: ImportRun, number: int) -> str:
    return f"import|{run.pk}|{number}"


class Shelf:
    """The sealed slices of one run, opened as they are asked for; the last few stay at hand."""

    def __init__(self, run: ImportRun) -> None:
        if run.wrapped is None:
            raise CannotOpen("the original was destroyed")
        self._run, self._key = run, sealed_files.open_key(run.pk, run.kek, run.wrapped)
        self._held: dict[int, tuple[int, bytes]] = {}
        self.given = 0  # bytes handed out

    def slice(self, number: int) -> tuple[int, str, bytes] | None:
        """Piece, its name where it begins, and content; None beyond the last. Raises CannotOpen."""
        if number not in self._held:
            rows = ImportSlice.objects.filter(run=self._run, number__gte=number, number__lt=number + AHEAD)
            self._held = {n: (p, bytes(s)) for n, p, s in rows.values_list("number", "piece", "sealed")}
        if number not in self._held:
            return None
        piece, sealed = self._held[number]
        plain = sealed_files.unseal(self._key, sealed, _place(self._run, number))
        (size,) = _HEAD.unpack_from(plain)
        name = plain[_HEAD.size : _HEAD.size + size].decode()
        return piece, name, zstandard.ZstdDecompressor().decompress(plain[_HEAD.size + size :])

    def pieces(self) -> Iterator[Piece]:
        """Every piece in its order; each may be read then or later."""
        number = 0
        while (found := self.slice(number)) is not None:
            piece, name, _ = found
            raw = _Slices(self, number, piece, found[2])
            yield Piece(name, io.BufferedReader(raw, buffer_size=1 << 16))
            number = self._after(piece, number)

    def _after(self, piece: int, number: int) -> int:
        rows = ImportSlice.objects.filter(run=self._run, number__gt=number, piece__gt=piece).order_by("number")
        if number + 1 in self._held and self._held[number + 1][0] > piece:
            return number + 1
        return rows.values_list("number", flat=True).first() or 1 << 40


class _Slices(io.RawIOBase):
    """One piece, read forward."""

    def __init__(self, shelf: Shelf, number: int, piece: int, first: bytes) -> None:
        super().__init__()
        self._shelf, self._number, self._piece = shelf, number, piece
        self._rest = memoryview(first)
        shelf.given += len(first)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(self._following())
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def _following(self) -> bytes:
        found = self._shelf.slice(self._number + 1)
        if found is None or found[0] != self._piece:
            return b""
        self._number += 1
        self._shelf.given += len(found[2])
        return found[2]


def destroy(run: ImportRun) -> bool:
    """The original goes: slices and key, or the parts a failed run of a connector still has. Whether there was one."""
    ImportSlice.objects.filter(run=run).delete()
    was = bool(run.parts.all().delete()[0]) or run.wrapped is not None
    run.wrapped, run.original_until = None, None
    run.save(update_fields=["wrapped", "original_until"])
    return was


def rewrap_all() -> int:
    """Wrap the keys of all originals by the current key-encryption key; returns how many. Resumable.

    Raises CannotOpen where a key-encryption key in use was taken away before.
    """
    held = ImportRun.objects.exclude(wrapped=None).exclude(kek=vault.keyring().current)
    done = 0
    for id, kek, wrapped in held.values_list("pk", "kek", "wrapped"):
        new, again = sealed_files.rewrap(id, kek, bytes(wrapped or b""))
        done += ImportRun.objects.filter(pk=id, kek=kek, wrapped__isnull=False).update(kek=new, wrapped=again)
    return done
