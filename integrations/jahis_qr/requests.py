"""One 201 of a prescription symbol → one MedicationRequest (JP_MedicationRequest, JP Core 1.2.0). Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from integrations.ids import digest, resource_id
from integrations.jahis_qr.dispense import DRUG_SYSTEMS
from integrations.jahis_qr.mapping import Mapped
from integrations.jahis_qr.prescription import AS_NEEDED, ORAL, Drug, Prescription, Usage
from integrations.medicines import duration, per_day, quantity, shortened
from phr.records import systems

PROFILE = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_MedicationRequest"
_GENERIC = "7"  # コード種別 7: 一般名コード

Resource = dict[str, Any]


def map_prescription(found: Prescription, *, patient_id: str) -> Mapped:
    """Every drug, authored by the clinic. The 引換番号 (82) opens a prescription elsewhere: it is not kept."""
    mapped = Mapped()
    number = {"system": systems.INSTITUTION_10, "value": found.clinic} if found.clinic else None
    clinic: Resource = {"type": "Organization"} | ({"identifier": number} if number else {})
    if found.said("1", 4):
        clinic["display"] = found.said("1", 4)
    author = clinic if len(clinic) > 1 else None
    for drug in found.drugs:
        request = _request(found, drug, found.usages[drug.rp], clinic, patient_id)
        mapped.add(request, author=digest(*map(str, clinic.values())) if author else "", reference=author)
    return mapped


def _request(found: Prescription, drug: Drug, usage: Usage, clinic: Resource, patient_id: str) -> Resource:
    day = found.issued.isoformat()
    made: Resource = {
        "resourceType": "MedicationRequest",
        "id": resource_id(
            "MedicationRequest", patient_id, day, found.clinic, drug.rp, drug.order, drug.code or drug.name,
            str(drug.dose), str(usage.number),
        ),
        "meta": {"profile": [PROFILE]},
        "identifier": [
            {"system": systems.RP_NUMBER, "value": drug.rp},
            {"system": systems.ORDER_IN_RP, "value": drug.order},
        ],
        "status": "unknown",  # whether it was taken to a pharmacy a symbol does not say
        "intent": "order",
        "medicationCodeableConcept": _medication(drug),
        "subject": {"reference": f"Patient/{patient_id}"},
        "authoredOn": day,
    }  # fmt: skip
    if found.prescriber:
        made["requester"] = clinic | {"display": found.prescriber}
    if dosage := _dosage(drug, usage):
        made["dosageInstruction"] = [dosage]
    if supply := _supply(found, drug, usage):
        made["dispenseRequest"] = supply
    return made


def _medication(drug: Drug) -> Resource:
    system = systems.GENERIC_ORDER if drug.kind == _GENERIC else DRUG_SYSTEMS.get((drug.kind, len(drug.code)))
    coded = system if drug.code.isascii() and drug.code.isalnum() else None
    coding = {"system": coded, "code": drug.code} | ({"display": drug.name} if drug.name else {})
    return ({"coding": [coding]} if coded else {}) | {"text": drug.name or f"レセプト電算コード {drug.code}"}


def _dosage(drug: Drug, usage: Usage) -> Resource:
    dosage: Resource = {"text": usage.text} if usage.text else {}
    if remarks := (*usage.remarks, *drug.remarks):
        dosage["additionalInstruction"] = [{"text": text} for text in remarks]
    if usage.kind == "2" and usage.code.isascii() and usage.code.isalnum():
        dosage["timing"] = {"code": {"coding": [{"system": systems.USAGE, "code": usage.code}]}}
    if usage.form == AS_NEEDED:
        dosage["asNeededBoolean"] = True
    if drug.dose and usage.form == ORAL:
        dosage["doseAndRate"] = [per_day(drug.dose, drug.unit)]
    elif drug.dose and usage.form == AS_NEEDED:
        dosage["doseAndRate"] = [{"doseQuantity": quantity(drug.dose, drug.unit)}]
    return dosage


def _supply(found: Prescription, drug: Drug, usage: Usage) -> Resource:
    supply: Resource = {}
    if found.until and found.until >= found.issued:
        supply["validityPeriod"] = {"start": found.issued.isoformat(), "end": found.until.isoformat()}
    if found.refills:
        supply["numberOfRepeatsAllowed"] = found.refills - 1
    number = usage.number or Decimal(1)
    if drug.dose:
        supply["quantity"] = quantity(shortened(drug.dose * number), drug.unit)
    if usage.number and usage.form == ORAL:
        supply["expectedSupplyDuration"] = duration(usage.number)
    return supply
