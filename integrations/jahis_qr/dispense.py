"""One record 201 with its 301 → one MedicationDispense. Pure.

Profile JP_MedicationDispense (JP Core 1.2.0). Without a known quantity, which the profile demands, the resource is
stored as a base MedicationDispense and a warning says so: never a quantity of 0.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from integrations.ids import resource_id
from integrations.jahis_qr.groups import Drug, Group
from integrations.jahis_qr.rows import Row, amount
from integrations.jahis_qr.table import RECORDS
from integrations.jahis_qr.wording import say
from integrations.medicines import PER_DAY, PER_TIME, duration, per_day, quantity, shortened
from integrations.problems import Problem
from integrations.same_dispense import Dispensed, exact_key, identifiers, words
from phr.records import systems

PROFILE = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_MedicationDispense"
# (薬品コード種別, length) -> system
DRUG_SYSTEMS = {
    ("2", 9): systems.RECEIPT_DRUG,
    ("3", 12): systems.MHLW_DRUG,
    ("4", 12): systems.YJ,
    ("6", 9): systems.HOT9,
    ("6", 13): systems.HOT13,
}

Resource = dict[str, Any]


def to_dispense(drug: Drug, group: Group, *, patient_id: str, performers: list[Resource],
                problems: list[Problem]) -> Resource:  # fmt: skip
    """The MedicationDispense of one drug. Its id and its key follow from what was dispensed to whom, when and where."""
    known = told(drug, group, patient_id)
    if known.total is None:
        problems.append(say("unknown-quantity", line=drug.row.line, field=RECORDS["201"].position["用量"] + 1))
    id_ = resource_id("MedicationDispense", patient_id, exact_key(known))
    resource: Resource = {"resourceType": "MedicationDispense", "id": id_}
    if known.total is not None:
        resource["meta"] = {"profile": [PROFILE]}
    if extension := _words(drug, group):
        resource["extension"] = extension
    resource |= {
        "identifier": [
            {"system": systems.RP_NUMBER, "value": drug.row.get("RP番号")},
            {"system": systems.ORDER_IN_RP, "value": str(drug.order)},
            *identifiers(known),
        ],
        "status": "completed",
        "medicationCodeableConcept": _medication(drug.row, problems),
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    if performers:
        resource["performer"] = performers
    if prescriber := _prescriber(drug, group):
        resource["authorizingPrescription"] = [{"type": "MedicationRequest", "display": prescriber}]
    if known.total is not None:
        resource["quantity"] = quantity(known.total, drug.row.get("単位名"))
    if (days := _days(drug.usage)) is not None:
        resource["daysSupply"] = duration(days)
    resource["whenHandedOver"] = group.day.isoformat()
    if dosage := _dosage(drug):
        resource["dosageInstruction"] = [dosage]
    return resource


def institution_code(row: Row | None) -> str:
    """都道府県 2 + 点数表 1 + コード 7 of record 11 or 51; "" when it is not complete."""
    if row is None:
        return ""
    prefecture, table, code = row.get("都道府県"), row.get("点数表"), row.get("医療機関コード")
    whole = prefecture.zfill(2) + table + code
    complete = prefecture and table and len(code) == 7 and len(whole) == 10 and whole.isascii() and whole.isdigit()
    return whole if complete else ""


def told(drug: Drug, group: Group, patient_id: str) -> Dispensed:
    """What of a drug makes it known again elsewhere."""
    row, usage = drug.row, drug.usage
    kind, code = row.get("薬品コード種別"), row.get("薬品コード")
    system = DRUG_SYSTEMS.get((kind, len(code)))
    return Dispensed(
        person=patient_id, day=group.day.isoformat(), pharmacy=institution_code(group.first("11")),
        rp=row.get("RP番号"), order=drug.order, name=row.get("薬品名称"), code=code, dose=row.get("用量"),
        number=usage.get("調剤数量"), total=_total(drug), codes=((system, code),) if system else (),
    )  # fmt: skip


def _medication(row: Row, problems: list[Problem]) -> Resource:
    name = row.get("薬品名称")
    kind, code = row.get("薬品コード種別"), row.get("薬品コード")
    codings = []
    if code.isascii() and code.isalnum() and (system := DRUG_SYSTEMS.get((kind, len(code)))):
        codings.append({"system": system, "code": code, "display": name})
    elif code:
        problems.append(say("unusable-code", line=row.line, field=RECORDS["201"].position["薬品コード"] + 1))
    generic_code = row.get("一般名コード")
    if row.get("一般名コード種別") == "2" and generic_code.isascii() and generic_code.isalnum():
        generic = {"system": systems.GENERIC_ORDER, "code": generic_code}
        codings.append(generic | ({"display": row.get("一般名")} if row.get("一般名") else {}))
    return ({"coding": codings} if codings else {}) | {"text": name}


def _prescriber(drug: Drug, group: Group) -> str:
    clinic, doctor = group.first("51"), drug.doctor
    names = [clinic.get("名称")] if clinic else []
    names += [doctor.get("診療科名"), doctor.get("氏名")] if doctor else []
    return " ".join(name for name in names if name)


def _dose(row: Row) -> Decimal | None:
    dose = amount(row.get("用量"))
    return dose if dose and row.get("単位名") else None


def _words(drug: Drug, group: Group) -> list[dict[str, object]]:
    """The amounts as written, 剤形, who prescribed, codes that have no system: for writing the notebook again."""
    row, usage, clinic, doctor = drug.row, drug.usage, group.first("51"), drug.doctor
    return words(
        form=usage.get("剤形コード"), dose=row.get("用量"), unit=row.get("単位名"), number=usage.get("調剤数量"),
        number_unit=usage.get("調剤単位"), code_kind=row.get("薬品コード種別"), code=row.get("薬品コード"),
        usage_kind=usage.get("用法コード種別"), usage=usage.get("用法コード"),
        clinic=clinic.get("名称") if clinic else "", clinic_code=institution_code(clinic),
        department=doctor.get("診療科名") if doctor else "", doctor=doctor.get("氏名") if doctor else "",
    )  # fmt: skip


def _total(drug: Drug) -> Decimal | None:
    """The whole amount handed over: dose × days (内服, 浸煎, 湯), × times (屯服), else × 調剤数量 (1 if not given)."""
    dose, times, form = _dose(drug.row), amount(drug.usage.get("調剤数量")), drug.usage.get("剤形コード")
    if dose is None or not form:
        return None
    if not times:
        if form in (*PER_DAY, *PER_TIME):
            return None
        times = Decimal(1)
    return shortened(dose * times)


def _days(usage: Row) -> Decimal | None:
    days = amount(usage.get("調剤数量"))
    return days if days and usage.get("剤形コード") in PER_DAY else None


def _dosage(drug: Drug) -> Resource:
    usage = drug.usage
    dosage: Resource = {}
    if usage.get("用法名称"):
        dosage["text"] = usage.get("用法名称")
    if drug.supplements:
        dosage["additionalInstruction"] = [{"text": text} for text in drug.supplements]
    if drug.cautions:
        dosage["patientInstruction"] = " ".join(drug.cautions)
    code = usage.get("用法コード")
    if usage.get("用法コード種別") == "2" and code.isascii() and code.isalnum():
        dosage["timing"] = {"code": {"coding": [{"system": systems.USAGE, "code": code}]}}
    if usage.get("剤形コード") in PER_TIME:
        dosage["asNeededBoolean"] = True
    if rate := _dose_and_rate(drug):
        dosage["doseAndRate"] = [rate]
    return dosage


def _dose_and_rate(drug: Drug) -> Resource | None:
    dose, unit, form = _dose(drug.row), drug.row.get("単位名"), drug.usage.get("剤形コード")
    if dose is None:
        return None
    if form in PER_TIME:
        return {"doseQuantity": quantity(dose, unit)}
    return per_day(dose, unit) if form in PER_DAY else None
