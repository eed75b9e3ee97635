"""ADT^A08 (ADT-00): insurance, allergies, and what was measured. Pure. PID, NK1 and DB1 are compared, never stored.

Source: SS-MIX2 guideline 1.2h, ADT-00; JAMI ssmix2-to-fhir, segment-adt-00-*.
"""

from __future__ import annotations

from integrations.ssmix2 import allergies
from integrations.ssmix2.case import Case
from integrations.ssmix2.codes import EXTENSION, Json, concept
from integrations.ssmix2.message import Segment
from integrations.ssmix2.observations import add_observation, category, code_of
from integrations.ssmix2.when import date_of
from phr.records import systems

_RELATIONSHIP = "http://terminology.hl7.org/CodeSystem/subscriber-relationship"
_SELF = "SEL"  # HL7 table 0063
_SIZES = ("9N001", "9N006")  # JLAC10: 身長, 体重


def add(case: Case) -> None:
    for segment in case.all("IN1"):
        _coverage(case, segment)
    allergies.add_plain(case)
    for segment in case.all("OBX"):
        _observation(case, segment)


def _observation(case: Case, obx: Segment) -> None:
    made = add_observation(case, obx, part=f"{code_of(obx)}:{obx[4](1)}", effective="", specimen=None, laboratory=True)
    if made and code_of(obx).startswith(_SIZES):
        made["meta"] = {"profile": ["http://jpfhir.jp/fhir/core/StructureDefinition/JP_Observation_BodyMeasurement"]}
        made["category"] = [category("body-measurement")]


def _coverage(case: Case, segment: Segment) -> None:
    kind = concept(segment[2], institution=case.institution)
    insurer, name = segment[3](1), segment[4](1)
    symbol, number = segment[10](1), segment[11](1)
    if not (kind or insurer):
        case.note("no-code", segment, 2)
        return
    part = f"IN1:{segment[2](1)}:{insurer}:{symbol}:{number}"
    coverage = case.start("Coverage", part, profile="JP_Coverage")
    named = (("InsuredPersonSymbol", symbol), ("InsuredPersonNumber", number))
    if extensions := [{"url": f"{EXTENSION}/JP_Coverage_{key}", "valueString": text} for key, text in named if text]:
        coverage["extension"] = extensions
    coverage["status"] = "active"
    if kind:
        coverage["type"] = kind
    if symbol or number:
        coverage["subscriberId"] = f"{symbol}:{number}"
    coverage["beneficiary"] = case.patient
    if relationship := _relationship(case, segment):
        coverage["relationship"] = relationship
    if period := case.period(date_of(segment[12](1)), date_of(segment[13](1))):
        coverage["period"] = period
    who: Json = {"type": "Organization"}
    who |= {"identifier": {"system": systems.INSURER, "value": insurer}} if insurer else {}
    who |= {"display": name or kind.get("text", "")} if name or not insurer else {}
    coverage["payor"] = [who]


def _relationship(case: Case, segment: Segment) -> Json:
    found = concept(segment[17], institution=case.institution)
    if segment[17](1) == _SELF:
        own = {"system": _RELATIONSHIP, "code": "self"}
        found = found | {"coding": [own, *found.get("coding", [])]}
    return found
