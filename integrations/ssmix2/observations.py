"""OBX → Observation. Pure. Source: SS-MIX2 guideline 1.2h, OBX; HL7 v2.5, 7.4.2; HL7 tables 0078, 0085, 0125."""

from __future__ import annotations

import re
from collections.abc import Callable

from integrations.ssmix2.case import Case
from integrations.ssmix2.codes import ABSENT, Json, concept, measured, number
from integrations.ssmix2.message import Segment, Value
from integrations.ssmix2.when import date_of, date_time
from phr.records import systems

INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
ABSENT_REASON = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_STATUS = {
    "F": "final", "U": "final", "P": "preliminary", "R": "preliminary", "B": "preliminary", "C": "corrected",
    "X": "cancelled", "D": "entered-in-error", "W": "entered-in-error",
}  # fmt: skip
_NOT_A_RESULT = frozenset({"O", "I", "S", "N"})  # ordered, at the laboratory, not asked: nothing to say yet
_FLAGS = frozenset({"H", "L", "HH", "LL", "N", "A", "AA", "U", "D", "B", "W", "S", "R", "I"})
_COMPARATORS = frozenset({"<", "<=", ">=", ">"})
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\s*[-－~～]\s*(-?\d+(?:\.\d+)?)\Z", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)?\Z", re.ASCII)
_WORDS = frozenset({"ST", "TX", "FT", "ID", "IS", "SI", "NA", "XPN", "XAD", "XTN"})


def code_of(obx: Segment) -> str:
    """OBX-3 as one word: the code, else what it is called."""
    return obx[3](1) or obx[3](4) or obx[3](2)


def add_observation(case: Case, obx: Segment, *, part: str, effective: str, specimen: Json | None,
                    laboratory: bool) -> Json:  # fmt: skip
    """The Observation of one OBX; {} when it is no result, or names no item."""
    status = _STATUS.get(obx[11].text(), "final")
    if obx[11].text() in _NOT_A_RESULT:
        return {}
    code = concept(obx[3], institution=case.institution)
    if not code:
        case.note("no-code", obx, 3)
        return {}
    when = case.time(obx, 14) or effective
    whole = laboratory and when and "coding" in code and "text" in code
    profile = "JP_Observation_LabResult" if whole else "JP_Observation_Common"
    observation = case.start("Observation", f"OBX:{part}", profile=profile)
    observation["status"] = status
    observation["category"] = [category("laboratory" if laboratory else "exam")]
    observation |= {"code": code, "subject": case.patient}
    if when:
        observation["effectiveDateTime"] = when
    observation |= value_of(case, obx)
    if not any(name.startswith("value") for name in observation):
        reason = "unknown"
        observation["dataAbsentReason"] = {"coding": [{"system": ABSENT_REASON, "code": reason}]}
    if flags := [v.text() for v in obx.all(8) if v.text() in _FLAGS]:
        observation["interpretation"] = [{"coding": [{"system": INTERPRETATION, "code": flag}]} for flag in flags]
    if specimen:
        observation["specimen"] = {"reference": f"Specimen/{specimen['id']}"}
    elif whole:  # the profile wants one
        observation["specimen"] = {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}
    if limits := _reference_range(case, obx):
        observation["referenceRange"] = [limits]
    return observation


def category(code: str) -> Json:
    return {"coding": [{"system": systems.JP_OBSERVATION_CATEGORY, "code": code}]}


def value_of(case: Case, obx: Segment) -> Json:
    """value[x] by OBX-2. Several repetitions, and what is of a type that FHIR has no place for, become text."""
    kind = obx[2].text()
    values = list(obx.all(5))
    if not values:
        return {}
    if kind in _WORDS or not kind:
        text = "\n".join(text for value in values if (text := value.text()))
        return {"valueString": text} if text else {}
    read = _READERS.get(kind)
    if read is None:
        case.note("unknown-value", obx, 2)
        return {}
    if len(values) > 1:
        text = "\n".join(text for value in values if (text := value(2) or value(1)))
        return {"valueString": text} if text else {}
    return read(case, obx, values[0])


def _numeric(case: Case, obx: Segment, value: Value) -> Json:
    found = number(value.text())
    if found is None:
        case.note("not-a-number", obx, 5)
        return {"valueString": value.text()} if value.text() else {}
    return {"valueQuantity": measured(found, obx[6], institution=case.institution)}


def _structured(case: Case, obx: Segment, value: Value) -> Json:
    """SN: comparator, number, separator, number. `<^0.05` is a Quantity; what is more than that is text."""
    sign, first = value(1), number(value(2))
    if first is not None and not value(3) and not value(4) and sign in (*_COMPARATORS, "", "="):
        quantity = measured(first, obx[6], institution=case.institution)
        return {"valueQuantity": ({"comparator": sign} if sign in _COMPARATORS else {}) | quantity}
    text = "".join(value(at) for at in range(1, 5))
    return {"valueString": text} if text else {}


def _coded(case: Case, obx: Segment, value: Value) -> Json:
    found = concept(value, institution=case.institution)
    return {"valueCodeableConcept": found} if found else {}


def _stamp(case: Case, obx: Segment, value: Value) -> Json:
    found = date_time(value(1)) or date_of(value(1))
    if not found:
        case.note("odd-time", obx, 5)
        return {"valueString": value.text()} if value.text() else {}
    return {"valueDateTime": found}


def _clock(case: Case, obx: Segment, value: Value) -> Json:
    match = _TIME.match(value(1).split(".")[0])
    return {"valueTime": f"{match[1]}:{match[2]}:{match[3] or '00'}"} if match else {"valueString": value.text()}


def _composite(case: Case, obx: Segment, value: Value) -> Json:
    """CQ: amount and unit."""
    found = number(value(1))
    if found is None:
        return {"valueString": value.text()} if value.text() else {}
    return {"valueQuantity": measured(found, value.part(2), institution=case.institution)}


def _named(case: Case, obx: Segment, value: Value) -> Json:
    """XCN: the name, of people who did something; their number stays with the hospital."""
    name = " ".join(text for text in (value(2), value(3)) if text) or value(1)
    return {"valueString": name} if name else {}


_READERS: dict[str, Callable[[Case, Segment, Value], Json]] = {
    "NM": _numeric, "SN": _structured, "CWE": _coded, "CE": _coded, "CNE": _coded, "CF": _coded, "ZRD": _coded,
    "TS": _stamp, "DT": _stamp, "DTM": _stamp, "TM": _clock, "CQ": _composite, "XCN": _named,
}  # fmt: skip


def _reference_range(case: Case, obx: Segment) -> Json:
    """OBX-7: low and high when both are numbers, else as it is written."""
    text = obx[7].text()
    if match := _RANGE.match(text):
        low, high = number(match[1]), number(match[2])
        if low is not None and high is not None and low <= high:
            return {
                "low": measured(low, obx[6], institution=case.institution),
                "high": measured(high, obx[6], institution=case.institution),
                "text": text,
            }
    return {"text": text} if text else {}
