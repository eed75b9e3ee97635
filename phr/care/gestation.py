"""Gestational age and expected dates. Days are whole; an age is told as weeks and days (n週n日).

Source: 母子保健 practice: expected date = first day of the last menstrual period + 280 days, corrected by ultrasound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

TERM = 280  # days
LONGEST = 44 * 7  # days; beyond, a date is not believed
Method = Literal["lmp", "ultrasound", "ivf", "unknown"]
_TRUST = ("ivf", "ultrasound", "unknown", "lmp")  # which date is reckoned with: what corrected another comes first


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected date and how it was found. All are kept; one is reckoned with."""

    on: date
    method: Method


def reckoned(found: Iterable[Expected]) -> Expected | None:
    """The one to reckon with: a correction before the last menstrual period; of the same kind the later told."""
    ordered = sorted(enumerate(found), key=lambda pair: (_TRUST.index(pair[1].method), -pair[0]))
    return ordered[0][1] if ordered else None


def days(expected: date, day: date) -> int | None:
    """Gestational age on a day; None before the pregnancy and long after its term."""
    count = TERM - (expected - day).days
    return count if 0 <= count <= LONGEST else None


def told(count: int) -> str:
    """196 -> 28週0日."""
    return f"{count // 7}週{count % 7}日"


def on_day(expected: date, count: int) -> date:
    """The day on which a gestational age (days) is reached."""
    return expected - timedelta(days=TERM - count)


def trimester(count: int) -> Literal["初期", "中期", "後期"]:
    """初期 to 13w6d, 中期 14w0d to 27w6d, 後期 from 28w0d."""
    return "初期" if count < 14 * 7 else "中期" if count < 28 * 7 else "後期"


def weight_gain(bmi: float) -> tuple[int | None, int]:
    """The target for the whole pregnancy in kg, (least, most), by BMI before it (CFA / JSOG 2021).

    From 30: individual, about five at most.
    """
    for below, target in ((18.5, (12, 15)), (25.0, (10, 13)), (30.0, (7, 10))):
        if bmi < below:
            return target
    return None, 5
