"""Dates as half-open ranges of floats: what `Range` rows hold and searches compare; numbers as searches write them.

Pure.

Dates are microseconds since 1970-01-01T00:00Z; a partial date gives its whole span; a date
without a zone is Japan time unless the deployment says otherwise (`use_zone`; what is indexed already
keeps the zone it was indexed with). An open end is EVER or FOREVER.
A number in a search has the precision it was written with: 100 is [99.5, 100.5), 1.00 is [0.995, 1.005);
what is stored of numbers is in `quantities`.

Sources: FHIR R4 3.1.1.4.5 (prefixes), 3.1.1.4.7 (number), 3.1.1.4.8 (date).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from math import inf, isfinite, nextafter
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

EVER, FOREVER = -9.0e18, 9.0e18
JAPAN = timezone(timedelta(hours=9), "JST")
_zones: list[tzinfo] = [JAPAN]  # the one in use
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_MOMENT = re.compile(r"^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?$", re.ASCII)
_DATE = re.compile(r"^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?$", re.ASCII)
_NUMBER = re.compile(r"^[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?$", re.ASCII)

Range = tuple[float, float]


def use_zone(name: str) -> None:
    """Let a date without a zone mean this one (IANA) from now on: said once, when a process starts.

    Asia/Tokyo means UTC+9 at all times, also in 1887 and in the summers of 1948 to 1951. Raises ValueError.
    """
    try:
        _zones[0] = JAPAN if name == "Asia/Tokyo" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {name!r}") from error
    date_range.cache_clear()


@lru_cache(maxsize=16384)
def date_range(text: str) -> Range:
    """Half-open microseconds of a FHIR date, dateTime or instant. Raises ValueError."""
    if match := _DATE.match(text):
        year, month, day = match.groups()
        return _span(int(year), int(month) if month else None, int(day) if day else None)
    match = _MOMENT.match(text)
    if match is None:
        raise ValueError(f"not a date or time: {text[:40]!r}")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    at = datetime(int(year), int(month), int(day), int(hour), int(minute),
                  min(int(second or 0), 59), tzinfo=_zone(zone))  # fmt: skip
    low = float((at - _EPOCH) // _MICRO)
    if fraction:
        low += float(int(fraction[:6].ljust(6, "0")))
        return low, low + 10.0 ** max(6 - len(fraction), 0)
    return low, low + (1e6 if second else 6e7)


def _zone(text: str | None) -> tzinfo:
    if text is None:
        return _zones[0]
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def _span(year: int, month: int | None, day: int | None) -> Range:
    first = date(year, month or 1, day or 1)
    if day:
        after = first.toordinal() + 1
    elif month:
        after = first.toordinal() + [31, 29 if _leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    else:
        after = first.toordinal() + (366 if _leap(year) else 365)
    return _midnight(first.toordinal()), _midnight(after)


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _midnight(ordinal: int) -> float:
    """Microseconds of 00:00 of a day in the zone in use."""
    if ordinal > date.max.toordinal():
        return _midnight(ordinal - 1) + 86_400e6
    day = date.fromordinal(ordinal)
    return float((datetime(day.year, day.month, day.day, tzinfo=_zones[0]) - _EPOCH) // _MICRO)


def moment(micros: float) -> datetime:
    """Microseconds back to a datetime (UTC); open ends become the years 1 and 9999."""
    if micros <= -6.2e16:
        return datetime(1, 1, 2, tzinfo=UTC)
    if micros >= 2.533e17:
        return datetime(9999, 1, 1, tzinfo=UTC)
    return _EPOCH + timedelta(microseconds=micros)


def micros(at: datetime) -> float:
    """A datetime as microseconds."""
    return float((at - _EPOCH) // _MICRO)


def point(value: float) -> Range:
    """A number taken as exact: [value, next float)."""
    return value, nextafter(value, inf)


def number(text: str) -> tuple[float, Range]:
    """A number in a search: (exact value, range of its written precision). Raises ValueError."""
    if not _NUMBER.match(text):
        raise ValueError(f"not a number: {text[:40]!r}")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a number: {text[:40]!r}") from None
    exponent = value.as_tuple().exponent
    half = Decimal(5).scaleb(int(exponent) - 1)
    low, high = float(value - half), float(value + half)
    if not (isfinite(low) and isfinite(high)):
        raise ValueError(f"number out of range: {text[:40]!r}")
    return float(value), (low, high)


def holds(prefix: str, asked: Range, kept: Range) -> bool:
    """Whether a kept range answers a prefix: the meaning that the SQL must have too.

    R4 3.1.1.4.5, with half-open ranges a = asked, k = kept: eq: k inside a; ne: not so;
    gt: k reaches above a; lt: k begins below a; ge, le: the same or inside;
    sa: k begins after a; eb: k ends before a; ap: they overlap (`asked` is widened by the parser).
    """
    (low, high), (kept_low, kept_high) = asked, kept
    inside = low <= kept_low and kept_high <= high
    match prefix:
        case "eq":
            return inside
        case "ne":
            return not inside
        case "gt":
            return kept_high > high
        case "lt":
            return kept_low < low
        case "ge":
            return kept_high > high or inside
        case "le":
            return kept_low < low or inside
        case "sa":
            return kept_low >= high
        case "eb":
            return kept_high <= low
        case "ap":
            return kept_low < high and kept_high > low
    raise ValueError(f"unknown prefix {prefix!r}")
