"""Chance with a memory: every draw follows from the seed and the number of the family."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """One family's source of chance. Ids come from a stream of their own."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = Random(f"tsumugi {seed} {number}")
        self._ids = Random(f"tsumugi ids {seed} {number}")
        self.unit = self._random.random
        self.pick = self._random.choice

    def uuid(self) -> str:
        """A UUID of version 8 (RFC 9562: custom), lower case."""
        h = f"{self._ids.getrandbits(128):032x}"
        return f"{h[:8]}-{h[8:12]}-8{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"

    def chance(self, share: float) -> bool:
        return self.unit() < share

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both possible, all alike."""
        return low + int(self.unit() * (high - low + 1))

    def gauss(self) -> float:
        """A standard normal value, cut at ± 3."""
        return max(-3.0, min(3.0, self._random.gauss(0.0, 1.0)))

    def near(self, mean: float, sd: float) -> float:
        return mean + sd * self.gauss()

    def weighted(self, choices: Sequence[T], weights: Sequence[float]) -> T:
        return self._random.choices(choices, weights)[0]

    def delay(self, mean_days: float) -> timedelta:
        """A human delay: mostly short, now and then long (exponential), whole days."""
        return timedelta(days=int(self._random.expovariate(1.0 / mean_days)))

    def digits(self, count: int) -> str:
        return f"{int(self.unit() * 10**count):0{count}d}"


def decimal(value: float, places: int) -> Decimal:
    """A measured value with the given number of places, kept in the JSON (`10.0` stays `10.0`)."""
    return Decimal(f"{value:.{places}f}")


def opening_hours(dice: Dice, day: date, *, first: int = 9, last: int = 16) -> str:
    """A moment of that day within opening hours, as FHIR dateTime in Japanese time."""
    return f"{day.isoformat()}T{dice.whole(first, last):02d}:{dice.whole(0, 11) * 5:02d}:00+09:00"


def weekday(day: date) -> date:
    """The day itself, or the Monday after a Sunday: clinics are closed on Sundays."""
    return day + timedelta(days=1) if day.weekday() == 6 else day
