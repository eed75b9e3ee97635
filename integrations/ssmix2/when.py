"""HL7 time stamps → FHIR. Pure. Never more precise than what was said. Source: HL7 v2.5, 2A.78 (DTM, TS)."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

JST = timezone(timedelta(hours=9))  # a stamp without a zone is Japanese
_STAMP = re.compile(
    r"(?P<y>\d{4})(?:(?P<m>\d\d)(?:(?P<d>\d\d)(?:(?P<H>\d\d)(?:(?P<M>\d\d)(?:(?P<S>\d\d)(?:\.(?P<f>\d{1,6}))?)?)?)?)?)?"
    r"(?P<zone>[+-]\d{4})?\Z",
    re.ASCII,
)


def date_time(stamp: str) -> str:
    """A FHIR dateTime; "" when it is none. An hour without minutes is left out: FHIR has no such precision."""
    match = _STAMP.match(stamp)
    if not match:
        return ""
    day = _day(match)
    if match["M"] is None or len(day) < 10:
        return day
    moment = _moment(match)
    return moment.isoformat(timespec="milliseconds" if match["f"] else "seconds") if moment else ""


def date_of(stamp: str) -> str:
    """The date part as FHIR writes it, as precise as it was said; "" when it is none."""
    match = _STAMP.match(stamp)
    return _day(match) if match else ""


def instant(stamp: str) -> str:
    """A FHIR instant; "" when the stamp is less precise than a minute."""
    found = date_time(stamp)
    return found if len(found) > 10 else ""


def _day(match: re.Match[str]) -> str:
    parts = [match[part] for part in ("y", "m", "d") if match[part]]
    year, month, day, *_ = (int(part) for part in [*parts, "1", "1"])
    try:
        date(year, month, day)
    except ValueError:
        return ""
    return "-".join(parts)


def _moment(match: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second = (int(match[part] or 0) for part in "ymdHMS")
    fraction = int((match["f"] or "0").ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, fraction, tzinfo=_zone(match["zone"]))
    except ValueError:
        return None


def _zone(said: str | None) -> timezone:
    """Raises ValueError where the offset is more than a day."""
    if not said:
        return JST
    return timezone(timedelta(hours=int(said[:3]), minutes=int(said[0] + said[3:])))


def said_at(stamp: str) -> str:
    """発生日時 as the file names write it: 17 digits; "" when the stamp is no date."""
    match = _STAMP.match(stamp)
    if not match or not _day(match):
        return ""
    least = {"m": "01", "d": "01", "H": "00", "M": "00", "S": "00"}
    digits = match["y"] + "".join(match[part] or default for part, default in least.items())
    return digits + (match["f"] or "").ljust(3, "0")[:3]


def as_stamp(moment: datetime) -> str:
    """A time as a TS of ours, in Japan."""
    return moment.astimezone(JST).strftime("%Y%m%d%H%M%S")
