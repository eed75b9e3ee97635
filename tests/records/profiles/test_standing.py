"""A package cannot replace R4's own definitions; what it may bring, it may."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from phr.records import terminology
from phr.records.profiles import bundled, packages
from phr.records.profiles.archive import Unloadable
from phr.records.profiles.models import Package
from phr.records.terminology.sources import Bundled
from tests import published
from tests.records.profiles.archives import packed

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 1, tzinfo=UTC)
GENDER = "http://hl7.org/fhir/administrative-gender"
SET = "http://hl7.org/fhir/ValueSet/administrative-gender"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    packages.forget()
    yield
    packages.forget()


def own(kind: Any, url: str) -> dict[str, Any]:
    return dict(Bundled().find(kind, url, None) or {})


@pytest.mark.parametrize(
    ("kind", "url", "change"),
    [
        ("CodeSystem", GENDER, {"concept": [{"code": "robot"}]}),
        ("CodeSystem", GENDER, {"concept": [{"code": "robot"}], "version": "9.0.0"}),
        ("CodeSystem", GENDER, {"content": "not-present", "concept": None}),
        ("ValueSet", SET, {"compose": {"include": [{"system": "urn:robots"}]}}),
        ("ValueSet", SET, {"compose": None}),
    ],
)
def test_another_meaning_is_refused_by_name(kind: str, url: str, change: dict[str, Any]) -> None:
    made = {k: v for k, v in (own(kind, url) | change).items() if v is not None}
    with pytest.raises(Unloadable, match=f"x.json: {url} "):
        packages.load(packed({"x.json": made}), now=NOW)
    assert not Package.objects.exists()
    assert not terminology.holds(SET, GENDER, "robot")
    assert terminology.holds(SET, GENDER, "female")


def test_the_same_again_is_no_matter() -> None:
    files = {"c.json": own("CodeSystem", GENDER) | {"title": "gender"}, "v.json": own("ValueSet", SET)}
    assert packages.load(packed(files), now=NOW).resources == 2
    assert terminology.holds(SET, GENDER, "female")


def test_what_others_publish_may_be_newer() -> None:
    url = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
    made = own("CodeSystem", url) | {"version": "9.0.0", "concept": [{"code": "NEW"}]}
    assert packages.load(packed({"x.json": made}), now=NOW).resources == 1


def test_a_structure_of_r4_is_never_replaced() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/Patient"
    made = {"resourceType": "StructureDefinition", "url": url, "version": "4.0.1", "status": "active", "name": "Mine"}
    packages.load(packed({"x.json": made}), now=NOW)
    for version in (None, "4.0.1", "4.0"):
        assert packages.structure(url, version) == bundled.canonical(url)


def test_what_hl7_publishes_for_r4_can_be_loaded() -> None:
    texts = [(published.definitions() / f"{name}.json.gz").read_bytes() for name in ("valuesets", "conceptmaps")]
    found = [e["resource"] for text in texts for e in json.loads(gzip.decompress(text))["entry"]]
    assert len(found) > 1000
    done = packages.load(packed({f"r{n}.json": resource for n, resource in enumerate(found)}), now=NOW)
    assert done.resources == len(found)


def test_jp_core_can_be_loaded() -> None:
    assert packages.load(published.jp_core().read_bytes(), now=NOW).resources > 100
