"""調剤: prescription (SH), each day it was dispensed (CZ), its drugs (IY) → one MedicationDispense per IY and CZ. Pure.

The published draft guide takes the days from 使用量 and the amount from 調剤数量. That is swapped: 使用量 is the amount
(of a day, for 内服), 調剤数量 how many days or times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from integrations.medicines import PER_DAY, PER_TIME, duration, per_day, quantity, shortened
from integrations.receipts.rows import Row, amount, when
from integrations.receipts.shapes import Making, Resource, drug
from integrations.receipts.table import USAGES
from integrations.receipts.wording import say
from integrations.same_dispense import Dispensed, identifiers, words
from phr.records import systems

RECEIPT_USAGE = f"{systems.OWN}/CodeSystem/receipt-usage-code"


@dataclass(slots=True)
class _Prescription:
    """One SH with what stands below it."""

    row: Row
    days: list[Row] = field(default_factory=list)
    drugs: list[Row] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


def dispensed(making: Making, rows: Sequence[Row]) -> None:
    """Every drug of every prescription, for each day it was dispensed."""
    head = rows[0]
    for one in _prescriptions(making, rows):
        for cz in one.days:
            on = when(making.get(cz, "調剤年月日"))
            if len(on) != 10:
                making.problems.append(say("bad-date", line=cz.line, field=3))
                continue
            for order, iy in enumerate(one.drugs, start=1):
                if code := making.get(iy, "医薬品コード"):
                    making.resources.append(_dispense(making, head, one, cz, iy, on, order, code))
                else:
                    making.problems.append(say("no-drug-code", line=iy.line, field=2))


def _prescriptions(making: Making, rows: Sequence[Row]) -> list[_Prescription]:
    found: list[_Prescription] = []
    for row in rows:
        if row.record == "SH":
            found.append(_Prescription(row))
        elif row.record in ("CZ", "IY") and not found:
            making.problems.append(say("no-prescription", line=row.line))
        elif row.record == "CZ":
            found[-1].days.append(row)
        elif row.record == "IY":
            found[-1].drugs.append(row)
        elif row.record == "CO" and found and making.get(row, "文字データ"):
            found[-1].comments.append(making.get(row, "文字データ"))
    for one in found:
        if one.drugs and not one.days:
            making.problems.append(say("no-prescription", line=one.drugs[0].line))
    return found


def _dispense(making: Making, head: Row, one: _Prescription, cz: Row, iy: Row, on: str, order: int,
              code: str) -> Resource:  # fmt: skip
    form, rp = making.get(one.row, "剤形"), making.get(one.row, "処方No")
    dose, number = amount(making.get(iy, "使用量")), amount(making.get(cz, "調剤数量"))
    if (dose is None and making.get(iy, "使用量")) or (number is None and making.get(cz, "調剤数量")):
        making.problems.append(say("bad-amount", line=iy.line, field=3))
    concept, name, codes, unit = drug(making, code)
    total = shortened(dose * number) if dose and number else None
    told = Dispensed(
        person=str(making.about.subject), day=on, pharmacy=making.about.code, rp=rp, order=order, name=name, code=code,
        dose=making.get(iy, "使用量"), number=making.get(cz, "調剤数量"), total=total, codes=codes,
    )  # fmt: skip
    profile = "JP_MedicationDispense" if total is not None and unit and rp else ""
    made = making.begin("MedicationDispense", "IY", code, on, rp, profile=profile)
    made["extension"] = words(
        form=form, dose=told.dose, unit=unit, number=told.number, code_kind="2", code=code,
        clinic=making.get(head, "医療機関名称"), doctor=_doctor(making, head, cz),
    )  # fmt: skip
    rp_number = [{"system": systems.RP_NUMBER, "value": rp.lstrip("0") or "0"}] if rp else []
    made |= {
        "identifier": [*rp_number, {"system": systems.ORDER_IN_RP, "value": str(order)}, *identifiers(told)],
        "status": "completed",
        "medicationCodeableConcept": concept,
        "subject": making.patient,
        "performer": [{"actor": making.institution}],
    }
    if prescriber := _prescriber(making, head, cz):
        made["authorizingPrescription"] = [{"type": "MedicationRequest", "display": prescriber}]
    if total is not None:
        made["quantity"] = quantity(total, unit)
    if number and form in PER_DAY:
        made["daysSupply"] = duration(number)
    made["whenHandedOver"] = on
    if dosage := _dosage(making, one, form, dose, unit):
        made["dosageInstruction"] = [dosage]
    return made


def _prescriber(making: Making, head: Row, cz: Row) -> str:
    """Where, by whom and when it was prescribed."""
    on = when(making.get(cz, "処方箋交付年月日"))
    names = (making.get(head, "医療機関名称"), _doctor(making, head, cz), f"（処方 {on}）" if on else "")
    return " ".join(filter(None, names))


def _doctor(making: Making, head: Row, cz: Row) -> str:
    """医師No points into the 保険医氏名 of RE."""
    doctors, number = head.all("保険医氏名", making.form), making.get(cz, "医師No")
    place = int(number) if number.isascii() and number.isdigit() and len(number) < 3 else 0
    return doctors[place - 1] if 1 <= place <= len(doctors) else ""


def _dosage(making: Making, one: _Prescription, form: str, dose: Decimal | None, unit: str) -> Resource:
    usage = making.get(one.row, "用法")
    texts = [USAGES.get(usage, ""), making.get(one.row, "特別指示")]
    dosage: Resource = {"text": text} if (text := " ".join(filter(None, texts))) else {}
    if one.comments:
        dosage["additionalInstruction"] = [{"text": comment} for comment in one.comments]
    if usage in USAGES:
        dosage["timing"] = {"code": {"coding": [{"system": RECEIPT_USAGE, "code": usage}]}}
    if form in PER_TIME:
        dosage["asNeededBoolean"] = True
    if dose and form in PER_DAY:
        dosage["doseAndRate"] = [per_day(dose, unit)]
    elif dose and form in PER_TIME:
        dosage["doseAndRate"] = [{"doseQuantity": quantity(dose, unit)}]
    return dosage
