"""Dates as Japanese offices write them -> FHIR dates, partial where the source does not know. Pure.

Sources: `wareki_eras.csv` (era bounds); 住民記録 practice for unknown days (00, 99, 不詳); Excel's 1900 date system.
A part that is not known is left out, never filled; two digits of a year without an era are never guessed.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

Style = Literal["gregorian", "wareki", "wareki-digits", "excel"]
STYLES: tuple[Style, ...] = ("gregorian", "wareki", "wareki-digits")  # excel: only where a profile says so

FIRST_SOLAR = date(1873, 1, 1)  # before it the calendar was lunar: (verify)
_EXCEL_EPOCH = date(1899, 12, 30)
_EXCEL_FIRST, _EXCEL_LAST = 61, 73050  # 1900-03-01 (before it Excel is a day off) to 2099-12-31
_UNKNOWN_WORDS = frozenset({"", "不詳", "不明", "未詳", "年月日不詳", "生年月日不詳", "年月日不明", "-", "--"})
_UNKNOWN_DIGITS = re.compile(r"(?:0{7,8}|9{7,8})\Z", re.ASCII)
_MIDNIGHT = re.compile(r"[T ]0{1,2}:00(?::00)?\Z", re.ASCII)
_PART = r"(\d{1,2}|不詳|不明)"
_END = rf"(?:[-/.月]{_PART}?日?|年?月?日?(?:不詳|不明)|年)?\Z"
_GREGORIAN = re.compile(rf"(\d{{4}})(?:[-/.年]{_PART})?{_END}", re.ASCII)
_ERA = re.compile(rf"(明治|大正|昭和|平成|令和|[MTSHR明大昭平令])(元|\d{{1,2}})(?:[-/.年]{_PART})?{_END}", re.ASCII)
_ERA_COMPACT = re.compile(r"([MTSHR])(\d\d)(\d\d)(\d\d)\Z", re.ASCII)
_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)\Z", re.ASCII)
_ERA_DIGITS = re.compile(r"([1-5])(\d\d)(\d\d)(\d\d)\Z", re.ASCII)
_SERIAL = re.compile(r"\d{2,5}\Z", re.ASCII)
_TWO_DIGIT_YEAR = re.compile(r"\d{1,2}[-/.年]\d{1,2}([-/.月]|\Z)|\d{6}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Day:
    """`text`: a FHIR date, perhaps partial; "" = the source does not know it. `fault`: code of a problem, "" = none."""

    text: str = ""
    fault: str = ""

    @property
    def whole(self) -> date | None:
        """The date, if its day is known."""
        return date.fromisoformat(self.text) if len(self.text) == 10 else None


@dataclass(frozen=True, slots=True)
class Era:
    name: str
    start: date
    end: date


@cache
def _eras() -> dict[str, Era]:
    """By name, its first character, letter and digit."""
    found: dict[str, Era] = {}
    with (Path(__file__).parent / "wareki_eras.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            end = date.fromisoformat(row["end"]) if row["end"] else date(2100, 12, 31)
            era = Era(row["era"], date.fromisoformat(row["start"]), end)
            found |= dict.fromkeys((row["era"], row["era"][0], row["era_letter"], row["era_digit"]), era)
    return found


@lru_cache(maxsize=65536)
def day(text: str, styles: tuple[Style, ...] = STYLES) -> Day:
    """Read one date written in one of the styles. Faults: bad-date, date-style, year-without-era, out-of-era,
    lunar-date, excel-hashes."""
    plain = "".join(unicodedata.normalize("NFKC", text).split(" ")) if not text.isascii() else text.strip()
    plain = _MIDNIGHT.sub("", plain).replace(" ", "").upper()
    if plain in _UNKNOWN_WORDS or _UNKNOWN_DIGITS.match(plain):
        return Day()
    if set(plain) == {"#"}:
        return Day(fault="excel-hashes")
    found = _gregorian(plain, styles) or _wareki(plain, styles) or _serial(plain, styles)
    if found:
        return found
    return Day(fault="year-without-era" if _TWO_DIGIT_YEAR.match(plain) else "bad-date")


def _gregorian(text: str, styles: tuple[Style, ...]) -> Day | None:
    match = _DIGITS.match(text) or _GREGORIAN.match(text)
    if match is None or (len(text) == 5 and text.isdigit()):
        return None
    if "gregorian" not in styles:
        return Day(fault="date-style")
    year, month, the_day = match.groups()
    return _built(int(year), _known(month), _known(the_day))


def _wareki(text: str, styles: tuple[Style, ...]) -> Day | None:
    if match := _ERA_DIGITS.match(text):
        style: Style = "wareki-digits"
    elif match := _ERA_COMPACT.match(text) or _ERA.match(text):
        style = "wareki"
    else:
        return None
    if style not in styles:
        return Day(fault="date-style")
    era, of_era, month, the_day = match.groups()
    return _in_era(_eras()[era], 1 if of_era == "元" else int(of_era), _known(month), _known(the_day))


def _serial(text: str, styles: tuple[Style, ...]) -> Day | None:
    if not _SERIAL.match(text) or "excel" not in styles:
        return Day(fault="date-style") if len(text) == 5 and text.isdigit() and text.isascii() else None
    number = int(text)
    if not _EXCEL_FIRST <= number <= _EXCEL_LAST:
        return Day(fault="bad-date")
    return Day((_EXCEL_EPOCH + timedelta(days=number)).isoformat())


def _known(part: str | None) -> int | None:
    """None = not known: absent, 00, 99 or a word."""
    return None if part in (None, "", "00", "0", "99", "不詳", "不明") else int(part)


def _in_era(era: Era, of_era: int, month: int | None, the_day: int | None) -> Day:
    if of_era == 0:
        return Day(fault="bad-date")
    found = _built(era.start.year + of_era - 1, month, the_day)
    if found.fault in ("", "lunar-date") and not _overlaps(found.text or f"{era.start.year + of_era - 1}", era):
        return Day(fault="out-of-era")
    return found


def _overlaps(text: str, era: Era) -> bool:
    """Whether any day of the (partial) date lies in the era."""
    year, month = int(text[:4]), int(text[5:7]) if len(text) >= 7 else 0
    first = date(year, month or 1, int(text[8:]) if len(text) == 10 else 1)
    last = first if len(text) == 10 else date(year, month or 12, monthrange(year, month or 12)[1])
    return first <= era.end and last >= era.start


def _built(year: int, month: int | None, the_day: int | None) -> Day:
    if not 1868 <= year <= 2100 or (month is None and the_day is not None):
        return Day(fault="bad-date")
    if year < FIRST_SOLAR.year:
        return Day(fault="lunar-date")
    if month is None:
        return Day(f"{year:04d}")
    if not 1 <= month <= 12 or (the_day is not None and not 1 <= the_day <= monthrange(year, month)[1]):
        return Day(fault="bad-date")
    return Day(f"{year:04d}-{month:02d}" + ("" if the_day is None else f"-{the_day:02d}"))


def months_between(birth: date, on: date) -> int:
    """Completed months of age on a day."""
    return (on.year - birth.year) * 12 + on.month - birth.month - (on.day < birth.day)
