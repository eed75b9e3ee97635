"""Files of lines at rest: sealed in pieces, so that a file of any size is written and read in flat memory.

    file  = piece*
    piece = size(4) nonce(12) AES-256-GCM( count(4) row(8)* zstd(lines) )

Each line belongs to a row of the record (or, `row` 0, to none), so that whoever hands it out can ask again
whether it may leave. A piece names its job, file and place in its additional data: it can be neither moved,
nor left out, nor put elsewhere. The key is one per job, wrapped by the key-encryption key (`vault`); with
the job's row the key is gone, and what may be left of its files is noise.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from phr.records import vault
from phr.records.vault import CannotOpen

Stored = bytes | memoryview  # as a column gives it
_SIZE = struct.Struct(">I")
PIECE = 1 << 20  # bytes of lines that make a piece


class Lost(Exception):
    """Less of a file is on the disk than the database says: it must be written anew."""


def folder(job: UUID) -> Path:
    """Where the files of one job lie."""
    return Path(settings.PHR_EXPORT_FOLDER) / job.hex


def remove(job: UUID) -> None:
    shutil.rmtree(folder(job), ignore_errors=True)


def abandoned(known: set[str]) -> list[UUID]:
    """The jobs that have a folder and are none of these (hexadecimal)."""
    root = Path(settings.PHR_EXPORT_FOLDER)
    if not root.is_dir():
        return []
    names = [path.name for path in root.iterdir() if path.is_dir() and len(path.name) == 32]
    return [UUID(name) for name in names if name not in known]


# -- keys --------------------------------------------------------------------------------------------


def new_key(job: UUID) -> tuple[str, bytes, AESGCM]:
    """A key for one job: the name of the key-encryption key, the wrapped key, the key."""
    raw = AESGCM.generate_key(256)
    return *_wrapped(job, raw), AESGCM(raw)


def open_key(job: UUID, kek: str, wrapped: Stored) -> AESGCM:
    """Raises CannotOpen."""
    return AESGCM(_raw(job, kek, wrapped))


def rewrap(job: UUID, kek: str, wrapped: Stored) -> tuple[str, bytes]:
    """The same key under the current key-encryption key. Raises CannotOpen."""
    return _wrapped(job, _raw(job, kek, wrapped))


def _wrapped(job: UUID, raw: bytes) -> tuple[str, bytes]:
    kek = vault.keyring().current
    return kek, seal(vault.keyring().keys[kek], raw, _key_place(job, kek))


def _raw(job: UUID, kek: str, wrapped: Stored) -> bytes:
    key = vault.keyring().keys.get(kek)
    if key is None:
        raise CannotOpen(f"key-encryption key {kek!r} is not in PHR_KEYS")
    return unseal(key, wrapped, _key_place(job, kek))


def _key_place(job: UUID, kek: str) -> str:
    return f"export-key|{job}|{kek}"


# -- pieces ------------------------------------------------------------------------------------------


def seal(key: AESGCM, content: bytes, place: str) -> bytes:
    nonce = os.urandom(12)
    return nonce + key.encrypt(nonce, content, place.encode())


def unseal(key: AESGCM, sealed: Stored, place: str) -> bytes:
    """Raises CannotOpen."""
    sealed = bytes(sealed)
    try:
        return key.decrypt(sealed[:12], sealed[12:], place.encode())
    except InvalidTag:
        raise CannotOpen(f"{place}: altered or moved") from None


def sealed_piece(key: AESGCM, place: str, rows: Sequence[int], lines: Sequence[bytes]) -> bytes:
    """Lines, one for each row, as they are appended to a file."""
    head = struct.pack(f">I{len(rows)}q", len(rows), *rows)
    sealed = seal(key, head + zstandard.ZstdCompressor(level=1).compress(b"\n".join(lines)), place)
    return _SIZE.pack(len(sealed)) + sealed


def opened_piece(key: AESGCM, place: str, sealed: bytes) -> tuple[tuple[int, ...], list[bytes]]:
    """Rows and lines. Raises CannotOpen."""
    content = unseal(key, sealed, place)
    (count,) = _SIZE.unpack_from(content)
    rows = struct.unpack_from(f">{count}q", content, 4)
    return rows, bytes(zstandard.ZstdDecompressor().decompress(content[4 + 8 * count :])).split(b"\n")


def pieces(path: Path, *, key: AESGCM, place: str, count: int) -> Iterator[tuple[tuple[int, ...], list[bytes]]]:
    """The `count` pieces of a file, one by one. Raises CannotOpen where one is missing or altered."""
    with _opened(path) as file:
        for number in range(count):
            head = file.read(4)
            sealed = file.read(_SIZE.unpack(head)[0]) if len(head) == 4 else b""
            yield opened_piece(key, f"{place}|{number}", sealed)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise CannotOpen(f"{path.name}: {error.strerror}") from None


def at(path: Path, size: int) -> BinaryIO:
    """A file open for appending at `size`; what a dead writer left beyond is cut off. Raises Lost."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    if os.fstat(file.fileno()).st_size < size:
        file.close()
        raise Lost(path.name)
    file.truncate(size)
    file.seek(size)
    return file
