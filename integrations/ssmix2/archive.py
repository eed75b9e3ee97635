"""The files of an input: single ones, and those inside a tar or zip, read forward in flat memory. Pure.

A folder of the storage is sent as a tar (`folder.py`). Zip is read from its local headers, since an input cannot be
wound back; an entry stored without its size known is refused. Source: PKWARE APPNOTE 6.3, 4.3.7.
"""

from __future__ import annotations

import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, cast

from integrations.items import Piece
from integrations.problems import Unreadable
from integrations.ssmix2.parse import MAX_BYTES
from integrations.ssmix2.wording import say

File = tuple[str, bytes]  # path, `/` between; content, cut off one byte behind the most a message may have

_LOCAL, _LOCAL_HEAD = b"PK\x03\x04", struct.Struct("<HHHHHIIIHH")
_STREAMED, _ENCRYPTED, _UTF8 = 1 << 3, 1 << 0, 1 << 11
_STORED, _DEFLATED = 0, 8
_CHUNK = 1 << 16
_HEAD_OF_TAR = 512


def files(pieces: Iterable[Piece]) -> Iterator[File]:
    """Every file in the order it stands. Raises Unreadable for an archive that is broken."""
    for piece in pieces:
        start = _exactly(piece.stream, _HEAD_OF_TAR, strict=False)
        stream = _Pushed(start, piece.stream)
        if start.startswith(_LOCAL):
            yield from _zipped(stream)
        elif start[257:262] == b"ustar" or start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
            yield from _tarred(stream)
        elif start != bytes(_HEAD_OF_TAR):  # which is a tar with nothing in it
            yield piece.name, stream.read(MAX_BYTES + 1)


class _Pushed:
    """A stream some of which was read already."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start, self._rest = start, rest
        self.dry = False  # whether more was asked for than there is

    def read(self, size: int) -> bytes:
        found, self._start = self._start[:size], self._start[size:]
        if len(found) < size:
            found += self._rest.read(size - len(found))
        self.dry = self.dry or (not found and size > 0)
        return found

    def back(self, data: bytes) -> None:
        self._start = data + self._start


def _tarred(stream: _Pushed) -> Iterator[File]:
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|*") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every header
                if member.isfile() and (content := archive.extractfile(member)):
                    yield member.name.removeprefix("./"), content.read(MAX_BYTES + 1)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, OverflowError):
        raise Unreadable([say("archive")]) from None
    if stream.dry:  # its end mark is missing, which the library lets pass
        raise Unreadable([say("archive")])


def _zipped(stream: _Pushed) -> Iterator[File]:
    while (mark := stream.read(4)) == _LOCAL:
        _, flags, method, _, _, _, packed, _, name_size, extra_size = _LOCAL_HEAD.unpack(_exactly(stream, 26))
        raw, extra = _exactly(stream, name_size), _exactly(stream, extra_size)
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED) or (method == _STORED and flags & _STREAMED):
            raise Unreadable([say("archive")])
        size = _size_of_64(extra) if packed == 0xFFFFFFFF else packed
        path = raw.decode("utf-8" if flags & _UTF8 else "cp932", "replace").replace("\\", "/")
        content = _stored(stream, size) if method == _STORED else _inflated(stream)
        if flags & _STREAMED:
            _descriptor(stream)
        if not path.endswith("/"):
            yield path, content
    if mark[:2] != b"PK":
        raise Unreadable([say("archive")])


def _size_of_64(extra: bytes) -> int:
    """The packed size of a zip64 entry: in its extra field 0x0001, behind the size it unpacks to."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 1 and size >= 16 and len(extra) >= 20:
            found: int = struct.unpack_from("<Q", extra, 12)[0]
            return found
        extra = extra[4 + size :]
    raise Unreadable([say("archive")])


def _stored(stream: _Pushed, size: int) -> bytes:
    kept, left = b"", size
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            raise Unreadable([say("archive")])
        left -= len(chunk)
        kept += chunk[: MAX_BYTES + 1 - len(kept)]
    return kept


def _inflated(stream: _Pushed) -> bytes:
    """One deflated entry, which ends itself; what is more than a message may have is unpacked and thrown away."""
    unpack, kept, waiting = zlib.decompressobj(-15), b"", b""
    while not unpack.eof:
        waiting = waiting or stream.read(_CHUNK)
        if not waiting:
            raise Unreadable([say("archive")])
        try:
            found = unpack.decompress(waiting, _CHUNK)
        except zlib.error:
            raise Unreadable([say("archive")]) from None
        waiting = unpack.unconsumed_tail
        kept += found[: MAX_BYTES + 1 - len(kept)]
    stream.back(unpack.unused_data)
    return kept


def _descriptor(stream: _Pushed) -> None:
    """Checksum and sizes behind a streamed entry, 4 or 8 bytes each, with or without a mark of its own."""
    seen = _exactly(stream, 24, strict=False)
    marked = 4 if seen[:4] == b"PK\x07\x08" else 0
    for size in (marked + 12, marked + 20):
        if seen[size : size + 2] == b"PK" or (len(seen) < size + 2 and not seen[size:].strip(b"\0")):
            stream.back(seen[size:])
            return
    raise Unreadable([say("archive")])


def _exactly(stream: _Pushed | IO[bytes], size: int, *, strict: bool = True) -> bytes:
    found = b""
    while len(found) < size and (chunk := stream.read(size - len(found))):
        found += chunk
    if strict and len(found) < size:
        raise Unreadable([say("archive")])
    return found
