"""肥満度 (degree of obesity): weight against the standard weight for height, sex and age. Pure.

(weight - standard) / standard x 100, standard = c2 h² + c1 h + c0; coefficients: phr/care/data/obesity_degree.csv. The
edition is part of the result: another edition gives another value.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from phr.care.tables import rows


def degree(*, edition: str, sex: str, birth: date, on: date, height: Decimal, weight: Decimal) -> Decimal | None:
    """In percent, one decimal; None where the edition has no row for this sex, age or height. `sex`: a FHIR code."""
    years = on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))
    letter = {"male": "M", "female": "F"}.get(sex)
    for row in rows("obesity_degree"):
        ages = range(int(row["age_from_y"]), int(row["age_until_y"]))
        if (row["edition"], row["sex"]) != (edition, letter) or years not in ages or not _within(row, height):
            continue
        c2, c1, c0 = (Decimal(row[name]) for name in ("c2", "c1", "c0"))
        standard = c2 * height * height + c1 * height + c0
        if standard > 0:
            return ((weight - standard) / standard * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return None


def _within(row: dict[str, str], height: Decimal) -> bool:
    low, dash, high = row["height_cm_range"].partition("-")
    return not dash or Decimal(low) <= height < Decimal(high)
