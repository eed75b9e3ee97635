"""Doses as Immunization resources (JP Core), authored by the clinic that gave them."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from phr.populate import tables
from phr.populate.sheet import Resource, Sheet
from phr.populate.systems import DISEASE, VACCINE
from phr.populate.vaccination import Dose
from phr.records.systems import CVX, DISEASE_RECEIPT, UCUM

ORAL = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration", "code": "PO"}]}
ORAL_ML, INJECTED_ML = Decimal("1.5"), Decimal("0.5")
FUNCTION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0443", "code": "AP"}]}


@cache
def _form(vaccine: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(vaccineCode, targetDisease) of a vaccine of the rules. CVX and receipt codes: (verify)."""
    rule = tables.immunization_rules()[vaccine]
    diseases = {row["disease_id"]: row for row in tables.rows("immunization_disease_codes")}
    coding = [{"system": VACCINE, "code": vaccine, "display": rule["ja"]}]
    coding += [{"system": CVX, "code": code} for code in rule["cvx"][:1]]
    targets = []
    for disease in rule["disease"]:
        row = diseases[disease]
        codes = [{"system": DISEASE, "code": disease, "display": row["ja"]}]
        if row["recept_disease_7"]:
            codes.append({"system": DISEASE_RECEIPT, "code": row["recept_disease_7"]})
        targets.append({"coding": codes, "text": row["ja"]})
    return {"coding": coding, "text": rule["ja"]}, targets


def write_dose(sheet: Sheet, dose: Dose) -> Resource:
    """One dose. The product is the rule's own name, the lot invented."""
    assert sheet.facility is not None
    code, targets = _form(dose.vaccine)
    oral = dose.vaccine.startswith("ROTA")
    resource = sheet.add(
        "Immunization",
        "JP_Immunization",
        status="completed",
        vaccineCode=code,
        patient=sheet.patient,
        occurrenceDateTime=dose.on.isoformat(),
        primarySource=True,
        lotNumber=f"MH{sheet.dice.digits(4)}",
        doseQuantity={"value": ORAL_ML if oral else INJECTED_ML, "unit": "mL", "system": UCUM, "code": "mL"},
        performer=[{"function": FUNCTION, "actor": sheet.facility.performer}],
        protocolApplied=[{"targetDisease": targets, "doseNumberPositiveInt": dose.number}],
    )
    if oral:
        resource["route"] = ORAL
    return resource
