"""A ZIP file of lines, made while it leaves: in flat memory, its manifest last.

The manifest names each file with its rows, bytes and SHA-256, so that who gets it can tell that nothing is missing.
A package that breaks off has no directory and no manifest: it opens nowhere.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from consent.rules import JST

MANIFEST = "manifest.json"
PIECE = 1 << 16  # bytes that leave at a time


class _Sink:
    """Where the ZIP is written to; what was written is taken away again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.held = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.held += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def taken(self) -> bytes:
        found, self._parts, self.held = b"".join(self._parts), [], 0
        return found


@dataclass(slots=True)
class Entry:
    """One file as the manifest names it."""

    name: str
    rows: int = 0
    bytes: int = 0
    sha256: str = ""


@dataclass
class Package:
    """A package under way. Every method yields bytes that may leave."""

    at: datetime
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)  # type: ignore[call-overload]

    def lines(self, name: str, lines: Iterable[bytes]) -> Iterator[bytes]:
        """One file of NDJSON."""
        entry, digest = Entry(name), sha256()
        with self._zip.open(self._info(name), "w", force_zip64=True) as file:
            for line in lines:
                text = line + b"\n"
                digest.update(text)
                entry.rows, entry.bytes = entry.rows + 1, entry.bytes + len(text)
                file.write(text)
                if self._sink.held >= PIECE:
                    yield self._sink.taken()
        entry.sha256 = digest.hexdigest()
        self.entries.append(entry)

    def text(self, name: str, content: bytes) -> Iterator[bytes]:
        """One file that is no list."""
        self._zip.writestr(self._info(name), content)
        self.entries.append(Entry(name, 0, len(content), sha256(content).hexdigest()))
        yield self._sink.taken()

    def manifest(self, head: dict[str, Any]) -> dict[str, Any]:
        """What is in it so far."""
        files = [{"name": e.name, "rows": e.rows, "bytes": e.bytes, "sha256": e.sha256} for e in self.entries]
        return {**head, "made_at": self.at.isoformat(timespec="milliseconds"), "files": files}

    def end(self, manifest: dict[str, Any]) -> Iterator[bytes]:
        """The manifest, and the directory."""
        content = json.dumps(manifest, ensure_ascii=False, indent=2).encode()
        self._zip.writestr(self._info(MANIFEST), content)
        self._zip.close()
        yield self._sink.taken()

    def _info(self, name: str) -> zipfile.ZipInfo:
        made = zipfile.ZipInfo(name, self.at.astimezone(JST).timetuple()[:6])
        made.compress_type = zipfile.ZIP_DEFLATED
        made.external_attr = 0o600 << 16
        return made
