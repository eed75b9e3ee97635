"""Amounts of medicines and their units, as JP Core writes them. Pure.

Source: JP Core 1.2.0 (a quantity of a medicine has a code and a system). `units_merit9.csv` holds the MERIT-9 codes of
units in common use; another unit is its own code in a system of ours.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from phr.records import systems

STRENGTH_TYPE = "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationIngredientStrengthStrengthType"
UNIT = f"{systems.OWN}/CodeSystem/jahis-unit"

# 剤形 of JAHIS notebooks and of receipts: what an amount means depends on it
PER_DAY = ("1", "6", "7")  # 内服, 浸煎, 湯: the amount of a day, times days
PER_TIME = ("3",)  # 屯服: the amount of one time, times how often


def _units() -> dict[str, str]:
    with (Path(__file__).parent / "units_merit9.csv").open(encoding="utf-8", newline="") as file:
        return {row["unit_text"]: row["merit9_code"] for row in csv.DictReader(file) if row["merit9_code"]}


MERIT9: Mapping[str, str] = _units()


def quantity(value: Decimal, unit: str) -> dict[str, Any]:
    """A Quantity; without a unit only the number is known."""
    if not unit:
        return {"value": value}
    code = MERIT9.get(unit)
    system = systems.MEDICATION_UNIT if code else UNIT
    return {"value": value, "unit": unit, "system": system, "code": code or " ".join(unit.split())}


def duration(days: Decimal) -> dict[str, Any]:
    """Days, as JP Core writes them."""
    return {"value": days, "unit": "日", "system": systems.UCUM, "code": "d"}


def per_day(value: Decimal, unit: str) -> dict[str, Any]:
    """doseAndRate: so much a day, of the preparation (製剤量)."""
    strength_type = {"system": STRENGTH_TYPE, "code": "1", "display": "製剤量"}
    ratio = {"numerator": quantity(value, unit), "denominator": duration(Decimal(1))}
    return {"type": {"coding": [strength_type]}, "rateRatio": ratio}


def shortened(value: Decimal) -> Decimal:
    """42.0 -> 42, 1.50 -> 1.5, 100 -> 100."""
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()
