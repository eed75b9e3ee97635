"""The walker: every kind of rule a profile can make, met and broken (R4 profiling.html, elementdefinition.html)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.profiles.small import (
    BASE,
    HERE,
    by_system,
    element,
    errors,
    findings,
    observation,
    pressure,
    profile,
    with_extension,
)

# -- cardinality, types, values ---------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "elementdefinition 2.24.0.8 min, max", "an element stands as often as the profile says")
def test_cardinality() -> None:
    wanted = profile(
        "counts", "Observation", element("Observation.subject", min=1), element("Observation.issued", max="0"),
        element("Observation.performer", min=1, max="2"),
    )  # fmt: skip
    someone = {"reference": "Practitioner/1"}
    sound = observation(subject={"reference": "Patient/1"}, performer=[someone])
    assert errors(sound, wanted) == []
    assert errors(sound | {"performer": [someone] * 3}, wanted) == [("Observation.performer", "structure")]
    assert errors(sound | {"issued": "2026-04-01T00:00:00Z"}, wanted) == [("Observation.issued", "structure")]
    assert errors(observation(performer=[someone]), wanted) == [("Observation.subject", "required")]


def test_a_finding_names_profile_and_element() -> None:
    [told] = findings(observation(), profile("counts", "Observation", element("Observation.subject", min=1)))
    assert HERE + "counts#Observation.subject" in told.diagnostics
    assert told.severity == "error"


def test_a_child_is_asked_for_only_where_its_parent_is() -> None:
    wanted = profile("period", "Observation", element("Observation.code.coding", min=1),
                     element("Observation.bodySite.text", min=1))  # fmt: skip
    assert errors(observation(), wanted) == [("Observation.code.coding", "required")]
    coded = observation(code={"coding": [{"code": "x"}]}, bodySite={"coding": [{"code": "y"}]})
    assert errors(coded, wanted) == [("Observation.bodySite.text", "required")]


@pytest.mark.spec("FHIR R4", "elementdefinition 2.24.0.8 type", "a choice is narrowed to the types named")
def test_types_of_a_choice() -> None:
    wanted = profile(
        "typed", "Observation", element("Observation.value[x]", type=[{"code": "Quantity"}, {"code": "string"}])
    )
    assert errors(observation(valueString="x"), wanted) == []
    assert errors(observation(valueQuantity={"value": 1}), wanted) == []
    assert errors(observation(valueInteger=1), wanted) == [("Observation.value.ofType(integer)", "structure")]


@pytest.mark.spec(
    "FHIR R4", "elementdefinition 2.24.0.8 fixed[x]", "fixed: the very value, nothing more and nothing less"
)
def test_fixed_values() -> None:
    concept = {"coding": [{"system": "http://a", "code": "b"}]}
    wanted = profile("fixed", "Observation", element("Observation.code", fixedCodeableConcept=concept),
                     element("Observation.status", fixedCode="final"))  # fmt: skip
    assert errors(observation(code=concept), wanted) == []
    assert errors(observation(code=concept | {"text": "more"}), wanted) == [("Observation.code", "value")]
    assert errors(observation(code=concept, status="amended"), wanted) == [("Observation.status", "value")]


@pytest.mark.spec("FHIR R4", "elementdefinition 2.24.0.8 pattern[x]", "pattern: at least this; lists in any order")
def test_patterns() -> None:
    pattern = {"coding": [{"system": "http://a", "code": "b"}]}
    wanted = profile("pattern", "Observation", element("Observation.code", patternCodeableConcept=pattern))
    more = {"coding": [{"system": "http://x", "code": "y"}, {"system": "http://a", "code": "b", "display": "B"}]}
    assert errors(observation(code=more | {"text": "more"}), wanted) == []
    split = {"coding": [{"system": "http://a"}, {"code": "b"}]}
    assert errors(observation(code=split), wanted) == [("Observation.code", "value")]


def test_numbers_equal_by_value_and_never_booleans() -> None:
    wanted = profile("number", "Observation", element("Observation.value[x]", fixedInteger=1))
    assert errors(observation(valueInteger=1), wanted) == []
    assert errors(observation(valueBoolean=True), wanted) == [("Observation.value.ofType(boolean)", "value")]


@pytest.mark.spec(
    "FHIR R4", "elementdefinition 2.24.0.8 minValue[x], maxValue[x], maxLength", "values keep their bounds"
)
def test_bounds() -> None:
    kilos = {"system": "http://unitsofmeasure.org", "code": "kg"}
    wanted = profile(
        "bounds", "Observation", element("Observation.note.text", maxLength=3),
        element("Observation.value[x]", minValueQuantity=kilos | {"value": 1}, maxValueQuantity=kilos | {"value": 9}),
        element("Observation.effective[x]", maxValueDateTime="2026-04-01"),
    )  # fmt: skip
    assert errors(observation(valueQuantity=kilos | {"value": 9}, note=[{"text": "見本"}]), wanted) == []
    assert errors(observation(effectiveDateTime="2026-03-31T10:00:00Z"), wanted) == []
    assert errors(observation(valueQuantity={"value": 5}), wanted) == []  # no unit: it cannot be told
    for value in (Decimal("0.999"), 10):
        told = errors(observation(valueQuantity=kilos | {"value": value}), wanted)
        assert told == [("Observation.value.ofType(Quantity)", "value")]
    grams = kilos | {"value": 9001, "code": "g"}
    assert errors(observation(valueQuantity=grams), wanted) == [("Observation.value.ofType(Quantity)", "value")]
    assert errors(observation(note=[{"text": "長い見本"}]), wanted) == [("Observation.note[0].text", "value")]
    late = observation(effectiveDateTime="2026-04-02")
    assert errors(late, wanted) == [("Observation.effective.ofType(dateTime)", "value")]


# -- bindings --------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "terminologies 4.1.5", "required: an error; extensible: a warning; unknown: neither")
def test_bindings() -> None:
    def bound(strength: str, name: str = "colours") -> dict[str, Any]:
        binding = {"strength": strength, "valueSet": f"http://example.org/ValueSet/{name}"}
        return profile("bound", "Observation", element("Observation.code", binding=binding))

    good, bad = (
        observation(code={"coding": [{"code": "x"}, {"code": "red"}]}),
        observation(code={"coding": [{"code": "x"}]}),
    )
    assert findings(good, bound("required")) == []
    assert errors(bad, bound("required")) == [("Observation.code", "code-invalid")]
    assert errors(observation(), bound("required")) == [("Observation.code", "code-invalid")]
    assert [(p.severity, p.code) for p in findings(bad, bound("extensible"))] == [("warning", "code-invalid")]
    assert findings(observation(), bound("extensible")) == []  # text alone says that nothing fits
    assert findings(bad, bound("preferred")) == []
    assert [(p.severity, p.code) for p in findings(bad, bound("required", "unknown"))] == [
        ("information", "not-supported")
    ]


# -- invariants ------------------------------------------------------------------------------------


def with_rule(expression: str, severity: str = "error") -> dict[str, Any]:
    rule = {"key": "x-1", "severity": severity, "human": "見本", "expression": expression}
    return profile("rule", "Observation", element("Observation", constraint=[rule]))


@pytest.mark.spec(
    "FHIR R4", "elementdefinition 2.24.0.8 constraint", "an invariant that does not hold is told with its key"
)
def test_invariants() -> None:
    assert findings(observation(), with_rule("status = 'final'")) == []
    [told] = findings(observation(), with_rule("status = 'amended'"))
    assert (told.severity, told.code) == ("error", "invariant")
    assert "x-1" in told.diagnostics
    [warned] = findings(observation(), with_rule("status = 'amended'", "warning"))
    assert warned.severity == "warning"


@pytest.mark.parametrize("expression", ["status.", "nonsense()", "status < 1", "status + 1"])
def test_an_invariant_that_cannot_be_evaluated_refuses_nothing(expression: str) -> None:
    [told] = findings(observation(), with_rule(expression))
    assert told.severity == "warning"
    assert "x-1" in told.diagnostics


def test_a_bomb_among_invariants_is_stopped() -> None:
    many = observation(component=[{"code": {"text": str(n)}} for n in range(500)])
    [told] = findings(many, with_rule("component.all(%resource.component.all(%resource.component.exists(code = 'x')))"))
    assert (told.severity, told.code) == ("warning", "too-costly")
    text = observation(code={"text": "a" * 300})
    [told] = findings(text, with_rule("code.text.matches('(.*?)(.*?)(.*?)(.*?)(.*?)(.*?)[^a]').not() or true"))
    assert (told.severity, told.code) == ("warning", "too-costly")


# -- the whole ---------------------------------------------------------------------------------------


def test_contained_resources_and_entries_are_walked_too() -> None:
    broken = {"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
              "valueInteger": 1, "dataAbsentReason": {"text": "?"}}  # fmt: skip
    outer = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"}, "contained": [broken],
             "result": [{"reference": "#o"}]}  # fmt: skip
    assert with_extension(outer) == [("DiagnosticReport.contained[0]", "invariant")]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": broken}]}
    assert with_extension(bundle) == [("Bundle.entry[0].resource", "invariant")]


@pytest.mark.spec("FHIR R4", "domainresource dom-3", "what is contained is referred to")
def test_what_is_contained_must_be_used() -> None:
    inside = {"resourceType": "Patient", "id": "p"}
    assert with_extension(observation(contained=[inside])) == [("Observation", "invariant")]
    assert with_extension(observation(contained=[inside], subject={"reference": "#p"})) == []


def test_claims_inside_are_checked() -> None:
    claiming = pressure(component=None) | {"id": "o", "meta": {"profile": [BASE + "bp"]}}
    told = with_extension({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": claiming}]})
    assert ("Bundle.entry[0].resource.component", "required") in told


def test_a_profile_of_another_type_is_told() -> None:
    assert errors({"resourceType": "Patient"}, BASE + "bp") == [("Patient", "structure")]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["code", "coding", "system", "value", "valueQuantity", "component", "extension", "url", "id",
                         "category", "reference", "subject", "contained", "resourceType", "meta", "profile", "_status",
                         "status", "text"]), inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["component", "category", "code", "meta", "contained", "extension", "subject",
                                        "_status", "status", "valueQuantity", "identifier"]), _JSON))  # fmt: skip
def test_whatever_the_json_it_never_raises(content: dict[str, Any]) -> None:
    findings(content | {"resourceType": "Observation"}, BASE + "bp", by_system(), base=True)
