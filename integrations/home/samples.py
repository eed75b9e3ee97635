"""What a phone tells of measurements, as values; the names and units that phones use. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
LONGEST_ID = 200
_AMOUNT = re.compile(r"mmol<180\.15[0-9]{1,14}>/L", re.ASCII)  # how HealthKit writes mmol/L of glucose
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reading:
    """One number of a sample. `unit`: of UCUM."""

    measure: str
    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: one reading, or the two of a blood pressure.

    `source`: where ids are unique: apple-health, health-connect, an app's own name; `uid`: the sample's id there, or
    a digest of what it is. `said_at`: when the source last changed it ("" = it never does). `place`: where it stood,
    from 1: the line of an XML file, the position in a list.
    """

    source: str
    uid: str
    readings: tuple[Reading, ...]
    start: datetime
    end: datetime | None
    place: int
    device: str = ""
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The id of a sample that was deleted at its source."""

    source: str
    uid: str
    place: int


@dataclass(frozen=True, slots=True)
class Passed:
    """A measurement of a kind that is not taken in, by its name at the source."""

    kind: str


@cache
def _names() -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {}
    with (HERE / "names.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["vocabulary"], {})[row["name"]] = row["means"]
    return found


def measure_of(type: str) -> str:
    """What a source's type measures; "" = nothing that is taken in."""
    return _names()["type"].get(type, "")


def field_of(measure: str) -> str:
    """In which property of a Health Connect record the reading of a measure stands."""
    return _names()["field"].get(measure, "")


def unit_of(text: str) -> str:
    """UCUM for a source's spelling of a unit; "" = not known."""
    return "mmol/L" if _AMOUNT.fullmatch(text) else _names()["unit"].get(text, "")


def keys() -> Mapping[str, str]:
    """Properties that name the unit of their value (`inKilograms`) -> UCUM, those the source keeps exactly first."""
    return _names()["key"]


def number(value: object) -> Decimal | None:
    """A JSON number or its text as Decimal, digits kept; None = it is none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    text = str(value).strip()
    if not _NUMBER.fullmatch(text):
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if abs(found) < 10**9 else None


def moment(text: object, offset: object = None) -> datetime | None:
    """A time with an offset: ISO 8601, or as Apple writes it ("2024-01-05 07:12:33 +0900"); None = it is none.

    `offset`: where it was measured ("+09:00", or {"totalSeconds": 32400}), for times in UTC.
    """
    if not isinstance(text, str) or len(text) > 40:
        return None
    plain = re.sub(r" ([+-]\d{2}):?(\d{2})$", r"\1:\2", text.strip())
    try:
        found = datetime.fromisoformat(plain)
        if found.tzinfo is None or not 1900 <= found.year <= 2999:
            return None
        zone = _zone(offset)
        return found.astimezone(zone) if zone is not None else found
    except (ValueError, OverflowError):
        return None


def _zone(offset: object) -> timezone | None:
    seconds = offset.get("totalSeconds") if isinstance(offset, dict) else None
    if isinstance(offset, str) and (match := re.fullmatch(r"([+-])(\d{2}):(\d{2})", offset, re.ASCII)):
        seconds = (int(match[2]) * 3600 + int(match[3]) * 60) * (-1 if match[1] == "-" else 1)
    if isinstance(seconds, int) and abs(seconds) < 86400 and seconds % 60 == 0:
        return timezone(timedelta(seconds=seconds))
    return None
