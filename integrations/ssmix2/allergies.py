"""IAM (ADT-61) and AL1 (ADT-00) → AllergyIntolerance. Pure.

Source: SS-MIX2 guideline 1.2h; JAMI ssmix2-to-fhir, segment-adt-61-iam and segment-adt-00-al1; HL7 tables 0127, 0128,
0323, 0436, 0438.
"""

from __future__ import annotations

from integrations.ssmix2.case import Case
from integrations.ssmix2.codes import ABSENT, Json, concept, people
from integrations.ssmix2.message import Segment
from integrations.ssmix2.tables import ALLERGY_CATEGORY, REACTION_SEVERITY
from integrations.ssmix2.when import date_time

_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
_TYPES = {"AL": "allergy", "IN": "intolerance"}  # HL7 table 0436
# HL7 table 0438 -> (verification, clinical)
_VERIFIED = {"C": ("confirmed", "active"), "I": ("confirmed", "inactive"), "E": ("entered-in-error", "")}
_DELETED = "D"  # HL7 table 0323; A and U are active


def add(case: Case) -> None:
    """Every IAM of a list of allergies."""
    for segment in case.all("IAM"):
        _from_iam(case, segment)


def add_plain(case: Case) -> None:
    """Every AL1 of the basics: a kind and a code, no more."""
    for segment in case.all("AL1"):
        _begun(case, segment)


def _begun(case: Case, segment: Segment, verification: str = "", clinical: str = "active") -> Json:
    code = concept(segment[3], institution=case.institution)
    if not code:
        case.note("no-code", segment, 3)
        return {}
    part = f"{segment.name}:{segment[2](1)}:{segment[3](1) or segment[3](2) or segment[3](4) or segment[3](5)}"
    allergy = case.start("AllergyIntolerance", part, profile="JP_AllergyIntolerance")
    if clinical:
        allergy["clinicalStatus"] = {"coding": [{"system": _CLINICAL, "code": clinical}]}
    if verification:
        allergy["verificationStatus"] = {"coding": [{"system": _VERIFICATION, "code": verification}]}
    if kind := _TYPES.get(segment[9](1) if segment.name == "IAM" else ""):
        allergy["type"] = kind
    if category := ALLERGY_CATEGORY.get(segment[2](1)):
        allergy["category"] = [category]
    allergy |= {"code": code, "patient": case.patient}
    return allergy


def _from_iam(case: Case, segment: Segment) -> None:
    verification, clinical = _VERIFIED.get(segment[17](1), ("unconfirmed" if segment[17] else "", "active"))
    if clinical and segment[6](1) == _DELETED:
        clinical = "inactive"
    allergy = _begun(case, segment, verification, clinical)
    if not allergy:
        return
    onset = date_time(segment[11](1)) or date_time(segment[12](1))
    if onset:
        allergy["onsetDateTime"] = onset
    elif text := segment[12].text() or segment[11].text():
        allergy["onsetString"] = text
    if recorded := case.time(segment, 13):
        allergy["recordedDate"] = recorded
    if asserters := people(segment, 18, institution=case.institution):
        allergy["asserter"] = asserters[0]
    if reaction := _reaction(segment):
        allergy["reaction"] = [reaction]


def _reaction(segment: Segment) -> Json:
    told = " ".join(text for value in segment.all(5) if (text := value.text()))
    severity = REACTION_SEVERITY.get(segment[4](1))
    if not told and not severity:
        return {}
    absent = {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}
    reaction: Json = {"manifestation": [{"text": told} if told else absent]}
    return reaction | ({"description": told} if told else {}) | ({"severity": severity} if severity else {})
