"""The walker: every kind of rule a profile can make, met and broken (R4 profiling.html, elementdefinition.html)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.profiles import bundled, conform
from phr.records.profiles.library import Library
from tests.records.profiles.small import BASE, HERE, NOW, element, errors, findings, member, pressure, profile, sliced

OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "見本"}}


def observation(**more: Any) -> dict[str, Any]:
    return {k: v for k, v in (OBSERVATION | more).items() if v is not None}


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


# -- slicing ---------------------------------------------------------------------------------------


def by_system(rules: str = "open", *, ordered: bool = False) -> dict[str, Any]:
    return profile(
        "by-system", "Observation",
        element("Observation.identifier", **sliced(("value", "system"), rules=rules, ordered=ordered)),
        element("Observation.identifier:clinic", min=1, max="1"),
        element("Observation.identifier:clinic.system", min=1, fixedUri="http://clinic"),
        element("Observation.identifier:city", min=0, max="1"),
        element("Observation.identifier:city.system", min=1, fixedUri="http://city"),
        element("Observation.identifier:city.value", min=1),
    )  # fmt: skip


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


@pytest.mark.spec("FHIR R4", "profiling 5.1.0.14", "discriminator profile, through resolve()")
def test_slices_by_profile_of_what_is_referred_to() -> None:
    named = profile("named", "Practitioner", element("Practitioner.name", min=1))
    wanted = profile(
        "by-profile", "Observation", element("Observation.performer", **sliced(("profile", "resolve()"))),
        element("Observation.performer:named", min=1,
                type=[{"code": "Reference", "targetProfile": [HERE + "named"]}]),
    )  # fmt: skip
    contained = [
        {"resourceType": "Practitioner", "id": "a"},
        {"resourceType": "Practitioner", "id": "b", "name": [{"text": "見本"}]},
    ]
    both = observation(contained=contained, performer=[{"reference": "#a"}, {"reference": "#b"}])
    assert errors(both, wanted, named)[-1:] != [("Observation.performer", "required")]
    alone = observation(contained=contained, performer=[{"reference": "#a"}])
    assert ("Observation.performer", "required") in errors(alone, wanted)  # `named` is not known: none can be it


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


# -- types with profiles, references, extensions ----------------------------------------------------


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


def with_extension(resource: dict[str, Any], *known: dict[str, Any]) -> list[tuple[str, str]]:
    known_by_url = {k["url"]: k for k in known}
    library = Library(lambda url: known_by_url.get(url) or bundled.canonical(url))
    found = conform.check(resource, [], library=library, member=member, now=NOW)
    return [(p.expression, p.code) for p in found if p.severity == "error"]


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
