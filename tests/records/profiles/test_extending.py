"""Type profiles, references and extensions (R4 elementdefinition.html, extensibility.html)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.records.profiles.small import (
    BASE,
    HERE,
    element,
    errors,
    observation,
    profile,
    sliced,
    with_extension,
)


def test_a_type_with_a_profile_is_checked_against_it() -> None:
    simple = profile("units", "Quantity", element("Quantity.unit", min=1), kind="complex-type")
    of_units = [{"code": "Quantity", "profile": [HERE + "units"]}]
    wanted = profile("typed", "Observation", element("Observation.value[x]", type=of_units))
    assert errors(observation(valueQuantity={"value": 1}), wanted, simple)[0] == (
        "Observation.value.ofType(Quantity).unit", "required",
    )  # fmt: skip
    # `simple` is for Quantity, and says so where it is asked of an Observation
    assert errors(observation(valueQuantity={"value": 1, "unit": "kg"}), wanted, simple) == [
        ("Observation", "structure")
    ]


def pointing(target: str) -> dict[str, Any]:
    rule = [{"code": "Reference", "targetProfile": [target]}]
    return profile("pointing", "Observation", element("Observation.subject", type=rule))


@pytest.mark.spec("FHIR R4", "elementdefinition 2.24.0.8 targetProfile", "a reference points to one of the types named")
def test_reference_targets() -> None:
    wanted = pointing(BASE + "Patient")
    for good in (
        {"reference": "Patient/1"},
        {"reference": "http://other/fhir/Patient/1"},
        {"display": "見本"},
        {"type": "Patient"},
    ):
        assert errors(observation(subject=good), wanted) == [], good
    for bad in ({"reference": "Device/1"}, {"reference": "http://other/fhir/Device/1"}, {"type": "Device"}):
        assert errors(observation(subject=bad), wanted) == [("Observation.subject", "value")], bad


def test_contained_targets_are_checked_against_their_profile() -> None:
    born = profile("born", "Patient", element("Patient.birthDate", min=1))
    wanted = pointing(HERE + "born")
    inside = observation(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"})
    assert ("Observation.subject", "value") in errors(inside, wanted, born)
    inside["contained"][0]["birthDate"] = "2020-01-01"
    assert ("Observation.subject", "value") not in errors(inside, wanted, born)


@pytest.mark.spec("FHIR R4", "elementdefinition 2.24.0.8 aggregation", "how what is referred to must be at hand")
def test_aggregation() -> None:
    rule = [{"code": "Reference", "targetProfile": [BASE + "Patient"], "aggregation": ["contained"]}]
    wanted = profile("aggregated", "Observation", element("Observation.subject", type=rule))
    inside = observation(contained=[{"resourceType": "Patient", "id": "p"}], subject={"reference": "#p"})
    assert errors(inside, wanted) == []
    assert errors(observation(subject={"reference": "Patient/1"}), wanted) == [("Observation.subject", "value")]


def extension(name: str, context: str, *elements: dict[str, Any], **told: Any) -> dict[str, Any]:
    return profile(name, "Extension", element("Extension.url", fixedUri=HERE + name), *elements,
                   kind="complex-type", context=[{"type": "element", "expression": context}], **told)  # fmt: skip


@pytest.mark.spec("FHIR R4", "extensibility 2.5", "an extension is as its definition says, and stands where it may")
def test_extensions_against_their_definitions() -> None:
    colour = extension("colour", "Observation", element("Extension.value[x]", min=1, type=[{"code": "code"}]))
    here = {"url": HERE + "colour", "valueCode": "red"}
    assert with_extension(observation(extension=[here]), colour) == []
    wrong = {"url": HERE + "colour", "valueString": "red"}
    assert with_extension(observation(extension=[wrong]), colour) == [
        ("Observation.extension[0].value.ofType(string)", "structure")
    ]
    misplaced = observation(code={"text": "x", "extension": [here]})
    assert with_extension(misplaced, colour) == [("Observation.code.extension[0]", "extension")]
    as_modifier = observation(modifierExtension=[here])
    assert with_extension(as_modifier, colour) == [("Observation.modifierExtension[0]", "extension")]


@pytest.mark.parametrize("context", ["Element", "CodeableConcept", "Observation.code", "Resource.code"])
def test_contexts_of_extensions(context: str) -> None:
    colour = extension("colour", context)
    inside = observation(code={"text": "x", "extension": [{"url": HERE + "colour", "valueCode": "red"}]})
    assert with_extension(inside, colour) == []


@pytest.mark.spec("FHIR R4", "extensibility 2.5.1", "an unknown modifierExtension is never passed over")
def test_unknown_extensions() -> None:
    unknown = {"url": "http://example.org/unknown", "valueCode": "x"}
    assert with_extension(observation(extension=[unknown])) == []
    assert with_extension(observation(modifierExtension=[unknown])) == [
        ("Observation.modifierExtension[0]", "extension")
    ]


def test_r4s_own_extensions_are_known() -> None:
    sound = {"url": BASE + "patient-birthTime", "valueDateTime": "2026-01-05T03:00:00+09:00"}
    born = {"resourceType": "Patient", "birthDate": "2026-01-05", "_birthDate": {"extension": [sound]}}
    assert with_extension(born) == []
    assert with_extension({"resourceType": "Patient", "extension": [sound]}) == [("Patient.extension[0]", "extension")]
    wrong = born | {"_birthDate": {"extension": [{"url": BASE + "patient-birthTime", "valueString": "x"}]}}
    assert with_extension(wrong) == [("Patient.birthDate.extension[0].value.ofType(string)", "structure")]


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "extensions are sliced by url")
def test_slices_of_extensions() -> None:
    colour = extension("colour", "Observation", element("Extension.value[x]", min=1, type=[{"code": "code"}]))
    wanted = profile("coloured", "Observation", element("Observation.extension", **sliced(("value", "url"))),
                     element("Observation.extension:colour", min=1, max="1",
                             type=[{"code": "Extension", "profile": [HERE + "colour"]}]))  # fmt: skip
    here = {"url": HERE + "colour", "valueCode": "red"}
    other = {"url": "http://example.org/other", "valueCode": "x"}

    def told(resource: dict[str, Any]) -> list[tuple[str, str]]:
        return [e for e in errors(resource, wanted, colour) if e != ("Observation", "structure")]

    assert told(observation(extension=[other, here])) == []
    assert told(observation(extension=[other])) == [("Observation.extension", "required")]
    assert told(observation(extension=[here, here])) == [("Observation.extension", "structure")]
    wrong = {"url": HERE + "colour", "valueString": "red"}
    assert told(observation(extension=[wrong])) == [("Observation.extension[0].value.ofType(string)", "structure")]
