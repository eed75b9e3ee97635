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
from io import BufferedReader
from pathlib import Path

Text = BufferedReader | gzip.GzipFile
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
        batch, begin, count = Batch(0), offset, 0
        for found in lines(text, offset=offset, line=line, longest=longest):
            if found.text != b"":
                batch.lines.append(found)
            batch.end, batch.last, batch.fraction = found.end, found.number, min(raw.tell() / size, 1.0)
            # Also where nothing stands in them: how far the file is read is kept and shown batch by batch.
            if len(batch.lines) >= most or found.end - begin >= most_bytes:
                yield batch
                count += 1
                batch, begin = Batch(count), found.end
        if batch.last:
            yield batch


@contextmanager
def _unpacked(raw: BufferedReader) -> Iterator[Text]:
    packed = raw.read(2) == GZIP
    raw.seek(0)
    if not packed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw) as text:
        yield text


def lines(text: Text, *, offset: int, line: int, longest: int) -> Iterator[Line]:
    """Every line after a place; of a run of empty ones the last. Raises Broken."""
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
            if not whole:
                empty = _empty(text)
                at, number = at + len(empty), number + empty.count(b"\n")
            yield Line(number, at, whole.removeprefix(BOM) if number == 1 else whole)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Broken(number, type(error).__name__) from None


def _empty(text: Text) -> bytes:
    """Read over the empty lines that stand in the buffer, all at once: there may be millions, packed into nothing."""
    ahead = text.peek(STEP)
    run = ahead[: len(ahead) - len(ahead.lstrip(b"\r\n"))]
    return text.read(run.rfind(b"\n") + 1)
