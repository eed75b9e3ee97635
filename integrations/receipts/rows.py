"""Bytes to rows, streaming: lines, fields, characters, dates, numbers. Nothing here knows what a receipt is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import IO

from integrations.problems import Problem, Unreadable
from integrations.receipts.table import FIELDS, Form
from integrations.receipts.wording import say

LONGEST_LINE = 8_192  # bytes; the longest record (KI) has some 500, a 症状詳記 2,400
CHUNK = 1 << 16
MOST_FIELDS = 150
BOM = b"\xef\xbb\xbf"

_LINE = re.compile(rb"\r\n|\r|\n")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,6})?\Z", re.ASCII)
_WHEN = re.compile(r"(\d{4}|\d{3})(\d\d)(\d\d)?\Z", re.ASCII)
_ERAS = {"1": 1867, "2": 1911, "3": 1925, "4": 1988, "5": 2018}  # digit era: 明治 大正 昭和 平成 令和


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `line` counts from 1; `record` is "RE" and the like; fields follow it, without spaces around them."""

    line: int
    record: str
    fields: tuple[str, ...]

    def get(self, name: str, form: Form) -> str:
        """The field of this name; "" when it is absent (trailing empty fields may be cut)."""
        index = FIELDS[form][self.record][name]
        return self.fields[index] if index < len(self.fields) else ""

    def all(self, stem: str, form: Form) -> list[str]:
        """The fields named stem1, stem2 …"""
        names = (name for name in FIELDS[form][self.record] if name.startswith(stem) and name != stem)
        return [self.get(name, form) for name in sorted(names, key=FIELDS[form][self.record].__getitem__)]


def rows_of(stream: IO[bytes]) -> Iterator[Row | Problem]:
    """Every line that is not empty as a Row, before it what is wrong with its characters. Raises Unreadable."""
    encoding = ""
    for line, raw in _lines(stream):
        encoding = encoding or _encoding(raw)
        # Comma, CR, LF and 0x1A are never part of a cp932 character: split first, decode field by field.
        record, *rest = raw.removeprefix(BOM).split(b",", MOST_FIELDS)
        broken = False
        fields = []
        for field in rest:
            text = field.decode(encoding, "replace")
            broken = broken or "\ufffd" in text or _CONTROL.search(text) is not None
            fields.append(_CONTROL.sub("\ufffd", text).strip())
        if broken:
            yield say("undecodable", line=line)
        yield Row(line, record.decode("ascii", "replace").strip()[:4], tuple(fields))


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers from 1, empty ones left out. CR LF, LF and CR end one; 0x1A ends the file."""
    held, end, number = b"", b"", 0
    while chunk := stream.read(CHUNK):
        chunk = end + chunk
        end = b"\r" if chunk.endswith(b"\r") else b""  # CR LF across two chunks is one end
        *whole, held = _LINE.split(held + chunk.removesuffix(end))
        for raw in [*whole, *([held] if len(held) > LONGEST_LINE else [])]:
            number += 1
            if len(raw) > LONGEST_LINE:
                raise Unreadable([say("line-too-long", line=number, limit=LONGEST_LINE)])
            if raw.strip(b"\x1a \x00"):
                yield number, raw.rstrip(b"\x1a")
    if held.strip(b"\x1a \x00"):
        yield number + 1, held.rstrip(b"\x1a")


def _encoding(first: bytes) -> str:
    """cp932 by the standard; UTF-8 where the header line is UTF-8 and reads as Japanese (a file somebody re-saved)."""
    if first.startswith(BOM):
        return "utf-8"
    try:
        foreign = [ord(c) for c in first.decode("utf-8") if c > "\x7f"]
    except UnicodeDecodeError:
        return "cp932"
    return "utf-8" if foreign and all(0x3000 <= c <= 0x9FFF or 0xFF00 <= c <= 0xFFEF for c in foreign) else "cp932"


def when(text: str) -> str:
    """`YYYYMMDD`, `YYYYMM`, `GYYMMDD`, `GYYMM` (G a digit) as a FHIR date; "" when it is none of these."""
    match = _WHEN.match(text)
    if match is None:
        return ""
    year, month, day = match.groups()
    if len(year) == 3:
        if year[0] not in _ERAS or len(text) not in (5, 7):
            return ""
        year = str(_ERAS[year[0]] + int(year[1:]))
    try:
        found = date(int(year), int(month), int(day or 1))
    except ValueError:
        return ""
    return found.isoformat() if day else found.isoformat()[:7]


def amount(text: str) -> Decimal | None:
    """An unsigned decimal number as it is written; None when it is none."""
    return Decimal(text) if _DECIMAL.match(text) else None


def from_json(told: Mapping[str, object]) -> list[Row]:
    """The rows of a receipt as an Item holds them: [line, record, fields]."""
    rows = told.get("rows")
    assert isinstance(rows, list)  # parse made it
    return [Row(line, record, tuple(fields)) for line, record, fields in rows]
