"""`includeAssociatedData`: Provenance that goes along with what is exported (Bulk Data Access IG 3.0.0, export)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.family import YUKI, Neighbourhood, pressure, secret, weight
from tests.fhir.bulk.exports import exported, kick_off, parameters

IG = "Bulk Data Access IG 3.0"
RELEVANT, LATEST = "RelevantProvenanceResources", "LatestProvenanceResources"


def provenance(*targets: str) -> dict[str, Any]:
    return {
        "resourceType": "Provenance", "recorded": "2026-03-01T09:00:00+09:00",
        "target": [{"reference": t} for t in (*targets, f"Patient/{YUKI}")],
        "agent": [{"who": {"display": "見本"}}],
    }  # fmt: skip


def ids(found: Any) -> list[str]:
    return sorted(r["id"] for r in found.resources() if r["resourceType"] == "Provenance")


@pytest.fixture
def told(family: Neighbourhood) -> dict[str, str]:
    """Of two weights and a pressure: an old and a new one of the first weight, one of the pressure."""
    first, _, other = (family.clinic.made(r)["id"] for r in (weight(), weight(), pressure()))
    made = {}
    for name, target in (("old", first), ("new", first), ("other", other)):
        made[name] = family.clinic.made(provenance(f"Observation/{target}"))["id"]
    return made


WEIGHTS = "_typeFilter=Observation%3Fcode%3D29463-7"


@pytest.mark.spec(IG, "export: includeAssociatedData", "Relevant: all Provenance of the resources returned, once each")
def test_relevant(family: Neighbourhood, told: dict[str, str]) -> None:
    asked = f"$export?_type=Observation&includeAssociatedData={RELEVANT}"
    found = exported(family.clinic, asked)
    assert ids(found) == sorted(told.values())
    assert set(found.lines["output"]) == {"Observation", "Provenance"}
    assert ids(exported(family.clinic, f"{asked}&{WEIGHTS}")) == sorted([told["old"], told["new"]])
    assert ids(exported(family.clinic, "$export?_type=Observation")) == []
    assert ids(exported(family.clinic, f"$export?_type=Organization&includeAssociatedData={RELEVANT}")) == []


@pytest.mark.spec(IG, "export: includeAssociatedData", "Latest: only the most recent of each resource")
def test_latest(family: Neighbourhood, told: dict[str, str]) -> None:
    newest = sorted([told["new"], told["other"]])
    assert ids(exported(family.clinic, f"$export?_type=Observation&includeAssociatedData={LATEST}")) == newest
    every = exported(family.clinic, f"Patient/$export?_type=Observation&includeAssociatedData={LATEST}")
    assert ids(every) == newest
    # Of all types: the newest that is about Yuki's Patient is that of the pressure.
    assert ids(exported(family.clinic, f"$export?includeAssociatedData={LATEST}")) == newest


@pytest.mark.spec(IG, "export: includeAssociatedData", "conflicting values: the least restrictive")
def test_the_least_restrictive_counts(family: Neighbourhood, told: dict[str, str], settings: Any) -> None:
    settings.PHR_EXPORT_JOBS = 9
    both = f"includeAssociatedData={LATEST},{RELEVANT}"
    assert ids(exported(family.clinic, f"$export?_type=Observation&{both}")) == sorted(told.values())
    named = f"$export?_type=Observation,Provenance&includeAssociatedData={LATEST}"
    assert ids(exported(family.clinic, named)) == sorted(told.values())


def test_of_persons_in_slices(family: Neighbourhood, told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from phr.fhir.bulk import plan

    monkeypatch.setattr(plan, "SLICE", 1)
    body = parameters(patient={"reference": f"Patient/{YUKI}"}, _type="Observation", includeAssociatedData=RELEVANT)
    assert ids(exported(family.clinic, "Patient/$export", body)) == sorted(told.values())


def test_since_speaks_of_the_targets(family: Neighbourhood, told: dict[str, str]) -> None:
    asked = f"$export?_type=Observation&_since=2099-01-01T00:00:00Z&includeAssociatedData={RELEVANT}"
    assert ids(exported(family.clinic, asked)) == []


def test_the_token_must_cover_it(family: Neighbourhood) -> None:
    reader = family.app("clinic", scope="system/Observation.rs")
    assert kick_off(reader, f"$export?includeAssociatedData={RELEVANT}").status == 403


def test_provenance_of_what_is_hidden_is_judged_by_itself(family: Neighbourhood, told: dict[str, str]) -> None:
    other = family.of_clinic("9919000003")
    assert ids(exported(other, f"$export?_type=Observation&includeAssociatedData={RELEVANT}")) == []


def test_a_target_that_is_hidden_brings_nothing_along(family: Neighbourhood) -> None:
    hidden = family.mother.made(secret())
    family.clinic.made(provenance(f"Observation/{hidden['id']}"))
    assert ids(exported(family.clinic, f"$export?_type=Observation&includeAssociatedData={RELEVANT}")) == []
