"""Searches that walk: up and down a tree of places, along URLs, and across the map; never over what is hidden."""

from __future__ import annotations

import pytest

from phr.records.search.parse import parse
from tests.conftest import NOON
from tests.records.search.asking import NONE, page, stored
from tests.records.search.naive import Resource
from tests.records.search.world import patient_id

TOKYO, YOKOHAMA, OSAKA = (35.681, 139.767), (35.466, 139.622), (34.702, 135.496)


def place(id: str, up: str | None = None, at: tuple[float, float] | None = None) -> Resource:
    made: Resource = {"resourceType": "Location", "id": id, "name": id}
    if up:
        made["partOf"] = {"reference": f"Location/{up}"}
    if at:
        made["position"] = {"latitude": at[0], "longitude": at[1]}
    return made


def visit(id: str, where: str) -> Resource:
    return {
        "resourceType": "Encounter", "id": id, "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{patient_id(0)}"},
        "location": [{"location": {"reference": f"Location/{where}"}}],
    }  # fmt: skip


@pytest.fixture
def hospital(db: None) -> None:
    stored([
        place("house"), place("floor", "house"), place("ward", "floor"), place("bed", "ward"), place("other"),
        place("ring-a", "ring-b"), place("ring-b", "ring-a"),
        *(visit(f"in-{where}", where) for where in ("house", "floor", "ward", "bed", "other", "ring-a")),
    ])  # fmt: skip


def found(type: str, name: str, value: str, hidden: frozenset[str] = NONE, *, few: bool = False) -> set[str]:
    query = parse(type, [(name, value), ("_count", "100")], now=NOON)
    return {reference.partition("/")[2] for reference in page(query, hidden=hidden, few=few)[0]}


@pytest.mark.spec("FHIR R4", "3.1.1.4.13", "references that make a tree: :below and :above, transitively")
@pytest.mark.parametrize("few", [False, True])
def test_below_and_above(hospital: None, few: bool) -> None:
    def at(modifier: str, id: str) -> set[str]:
        return found("Encounter", f"location:{modifier}", f"Location/{id}", few=few)

    assert at("below", "floor") == {"in-floor", "in-ward", "in-bed"}
    assert at("above", "ward") == {"in-ward", "in-floor", "in-house"}
    assert at("below", "bed") == {"in-bed"}
    assert at("below", "nowhere") == set()
    assert at("below", "ring-b") == {"in-ring-a"}  # a ring ends
    assert at("above", "ring-b") == {"in-ring-a"}
    assert found("Location", "partof:below", "Location/floor") == {"ward", "bed"}


def test_a_tree_is_not_walked_over_what_is_hidden(hospital: None) -> None:
    hidden = frozenset({"Location/ward"})
    assert found("Encounter", "location:below", "Location/floor", hidden) == {"in-floor"}
    assert found("Encounter", "location:above", "Location/bed", hidden) == {"in-bed"}
    assert found("Encounter", "location:below", "Location/ward", hidden) == set()


@pytest.mark.spec("FHIR R4", "location.html 8.7.4", "near: within a distance of a place")
def test_near(db: None) -> None:
    stored([place("tokyo", at=TOKYO), place("yokohama", at=YOKOHAMA), place("osaka", at=OSAKA), place("somewhere")])
    assert found("Location", "near", "35.68|139.77|1|km") == {"tokyo"}
    assert found("Location", "near", "35.68|139.77") == {"tokyo", "yokohama"}  # 50 km where nothing is told
    assert found("Location", "near", "35.68|139.77|27|km") == {"tokyo"}  # Yokohama is 27.3 km away
    assert found("Location", "near", "35.68|139.77|28|km") == {"tokyo", "yokohama"}
    assert found("Location", "near", "35.68|139.77|500|km") == {"tokyo", "yokohama", "osaka"}
    assert found("Location", "near", "35.68|139.77|18|[mi_us]") == {"tokyo", "yokohama"}
    assert found("Location", "near", "35.68|-179.9|5000|km") == {"tokyo", "yokohama", "osaka"}  # across the date line
    assert found("Location", "near:missing", "true") == {"somewhere"}


@pytest.mark.spec("FHIR R4", "3.1.1.4.5", "uri: :below and :above by the steps of a path")
def test_urls(db: None) -> None:
    urls = {"a": "http://acme.example/fhir/ValueSet/123", "b": "http://acme.example/fhir/ValueSet/123/more",
            "c": "http://acme.example/fhir/ValueSet/1234", "d": "urn:oid:1.2.3"}  # fmt: skip
    stored([
        {"resourceType": "ValueSet", "id": id, "status": "active", "url": url} for id, url in urls.items()
    ])  # fmt: skip
    assert found("ValueSet", "url", urls["a"]) == {"a"}
    assert found("ValueSet", "url:below", "http://acme.example/fhir/ValueSet/123") == {"a", "b"}
    assert found("ValueSet", "url:below", "http://acme.example/fhir") == {"a", "b", "c"}
    assert found("ValueSet", "url:above", urls["b"]) == {"a", "b"}
    assert found("ValueSet", "url:above", urls["a"] + "/_history/5") == {"a"}
    assert found("ValueSet", "url:below", "urn:oid:1.2.3") == {"d"}


@pytest.mark.spec("FHIR R4", "3.1.1.4.12", "a versioned reference is met as a reference, and by its version")
def test_versioned_references(db: None) -> None:
    for_version = visit("first", "house")
    for_version["location"][0]["location"]["reference"] += "/_history/2"
    stored([place("house"), for_version, visit("second", "house")])
    assert found("Encounter", "location", "Location/house") == {"first", "second"}
    assert found("Encounter", "location", "Location/house/_history/2") == {"first"}
    assert found("Encounter", "location", "Location/house/_history/3") == set()
    assert found("Encounter", "location.name", "house") == {"first", "second"}
