"""R4's own invariants: each compiles, those that bite are shown to bite, and the hand-written ones say the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from phr.records import definitions, validate_rules
from phr.records.fhirpath import Node, Unsupported, compiled
from phr.records.profiles import bundled
from tests.records.profiles.small import BASE, findings, observation
from tests.records.samples import sample

PATIENT = {"resourceType": "Patient"}


def constraints() -> Iterator[tuple[str, str, str]]:
    """(path of the element, key, expression) of every invariant in R4's structures, profiles and extensions."""
    for url in bundled._lines():
        structure = bundled.canonical(url)
        assert structure is not None
        for element in structure["snapshot"]["element"]:
            for rule in element.get("constraint", []):
                yield element["path"], rule["key"], rule["expression"]


def test_every_invariant_of_r4_compiles() -> None:
    refused, seen = {}, set()
    for _, key, expression in constraints():
        seen.add((key, expression))
        try:
            compiled(expression)
        except Unsupported as error:
            refused[key] = str(error)
    assert refused == {}
    assert len(seen) > 220


def asking(item: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Questionnaire with one item."""
    whole = {"linkId": "1", "type": "string"} | (item or {})
    return {"resourceType": "Questionnaire", "status": "draft", "item": [whole]}


def coded(code: str, **more: Any) -> dict[str, Any]:
    return observation(code={"coding": [{"code": "a"}]}, component=[{"code": {"coding": [{"code": code}]}}], **more)


KG = {"value": 1, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
BITES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # (key, what holds, what does not)
    ("dom-2", observation(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"}),
     observation(contained=[{"resourceType": "Patient", "id": "p", "contained": [PATIENT | {"id": "q"}]}])),
    ("dom-3", observation(contained=[PATIENT | {"id": "p"}], subject={"reference": "#p"}),
     observation(contained=[PATIENT | {"id": "p"}])),
    ("dom-3", observation(contained=[{"resourceType": "Provenance", "id": "p", "target": [{"reference": "#"}]}]),
     observation(contained=[{"resourceType": "Provenance", "id": "p", "target": [{"reference": "Patient/1"}]}])),
    ("dom-4", observation(), observation(contained=[PATIENT | {"id": "p", "meta": {"versionId": "1"}}])),
    ("dom-5", observation(), observation(contained=[PATIENT | {"id": "p", "meta": {"security": [{"code": "R"}]}}])),
    ("ele-1", observation(method={"text": "x"}), observation(method={})),
    ("ele-1", observation(method={"text": "x", "id": "m"}), observation(method={"id": "m"})),
    ("ext-1", observation(extension=[{"url": "urn:a", "valueCode": "x"}]), observation(extension=[{"url": "urn:a"}])),
    ("ext-1", observation(extension=[{"url": "urn:a", "extension": [{"url": "b", "valueCode": "x"}]}]),
     observation(extension=[{"url": "urn:a", "valueCode": "x", "extension": [{"url": "b", "valueCode": "x"}]}])),
    ("per-1", observation(effectivePeriod={"start": "2026-04-01", "end": "2026-04-02"}),
     observation(effectivePeriod={"start": "2026-04-02", "end": "2026-04-01"})),
    ("qty-3", observation(valueQuantity=KG), observation(valueQuantity={"value": 1, "code": "kg"})),
    ("rng-2", observation(valueRange={"low": KG, "high": KG | {"value": 1001, "code": "g"}}),
     observation(valueRange={"low": KG, "high": KG | {"value": 999, "code": "g"}})),
    ("rat-1", observation(valueRatio={"numerator": KG, "denominator": KG}), observation(valueRatio={"numerator": KG})),
    ("ref-1", observation(subject={"display": "見本"}), observation(subject={"reference": "#nobody"})),
    ("obs-3", observation(referenceRange=[{"text": "x"}]),
     observation(referenceRange=[{"appliesTo": [{"text": "x"}]}])),
    ("obs-6", observation(dataAbsentReason={"text": "x"}), observation(dataAbsentReason={"text": "x"}, valueInteger=1)),
    ("obs-7", coded("b", valueInteger=1), coded("a", valueInteger=1)),
    ("cpt-2", PATIENT | {"telecom": [{"system": "phone", "value": "1"}]}, PATIENT | {"telecom": [{"value": "1"}]}),
    ("att-1", PATIENT | {"photo": [{"data": "44GC", "contentType": "image/png"}]},
     PATIENT | {"photo": [{"data": "44GC"}]}),
    ("pat-1", PATIENT | {"contact": [{"name": {"text": "x"}}]}, PATIENT | {"contact": [{"gender": "female"}]}),
    ("tim-2", observation(effectiveTiming={"repeat": {"period": 1, "periodUnit": "d"}}),
     observation(effectiveTiming={"repeat": {"period": 1}})),
    ("tim-5", observation(effectiveTiming={"repeat": {"period": 1, "periodUnit": "d"}}),
     observation(effectiveTiming={"repeat": {"period": -1, "periodUnit": "d"}})),
    ("tim-9", observation(effectiveTiming={"repeat": {"offset": 30, "when": ["ACM"]}}),
     observation(effectiveTiming={"repeat": {"offset": 30, "when": ["C"]}})),
    ("org-1", {"resourceType": "Organization", "name": "x"}, {"resourceType": "Organization", "active": True}),
    ("org-3", {"resourceType": "Organization", "name": "x", "telecom": [{"system": "phone", "use": "work"}]},
     {"resourceType": "Organization", "name": "x", "telecom": [{"system": "phone", "use": "home"}]}),
    ("bdl-1", {"resourceType": "Bundle", "type": "searchset", "total": 0},
     {"resourceType": "Bundle", "type": "batch", "total": 0}),
    ("bdl-7", {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:a", "resource": PATIENT}]},
     {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:a", "resource": PATIENT}] * 2}),
    ("bdl-11", {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}]},
     {"resourceType": "Bundle", "type": "document", "entry": [{"resource": PATIENT}]}),
    ("que-2", asking(), asking({"type": "group", "item": [{"linkId": "1", "type": "string"}]})),
    ("que-7", asking({"enableWhen": [{"question": "0", "operator": "exists", "answerBoolean": True}]}),
     asking({"enableWhen": [{"question": "0", "operator": "exists", "answerInteger": 1}]})),
    ("mdd-1", {"resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": {"text": "x"},
               "whenPrepared": "2026-04-01", "whenHandedOver": "2026-04-02"},
     {"resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": {"text": "x"},
      "whenPrepared": "2026-04-02", "whenHandedOver": "2026-04-01"}),
]  # fmt: skip


def broken(resource: dict[str, Any]) -> set[str]:
    """Keys of the invariants of R4 that do not hold."""
    found = findings(resource, base=True)
    assert not [p for p in found if p.code in ("not-supported", "too-costly")], found
    return {key for p in found if p.code == "invariant" and (key := p.diagnostics.split()[1])}


@pytest.mark.spec("FHIR R4", "conformance-rules 2.1.0.6", "invariants: what breaks one is found, by its key")
@pytest.mark.parametrize(("key", "good", "bad"), BITES, ids=[f"{key}-{at}" for at, (key, *_) in enumerate(BITES)])
def test_invariants_bite(key: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert key not in broken(good)
    assert key in broken(bad)


RULES = [(type, rule) for type, rules in validate_rules.RULES.items() for rule in rules if type != "SimpleQuantity"]


@pytest.mark.parametrize(("type", "rule"), RULES, ids=[f"{type}-{rule.key}" for type, rule in RULES])
def test_rules_by_hand_say_what_r4_says(type: str, rule: validate_rules.Rule) -> None:
    """On samples of the type with elements taken away at random: the plain function and the FHIRPath agree."""
    expression = next(e for path, key, e in constraints() if key == rule.key and path == type)
    dice = random.Random(rule.key)
    answers = set()
    for node in altered(type, dice):
        said = compiled(expression).holds(Node(node, type)) is not False
        assert rule.holds(node) == said, node
        answers.add(said)
    assert True in answers


CODES = ["active", "inactive", "resolved", "entered-in-error", "a", "b"]
SYSTEMS = {
    "clinicalStatus": {"Condition": "condition-clinical", "AllergyIntolerance": "allergyintolerance-clinical"},
    "verificationStatus": {"Condition": "condition-ver-status",
                           "AllergyIntolerance": "allergyintolerance-verification"},
}  # fmt: skip


def altered(type: str, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Sound samples of a type, some elements left out, some codes and dates changed."""
    whole = {k: v for k, v in filled(type).items() if k not in ("resourceType", "contained")}
    head = {"resourceType": type} if type in definitions.concrete_types() else {}
    for _ in range(300):
        node = {k: v for k, v in whole.items() if dice.random() < 0.5}
        for name, of in SYSTEMS.items():
            if name in node:
                system = f"http://terminology.hl7.org/CodeSystem/{of.get(type, 'x')}"
                node[name] = {"coding": [{"system": system, "code": dice.choice(CODES)}]}
        if type == "Period":
            node |= {k: f"2026-0{dice.randint(1, 3)}-01" for k in ("start", "end") if k in node}
        if type == "Observation" and "component" in node:
            node["component"] = [{"code": {"coding": [{"system": "u", "code": dice.choice("ab")}]}}]
            node["code"] = {"coding": [{"system": "u", "code": dice.choice("ab")}]}
        yield head | node


def filled(type: str) -> dict[str, Any]:
    """A sample with what samples leave out."""
    whole = dict(sample(type, depth=2))
    extra: dict[str, dict[str, Any]] = {
        "Observation": {"dataAbsentReason": {"text": "x"}, "component": [{}]},
        "Extension": {"extension": [{"url": "a", "valueCode": "x"}]},
        "Condition": {"abatementDateTime": "2026-01-01"},
        "QuestionnaireResponse.item": {"item": [{"linkId": "1"}], "answer": [{"valueInteger": 1}]},
    }
    return whole | extra.get(type, {})


def test_what_r4_calls_a_warning_refuses_nothing() -> None:
    warned = findings({"resourceType": "ValueSet", "status": "draft", "name": "no name"}, base=True)
    assert {p.severity for p in warned} == {"warning"}
    assert any("vsd-0" in p.diagnostics for p in warned)
    assert findings(observation(), BASE + "Observation", base=True) == []
