"""The rarer forms of the index: URLs below a URL, identifiers by type, texts of codes, places, timings."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from phr.records import definitions
from phr.records.index import index_of
from phr.records.search import terms
from phr.records.search.params import param_ids
from phr.records.search.ranges import FOREVER, date_range
from tests.records.instances import variants
from tests.records.samples import observation, patient
from tests.records.search.test_quantities import KEY


@pytest.mark.spec("FHIR R4", "3.1.1.4.5", ":below finds a URL and what lies below it in its path; URNs have no path")
@pytest.mark.parametrize(
    ("url", "asked", "found"),
    [
        ("http://acme.org/fhir/ValueSet/123", "http://acme.org/fhir", True),
        ("http://acme.org/fhir/ValueSet/123", "http://acme.org/fhir/", True),
        ("http://acme.org/fhir/ValueSet/123", "http://acme.org/fhir/ValueSet/123", True),
        ("http://acme.org/fhir/ValueSet/123", "http://acme.org", True),
        ("http://acme.org/fhir/ValueSet/123", "http://acme.org/fh", False),
        ("http://acme.org/fhir/ValueSet/123", "http://acme.org/fhir/ValueSet/1234", False),
        ("http://acme.org/fhir/ValueSet/123", "http:", False),
        ("urn:oid:1.2.3.4", "urn:oid:1.2.3", False),
    ],
)
def test_urls_below_a_url(url: str, asked: str, found: bool) -> None:
    kept = index_of({"resourceType": "ValueSet", "url": url}, KEY).terms
    assert (terms.below_term("ValueSet", "url", asked, KEY) in kept) is found


@pytest.mark.spec("FHIR R4", "3.1.1.4.10", ":of-type finds an identifier by the code of its type and its value")
def test_identifiers_by_their_type() -> None:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}], "text": "診察券番号"}
    numbered = patient(
        identifier=[{"type": kind, "system": "urn:a", "value": "１２"}, {"system": "urn:b", "value": "34"}]
    )
    kept = set(index_of(numbered, KEY).terms)

    def hit(system: str, code: str, value: str) -> bool:
        return terms.typed_term("Patient", "identifier", system, code, value, KEY) in kept

    assert hit("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "12")
    assert not hit("http://terminology.hl7.org/CodeSystem/v2-0203", "MR", "34")
    assert not hit("http://terminology.hl7.org/CodeSystem/v2-0203", "DL", "12")
    assert (param_ids()["identifier"], "診察券番号") in index_of(numbered, KEY).texts


@pytest.mark.spec("FHIR R4", "3.1.1.4.10", ":text reads CodeableConcept.text, Coding.display and Identifier.type.text")
def test_texts_of_codes_are_kept_where_strings_are_legible() -> None:
    kind = {"coding": [{"code": "prov", "display": "医療機関"}], "text": "助産所"}
    office = index_of({"resourceType": "Organization", "type": [kind]}, KEY)
    assert {(param_ids()["type"], "医療機関"), (param_ids()["type"], "助産所")} <= set(office.texts)
    said = observation(code={"coding": [{"system": "urn:a", "code": "b", "display": "ひみつ"}], "text": "ひみつ"})
    assert index_of(said, KEY).texts == []


@pytest.mark.parametrize(
    ("position", "row"),
    [
        ({"latitude": Decimal("36.389"), "longitude": Decimal("139.06")}, (36.389, 139.06)),
        ({"latitude": Decimal(91), "longitude": 0}, None), ({"latitude": 1}, None), ([], None),
        ({"latitude": "1", "longitude": 2}, None),
    ],
)  # fmt: skip
def test_where_a_place_lies(position: Any, row: Any) -> None:
    kept = index_of({"resourceType": "Location", "position": position}, KEY).ranges
    assert kept == ([] if row is None else [(param_ids()["near"], *row)])


DAY, WEEK = 86_400e6, 7 * 86_400e6
START = date_range("2026-04-01")[0]


@pytest.mark.spec("FHIR R4", "3.1.1.4.8", "of a Timing only the outer limits matter")
@pytest.mark.parametrize(
    ("timing", "span"),
    [
        ({"event": ["2026-04-01", "2026-04-05"]}, (START, START + 5 * DAY)),
        ({"repeat": {"boundsPeriod": {"start": "2026-04-01", "end": "2026-04-03"}}}, (START, START + 3 * DAY)),
        ({"repeat": {"boundsPeriod": {"start": "2026-04-01"}}}, (START, FOREVER)),
        ({"event": ["2026-04-03"], "repeat": {"boundsPeriod": {"start": "2026-04-01", "end": "2026-04-02"}}},
         (START, START + 3 * DAY)),
        ({"event": ["2026-04-01"], "repeat": {"boundsDuration": {"value": 2, "code": "wk"}}},
         (START, START + 2 * WEEK)),
        ({"event": ["2026-04-01"], "repeat": {"boundsRange": {"low": {"value": 1, "code": "d"},
                                                              "high": {"value": 3, "code": "d"}}}},
         (START, START + 3 * DAY)),
        ({"event": ["2026-04-01"], "repeat": {"boundsDuration": {"value": 2, "code": "kg"}}}, (START, START + DAY)),
        ({"repeat": {"boundsDuration": {"value": 2, "code": "wk"}}}, None),
        ({"repeat": {"frequency": 2}}, None), ({"event": "2026-04-01"}, None), ({"repeat": []}, None),
        ({"repeat": {"boundsPeriod": {"start": "2026-04-03", "end": "2026-04-01"}}}, None),
    ],
)  # fmt: skip
def test_timings(timing: dict[str, Any], span: Any) -> None:
    kept = index_of(observation(effectiveDateTime=None, effectiveTiming=timing), KEY).ranges
    assert kept == ([] if span is None else [(param_ids()["date"], *span)])


ODD: list[Any] = [None, True, 1, -1.5, "", "x", "x/y|z", [], {}, [[]], [None], {"value": None}, {"coding": 5},
                  {"value": "x"}, {"coding": [None, {"code": 1}]},
                  [{"a": [1]}], 10**5000, "\x00", "\ud800", "http:///a//", "://"]  # fmt: skip


def broken(node: Any, dice: Random) -> Any:
    """The node with here and there something that does not belong."""
    if dice.random() < 0.08:
        return dice.choice(ODD)
    if isinstance(node, dict):
        return {key: value if key == "resourceType" else broken(value, dice) for key, value in node.items()}
    return [broken(item, dice) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_be_read_is_left_out_whatever_the_type(seed: int) -> None:
    dice = Random(seed)
    for kind in sorted(definitions.concrete_types()):
        whole = next(variants(kind))
        index_of({key: v if key == "resourceType" else broken(v, dice) for key, v in whole.items()}, KEY)
