"""PPR-01 (PRB, ZPR) → JP_Condition_Diagnosis. Pure.

Source: SS-MIX2 guideline 1.2h, PPR-01; JAMI ssmix2-to-fhir, segment-ppr-01-prb-to-condition. ZPR, which that draft
leaves out, carries the standard disease names of MEDIS with their prefixes and postfixes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from integrations.ssmix2.case import Case, one
from integrations.ssmix2.codes import EXTENSION, Json, codings, concept, people
from integrations.ssmix2.message import Segment, Value
from phr.records import systems

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
# HL7 table 0241: dead and fully recovered are over; N W S still there
_CLINICAL = {"R": "resolved", "F": "resolved", "D": "inactive", "N": "active", "W": "active", "S": "active"}
_GONE = "DE"  # HL7 table 0287


def add(case: Case) -> None:
    """One Condition for each PRB."""
    for group in case.groups("PRB"):
        _condition(case, group)


def _condition(case: Case, group: Sequence[Segment]) -> None:
    problem, names, order = group[0], one(group, "ZPR"), one(group, "ORC")
    code = _code(case, problem, names)
    if not code:
        case.note("no-code", problem, 3)
        return
    part = f"PRB:{problem[4](1) or problem[3](1) or problem[3](2)}"
    condition = case.start("Condition", part, profile="JP_Condition_Diagnosis")
    if own := problem[4](1):
        system = f"{systems.OWN}/IdSystem/local/{case.institution}/problem"
        condition["identifier"].append({"system": system, "value": own})
    if outcome := concept(problem[14], institution=case.institution):
        condition["extension"] = [{"url": f"{EXTENSION}/JP_Condition_DiseaseOutcome", "valueCodeableConcept": outcome}]
    condition |= _statuses(case, problem)
    if inpatient := concept(_second(problem[10].raw, problem), institution=case.institution):
        condition["category"] = [inpatient]
    condition |= {"code": code, "subject": case.patient}
    condition |= _times(case, problem)
    if recorders := people(order, 12, institution=case.institution):
        condition["recorder"] = recorders[0]
    notes = dict.fromkeys(text for text in (problem[17].text(), names[7].text()) if text)
    if notes := {text: None for text in notes if text != code.get("text")}:
        condition["note"] = [{"text": text} for text in notes]


def _second(raw: str, segment: Segment) -> Value:
    """Components 4-6 of a CWE alone: in PRB-10 they are another thing (外来時, 入院時)."""
    return Value(segment.by.component.join(raw.split(segment.by.component)[3:6]), segment.by)


def _code(case: Case, problem: Segment, names: Segment) -> Json:
    """Key number and exchange code, ICD-10, and the modifiers, which change what the name means."""
    found: list[Json] = []
    icd = problem[10]
    first = Value(icd.by.component.join(icd.raw.split(icd.by.component)[:3]), icd.by)
    for value in (problem[3], names[2], names[5], first):
        found += [c for c in codings(value, institution=case.institution) if c not in found]
    kept: dict[str, Json] = {}
    for coding in found:  # one of each system: JP Core slices by it
        kept.setdefault(coding["system"], coding)
    name = problem[3](2) or names[2](2) or names[5](2) or problem[17].text()
    text = "".join([*_names(names, 1, 4), name, *_names(names, 3, 6)]) if name else ""
    modifiers = list(_modifiers(case, names))
    if not kept and not text:
        return {}
    return (
        ({"extension": modifiers} if modifiers else {})
        | ({"coding": list(kept.values())} if kept else {})
        | ({"text": text} if text else {})
    )


def _names(names: Segment, *fields: int) -> list[str]:
    """The modifiers in words, from the first of two fields that has them."""
    return next((found for field in fields if (found := [v(2) for v in names.all(field) if v(2)])), [])


def _modifiers(case: Case, names: Segment) -> Iterator[Json]:
    for name, key, exchange in (("Prefix", 1, 4), ("Postfix", 3, 6)):
        pairs = [list(names.all(key)), list(names.all(exchange))]
        for at in range(max(map(len, pairs))):
            said = [values[at] for values in pairs if at < len(values)]
            found = [c for v in said for c in codings(v, institution=case.institution, modifier=True)]
            text = next((v(2) for v in said if v(2)), "")
            value = ({"coding": found} if found else {}) | ({"text": text} if text else {})
            if value:
                yield {"url": f"{EXTENSION}/JP_Condition_Disease{name}Modifier", "valueCodeableConcept": value}


def _statuses(case: Case, problem: Segment) -> Json:
    """clinicalStatus and verificationStatus. con-4: what abated is not active; con-5: in error, there is none."""
    if problem[1].text() == _GONE:
        return {"verificationStatus": {"coding": [{"system": VERIFICATION, "code": "entered-in-error"}]}}
    clinical = _CLINICAL.get(problem[14](1), "active")
    if problem[9] and clinical == "active":
        clinical = "inactive"
    found: Json = {"clinicalStatus": {"coding": [{"system": CLINICAL, "code": clinical}]}}
    said = problem[13](2) + problem[13](5)
    sure = "provisional" if "疑" in said else "confirmed" if "確定" in said else ""
    return found | ({"verificationStatus": {"coding": [{"system": VERIFICATION, "code": sure}]}} if sure else {})


def _times(case: Case, problem: Segment) -> Json:
    times = {
        "onsetDateTime": case.time(problem, 16),
        "abatementDateTime": case.time(problem, 9),
        "recordedDate": case.time(problem, 7),
    }
    return {name: time for name, time in times.items() if time}
