"""The files of one export while a chunk is written: appended to, sealed, and on the disk before the chunk commits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from phr.records import sealed_files
from phr.records.jobs import ExportFile, ExportJob

PER_FILE = 100_000  # lines; the next chunk begins a new file


def name(file: ExportFile) -> str:
    """The last part of a file's address."""
    return f"{file.kind}-{file.type}-{file.number}.ndjson"


def path(file: ExportFile) -> Path:
    return sealed_files.folder(file.job_id) / f"{name(file)}.sealed"


def place(file: ExportFile) -> str:
    """Where a piece belongs, as its seal says."""
    return f"export|{file.job_id}|{name(file)}"


@dataclass(slots=True)
class _Open:
    """A file being appended to, and the lines that do not make a piece yet."""

    row: ExportFile
    file: BinaryIO
    rows: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    held: int = 0

    def seal(self, key: AESGCM) -> None:
        if not self.lines:
            return
        piece = sealed_files.sealed_piece(key, f"{place(self.row)}|{self.row.pieces}", self.rows, self.lines)
        self.file.write(piece)
        self.row.size += len(piece)
        self.row.pieces += 1
        self.row.lines += len(self.lines)
        self.rows, self.lines, self.held = [], [], 0


class Writing:
    """Use it as a context inside the transaction that keeps how far the job came. Raises sealed_files.Lost.

    What a transaction that failed left on the disk lies beyond the committed size, and is cut off by the next one.
    """

    def __init__(self, job: ExportJob, key: AESGCM) -> None:
        self.job, self.key = job, key
        self._open: dict[tuple[str, str], _Open] = {}
        self._kept = {(f.kind, f.type): f for f in job.files.order_by("number")}

    def add(self, kind: str, type: str, row: int, line: bytes) -> None:
        """One line that belongs to a row of the record (0 = to none)."""
        found = self._open.get((kind, type)) or self._begin(kind, type)
        found.rows.append(row)
        found.lines.append(line)
        found.held += len(line)
        if found.held >= sealed_files.PIECE:
            found.seal(self.key)

    def _begin(self, kind: str, type: str) -> _Open:
        row = self._kept.get((kind, type))
        if row is None or row.lines >= PER_FILE:
            row = ExportFile(job=self.job, kind=kind, type=type, number=row.number + 1 if row else 1)
        made = self._open[kind, type] = _Open(row, sealed_files.at(path(row), row.size))
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                for found in self._open.values():
                    found.seal(self.key)
                    found.file.flush()
                    os.fsync(found.file.fileno())
                    found.row.save()
        finally:
            for found in self._open.values():
                found.file.close()
