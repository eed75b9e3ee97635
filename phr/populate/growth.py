"""Growth along the 2023 percentiles (令和5年 乳幼児身体発育調査), and beyond them to school age.

Between the ages of the table the *percentile values* are interpolated, never the bands looked up.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cache

from phr.populate import tables
from phr.populate.dice import Dice

PERCENTILES = ("p3", "p10", "p25", "p50", "p75", "p90", "p97")
Z = (-1.8808, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.8808)  # standard normal at these percentiles
SEX = {"male": "M", "female": "F"}
LAST_MONTH = 75.0  # the last midpoint of weight and height
YEARLY_CM = {"male": 5.7, "female": 5.9}  # school age, a round figure; the table of percentiles ends before


@cache
def curve(measure: str, sex: str) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """(ages in months, for each age the seven percentile values); `sex` is M or F."""
    found = sorted(
        (float(row["age_months_mid"]), tuple(float(row[p]) for p in PERCENTILES))
        for row in tables.rows("growth_percentiles")
        if row["measure"] == measure and row["sex"] == sex
    )
    return tuple(age for age, _ in found), tuple(values for _, values in found)


def value_at(measure: str, sex: str, months: float, z: float) -> float:
    """The value (kg or cm) at an age and a position `z`, held at the ends of the table."""
    ages, values = curve(measure, SEX[sex])
    i = min(max(bisect_right(ages, months), 1), len(ages) - 1)
    share = min(max((months - ages[i - 1]) / (ages[i] - ages[i - 1]), 0.0), 1.0)
    low, high = _at_z(values[i - 1], z), _at_z(values[i], z)
    return low + (high - low) * share


def _at_z(values: tuple[float, ...], z: float) -> float:
    k = min(max(bisect_right(Z, z), 1), len(Z) - 1)
    return values[k - 1] + (values[k] - values[k - 1]) * (z - Z[k - 1]) / (Z[k] - Z[k - 1])


@dataclass(frozen=True, slots=True)
class Track:
    """A child's own way through the percentiles: a position in each measure, kept but for noise."""

    sex: str
    weight_z: float
    height_z: float
    head_z: float

    @classmethod
    def thrown(cls, dice: Dice, sex: str) -> Track:
        """Weight and height go together (correlation about 0.6); extremes stay inside 3–97."""
        height = dice.gauss() * 0.9
        weight = 0.6 * height + 0.8 * dice.gauss() * 0.9
        head = 0.4 * weight + 0.9 * dice.gauss() * 0.9
        return cls(sex, *(max(-1.88, min(1.88, z)) for z in (weight, height, head)))

    def weight(self, months: float, dice: Dice) -> float:
        """kg; from 6 years 3 months on by the standard weight for the height."""
        noisy = self._near(self.weight_z, dice)
        if months <= LAST_MONTH:
            return value_at("weight", self.sex, months, noisy)
        standard = standard_weight(self.sex, months / 12, self.height(months, dice))
        return standard * (1 + 0.11 * noisy)

    def height(self, months: float, dice: Dice) -> float:
        """cm; from 6 years 3 months on with a round yearly growth."""
        beyond = max(0.0, months - LAST_MONTH) / 12 * YEARLY_CM[self.sex]
        return value_at("height", self.sex, min(months, LAST_MONTH), self._near(self.height_z, dice)) + beyond

    def head(self, months: float, dice: Dice) -> float:
        """cm; the table ends at 2 years 9 months."""
        return value_at("head", self.sex, months, self._near(self.head_z, dice))

    @staticmethod
    def _near(z: float, dice: Dice) -> float:
        return max(-2.2, min(2.2, z + 0.12 * dice.gauss()))


def standard_weight(sex: str, years: float, height_cm: float) -> float:
    """kg; school ages: linear in height (school-2000), 1 to under 6: quadratic (R5-2023)."""
    c2, c1, c0 = _coefficients(SEX[sex], min(int(years), 17))
    return c2 * height_cm**2 + c1 * height_cm + c0


@cache
def _coefficients(sex: str, years: int) -> tuple[float, float, float]:
    fitting = [
        row
        for row in tables.rows("obesity_degree")
        if row["sex"] == sex and int(row["age_from_y"]) <= years < int(row["age_until_y"])
    ]
    row = fitting[0]  # the R5 edition stands first; at five both exist
    return float(row["c2"]), float(row["c1"]), float(row["c0"])


def obesity_degree(sex: str, months: float, height_cm: float, weight_kg: float) -> float:
    """肥満度 in percent: (weight − standard) / standard × 100."""
    standard = standard_weight(sex, months / 12, height_cm)
    return (weight_kg - standard) / standard * 100
