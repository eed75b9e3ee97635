"""What is at hand: the bundled definitions, and what operators load before them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from phr.records import terminology
from phr.records.profiles import packages
from phr.records.profiles.terminology import Packages
from phr.records.terminology.sources import Bundled, _index
from tests import published

V3 = "http://terminology.hl7.org/CodeSystem/"
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"


@pytest.fixture
def bundled_only() -> Iterator[None]:
    """No packages: then no database is asked."""
    terminology.use()
    yield
    terminology.use(Packages())


@pytest.mark.usefixtures("bundled_only")
class TestBundled:
    def test_codes_of_a_value_set(self) -> None:
        system = "http://hl7.org/fhir/administrative-gender"
        assert terminology.codes_in(GENDER) == {(system, c) for c in ("male", "female", "other", "unknown")}
        assert terminology.codes_in(GENDER + "|4.0.1") == terminology.codes_in(GENDER)
        with pytest.raises(terminology.Unknown, match="administrative-gender"):
            terminology.codes_in(GENDER + "|5.0.0")

    def test_below_and_above(self) -> None:
        assert terminology.below(V3 + "v3-ActCode", "FF") >= {"FF", "FFC", "FFCS", "FFPS"}
        assert terminology.above(V3 + "v3-ActCode", "FFCS") >= {"FFC", "FF", "_ActPharmacySupplyType", "FFCS"}
        with pytest.raises(terminology.Unknown):
            terminology.below(V3 + "v3-ActCode", "no such")
        with pytest.raises(terminology.Unknown):
            terminology.above("http://snomed.info/sct", "404684003")

    def test_most_value_sets_of_r4_can_be_listed(self) -> None:
        """Those that cannot draw on what belongs to others; none of them counts as empty."""
        listed, refused = 0, 0
        for url in _index()["ValueSet"]:
            try:
                assert terminology.codes_in(url), url
                listed += 1
            except (terminology.NotExpandable, terminology.TooLarge):
                refused += 1
        assert (listed > 1140, refused < 180) == (True, True), (listed, refused)

    @pytest.mark.spec("FHIR R4", "terminologies", "SNOMED CT is not redistributed")
    def test_no_snomed_ct_is_bundled(self) -> None:
        for kind in ("CodeSystem", "ValueSet", "ConceptMap"):
            for rows in _index()[kind].values():
                for raw in rows.values():
                    resource = json.loads(bytes(raw))
                    assert resource["url"] != "http://snomed.info/sct"
                    parts = resource.get("compose", {}).get("include", [])
                    assert not [p for p in parts if "snomed" in p.get("system", "") and "concept" in p]
                    assert not [g for g in resource.get("group", []) if "snomed" in g.get("target", "")]

    def test_versions_glued_to_urls_are_taken_apart(self) -> None:
        found = [Bundled().find("CodeSystem", V3 + "v2-0391", version) for version in ("2.4", "2.6", None)]
        assert [r and r["version"] for r in found] == ["2.4", "2.6", "2.6"]

    def test_holding_asks_only_for_what_decides(self) -> None:
        assert terminology.holds(GENDER, "http://hl7.org/fhir/administrative-gender", "male")
        assert not terminology.holds("http://hl7.org/fhir/ValueSet/body-site", "urn:x", "1")
        with pytest.raises(terminology.NotExpandable, match=r"snomed\.info"):
            terminology.holds("http://hl7.org/fhir/ValueSet/body-site", "http://snomed.info/sct", "1")

    def test_a_set_that_is_too_large_is_refused_with_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(terminology, "MOST_CODES", 3)
        terminology._codes_in.cache_clear()
        with pytest.raises(terminology.TooLarge, match="3"):
            terminology.codes_in(GENDER)
        monkeypatch.undo()
        assert len(terminology.codes_in(GENDER)) == 4


def packed(name: str, *resources: dict[str, Any]) -> bytes:
    """A package as implementation guides come."""
    files = {"package/package.json": {"name": name, "version": "1.0.0", "fhirVersions": ["4.0.1"]}}
    files |= {f"package/{n}.json": resource for n, resource in enumerate(resources)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, content in files.items():
            text = json.dumps(content).encode()
            told = tarfile.TarInfo(path)
            told.size = len(text)
            archive.addfile(told, io.BytesIO(text))
    return out.getvalue()


def system(url: str, *codes: str, **more: Any) -> dict[str, Any]:
    concepts = [{"code": code} for code in codes]
    head = {"resourceType": "CodeSystem", "url": url, "version": "1", "status": "active", "content": "complete"}
    return head | {"concept": concepts} | more


def value_set(url: str, of: str, version: str = "1") -> dict[str, Any]:
    compose = {"include": [{"system": of}]}
    return {"resourceType": "ValueSet", "url": url, "version": version, "status": "active", "compose": compose}


@pytest.mark.django_db
def test_what_operators_load_comes_first_and_is_seen_at_once(now: datetime) -> None:
    url = "http://terminology.hl7.org/ValueSet/v3-ActPriority"  # R4's own stand: profiles/test_standing.py
    bundled = terminology.codes_in(url)
    assert len(bundled) > 5
    loaded = packed("test.body", system("urn:test:sites", "left", "right"), value_set(url, "urn:test:sites", "4.0.1"))
    packages.load(loaded, now=now)
    assert terminology.codes_in(url) == {("urn:test:sites", "left"), ("urn:test:sites", "right")}
    more = packed("test.body", system("urn:test:sites", "left"), value_set(url, "urn:test:sites", "4.0.1"))
    packages.load(more, now=now)
    assert terminology.codes_in(url) == {("urn:test:sites", "left")}
    packages.remove("test.body")
    assert terminology.codes_in(url) == bundled


@pytest.mark.django_db
def test_supplements_and_maps_of_packages(now: datetime) -> None:
    extra = system("urn:test:ja", content="supplement", supplements="urn:test:sites|1")
    extra["concept"] = [{"code": "left", "designation": [{"language": "ja", "value": "左"}]}]
    group = {"source": "urn:test:sites", "target": "urn:test:other", "element": [{"code": "left", "target": [
        {"code": "L", "equivalence": "equal"}]}]}  # fmt: skip
    map = {"resourceType": "ConceptMap", "url": "urn:test:map", "version": "1", "status": "active", "group": [group]}
    packages.load(packed("test.body", system("urn:test:sites", "left"), extra, map), now=now)
    library = terminology.library()
    found = library.supplemented(library.code_system("urn:test:sites")).concept("left")
    assert [d["value"] for d in found.designations] == ["左"]
    assert "urn:test:map" in {m["url"] for m in library.concept_maps("urn:test:sites")}
    with pytest.raises(terminology.Unknown):
        library.code_system("urn:test:ja")


@pytest.mark.django_db
@pytest.mark.spec("JP Core 1.2.0", "terminology", "its value sets are listed, or the code system they lack is named")
def test_the_terminology_of_jp_core(now: datetime) -> None:
    packages.load(published.jp_core().read_bytes(), now=now)
    listed, missing = 0, []
    for url in packages.urls("ValueSet"):
        try:
            listed += bool(terminology.codes_in(url))
        except terminology.TerminologyError as error:
            missing.append(f"{url}: {error}")
    assert listed >= 20
    assert all("http" in line.partition(": ")[2] or "urn:" in line.partition(": ")[2] for line in missing), missing
    url = "http://jpfhir.jp/fhir/core/CodeSystem/JP_ObservationBodyMeasurementCode_CS"
    first = next(iter(terminology.library().code_system(url).concepts))
    assert terminology.below(url, first) >= {first}
