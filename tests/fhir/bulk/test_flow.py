"""The flow over HTTP: kick-off, status, manifest, files, end (Bulk Data Access IG 3.0.0)."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from phr.fhir.bulk import running
from phr.records.jobs import ExportJob
from tests.family import KAI, YUKI, Neighbourhood, audit_lines, decoded, organization, pressure, secret, weight
from tests.fhir.bulk.exports import download, exported, finished, job_of, kick_off, parameters

IG = "Bulk Data Access IG 3.0"


@pytest.mark.spec(
    IG, "export: kick-off", "202 with Content-Location; polled 202 with progress, then 200 with a manifest"
)
def test_the_whole_way(family: Neighbourhood, export_folder: Path) -> None:
    made = family.mother.made(pressure())
    accepted = kick_off(family.clinic)
    assert accepted.status == 202
    assert accepted.issue["severity"] == "information"
    url = accepted.headers["Content-Location"]
    assert url.startswith("http://127.0.0.1:8000/fhir/bulk/")
    waiting = family.clinic.get(url)
    assert (waiting.status, waiting.content) == (202, b"")
    assert waiting.headers["X-Progress"] == "accepted"
    assert int(waiting.headers["Retry-After"]) > 0

    running.run(job_of(accepted), clock=timezone.now)
    done = family.clinic.get(url)
    assert done.status == 200
    assert done.headers["Content-Type"] == "application/json"
    assert "Expires" in done.headers
    told = done.json
    assert set(told) == {"transactionTime", "request", "requiresAccessToken", "output", "deleted", "error"}
    assert told["requiresAccessToken"] is True
    assert told["request"] == "http://127.0.0.1:8000/fhir/$export"
    found = finished(family.clinic, url)
    assert f"Observation/{made['id']}" in found.names()
    assert {f["type"]: f["count"] for f in told["output"]} == {
        t: len(lines) for t, lines in found.lines["output"].items()
    }
    assert decoded(found.lines["output"]["Observation"][0])["valueQuantity"] == made["valueQuantity"]


def test_a_search_finds_exactly_what_an_export_gives(family: Neighbourhood) -> None:
    for given in (pressure(), weight(), secret(), pressure(KAI)):
        (family.mother if given["subject"]["reference"] == f"Patient/{YUKI}" else family.stranger_of(KAI)).made(given)
    family.clinic.made(organization())
    found = exported(family.clinic).names()
    for type in ("Patient", "Observation", "Organization"):
        assert {n for n in found if n.startswith(f"{type}/")} == {
            f"{type}/{id}" for page in family.clinic.pages(type) for id in page
        }


@pytest.mark.spec(IG, "export: patient level", "only what is about patients; limited to those named by `patient`")
def test_patient_level_and_the_patients_asked_for(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    family.clinic.made(organization())
    every = exported(family.clinic, "Patient/$export")
    assert "Organization" not in every.lines["output"]
    assert f"Patient/{YUKI}" in every.names()
    one = exported(family.clinic, "Patient/$export", parameters(patient={"reference": f"Patient/{YUKI}"}))
    assert one.names() == every.names()
    assert one.manifest["request"] == "http://127.0.0.1:8000/fhir/Patient/$export"
    hidden = kick_off(family.clinic, "Patient/$export", parameters(patient={"reference": f"Patient/{KAI}"}))
    nobody = "00000000-0000-4000-8000-000000000000"
    absent = kick_off(family.clinic, "Patient/$export", parameters(patient={"reference": f"Patient/{nobody}"}))
    assert (hidden.status, hidden.issue["code"]) == (422, "not-found")
    assert hidden.content.replace(str(KAI).encode(), nobody.encode()) == absent.content


@pytest.mark.spec(IG, "export: delete", "202, and 404 from then on; the files are gone")
def test_deleting_removes_the_files(
    family: Neighbourhood, export_folder: Path, django_capture_on_commit_callbacks: object
) -> None:
    family.mother.made(pressure())
    done = exported(family.clinic)
    assert list(export_folder.rglob("*.sealed"))
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert family.clinic.delete(done.url).status == 202
    assert not list(export_folder.rglob("*"))
    assert family.clinic.get(done.url).status == 404
    assert family.clinic.get(done.manifest["output"][0]["url"]).status == 404
    assert family.clinic.delete(done.url).status == 404
    assert not ExportJob.objects.exists()


def test_an_export_leaves_its_lines_on_the_log(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    done = exported(family.clinic)
    [run] = {detail["run"] for *_, detail in audit_lines("export:accepted")}
    searched = [(s, d["count"]) for s, *_, d in audit_lines("record:searched") if d.get("run") == run]
    assert (YUKI, 2) in searched  # her Patient and the Observation
    left = [(s, d["type"], d["count"]) for s, *_, d in audit_lines("record:exported")]
    assert {(YUKI, "Patient", 1), (YUKI, "Observation", 1)} <= set(left)
    before = len(left)
    download(family.clinic, next(f["url"] for f in done.manifest["output"] if f["type"] == "Observation"))
    assert len(audit_lines("record:exported")) == before + 1
