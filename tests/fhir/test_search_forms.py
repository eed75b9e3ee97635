"""The rarer kinds of parameters through the API: what is measured, pairs, types of identifiers, places, full text."""

from __future__ import annotations

from typing import Any

import pytest

from phr.populate.cast import YUKI
from tests.family import LOINC, Neighbourhood, pressure, weight


@pytest.mark.spec("FHIR R4", "3.1.1.4.13", "a quantity is found by its value in any unit of its measure")
def test_what_was_measured(family: Neighbourhood) -> None:
    made = family.mother.made(weight(value="61.5"))

    def found(**asked: str) -> bool:
        return made["id"] in family.mother.search("Observation", patient=str(YUKI), **asked).ids

    ucum = "http://unitsofmeasure.org"
    for yes in ("61.5", f"61500|{ucum}|g", "61.5||kg", f"gt60|{ucum}|kg", f"lt62000|{ucum}|g", f"ap60|{ucum}|kg",
                f"135.6|{ucum}|[lb_av]", f"1|{ucum}|g,61.5"):  # fmt: skip
        assert found(**{"value-quantity": yes}), yes
    for no in ("61500", f"61.5|{ucum}|g", "61.5||g", f"gt62|{ucum}|kg", f"61.5|{ucum}|cm", "ne61.5", "61.5|urn:x|kg"):
        assert not found(**{"value-quantity": no}), no
    assert found(**{"code-value-quantity": f"29463-7$gt60|{ucum}|kg"})
    assert not found(**{"code-value-quantity": f"29463-7$gt70|{ucum}|kg"})
    refused = family.mother.search("Observation", patient=str(YUKI), _sort="value-quantity")
    assert refused.status == 400


@pytest.mark.spec("FHIR R4", "3.1.1.4.14", "the parts of a composite hold of one component")
def test_a_blood_pressure_by_its_parts(family: Neighbourhood) -> None:
    def part(code: str, value: int) -> dict[str, Any]:
        quantity = {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
        return {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity}

    made = family.mother.made(pressure(valueQuantity=None, component=[part("8480-6", 124), part("8462-4", 78)]))

    def found(code: str, text: str, name: str) -> bool:
        asked = {name: f"{LOINC}|{code}${text}"}
        return made["id"] in family.mother.search("Observation", patient=str(YUKI), **asked).ids

    for name in ("component-code-value-quantity", "combo-code-value-quantity"):
        assert found("8480-6", "gt100", name)
        assert found("8480-6", "gt100||mmHg", name)
        assert found("8480-6", "16.5|http://unitsofmeasure.org|kPa", name)
        assert not found("8462-4", "gt100", name)
        assert found("8462-4", "lt100|http://unitsofmeasure.org|mm[Hg]", name)


@pytest.mark.spec("FHIR R4", "3.1.1.4.5", ":below and :above follow the path of a URL")
def test_urls_below_and_above(family: Neighbourhood) -> None:
    made = family.mother.made(weight() | {"meta": {"profile": ["https://profiles.example/fhir/child/Weight"]}})

    def found(modifier: str, url: str) -> bool:
        asked = {f"_profile:{modifier}": url}
        return made["id"] in family.mother.search("Observation", patient=str(YUKI), **asked).ids

    assert found("below", "https://profiles.example/fhir")
    assert not found("below", "https://profiles.example/fh")
    assert found("above", "https://profiles.example/fhir/child/Weight/more")
    assert not found("above", "https://profiles.example/fhir")


def test_open_types_by_text_and_place(family: Neighbourhood) -> None:
    clinic = family.clinic
    place = clinic.made({
        "resourceType": "Location", "name": "見本助産所", "description": "お産の入院と母乳外来",
        "type": [{"coding": [{"system": "urn:t", "code": "b", "display": "助産所"}]}],
        "identifier": [{"type": {"coding": [{"system": "urn:i", "code": "FI"}]}, "value": "９９１"}],
        "position": {"latitude": 36.3907, "longitude": 139.0604},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">年中無休</div>'},
    })  # fmt: skip
    cases: list[tuple[str, str, bool]] = [
        ("near", "36.39|139.06|1|km", True), ("near", "36.39|139.07|500|m", False),
        ("near", "35.68|139.76|200|km", True),
        ("near", "35.68|139.76|50|km", False), ("_text", "無休", True), ("_text", "母乳", False),
        ("_content", "母乳外来", True), ("_content", "母乳外科", False), ("type:text", "助産", True),
        ("identifier:of-type", "urn:i|FI|991", True), ("identifier:of-type", "urn:i|FI|992", False),
        ("name", "ミホン", False), ("name:contains", "助産", True),
    ]  # fmt: skip
    for name, value, expected in cases:
        assert (place["id"] in clinic.search("Location", (name, value)).ids) is expected, (name, value)
