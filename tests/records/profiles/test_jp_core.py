"""JP Core 1.2.0, loaded as an operator loads it: its examples conform, damaged copies of them do not.

The package is not shipped with the project: tests/published.py says where it is looked for.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from phr.records import body
from phr.records.profiles import bundled, conform, judging, packages, snapshot
from phr.records.profiles.structure import Spec, compiled
from tests import published
from tests.records.profiles.test_own_profiles import demo_resources

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def examples() -> Iterator[list[dict[str, Any]]]:
    file = published.jp_core()
    packages.forget()
    packages.load(file.read_bytes(), now=NOW)
    with tarfile.open(file) as archive:
        members = [m for m in archive if "/example/" in m.name and m.name.endswith(".json") and ".index" not in m.name]
        yield [body.parse(opened.read()) for m in members if (opened := archive.extractfile(m))]
    packages.forget()


def errors(resource: dict[str, Any]) -> list[str]:
    return [p.diagnostics for p in judging.findings(resource, now=NOW) if p.severity in ("error", "fatal")]


def test_every_profile_can_be_walked(examples: list[dict[str, Any]]) -> None:
    urls = packages.urls("StructureDefinition")
    assert len(urls) == 111
    assert all(judging.at_hand().profile(url) for url in urls)


def test_every_example_conforms_to_what_it_claims(examples: list[dict[str, Any]]) -> None:
    assert len(examples) == 76
    assert sum(1 for e in examples if conform.claims_of(e)) == 75
    assert {e["id"]: told for e in examples if (told := errors(e))} == {}


def needed(resource: dict[str, Any], spec: Spec) -> Iterator[str]:
    """The JSON keys of top-level elements that a profile wants and the resource has."""
    for name, child in spec.children.items():
        if child.min or any(slice.min for slice in child.slices):
            yield from (k for k in resource if k == name or (k.startswith(name) and k[len(name) :][:1].isupper()))


def test_copies_that_lack_what_is_needed_are_found(examples: list[dict[str, Any]]) -> None:
    damaged = 0
    for example in examples:
        for claim in conform.claims_of(example):
            profile = judging.at_hand().profile(claim)
            assert profile is not None
            for key in needed(example, profile.root):
                assert errors({k: v for k, v in example.items() if k != key}), (example["id"], key)
                damaged += 1
    assert damaged > 200


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"category": [{"coding": [{"system": "http://example.org", "code": "x"}]}]}, "category"),
        ({"status": "unheard-of"}, "code-invalid"),
        ({"subject": {"reference": "Device/1"}}, "subject"),
    ],
)
def test_copies_with_wrong_content_are_found(
    examples: list[dict[str, Any]], changed: dict[str, Any], place: str
) -> None:
    [measured] = [e for e in examples if e["id"].lower() == "jp-observation-bodymeasurement-example-1"]
    assert errors(measured) == []
    found = [p for p in judging.findings(measured | changed, now=NOW) if p.severity == "error"]
    assert any(place in p.expression or place in p.code for p in found)


def test_the_demo_family_meets_what_it_claims_of_jp_core(examples: list[dict[str, Any]]) -> None:
    resources = demo_resources()
    claims = {claim for resource in resources for claim in conform.claims_of(resource)}
    assert sum("jpfhir.jp" in claim for claim in claims) == 8
    told = {
        (p.diagnostics, p.expression) for r in resources for p in judging.findings(r, now=NOW) if p.severity == "error"
    }
    assert told == set()


def test_snapshots_made_here_say_what_the_published_ones_say(examples: list[dict[str, Any]]) -> None:
    """Each profile once more from its differential, upon others made so: as published, element by element."""
    whole = {url: packages.structure(url) or {} for url in packages.urls("StructureDefinition")}
    bare = {url: {k: v for k, v in told.items() if k != "snapshot"} for url, told in whole.items()}

    def find(url: str) -> dict[str, Any] | None:
        return bundled.canonical(url) or bare.get(url.partition("|")[0])

    compared = 0
    for url, told in whole.items():
        published = compiled(told)
        made = compiled(bare[url] | {"snapshot": {"element": snapshot.elements(bare[url], find)}})
        for id, spec in published.by_id.items():
            if (mine := made.by_id.get(id)) is None:
                assert id.rpartition(".")[2] in PLUMBING, (url, id)
                continue
            assert said(mine) == said(spec), (url, id)
            compared += 1
    assert compared > 4000


PLUMBING = {"id", "extension", "modifierExtension"}  # left out where nothing is said of them


def said(spec: Spec) -> tuple[Any, ...]:
    keys = {rule.key for rule in spec.rules} - {"ele-1", "ext-1"}
    slicing = spec.slicing if spec.name not in PLUMBING else None  # extensions are sliced by url, said or not
    names = [s.slice_name for s in spec.slices]
    codes = {t.code for t in spec.types}
    return spec.min, spec.max, spec.constant, spec.binding, slicing, spec.refers, names, keys, codes
