"""What may be asked for, and what fails the kick-off (Bulk Data Access IG 3.0.0, export: query parameters)."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.utils import timezone

from phr.fhir import wire
from tests.family import YUKI, Neighbourhood, organization, pressure, weight
from tests.fhir.bulk.exports import exported, kick_off, parameters

IG = "Bulk Data Access IG 3.0"
ME = {"reference": f"Patient/{YUKI}"}


def of_clinic(family: Neighbourhood) -> dict[str, Any]:
    """What the clinic itself found about Yuki."""
    return family.clinic.made(pressure())


@pytest.mark.spec(IG, "export: _type", "only the types asked for, each in files of its own")
def test_types(family: Neighbourhood) -> None:
    of_clinic(family)
    family.clinic.made(organization())
    found = exported(family.clinic, "$export?_type=Observation,Organization")
    assert set(found.lines["output"]) == {"Observation", "Organization"}
    assert found.manifest["request"].endswith("/fhir/$export?_type=Observation%2COrganization")
    repeated = exported(family.clinic, "$export?_type=Observation&_type=Organization")
    assert repeated.lines == found.lines


@pytest.mark.spec(IG, "export: _since", "only what changed after; the manifest's moment may be handed back")
def test_since_and_until(family: Neighbourhood) -> None:
    old = of_clinic(family)
    time.sleep(0.005)
    moment = quote(wire.instant(timezone.now()))
    time.sleep(0.005)
    new = of_clinic(family)
    since = exported(family.clinic, f"$export?_type=Observation&_since={moment}")
    assert since.names() == {f"Observation/{new['id']}"}
    until = exported(family.clinic, f"$export?_type=Observation&_until={moment}")
    assert f"Observation/{old['id']}" in until.names()
    assert f"Observation/{new['id']}" not in until.names()
    whole = exported(family.clinic)
    assert whole.manifest["transactionTime"] <= wire.instant(timezone.now())
    third = of_clinic(family)
    next_ = exported(family.clinic, f"$export?_since={quote(whole.manifest['transactionTime'])}")
    assert f"Observation/{third['id']}" in next_.names(), "nothing between two exports is lost"


@pytest.mark.spec(IG, "export: manifest deleted", "transactions that delete what was deleted since; in no output")
def test_deleted_since(family: Neighbourhood) -> None:
    gone, kept = of_clinic(family), of_clinic(family)
    before = quote(wire.instant(timezone.now() - timedelta(hours=1)))
    assert family.clinic.delete(f"Observation/{gone['id']}").status == 204
    found = exported(family.clinic, f"$export?_since={before}")
    bundles = found.resources("deleted")
    assert [b["type"] for b in bundles] == ["transaction"]
    assert bundles[0]["entry"] == [{"request": {"method": "DELETE", "url": f"Observation/{gone['id']}"}}]
    assert found.manifest["deleted"][0]["count"] == 1
    assert f"Observation/{gone['id']}" not in found.names()
    assert f"Observation/{kept['id']}" in found.names()
    assert not exported(family.clinic).manifest["deleted"]
    assert not exported(family.clinic, f"$export?_since={before}&_type=Patient").manifest["deleted"]


@pytest.mark.spec(IG, "export: _typeFilter", "searches, alternatives of a type; other types stay whole")
def test_type_filters(family: Neighbourhood) -> None:
    pressures, weights = of_clinic(family), family.clinic.made(weight())
    final = family.clinic.made(pressure(status="amended"))
    family.clinic.made(organization())
    query = quote("Observation?code=http://loinc.org|29463-7,Observation?code=8480-6&status=amended")
    found = exported(family.clinic, f"$export?_type=Observation,Organization&_typeFilter={query}")
    observations = {f"Observation/{r['id']}" for r in (weights, final)}
    assert {n for n in found.names() if n.startswith("Observation")} == observations
    assert "Organization" in found.lines["output"]
    both = exported(family.clinic, f"$export?_typeFilter={quote('Observation?code=8480-6,29463-7')}")
    assert observations | {f"Observation/{pressures['id']}"} <= both.names()
    assert "Patient" in both.lines["output"]


@pytest.mark.spec(IG, "export: _typeFilter", "each resource once, however many filters it answers")
def test_filters_that_overlap(family: Neighbourhood) -> None:
    made = of_clinic(family)
    query = quote("Observation?code=8480-6,Observation?status=final")
    found = exported(family.clinic, f"$export?_type=Observation&_typeFilter={query}")
    ids = [r["id"] for r in found.resources()]
    assert made["id"] in ids
    assert len(ids) == len(set(ids))


@pytest.mark.spec(IG, "export: _elements", "the root elements asked for, mandatory ones too, marked SUBSETTED")
def test_elements(family: Neighbourhood) -> None:
    of_clinic(family)
    found = exported(
        family.clinic, "$export?_type=Observation,Patient&_elements=Observation.value,Observation.id,gender"
    )
    for resource in found.resources():
        assert "SUBSETTED" in [t["code"] for t in resource["meta"]["tag"]]
        if resource["resourceType"] == "Observation":
            assert set(resource) == {"resourceType", "id", "meta", "status", "code", "valueQuantity"}
        else:
            assert set(resource) == {"resourceType", "id", "meta", "gender"}


@pytest.mark.spec(IG, "export: _outputFormat", "all three names of NDJSON, and nothing else")
@pytest.mark.parametrize("name", ["application/fhir+ndjson", "application/ndjson", "ndjson"])
def test_formats(family: Neighbourhood, name: str, settings: Any) -> None:
    settings.PHR_EXPORT_JOBS = 10
    assert kick_off(family.clinic, f"$export?_outputFormat={quote(name)}").status == 202
    assert kick_off(family.clinic, f"$export?_outputFormat={name}").status == 202  # + unescaped


NOT_UNDERSTOOD = [
    "organizeOutputBy=Patient", "_nonsense=1", "_outputFormat=text/csv", "_type=Monster", "_type=Monster,Patient",
    "_typeFilter=Observation", "_typeFilter=Monster%3Fcode%3D1", "_typeFilter=Observation%3F_sort%3Ddate",
    "_typeFilter=Observation%3F_include%3DObservation:subject", "_typeFilter=Observation%3Fnonsense%3D1",
    "_typeFilter=Observation%3F", "_typeFilter=Observation%3Fdate%3Dxx", "_typeFilter=Observation%3F%25ff",
    "_type=Patient&_typeFilter=Observation%3Fcode%3D1", "_elements=Patient.name.given", "_elements=Patient.nonsense",
    "_elements=Monster.id", "includeAssociatedData=_everything",
]  # fmt: skip


@pytest.mark.spec(IG, "export: kick-off error", "what is not supported fails with an OperationOutcome that names it")
@pytest.mark.parametrize("asked", NOT_UNDERSTOOD)
def test_what_is_not_understood_fails(family: Neighbourhood, asked: str) -> None:
    answer = kick_off(family.clinic, f"$export?{asked}")
    assert answer.status == 400
    assert answer.issue["expression"][0].removeprefix("http.") in asked


@pytest.mark.spec(IG, "export: handling=lenient", "ignored instead, with an OperationOutcome for each in `error`")
@pytest.mark.parametrize("asked", [a for a in NOT_UNDERSTOOD if a != "_type=Monster"])
def test_lenient_ignores_and_says_so(family: Neighbourhood, asked: str) -> None:
    of_clinic(family)
    found = exported(family.clinic, f"$export?{asked}", Prefer="respond-async, handling=lenient")
    [outcome] = found.resources("error")
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["expression"][0].removeprefix("http.") in asked
    assert found.manifest["error"][0]["count"] == 1
    assert found.names()


@pytest.mark.parametrize(
    "asked", ["_since=yesterday", "_since=2026-01-01", "_since=1&_since=2", "allowPartialManifests=x"]
)
def test_what_is_malformed_fails_always(family: Neighbourhood, asked: str) -> None:
    answer = kick_off(family.clinic, f"$export?{asked}", Prefer="respond-async; handling=lenient")
    assert answer.status == 400


@pytest.mark.spec(IG, "export: headers", "Prefer: respond-async")
def test_without_respond_async(family: Neighbourhood) -> None:
    assert family.clinic.get("$export").status == 400
    assert family.clinic.ask("GET", "$export", headers={"Prefer": "return=minimal"}).status == 400


@pytest.mark.spec(IG, "export: patient", "POST only, references only, not at system level")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$export", ME),
        ("Patient/$export", {"reference": "Observation/1"}),
        ("Patient/$export", {"reference": "Patient/not-a-uuid"}),
        ("Patient/$export", {"display": "somebody"}),
        ("Patient/$export", {"reference": f"https://elsewhere.example/fhir/Patient/{YUKI}"}),
    ],
)
def test_patients_that_cannot_be_meant(family: Neighbourhood, path: str, value: dict[str, str]) -> None:
    assert kick_off(family.clinic, path, parameters(patient=value)).status == 400


def test_patient_in_the_query_string(family: Neighbourhood) -> None:
    assert kick_off(family.clinic, f"Patient/$export?patient=Patient/{YUKI}").status == 400


@pytest.mark.spec(IG, "export: _type", "types outside the Patient compartment are refused at patient level")
def test_types_outside_the_compartment(family: Neighbourhood) -> None:
    assert kick_off(family.clinic, "Patient/$export?_type=Organization").status == 400
    assert kick_off(family.clinic, "Patient/$export?_type=Organization,Patient").status == 400
    assert kick_off(family.clinic, "$export?_type=Organization").status == 202


@pytest.mark.spec(IG, "export: Group", "what is about its members; the Group must be one the client sees")
def test_group(family: Neighbourhood) -> None:
    of_clinic(family)
    family.clinic.made(organization())
    group = {"resourceType": "Group", "type": "person", "actual": True, "member": [{"entity": ME}]}
    made = family.clinic.made(group)
    found = exported(family.clinic, f"Group/{made['id']}/$export")
    assert "Organization" not in found.lines["output"]
    assert {r["id"] for r in found.resources() if r["resourceType"] == "Patient"} == {str(YUKI)}
    empty = family.clinic.made(group | {"member": [{"entity": ME, "inactive": True}]})
    assert not exported(family.clinic, f"Group/{empty['id']}/$export").names()
    absent = kick_off(family.clinic, "Group/nowhere/$export")
    other = kick_off(family.of_clinic("9919000003"), f"Group/{made['id']}/$export")
    assert absent.status == other.status == 404
    assert absent.content == other.content
