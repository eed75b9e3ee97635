"""Calendar rules of Japanese child health: ages, gaps, school years. Dates only, no time zones."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

DAY = timedelta(days=1)


def attained(birth: date, months: int) -> date:
    """The day at whose end an age of `months` is attained: the day before the anniversary.

    If the month has no such day, its last day (年齢計算に関する法律). It is both the first day of
    "from X months" and the last day of "until X months".
    """
    year, month = _month(birth, months)
    last = monthrange(year, month)[1]
    return date(year, month, birth.day) - DAY if birth.day <= last else date(year, month, last)


def months_after(day: date, months: int) -> date:
    """The corresponding day `months` later; if there is none, the first of the next month."""
    year, month = _month(day, months)
    last = monthrange(year, month)[1]
    return date(year, month, day.day) if day.day <= last else date(year, month, last) + DAY


def days_between(day: date, days: int) -> date:
    """The earliest day that leaves `days` full days in between (N日以上の間隔): + N + 1."""
    return day + timedelta(days=days + 1)


def months_old(birth: date, day: date) -> float:
    """Age in months of 30.4375 days, the scale of the growth tables."""
    return (day - birth).days / 30.4375


def years_old(birth: date, day: date) -> int:
    """Completed years of age by law: attained at the end of the day before the birthday, so whole on the birthday."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def fiscal_start(day: date) -> date:
    """1 April of the fiscal year that holds `day`."""
    return date(day.year - (day.month < 4), 4, 1)


def school_entry(birth: date) -> date:
    """1 April on which the child enters school: the first after the day it attains six."""
    return next_april(attained(birth, 72))


def next_april(day: date) -> date:
    return date(fiscal_start(day).year + 1, 4, 1)


def _month(day: date, months: int) -> tuple[int, int]:
    years, month = divmod(day.month - 1 + months, 12)
    return day.year + years, month + 1


def last_day_of(text: str) -> tuple[date, bool] | None:
    """A FHIR date: (its last day, whether it says a whole day). None for what is no date."""
    try:
        if len(text) == len("2026-04-01"):
            return date.fromisoformat(text), True
        year, month = (int(part) for part in f"{text}-12".split("-")[:2])
        return date(year, month, monthrange(year, month)[1]), False
    except ValueError:
        return None
