"""R4's own vital-signs profiles, as bundled: what they accept and what they find (R4 observation-vitalsigns.html)."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from tests.records.profiles.small import BASE, LOINC, errors, findings, pressure

BP, WEIGHT, VITAL = BASE + "bp", BASE + "bodyweight", BASE + "vitalsigns"


def weight(**changed: Any) -> dict[str, Any]:
    kg = {"value": 52.4, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    code = {"coding": [{"system": LOINC, "code": "29463-7"}]}
    return pressure(**{"code": code, "valueQuantity": kg, "component": None} | changed)


@pytest.mark.spec("FHIR R4", "observation-vitalsigns", "a blood pressure as the profile wants it conforms")
def test_sound_vital_signs_conform() -> None:
    assert findings(pressure(), BP, VITAL, base=True) == []
    assert findings(weight(), WEIGHT, VITAL, base=True) == []
    assert (
        errors(pressure(component=[*pressure()["component"], {"code": {"text": "脈圧"}, "valueInteger": 40}]), BP) == []
    )


COMPONENTS = pressure()["component"]
KILOPASCAL = COMPONENTS[0]["valueQuantity"] | {"unit": "kPa", "code": "kPa"}
ABSENT = {"code": COMPONENTS[0]["code"], "dataAbsentReason": {"text": "測れず"}}
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.mark.parametrize(
    ("changed", "place", "code"),
    [
        ({"category": None}, "Observation.category", "required"),
        ({"category": [{"text": "vital"}]}, "Observation.category", "required"),
        ({"category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}]}, "Observation.category", "required"),
        ({"subject": None}, "Observation.subject", "required"),
        ({"subject": {"reference": "Group/1"}}, "Observation.subject", "value"),
        ({"effectiveDateTime": None}, "Observation.effective", "required"),
        ({"effectiveDateTime": None, "effectiveInstant": "2026-04-01T09:00:00Z"},
         "Observation.effective.ofType(instant)", "structure"),
        ({"effectiveDateTime": "2026"}, "Observation.effective.ofType(dateTime)", "invariant"),
        ({"component": None}, "Observation.component", "required"),
        ({"component": COMPONENTS[:1]}, "Observation.component", "required"),
        ({"component": [*COMPONENTS, COMPONENTS[0]]}, "Observation.component", "structure"),
        ({"code": {"coding": [{"system": LOINC, "code": "29463-7"}]}}, "Observation.code.coding", "required"),
        ({"component": [COMPONENTS[0] | {"valueQuantity": {"value": 120}}, COMPONENTS[1]]},
         "Observation.component[0].value.ofType(Quantity).unit", "required"),
        ({"component": [COMPONENTS[0] | {"valueQuantity": KILOPASCAL}, COMPONENTS[1]]},
         "Observation.component[0].value.ofType(Quantity).code", "value"),
        ({"component": [{"code": COMPONENTS[0]["code"]}, COMPONENTS[1]]}, "Observation.component[0]", "invariant"),
    ],
)  # fmt: skip
def test_damaged_blood_pressures_are_found(changed: dict[str, Any], place: str, code: str) -> None:
    assert (place, code) in errors(pressure(**changed), BP)


def test_a_missing_part_may_be_explained() -> None:
    assert errors(pressure(component=[ABSENT, COMPONENTS[1]]), BP) == []


@pytest.mark.parametrize("unit", ["g", "kg", "[lb_av]"])
def test_units_of_weight(unit: str) -> None:
    quantity = weight()["valueQuantity"] | {"code": unit}
    assert errors(weight(valueQuantity=quantity), WEIGHT) == []


def test_a_weight_is_measured_or_explained() -> None:
    assert ("Observation", "invariant") in errors(weight(valueQuantity=None), WEIGHT)
    assert errors(weight(valueQuantity=None, dataAbsentReason={"text": "測れず"}), WEIGHT) == []
    assert ("Observation.value.ofType(string)", "structure") in errors(
        weight(valueQuantity=None, valueString="52"), WEIGHT
    )


def test_it_takes_few_steps_once_the_rules_are_compiled() -> None:
    """Counted in calls of Python functions, which no other load on the machine changes."""
    findings(pressure(), BP, base=True)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        findings(pressure(), BP, base=True)
    finally:
        sys.setprofile(before)
    assert calls < 10_000  # 4,901 when this was written
