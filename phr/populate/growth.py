"""Growth along the 2023 percentiles (令和5年 乳幼児身体発育調査), and beyond them to school age.

Between the ages of the table the *percentile values* are interpolated, never the bands looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

from phr.care.growth import standard_weight, value_at
from phr.populate.dice import Dice

LAST_MONTH = 75.0  # the last midpoint of weight and height
YEARLY_CM = {"male": 5.7, "female": 5.9}  # school age, a round figure; the table of percentiles ends before


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


def obesity_degree(sex: str, months: float, height_cm: float, weight_kg: float) -> float:
    """肥満度 in percent: (weight − standard) / standard × 100."""
    standard = standard_weight(sex, months / 12, height_cm)
    return (weight_kg - standard) / standard * 100
