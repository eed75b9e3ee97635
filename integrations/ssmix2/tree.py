"""A storage on a disk as one piece of input: a tar that is written while it is read, in flat memory.

Read again, only what was touched since: a file is renamed when its condition flag changes, which leaves its content and
its time of writing, so the time of its inode counts too.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from integrations.items import Piece
from integrations.ssmix2.parse import MAX_BYTES

SKEW = timedelta(minutes=5)  # clocks of file servers
_BLOCK = 512


def piece(folder: Path, *, since: datetime | None) -> Piece:
    """Every file below the folder, or those touched since, in the order of their paths. Reading raises OSError."""
    return Piece("tree.tar", io.BufferedReader(_Pulled(_tar(folder, since)), buffer_size=1 << 16))


def _tar(folder: Path, since: datetime | None) -> Iterator[bytes]:
    least = (since - SKEW).timestamp() if since else None
    for path, file in _below(folder, ""):
        times = file.stat(follow_symlinks=False)
        if least is not None and max(times.st_mtime, times.st_ctime) < least:
            continue
        with open(file.path, "rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        info = tarfile.TarInfo(path)  # without times and owners: the same files are the same input
        info.size = len(content)
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        yield content + b"\0" * (-len(content) % _BLOCK)
    yield b"\0" * (2 * _BLOCK)


def _below(folder: Path | str, above: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files in the order of their paths; one folder's names are held at a time. Links are not followed."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{above}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield f"{above}{entry.name}", entry


class _Pulled(io.RawIOBase):
    """What an iterator of bytes gives, as a stream."""

    def __init__(self, source: Iterator[bytes]) -> None:
        super().__init__()
        self._source, self._rest = source, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            found = next(self._source, None)
            if found is None:
                return 0
            self._rest = memoryview(found)
        size = min(len(buffer), len(self._rest))
        memoryview(buffer).cast("B")[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
