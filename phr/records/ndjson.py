"""Files of lines from outside: plain or gzip, of any size, read in flat memory and from any place on.

Source: NDJSON 1.0; Bulk Data Access IG 3.0.0, export §output file. A byte order mark, CRLF and empty lines are
passed over (RFC 8259 §8.1: a reader may).
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

GZIP, BOM = b"\x1f\x8b", b"\xef\xbb\xbf"
STEP = 1 << 20


class Broken(Exception):
    """The file ends, or cannot be read on, in the middle: `line` is the last that could be read."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True, slots=True)
class Line:
    """`number` from 1; `end`: bytes of text up to its end. `text` None: longer than what is read."""

    number: int
    end: int
    text: bytes | None


@dataclass(slots=True)
class Batch:
    """Lines that are brought in together. `fraction`: of the file, read so far."""

    number: int
    lines: list[Line] = field(default_factory=list)
    end: int = 0
    last: int = 0
    fraction: float = 0.0


def digest(path: Path) -> str:
    """SHA-256 of a file as it lies there, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def batches(path: Path, *, offset: int, line: int, longest: int, most: int, most_bytes: int) -> Iterator[Batch]:
    """The lines after a place, in batches of `most` lines or `most_bytes`. Raises Broken, OSError."""
    size = max(path.stat().st_size, 1)
    with path.open("rb") as raw, _unpacked(raw) as text:
        batch, held, count = Batch(0), 0, 0
        for found in lines(text, offset=offset, line=line, longest=longest):
            if found.text != b"":
                batch.lines.append(found)
                held += len(found.text or b"")
            batch.end, batch.last, batch.fraction = found.end, found.number, min(raw.tell() / size, 1.0)
            if len(batch.lines) >= most or held >= most_bytes:
                yield batch
                count += 1
                batch, held = Batch(count), 0
        if batch.last:
            yield batch


@contextmanager
def _unpacked(raw: BinaryIO) -> Iterator[BinaryIO]:
    packed = raw.read(2) == GZIP
    raw.seek(0)
    if not packed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as text:
        yield cast(BinaryIO, text)


def lines(text: BinaryIO, *, offset: int, line: int, longest: int) -> Iterator[Line]:
    """Every line after a place. Raises Broken."""
    at, number = offset, line
    try:
        text.seek(offset)
        while part := text.readline(longest + 2):
            at += len(part)
            number += 1
            whole = part.rstrip(b"\r\n")
            if len(whole) > longest:
                while not part.endswith(b"\n") and (part := text.readline(STEP)):
                    at += len(part)
                yield Line(number, at, None)
                continue
            yield Line(number, at, whole.removeprefix(BOM) if number == 1 else whole)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Broken(number, type(error).__name__) from None
