"""The public masters of 支払基金 (b 傷病名, z 修飾語, s 診療行為, y 医薬品), as far as names and translations go. Pure.

They are not shipped: the operator puts `b_*.csv`, `z_*.csv`, `s_*.csv`, `y_*.csv` into a folder (PHR_RECEIPT_MASTERS).
cp932, quoted, no header; columns by the public description of the masters. Without them codes stand alone.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Drug:
    name: str
    unit: str
    price_code: str  # 薬価基準収載医薬品コード, 12 digits; "" = not listed


@dataclass(frozen=True, slots=True)
class Disease:
    name: str
    icd10: str


@dataclass(slots=True)
class Masters:
    """Code -> what it means. `edition`: a digest of what was loaded, "" = nothing was."""

    diseases: dict[str, Disease] = field(default_factory=dict)
    modifiers: dict[str, str] = field(default_factory=dict)
    procedures: dict[str, str] = field(default_factory=dict)
    drugs: dict[str, Drug] = field(default_factory=dict)
    edition: str = ""


NONE = Masters()


def load(files: Iterable[tuple[str, bytes]]) -> Masters:
    """From (name, content) of files; what is no master by its first letter is passed over. Raises ValueError."""
    made = Masters()
    seen = hashlib.sha256()
    for name, content in sorted(files):
        kind = name[:1].lower()
        if kind in "bzsy" and name[1:2] == "_":
            _take(kind, content, made)
            seen.update(content)
            made.edition = seen.hexdigest()[:16]
    return made


def _take(kind: str, content: bytes, made: Masters) -> None:
    for row in _rows(content):
        code = _at(row, 3)
        if not code:
            continue
        match kind:
            case "b":
                made.diseases[code] = Disease(_at(row, 6), _at(row, 16))
            case "z":
                made.modifiers[code] = _at(row, 7)
            case "s":
                made.procedures[code] = _at(row, 113) or _at(row, 5)
            case "y":
                made.drugs[code] = Drug(_at(row, 35) or _at(row, 5), _at(row, 10), _at(row, 32))


def _rows(content: bytes) -> Iterator[list[str]]:
    return csv.reader(content.decode("cp932", "replace").splitlines())


def _at(row: list[str], column: int) -> str:
    """A column, counted from 1."""
    return row[column - 1].strip() if len(row) >= column else ""
