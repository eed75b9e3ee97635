"""Small sound resources of the invented family, and a maker of sound resources of any R4 type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from phr.records import definitions
from phr.records.definitions import Element, choice_key
from phr.records.search.params import SearchParam, params_for

HANA = "5f0c2c9e-0d6b-4c2a-9a43-0c5be9a0c111"
YUKI = "7a1d3b44-1c1e-4a63-8f0e-3f4dbe2f9222"
LOINC = "http://loinc.org"

VALUES: dict[str, Any] = {
    "boolean": True, "integer": 1, "unsignedInt": 0, "positiveInt": 1, "decimal": Decimal("1.50"), "string": "見本",
    "markdown": "見本", "code": "a-code", "id": "an-id", "uri": "urn:x:y", "url": "https://example.org/a",
    "canonical": "https://example.org/b|1", "oid": "urn:oid:1.2.3",
    "uuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "base64Binary": "44GC", "date": "2026-04-01",
    "dateTime": "2026-04-01T10:00:00+09:00", "instant": "2026-04-01T10:00:00.000+09:00", "time": "10:00:00",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">見本</div>',
}  # fmt: skip
# Elements whose invariants a filled-in example would break
LEFT_OUT = {
    "Observation": {"dataAbsentReason"}, "Extension": {"extension"}, "Condition": {"abatement[x]"},
    "QuestionnaireResponse.item": {"item"},
}  # fmt: skip


def observation(**changes: Any) -> dict[str, Any]:
    """Hana's weight, measured at a checkup. A change to None takes an element away."""
    resource = {
        "resourceType": "Observation",
        "id": "weight-1",
        "meta": {"profile": ["http://jpfhir.jp/fhir/core/StructureDefinition/JP_Observation_BodyMeasurement"]},
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "vital-signs"}]}],
        "code": {"coding": [{"system": LOINC, "code": "29463-7"}], "text": "体重"},
        "subject": {"reference": f"Patient/{HANA}"},
        "effectiveDateTime": "2026-04-01T10:00:00+09:00",
        "performer": [{"reference": "Organization/city-a"}],
        "valueQuantity": {"value": Decimal("21.40"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }  # fmt: skip
    return {key: value for key, value in (resource | changes).items() if value is not None}


def patient(**changes: Any) -> dict[str, Any]:
    resource = {
        "resourceType": "Patient",
        "id": HANA,
        "identifier": [{"system": "urn:oid:1.2.392.100495.20.3.51.11311234567", "value": "０００１２３"}],
        "name": [
            {"use": "official", "text": "見本　はな", "family": "見本", "given": ["はな"]},
            {"use": "official", "family": "ミホン", "given": ["ハナ"]},
        ],
        "telecom": [{"system": "phone", "value": "03-1234-5678"}, {"system": "email", "value": "hana@example.jp"}],
        "gender": "female",
        "birthDate": "2019-04-02",
        "address": [{"postalCode": "371-0026", "state": "群馬県", "city": "前橋市", "line": ["大手町1-1"]}],
    }
    return {key: value for key, value in (resource | changes).items() if value is not None}


def sample(type_name: str, *, depth: int) -> dict[str, Any]:
    """A sound instance of a type: required elements, and to `depth` all the others."""
    made: dict[str, Any] = {"resourceType": type_name} if type_name in definitions.concrete_types() else {}
    for name, element in definitions.fields(type_name).items():
        if element.min == 0 and (depth <= 0 or name in _skipped(type_name)):
            continue
        kind, targets = element.types[0]
        key = choice_key(name, kind) if element.choice else name
        value = _value(element, kind, targets, depth - 1)
        made[key] = [value] if element.max is None or element.max > 1 else value
    if type_name == "Extension":
        return {"url": "https://example.org/x", "valueString": "見本"}
    return made or {"extension": [sample("Extension", depth=0)]}


def _skipped(type_name: str) -> set[str]:
    return {"extension", "modifierExtension", "contained", "implicitRules"} | LEFT_OUT.get(type_name, set())


def _value(element: Element, kind: str, targets: tuple[str, ...], depth: int) -> Any:
    coded = definitions.codes(element.codes) if element.codes is not None else None
    system, code = next(((s, min(codes)) for s, codes in coded.items() if codes), ("", "")) if coded else ("", "")
    if kind == "code" and coded:
        return code
    if kind == "Coding" and coded:
        return {"system": system, "code": code}
    if kind == "CodeableConcept" and coded:
        return {"coding": [{"system": system, "code": code}]}
    if kind in VALUES:
        return VALUES[kind]
    if kind == "Resource":
        return sample("Basic", depth=0)
    if kind == "Reference":
        return {"reference": f"{targets[0] if targets and targets[0] != 'Resource' else 'Basic'}/1"}
    if kind == "Period":
        return {"start": "2026-04-01", "end": "2026-04-02"}
    return sample(kind, depth=depth)


def all_params() -> list[SearchParam]:
    """Every search parameter of every type."""
    return [param for name in sorted(definitions.concrete_types()) for param in params_for(name).values()]
