"""Bytes to rows and back: lines, fields, characters. Nothing here knows what a record means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from integrations.jahis_qr.table import ERAS, RECORDS
from integrations.jahis_qr.wording import say
from integrations.problems import Problem

Encoding = Literal["cp932", "utf-8"]
BOM = b"\xef\xbb\xbf"
MOST_FIELDS = 64  # the longest record has 11; what lies beyond stays in one piece

_LINE = re.compile(rb"\r\n|\r|\n")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"\d{1,3}\Z", re.ASCII)
_DECIMAL = re.compile(r"(\d{1,12}(\.\d{0,12})?|\.\d{1,12})\Z", re.ASCII)
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)\Z", re.ASCII)
_ERA_DATE = re.compile(r"([MTSHR])(\d\d)(\d\d)(\d\d)\Z", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `line` counts from 1; `number` is "201" and the like, "" if there is none; `raw` has no line end.

    `fields` follow the record number, without spaces around them, in the order of the record table.
    """

    line: int
    number: str
    fields: tuple[str, ...]
    raw: bytes

    def get(self, name: str) -> str:
        """The field of this name in the record table; "" when it is absent."""
        index = RECORDS[self.number].position[name]
        return self.fields[index] if index < len(self.fields) else ""


def encoding_of(data: bytes) -> Encoding:
    """cp932, unless the bytes are UTF-8 and read as Japanese.

    Runs of half-width kana in cp932 can be valid UTF-8 by accident, but then they decode to letters of other
    scripts. Such letters are let pass only where cp932 has them too (μ, ±, ×) and Japanese ones are more.
    """
    if data.startswith(BOM):
        return "utf-8"
    try:
        foreign = [c for c in data.decode("utf-8") if c > "\x7f"]
    except UnicodeDecodeError:
        return "cp932"
    other = [c for c in foreign if not _is_japanese(c)]
    if not foreign or 2 * len(other) >= len(foreign) or not all(map(_in_cp932, other)):
        return "cp932"
    return "utf-8"


def _is_japanese(character: str) -> bool:
    code = ord(character)
    return (
        0x2010 <= code <= 0x30FF
        or 0x3400 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0xFF00 <= code <= 0xFFEF
        or 0x20000 <= code <= 0x3FFFF
    )


def _in_cp932(character: str) -> bool:
    try:
        return bool(character.encode("cp932"))
    except UnicodeEncodeError:
        return False


def lines_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every line that is not empty, with its number from 1. CR LF, LF and CR end a line; a final 0x1A is dropped."""
    for number, raw in enumerate(_LINE.split(data.rstrip(b"\x1a\r\n")), start=1):
        if raw:
            yield number, raw


def rows_of(data: bytes, encoding: Encoding, problems: list[Problem]) -> list[Row]:
    """Every line as a Row, the header included (number "")."""
    return [_row(line, raw, encoding, problems) for line, raw in lines_of(data)]


def _row(line: int, raw: bytes, encoding: Encoding, problems: list[Problem]) -> Row:
    # Comma, CR, LF and 0x1A are never part of a cp932 or UTF-8 character: split first, decode field by field.
    first, *rest = raw.removeprefix(BOM).split(b",", MOST_FIELDS)
    fields = [_text(field, encoding, line, place, problems) for place, field in enumerate([first, *rest])]
    number = fields[0] if _NUMBER.match(fields[0]) else ""
    if number:
        return Row(line, str(int(number)), tuple(fields[1:]), raw)
    return Row(line, "", tuple(fields), raw)


def _text(field: bytes, encoding: Encoding, line: int, place: int, problems: list[Problem]) -> str:
    try:
        text = field.decode(encoding)
    except UnicodeDecodeError:
        text = field.decode(encoding, "replace")
        problems.append(say("undecodable", line=line, field=place or None))
    if _CONTROL.search(text):
        text = _CONTROL.sub("\ufffd", text)
        problems.append(say("control-character", line=line, field=place or None))
    return text.strip()


def bytes_of(rows: list[Row] | tuple[Row, ...]) -> bytes:
    """The rows as bytes, each as it came in, each ended by CR LF."""
    return b"".join(row.raw + b"\r\n" for row in rows)


def day(text: str) -> date | None:
    """`YYYYMMDD` or `GYYMMDD` (G a letter: M, T, S, H, R) as a date; None when it is neither."""
    if match := _DATE.match(text):
        year, month, dom = map(int, match.groups())
    elif match := _ERA_DATE.match(text):
        year = ERAS[match[1].upper()] + int(match[2])
        month, dom = int(match[3]), int(match[4])
    else:
        return None
    try:
        return date(year, month, dom)
    except ValueError:
        return None


def amount(text: str) -> Decimal | None:
    """An unsigned decimal number as it is written (`1.50` stays `1.50`); None when it is none."""
    return Decimal(text) if _DECIMAL.match(text) else None
