"""Dates and times moved by calendar units: `today() - 18 years` (FHIRPath §6.6.7–8). Pure."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from phr.records.fhirpath.values import Amount, Moment, Trouble

_MONTHS: Final = {"year": 12, "month": 1, "a": 12, "mo": 1}
_SECONDS: Final = {
    "week": Decimal(604_800), "day": Decimal(86_400), "hour": Decimal(3600), "minute": Decimal(60),
    "second": Decimal(1), "millisecond": Decimal("0.001"),
    "wk": Decimal(604_800), "d": Decimal(86_400), "h": Decimal(3600), "min": Decimal(60), "s": Decimal(1),
    "ms": Decimal("0.001"),
}  # fmt: skip


def moved(at: Moment, by: Amount, sign: int) -> Moment:
    """A date or time so much later (`sign` 1) or earlier (-1), as precise as it was.

    A day the month lacks becomes its last. Raises Trouble: no calendar unit, a unit finer than the date, out of range.
    """
    if at.kind == "Time":
        raise Trouble("a time of day is not moved here")
    try:
        if by.unit in _MONTHS:
            return _by_months(at, int(by.value) * _MONTHS[by.unit] * sign)
        if by.unit in _SECONDS and len(at.parts) >= 3:
            return _by_seconds(at, by.value * _SECONDS[by.unit] * sign)
    except (OverflowError, ValueError):
        raise Trouble("beyond the calendar") from None
    raise Trouble(f"this cannot be moved by {by.unit[:20]}")


def _by_months(at: Moment, months: int) -> Moment:
    year, month, day = [*(int(p) for p in at.parts[:3]), 1, 1][:3]
    if len(at.parts) == 1:
        months = int(months / 12) * 12  # whole years only, towards none
    year, month = divmod(year * 12 + month - 1 + months, 12)
    day = min(day, calendar.monthrange(datetime(year, month + 1, 1).year, month + 1)[1])  # noqa: DTZ001 - no clock
    return Moment(at.kind, (*(year, month + 1, day)[: len(at.parts)], *at.parts[3:]), at.zone)


def _by_seconds(at: Moment, seconds: Decimal) -> Moment:
    year, month, day, *clock = at.parts
    hour, minute, second = [*clock, 0, 0, 0][:3]
    start = datetime(int(year), int(month), int(day), int(hour), int(minute))  # noqa: DTZ001 - as written, in its zone
    if len(at.parts) == 3:
        seconds = Decimal(int(seconds / 86_400)) * 86_400
    end = start + timedelta(microseconds=int((seconds + second) * 1_000_000))
    exact = end.second + Decimal(end.microsecond) / 1_000_000
    return Moment(at.kind, (end.year, end.month, end.day, end.hour, end.minute, exact)[: len(at.parts)], at.zone)
