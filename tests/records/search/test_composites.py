"""Composite parameters: two things said of one and the same element."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.index import index_of
from phr.records.search import composites
from phr.records.search.params import params_for
from phr.records.search.query import BadSearch, Reference, Token, Value
from tests.records.samples import LOINC, all_params, observation
from tests.records.search.test_quantities import KEY, amount, meets, quantity

SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"


def component(code: str, value: str, unit: str = "mm[Hg]", system: str | None = LOINC) -> dict[str, Any]:
    coding = {"code": code} | ({"system": system} if system else {})
    return {"code": {"coding": [coding]}, "valueQuantity": quantity(value, unit)}


def pressure(*components: dict[str, Any], **changes: Any) -> dict[str, Any]:
    parts = list(components) or [component(SYSTOLIC, "120"), component(DIASTOLIC, "78")]
    return observation(valueQuantity=None, code={"coding": [{"system": LOINC, "code": "85354-9"}]},
                       component=parts) | changes  # fmt: skip


def finds(resource: dict[str, Any], name: str, *values: Value) -> bool:
    param = params_for(resource["resourceType"])[name]
    return meets(composites.cover(param, values, KEY), set(index_of(resource, KEY).terms))


@pytest.mark.spec("FHIR R4", "3.1.1.4.14", "the parts of a composite hold of one component")
@pytest.mark.parametrize(
    ("code", "value", "found"),
    [
        (Token(None, SYSTOLIC), "gt110", True), (Token(LOINC, SYSTOLIC), "gt110", True),
        (Token(None, DIASTOLIC), "gt110", False), (Token(LOINC, DIASTOLIC), "gt110", False),
        (Token(LOINC, DIASTOLIC), "78||mm[Hg]", True), (Token("urn:other", SYSTOLIC), "120", False),
        (Token("", SYSTOLIC), "120", False), (Token(LOINC, SYSTOLIC), "16.0|http://unitsofmeasure.org|kPa", True),
        (Token(LOINC, DIASTOLIC), "16.0|http://unitsofmeasure.org|kPa", False), (Token(None, "x"), "120", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["component-code-value-quantity", "combo-code-value-quantity"])
def test_a_component_by_code_and_value(name: str, code: Token, value: str, found: bool) -> None:
    assert finds(pressure(), name, code, amount(value)) is found


def test_combined_is_either_of_the_resource_or_of_a_component() -> None:
    assert finds(observation(), "combo-code-value-quantity", Token(LOINC, "29463-7"), amount("21.4"))
    both = pressure(valueQuantity=quantity("5", "mm[Hg]"))
    assert finds(both, "combo-code-value-quantity", Token(LOINC, "85354-9"), amount("5"))
    assert not finds(both, "combo-code-value-quantity", Token(LOINC, "85354-9"), amount("120"))
    assert not finds(both, "combo-code-value-quantity", Token(LOINC, SYSTOLIC), amount("5"))
    assert not finds(both, "component-code-value-quantity", Token(LOINC, "85354-9"), amount("5"))


CODES, SYSTEMS, NUMBERS, UNITS = ("a", "b"), (None, "urn:1", "urn:2"), ("1", "2"), ("kg", "g")
PARTS = st.tuples(*map(st.sampled_from, (CODES, SYSTEMS, NUMBERS, UNITS)))


@given(st.lists(PARTS, max_size=4))
def test_pairs_by_definition(parts: list[tuple[str, str | None, str, str]]) -> None:
    """Whatever components there are, with one code in several systems too: a pair is found where it stands."""
    made = pressure(*(component(c, v, u, s) for c, s, v, u in parts)) if parts else observation(valueQuantity=None)
    for code, system, value, unit in product(CODES, (*SYSTEMS, ""), NUMBERS, UNITS):
        hit = any(code == c and (system is None or system == (s or "")) and (value, unit) == (v, u)
                  for c, s, v, u in parts)  # fmt: skip
        asked = Token(system, code), amount(f"{value}||{unit}")
        assert finds(made, "component-code-value-quantity", *asked) == hit, asked


def test_tokens_beside_tokens() -> None:
    herd = {"resourceType": "Group", "characteristic": [
        {"code": {"coding": [{"system": "urn:c", "code": "sex"}]},
         "valueCodeableConcept": {"coding": [{"system": "urn:v", "code": "f"}]}},
        {"code": {"coding": [{"system": "urn:c", "code": "pregnant"}]}, "valueBoolean": True},
    ]}  # fmt: skip
    assert finds(herd, "characteristic-value", Token("urn:c", "sex"), Token("urn:v", "f"))
    assert finds(herd, "characteristic-value", Token(None, "sex"), Token("urn:v", None))
    assert finds(herd, "characteristic-value", Token(None, "pregnant"), Token(None, "true"))
    assert not finds(herd, "characteristic-value", Token(None, "sex"), Token(None, "true"))
    assert not finds(herd, "characteristic-value", Token(None, "pregnant"), Token(None, "f"))
    with pytest.raises(BadSearch):
        finds(herd, "characteristic-value", Token("urn:c", None), Token(None, "f"))


def test_use_contexts() -> None:
    def context(code: str, **value: Any) -> dict[str, Any]:
        return {"code": {"system": "urn:u", "code": code}, **value}

    library = {"resourceType": "ValueSet", "useContext": [
        context("age", valueRange={"low": quantity("10", "a"), "high": quantity("20", "a")}),
        context("gender", valueCodeableConcept={"coding": [{"code": "female"}]}),
        context("dose", valueQuantity=quantity("5", "mg")),
    ]}  # fmt: skip
    assert finds(library, "context-type-quantity", Token("urn:u", "age"), amount("ge10"))
    assert not finds(library, "context-type-quantity", Token("urn:u", "age"), amount("gt30"))
    assert finds(library, "context-type-quantity", Token(None, "dose"), amount("5"))
    assert not finds(library, "context-type-quantity", Token(None, "age"), amount("5"))
    assert finds(library, "context-type-value", Token(None, "gender"), Token(None, "female"))
    assert not finds(library, "context-type-value", Token(None, "age"), Token(None, "female"))


def test_a_document_by_what_it_relates_to() -> None:
    paper = {"resourceType": "DocumentReference", "relatesTo": [
        {"code": "replaces", "target": {"reference": "DocumentReference/1"}},
        {"code": "appends", "target": {"reference": "DocumentReference/2/_history/3"}}]}  # fmt: skip
    for reference in (Reference("DocumentReference/1"), Reference(None, "1")):
        assert finds(paper, "relationship", reference, Token(None, "replaces"))
        assert not finds(paper, "relationship", reference, Token(None, "appends"))
    assert finds(paper, "relationship", Reference("DocumentReference/2"), Token(None, "appends"))


def test_variants_by_both_their_ends() -> None:
    at = amount
    window = {"chromosome": {"coding": [{"code": "1"}]}, "windowStart": 1, "windowEnd": 9}
    strand = {"resourceType": "MolecularSequence", "referenceSeq": window,
              "variant": [{"start": 10, "end": 20}, {"start": 30, "end": 40}]}  # fmt: skip
    name, one = "chromosome-variant-coordinate", Token(None, "1")
    assert finds(strand, name, one, at("10"), at("20"))
    assert finds(strand, name, one, at("gt9"), at("lt21"))
    assert finds(strand, name, one, at("ge30"), at("le40"))
    assert not finds(strand, name, one, at("10"), at("40"))
    assert not finds(strand, name, one, at("gt20"), at("lt30"))
    assert not finds(strand, name, Token(None, "2"), at("10"), at("20"))
    with pytest.raises(BadSearch, match="narrow"):
        finds(strand, name, one, at("ne0.123456789123"), at("ne0.123456789123"))


def test_every_composite_has_a_plan() -> None:
    """Each is answered: by its components together, or by pairs of two components of one element."""
    found = [param for param in all_params() if param.type == "composite"]
    assert len(found) == 72
    for param in found:
        plan = composites.plan(param)
        assert plan.whole or plan.inner, (param.base, param.name)
        assert all(len(inner.inner) == 2 for inner in plan.inner), (param.base, param.name)
        for side in plan.whole or ():
            assert side.expression
    together = composites.together(params_for("Observation")["code-value-quantity"])
    assert together is not None
    assert [p.name for p in together] == ["code", "value-quantity"]
    assert composites.together(params_for("Observation")["combo-code-value-quantity"]) is None
    window = composites.together(params_for("MolecularSequence")["chromosome-window-coordinate"])
    assert window is not None
    assert [p.name for p in window] == ["chromosome", "window-start", "window-end"]


def test_pairs_cost_few_terms() -> None:
    assert len(index_of(pressure(), KEY).terms) <= 75
