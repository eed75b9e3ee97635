"""OUL^R22 (OML-11) and ORU^R01 (OMG-13) → Specimen, JP_DiagnosticReport_LabResult, Observations. Pure.

Ids rest on specimen, examination, item and sub-id, not on serial numbers, which shift when a line is put in between.
Source: SS-MIX2 guideline 1.2h, OML-11; JAMI ssmix2-to-fhir, segment-oml-11-*.
"""

from __future__ import annotations

from collections.abc import Sequence

from integrations.ssmix2.case import Case, only
from integrations.ssmix2.codes import Json, concept
from integrations.ssmix2.message import Segment
from integrations.ssmix2.observations import add_observation, code_of
from integrations.ssmix2.when import date_time, instant
from phr.records import systems

LAB_REPORT = {"coding": [{"system": systems.LOINC, "code": "LP29693-6"}]}
_STATUS = {"F": "final", "U": "final", "P": "preliminary", "R": "preliminary", "C": "corrected", "X": "cancelled"}


def add(case: Case) -> None:
    """Every specimen with its reports; without SPM (ORU^R01), every report."""
    laboratory = case.type == "OML-11"
    specimens = list(case.groups("SPM"))
    for group in specimens:
        specimen = add_specimen(case, group[0])
        for report in case.groups("OBR", group):
            _report(case, report, specimen, group[0], laboratory=laboratory)
    if not specimens:
        for report in case.groups("OBR"):
            _report(case, report, None, None, laboratory=laboratory)


def add_specimen(case: Case, segment: Segment) -> Json:
    """SPM → JP_Specimen_Common."""
    specimen = case.start("Specimen", f"SPM:{specimen_part(segment)}", profile="JP_Specimen_Common")
    if number := segment[2](1, 1):
        system = f"{systems.OWN}/IdSystem/local/{case.institution}/specimen"
        specimen["identifier"].append({"system": system, "value": number})
    if kind := concept(segment[4], institution=case.institution):
        specimen["type"] = kind
    specimen["subject"] = case.patient
    collection: Json = {}
    if collected := case.time(segment, 17):
        collection["collectedDateTime"] = collected
    if site := concept(segment[8], institution=case.institution):
        collection["bodySite"] = site
    if collection:
        specimen["collection"] = collection
    return specimen


def specimen_part(segment: Segment | None) -> str:
    return segment[2](1, 1) or segment[4](1) or segment[4](2) if segment else ""


def _report(case: Case, group: Sequence[Segment], specimen: Json | None, spm: Segment | None, *,
            laboratory: bool) -> None:  # fmt: skip
    obr = group[0]
    base = f"{specimen_part(spm)}:{obr[4](1) or obr[4](2)}"
    sampled = date_time(spm[17](1)) if spm else ""
    effective = sampled or date_time(obr[7](1))
    observations = [
        made
        for obx in only(group, "OBX")
        if (made := add_observation(
            case, obx, part=f"{base}:{code_of(obx)}:{obx[4](1)}", effective=effective, specimen=specimen,
            laboratory=laboratory,
        ))
    ]  # fmt: skip
    profile = "JP_DiagnosticReport_LabResult" if laboratory else "JP_DiagnosticReport_Common"
    report = case.start("DiagnosticReport", f"OBR:{base}", profile=profile)
    for at, kind in ((2, "placer"), (3, "filler")):
        if number := obr[at](1):
            system = f"{systems.OWN}/IdSystem/local/{case.institution}/{kind}-order"
            report["identifier"].append({"system": system, "value": number})
    report["status"] = _STATUS.get(obr[25].text(), "preliminary" if _unfinished(observations) else "final")
    if laboratory:
        report["category"] = [LAB_REPORT]
    report["code"] = concept(obr[4], institution=case.institution) or {"text": "検査"}
    report["subject"] = case.patient
    if period := case.period(case.time(obr, 7) or sampled, case.time(obr, 8)):
        report["effectivePeriod"] = period
    if issued := instant(obr[22](1)):
        report["issued"] = issued
    report["performer"] = [case.sender]
    if specimen:
        report["specimen"] = [{"reference": f"Specimen/{specimen['id']}"}]
    if observations:
        report["result"] = [{"reference": f"Observation/{made['id']}"} for made in observations]


def _unfinished(observations: Sequence[Json]) -> bool:
    return any(made["status"] == "preliminary" for made in observations)
