"""Slices: told apart, counted, arranged, and refused where they cannot be (R4 profiling.html §5.1.0.14)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.records.profiles.small import BASE, HERE, by_system, element, errors, findings, observation, profile, sliced

CLINIC, CITY = {"system": "http://clinic", "value": "1"}, {"system": "http://city", "value": "2"}
OTHER = {"system": "http://other"}


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "discriminator value: slices are told apart by a fixed value")
def test_slices_by_value() -> None:
    assert errors(observation(identifier=[CITY, OTHER, CLINIC]), by_system()) == []
    assert errors(observation(identifier=[CITY]), by_system()) == [("Observation.identifier", "required")]
    assert errors(observation(), by_system()) == [("Observation.identifier", "required")]
    assert errors(observation(identifier=[CLINIC, CLINIC]), by_system()) == [("Observation.identifier", "structure")]
    bare = {"system": "http://city"}
    assert errors(observation(identifier=[CLINIC, bare]), by_system()) == [
        ("Observation.identifier[1].value", "required")
    ]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "closed: nothing outside the slices")
def test_closed_slicing() -> None:
    assert errors(observation(identifier=[CLINIC, CITY]), by_system("closed")) == []
    told = errors(observation(identifier=[CLINIC, OTHER]), by_system("closed"))
    assert told == [("Observation.identifier[1]", "structure")]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "openAtEnd: what is outside the slices stands last")
def test_open_at_end() -> None:
    assert errors(observation(identifier=[CITY, CLINIC, OTHER]), by_system("openAtEnd")) == []
    told = errors(observation(identifier=[OTHER, CLINIC]), by_system("openAtEnd"))
    assert told == [("Observation.identifier[1]", "structure")]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "ordered: the slices stand in the order of the profile")
def test_ordered_slices() -> None:
    assert errors(observation(identifier=[CLINIC, OTHER, CITY]), by_system(ordered=True)) == []
    told = errors(observation(identifier=[CITY, CLINIC]), by_system(ordered=True))
    assert told == [("Observation.identifier[1]", "structure")]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "discriminator pattern on $this")
def test_slices_by_pattern() -> None:
    vital = {"coding": [{"code": "vital-signs"}]}
    wanted = profile("by-pattern", "Observation", element("Observation.category", **sliced(("pattern", "$this"))),
                     element("Observation.category:vital", min=1, max="1", patternCodeableConcept=vital))  # fmt: skip
    assert errors(observation(category=[{"text": "x"}, vital | {"text": "more"}]), wanted) == []
    assert errors(observation(category=[{"text": "x"}]), wanted) == [("Observation.category", "required")]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "discriminator exists")
def test_slices_by_existence() -> None:
    wanted = profile(
        "by-existence", "Observation", element("Observation.component", **sliced(("exists", "value"))),
        element("Observation.component:measured", max="1"), element("Observation.component:measured.value[x]", min=1),
        element("Observation.component:missing", max="1"), element("Observation.component:missing.value[x]", max="0"),
        element("Observation.component:missing.dataAbsentReason", min=1),
    )  # fmt: skip
    measured = {"code": {"text": "a"}, "valueInteger": 1}
    missing = {"code": {"text": "b"}, "dataAbsentReason": {"text": "?"}}
    assert errors(observation(component=[measured, missing]), wanted) == []
    assert errors(observation(component=[measured, measured]), wanted) == [("Observation.component", "structure")]
    told = errors(observation(component=[{"code": {"text": "b"}}]), wanted)
    assert told == [("Observation.component[0].dataAbsentReason", "required")]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "discriminator type: slicing on value[x]")
def test_slices_by_type() -> None:
    wanted = profile(
        "by-type", "Observation", element("Observation.value[x]", **sliced(("type", "$this"))),
        element("Observation.value[x]:valueQuantity", max="1", type=[{"code": "Quantity"}]),
        element("Observation.value[x]:valueQuantity.unit", min=1),
    )  # fmt: skip
    assert errors(observation(valueQuantity={"value": 1, "unit": "kg"}), wanted) == []
    assert errors(observation(valueString="x"), wanted) == []
    told = errors(observation(valueQuantity={"value": 1}), wanted)
    assert told == [("Observation.value.ofType(Quantity).unit", "required")]


def test_slices_of_a_choice_need_no_discriminator() -> None:
    quantity = element("Observation.value[x]:valueQuantity", type=[{"code": "Quantity"}])
    wanted = profile("implied", "Observation", quantity, element("Observation.value[x]:valueQuantity.unit", min=1))
    assert errors(observation(valueString="x"), wanted) == []
    assert errors(observation(valueQuantity={"value": 1}), wanted)


def by_target(kind: str, *targets: str) -> dict[str, Any]:
    return profile(
        "by-target", "Observation", element("Observation.performer", **sliced((kind, "resolve()"))),
        element("Observation.performer:one", min=1, max="1",
                type=[{"code": "Reference", "targetProfile": list(targets)}]),
    )  # fmt: skip


PEOPLE = [
    {"resourceType": "Practitioner", "id": "a"},
    {"resourceType": "Practitioner", "id": "b", "name": [{"text": "見本"}]},
]
REQUIRED, TOO_MANY = ("Observation.performer", "required"), ("Observation.performer", "structure")


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "discriminator profile, through resolve()")
def test_slices_by_profile_of_what_is_referred_to() -> None:
    named = profile("named", "Practitioner", element("Practitioner.name", min=1))

    def told(*references: str) -> list[tuple[str, str]]:
        performer = [{"reference": reference} for reference in references]
        found = errors(observation(contained=PEOPLE, performer=performer), by_target("profile", HERE + "named"), named)
        return [e for e in found if e[0] != "Observation"]  # `named` is for Practitioner; dom-3 is not asked here

    assert told("#a", "#b") == []
    assert told("#a") == [REQUIRED]
    assert told("#b", "#b") == [TOO_MANY]
    assert told("Practitioner/1") == []  # not at hand: its type must do
    assert told("Organization/1") == [REQUIRED]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "discriminator type, through resolve()")
def test_slices_by_type_of_what_is_referred_to() -> None:
    wanted = by_target("type", BASE + "Practitioner")

    def told(*performers: dict[str, Any]) -> list[tuple[str, str]]:
        found = errors(observation(contained=PEOPLE[:1], performer=list(performers)), wanted)
        return [e for e in found if e[0] != "Observation"]

    assert told({"reference": "#a"}, {"reference": "Organization/1"}) == []
    assert told({"reference": "http://other/fhir/Practitioner/1"}) == []
    assert told({"type": "Practitioner", "display": "見本"}) == []
    assert told({"reference": "Organization/1"}) == [REQUIRED]
    assert told({"display": "見本"}) == [REQUIRED]
    assert told({"reference": "Practitioner/1"}, {"reference": "Practitioner/2"}) == [TOO_MANY]


def test_slices_within_slices() -> None:
    wanted = profile(
        "nested", "Observation", element("Observation.component", **sliced(("value", "code.text"))),
        element("Observation.component:a", min=1), element("Observation.component:a.code.text", min=1, fixedString="a"),
        element("Observation.component:a.referenceRange", **sliced(("value", "text"))),
        element("Observation.component:a.referenceRange:low", min=1, max="1"),
        element("Observation.component:a.referenceRange:low.text", min=1, fixedString="low"),
    )  # fmt: skip
    part = {"code": {"text": "a"}, "referenceRange": [{"text": "high"}, {"text": "low"}]}
    other = {"code": {"text": "b"}}
    assert errors(observation(component=[other, part]), wanted) == []
    without = part | {"referenceRange": [{"text": "high"}]}
    assert errors(observation(component=[other, without]), wanted) == [
        ("Observation.component[1].referenceRange", "required")
    ]


def test_a_value_may_be_fixed_above_the_discriminator() -> None:
    kind = {"coding": [{"system": "http://a", "code": "b"}]}
    wanted = profile("above", "Observation", element("Observation.component", **sliced(("value", "code.coding.code"))),
                     element("Observation.component:b", min=1),
                     element("Observation.component:b.code", patternCodeableConcept=kind))  # fmt: skip
    assert errors(observation(component=[{"code": kind}]), wanted) == []
    assert errors(observation(component=[{"code": {"coding": [{"code": "c"}]}}]), wanted)


def test_a_required_binding_tells_slices_apart() -> None:
    colours = {"strength": "required", "valueSet": "http://example.org/ValueSet/colours"}
    wanted = profile("bound", "Observation", element("Observation.category", **sliced(("value", "$this"))),
                     element("Observation.category:colour", min=1, binding=colours))  # fmt: skip
    assert errors(observation(category=[{"coding": [{"code": "red"}]}]), wanted) == []
    assert errors(observation(category=[{"coding": [{"code": "loud"}]}]), wanted) == [
        ("Observation.category", "required")
    ]


@pytest.mark.parametrize(
    ("elements", "why"),
    [
        ((element("Observation.category", **sliced(("value", "text"))), element("Observation.category:a"),
          element("Observation.category:a/b")), "Re-slicing"),
        ((element("Observation.category:a", min=1),), "Nothing says how it is sliced"),
        ((element("Observation.nonsense", min=1),), "No such element"),
    ],
)  # fmt: skip
def test_what_cannot_be_walked_is_refused_by_name(elements: tuple[Any, ...], why: str) -> None:
    [told] = findings(observation(category=[{"text": "x"}]), profile("unwalkable", "Observation", *elements))
    assert told.code == "not-supported"
    assert why in told.diagnostics
    assert HERE + "unwalkable" in told.diagnostics


def test_a_slice_that_nothing_tells_apart_is_told_and_refuses_nothing() -> None:
    wanted = profile("blind", "Observation", element("Observation.category", **sliced(("value", "text"))),
                     element("Observation.category:a", min=1))  # fmt: skip
    [told] = findings(observation(category=[{"text": "x"}]), wanted)
    assert (told.severity, told.code) == ("warning", "not-supported")
    assert "Observation.category:a" in told.diagnostics


def test_entries_and_sections_of_a_document() -> None:
    """A Bundle sliced by the type of what is in it, its Composition by a pattern: as checkup documents are."""
    head = profile(
        "head", "Composition", element("Composition.section", **sliced(("pattern", "code"), rules="closed")),
        element("Composition.section:result", min=1, max="1"),
        element("Composition.section:result.code", min=1, patternCodeableConcept={"coding": [{"code": "01910"}]}),
        element("Composition.section:result.entry", min=1),
    )  # fmt: skip
    wanted = profile(
        "document", "Bundle", element("Bundle.type", fixedCode="document"),
        element("Bundle.entry", **sliced(("type", "resource"))),
        element("Bundle.entry:head", min=1, max="1"),
        element("Bundle.entry:head.resource", min=1, type=[{"code": "Composition", "profile": [HERE + "head"]}]),
        element("Bundle.entry:patient", min=1, max="1"),
        element("Bundle.entry:patient.resource", min=1, type=[{"code": "Patient"}]),
    )  # fmt: skip

    def told(*resources: dict[str, Any]) -> list[tuple[str, str]]:
        entries = [{"resource": r} for r in resources]
        found = errors({"resourceType": "Bundle", "type": "document", "entry": entries}, wanted, head)
        return [e for e in found if e[0] != "Bundle" and e != ("Bundle.timestamp", "required")]

    section = {"code": {"coding": [{"code": "01910"}], "text": "結果"}, "entry": [{"reference": "Patient/1"}]}
    composition = {"resourceType": "Composition", "status": "final", "type": {"text": "x"}, "date": "2026-04-01",
                   "author": [{"display": "見本市"}], "title": "x", "section": [section]}  # fmt: skip
    patient = {"resourceType": "Patient"}
    assert told(composition, patient) == []
    assert told(composition) == [("Bundle.entry", "required")]
    assert told(composition, patient, patient) == [("Bundle.entry", "structure")]
    bare = composition | {"section": [{k: v for k, v in section.items() if k != "entry"}]}
    assert ("Bundle.entry[0].resource.section[0].entry", "required") in told(bare, patient)
    other = composition | {"section": [section, {"code": {"text": "他"}}]}
    assert ("Bundle.entry[0].resource.section[1]", "structure") in told(other, patient)
