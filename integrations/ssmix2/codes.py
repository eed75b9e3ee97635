"""CWE, XCN, EI, NM → FHIR data types. Pure.

Sources: SS-MIX2 guideline 1.2h (データ型); JP Core 1.2.0 for the systems.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from integrations.ssmix2.message import Segment, Value
from integrations.ssmix2.tables import UNITS
from phr.records import systems

Json = dict[str, Any]

JP = "http://jpfhir.jp/fhir/core/StructureDefinition"
EXTENSION = "http://jpfhir.jp/fhir/core/Extension/StructureDefinition"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
CATEGORY = "http://jpfhir.jp/fhir/core/CodeSystem/JP_MedicationCategoryMERIT9_CS"
ROUTE = "http://jpfhir.jp/fhir/core/CodeSystem/route-codes"
_JP_TABLES = frozenset({"HL70241", "JHSD0006"})
_HL7_TABLE = re.compile(r"HL7(\d{4})\Z", re.ASCII)
_LOCAL_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,10})?\Z", re.ASCII)
_KEY_NUMBER = re.compile(r"\d{8}\Z", re.ASCII)
_EXCHANGE = re.compile(r"[A-Z0-9]{4}\Z", re.ASCII)
_FIXED = {
    "HOT7": systems.HOT7, "HOT9": systems.HOT9, "HOT13": systems.HOT13, "MR9P": systems.MEDICATION_UNIT,
    "JAMISDP01": systems.USAGE, "HL70162": ROUTE, "I10": systems.ICD10_JP, "ISO+": systems.UCUM, "LN": systems.LOINC,
}  # fmt: skip
_MODIFIER_KEY = "http://medis.or.jp/CodeSystem/master-disease-modKeyNumber"
_MODIFIER_EXCHANGE = "http://medis.or.jp/CodeSystem/master-disease-modExCode"


def system_of(name: str, code: str, *, institution: str, modifier: bool = False) -> str:
    """The URI of a coding system as SS-MIX2 names it; "" when there is none one could write.

    What is the hospital's own (`99…`) or unknown here gets a URI of its own below the hospital's number.
    """
    if name in _FIXED:
        return _FIXED[name]
    if name == "JC10":
        return systems.JLAC10 if len(code) == 17 else ""
    if name == "MDCDX2":
        return _disease(code, modifier=modifier)
    if name in _JP_TABLES:
        return f"http://jpfhir.jp/fhir/core/CodeSystem/{name}"
    if match := _HL7_TABLE.match(name):
        return f"http://terminology.hl7.org/CodeSystem/v2-{match[1]}"
    return f"{systems.OWN}/CodeSystem/local/{institution}/{name}" if _LOCAL_NAME.match(name) else ""


def _disease(code: str, *, modifier: bool) -> str:
    if _KEY_NUMBER.match(code):
        return _MODIFIER_KEY if modifier else systems.DISEASE_KEY
    if _EXCHANGE.match(code):
        return _MODIFIER_EXCHANGE if modifier else systems.DISEASE_EXCHANGE
    return ""


def codings(value: Value, *, institution: str, modifier: bool = False) -> list[Json]:
    """Components 1-3 and 4-6, each as a coding where it has a code and a system."""
    found: list[Json] = []
    for at in (1, 4):
        code, display, name = _code(value(at)), value(at + 1), value(at + 2)
        system = system_of(name, code, institution=institution, modifier=modifier) if code else ""
        if system == systems.ICD10_JP:
            code = code.replace(".", "")
        if system and not any(c["system"] == system and c["code"] == code for c in found):
            found.append({"system": system, "code": code} | ({"display": display} if display else {}))
    return found


def concept(value: Value, *, institution: str, modifier: bool = False) -> Json:
    """A CodeableConcept; {} when the value says nothing."""
    found = codings(value, institution=institution, modifier=modifier)
    text = value(2) or value(5) or value(9) or value(1) or value(4)
    return ({"coding": found} if found else {}) | ({"text": text} if text else {})


def categories(segment: Segment, field: int, *, institution: str) -> list[Json]:
    """Kinds of a prescription (OHP, IHP …): MERIT-9 has another table for them than for units."""
    found = concepts(segment, field, institution=institution)
    for coding in [c for value in found for c in value.get("coding", [])]:
        if coding["system"] == systems.MEDICATION_UNIT:
            coding["system"] = CATEGORY
    return found


def concepts(segment: Segment, field: int, *, institution: str) -> list[Json]:
    """Every repetition of a field."""
    return [found for value in segment.all(field) if (found := concept(value, institution=institution))]


def _code(text: str) -> str:
    """FHIR allows single blanks inside a code only."""
    return " ".join(text.split())


def number(text: str) -> Decimal | None:
    """A number as it was written, digits kept; None when it is none."""
    return Decimal(text) if _NUMBER.match(text) else None


def amount(text: str, unit: Value, *, institution: str) -> Json:
    """A Quantity of a medicine; {} without a number. Its unit is MERIT-9 or the hospital's."""
    value = number(text)
    return {"value": value} | _unit(unit, institution=institution) if value is not None else {}


def measured(value: Decimal, unit: Value, *, institution: str) -> Json:
    """A Quantity of a result. UCUM where the unit is one we know in UCUM, else the unit as text."""
    return {"value": value} | _unit(unit, institution=institution, measured=True)


def _unit(unit: Value, *, institution: str, measured: bool = False) -> Json:
    code, text, name = _code(unit(1)), unit(2) or unit(1), unit(3)
    ucum = UNITS.get(text) or UNITS.get(code)
    if measured or name == "ISO+":  # ISO+ is near to UCUM, not the same: ml/hr
        return {"unit": text, "system": systems.UCUM, "code": ucum} if ucum else {"unit": text} if text else {}
    if not text:
        return {}
    # JP Core wants a code with every amount of a medicine: a unit in words is a code of the hospital's own
    system = (system_of(name, code, institution=institution) if name else "") or _own_units(institution)
    return {"unit": text, "system": system, "code": code or _code(text)}


def _own_units(institution: str) -> str:
    return f"{systems.OWN}/CodeSystem/local/{institution}/unit"


def person(value: Value, *, institution: str) -> Json:
    """An XCN as a Reference to somebody of the staff: number and name, no Practitioner of ours. {} when empty."""
    name = " ".join(part for part in (value(2), value(3)) if part)
    staff: Json = {"system": f"{systems.OWN}/IdSystem/local/{institution}/staff", "value": value(1)} if value(1) else {}
    if not staff and not name:
        return {}
    return {"type": "Practitioner"} | ({"identifier": staff} if staff else {}) | ({"display": name} if name else {})


def people(segment: Segment, field: int, *, institution: str) -> list[Json]:
    """Everybody a field names, once. An XCN repeats for the spellings of one name: `I` written, `P` as it sounds."""
    found: dict[str, Json] = {}
    for value in segment.all(field):
        if value(15) != "P" and (who := person(value, institution=institution)):
            found.setdefault(value(1) or value(2), who)
    return list(found.values())


def place(value: Value) -> str:
    """A PL for people: ward, room, bed."""
    return " ".join(part for part in (value(1), value(2), value(3)) if part)
