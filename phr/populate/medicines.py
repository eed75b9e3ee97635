"""Dispensings (JP Core MedicationDispense) with invented drugs, handed over by a pharmacy."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from phr.populate import tables
from phr.populate.dice import opening_hours
from phr.populate.sheet import Sheet
from phr.populate.systems import DRUG
from phr.records.systems import MEDICATION_UNIT, ORDER_IN_RP, RP_NUMBER, UCUM

PRODUCT_AMOUNT = {
    "coding": [
        {
            "system": "http://jpfhir.jp/fhir/core/mhlw/CodeSystem/MedicationIngredientStrengthStrengthType",
            "code": "1",
            "display": "製剤量",
        }
    ]
}
INTERNAL = "1"  # 剤形 1 内服: the dose is per day


def write_dispensing(sheet: Sheet, day: date, wanted: str, count: int) -> None:
    """One visit at the pharmacy: `count` different drugs, one RP each. `wanted`: mother or child."""
    drugs = [row for row in tables.rows("drugs") if row["for"] == wanted]
    at = opening_hours(sheet.dice, day, first=10, last=18)
    start = sheet.dice.whole(0, len(drugs) - 1)
    for rp in range(1, count + 1):
        _dispense(sheet, drugs[(start + rp * 2) % len(drugs)], rp, at)


def _dispense(sheet: Sheet, drug: dict[str, str], rp: int, at: str) -> None:
    assert sheet.facility is not None
    per_day = int(drug["per_day"])
    days = int(sheet.dice.pick(drug["days"].split("|")))
    dosage: dict[str, Any] = {"text": drug["usage"]}
    if drug["form"] == INTERNAL:
        rate = {"numerator": _amount(drug, per_day), "denominator": _days(1)}
        dosage["doseAndRate"] = [{"type": PRODUCT_AMOUNT, "rateRatio": rate}]
    resource = sheet.add(
        "MedicationDispense",
        "JP_MedicationDispense",
        identifier=[{"system": RP_NUMBER, "value": str(rp)}, {"system": ORDER_IN_RP, "value": "1"}],
        status="completed",
        medicationCodeableConcept={
            "coding": [{"system": DRUG, "code": drug["drug_id"], "display": drug["name"]}],
            "text": drug["name"],
        },
        subject=sheet.patient,
        performer=[{"actor": sheet.facility.performer}],
        quantity=_amount(drug, per_day * days),
        whenHandedOver=at,
        dosageInstruction=[dosage],
    )
    if drug["form"] == INTERNAL:
        resource["daysSupply"] = _days(days)


def _amount(drug: dict[str, str], value: int) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": drug["unit"], "system": MEDICATION_UNIT, "code": drug["unit_code"]}


def _days(value: int) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": "日", "system": UCUM, "code": "d"}
