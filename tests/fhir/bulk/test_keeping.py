"""Whose an export is, how long it stays, and what stops it: files at rest, clients, consents withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import TestCase
from django.utils import timezone

from consent import grants
from consent.models import Grant, Organization, Person, Subject
from consent.scope import Clause
from phr.fhir.bulk import plan, running, tasks
from phr.populate.cast import PAEDIATRIC
from phr.populate.store import FOR_THE_CLINIC
from phr.records import exporting, sealed_files, vault
from phr.records.jobs import ExportFile, ExportJob
from phr.smart.models import Application
from tests.family import OTSU, YUKI, App, Neighbourhood, audit_lines, organization, pressure
from tests.fhir.bulk.exports import Exported, download, exported, finished, job_of, kick_off, parameters

IG = "Bulk Data Access IG 3.0"
OTHER = "9919000003"


def file_of(found: Exported, type: str) -> str:
    return next(f["url"] for f in found.manifest["output"] if f["type"] == type)


# -- whose ---------------------------------------------------------------------------------------------


def test_another_clients_export_looks_like_none(family: Neighbourhood) -> None:
    done = exported(family.clinic)
    url, file = done.url, file_of(done, "Patient")
    other, same_house = family.of_clinic(OTHER), _second_client_of_the_clinic(family)
    nowhere = url.rsplit("/", 1)[0] + "/00000000-0000-4000-8000-000000000000"
    for app in (other, same_house, family.mother, family.officer):
        assert app.get(url).told() == app.get(nowhere).told()
        assert app.get(url).status == 404
        assert app.get(file).told() == app.get(file.replace(url, nowhere)).told()
        assert app.get(file).status == 404
        assert app.delete(url).told() == app.delete(nowhere).told()
        assert app.delete(url).status == 404
    assert family.anonymous.get(file).status == 401
    assert family.clinic.get(url).status == 200


def _second_client_of_the_clinic(family: Neighbourhood) -> Any:
    first = Application.objects.get(client_id="clinic")
    second = Application.objects.create(
        client_id="second", name="second", client_type="confidential", organization=first.organization,
        authorization_grant_type="client-credentials", system_scopes="system/*.cruds",
        token_endpoint_auth_method="private_key_jwt", client_secret="never used, never blank",
    )  # fmt: skip
    return family._launched(second, "system/*.cruds")


@pytest.mark.parametrize("place", ["x", "00000000", "../../etc/passwd", "00000000-0000-4000-8000-000000000000/x"])
def test_places_where_nothing_is(family: Neighbourhood, place: str) -> None:
    assert family.clinic.get(f"bulk/{place}").status == 404


@pytest.mark.parametrize("name", ["output-Patient-2.ndjson", "output-Patient-1", "..", "%2e%2e%2fplan", "x" * 99])
def test_names_of_no_file(family: Neighbourhood, name: str) -> None:
    done = exported(family.clinic)
    assert family.clinic.get(f"{done.url}/{name}").status == 404


def test_a_file_is_no_file_until_the_export_is_done(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    accepted = kick_off(family.clinic)
    job = running._claim(job_of(accepted), now=timezone.now())
    assert job
    assert running._advance(job, now=timezone.now())
    assert ExportFile.objects.filter(type="Patient").exists()
    url = accepted.headers["Content-Location"]
    assert family.clinic.get(f"{url}/output-Patient-1.ndjson").status == 404
    status = family.clinic.get(url)
    assert status.status == 202
    assert status.headers["X-Progress"].endswith(" resources")


def test_persons_do_not_export(family: Neighbourhood) -> None:
    for app in (family.mother, family.father, family.aunt, family.officer, family.app("obstetrician")):
        assert kick_off(app).status == 403
        assert kick_off(app, "Patient/$export").status == 403


@pytest.mark.spec(IG, "export: authorization", "only what the token's scopes cover")
def test_narrow_tokens(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    reader = family.app("clinic", scope="system/Patient.rs")
    assert set(exported(reader).lines["output"]) == {"Patient"}
    assert kick_off(reader, "$export?_type=Observation").status == 403
    assert kick_off(reader, "$export?_typeFilter=Observation%3Fcode%3D8480-6").status == 403
    assert kick_off(family.app("clinic", scope="system/*.cu")).status == 403
    granular = family.app("clinic", scope="system/Observation.rs?code=http://loinc.org|8480-6 system/Patient.rs")
    assert {r["code"]["coding"][0]["code"] for r in exported(granular).resources() if "code" in r} == {"8480-6"}


def test_a_narrower_token_of_the_same_client_gets_less_of_a_file(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    done = exported(family.clinic)
    reader = family.app("clinic", scope="system/Patient.rs")
    assert download(reader, file_of(done, "Patient"))
    assert download(reader, file_of(done, "Observation")) == []


# -- how long ------------------------------------------------------------------------------------------


def test_an_export_expires(
    family: Neighbourhood, export_folder: Path, django_capture_on_commit_callbacks: Callable[..., Any], settings: Any
) -> None:
    settings.PHR_EXPORT_HOURS = 1
    done = exported(family.clinic)
    job = ExportJob.objects.get()
    assert job.expires_at == job.finished_at + timedelta(hours=1)
    ExportJob.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert family.clinic.get(done.url).status == 404, "at once, before anything is tidied"
    assert family.clinic.get(file_of(done, "Patient")).status == 404
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sweep()
    assert not ExportJob.objects.exists()
    assert not list(export_folder.rglob("*"))


def test_folders_nobody_knows_are_swept(family: Neighbourhood, export_folder: Path) -> None:
    exported(family.clinic)
    (export_folder / ("ab" * 16)).mkdir()
    (export_folder / "somebody-elses").mkdir()
    tasks.sweep()
    kept = {path.name for path in export_folder.iterdir()}
    assert kept == {ExportJob.objects.get().pk.hex, "somebody-elses"}


@pytest.mark.spec(IG, "export: kick-off error", "429 with Retry-After while others of this client run")
def test_a_client_has_few_exports_at_a_time(family: Neighbourhood, settings: Any) -> None:
    settings.PHR_EXPORT_JOBS = 2
    first = kick_off(family.clinic)
    assert kick_off(family.clinic).status == 202
    more = kick_off(family.clinic)
    assert (more.status, more.issue["code"]) == (429, "throttled")
    assert int(more.headers["Retry-After"]) > 0
    assert kick_off(family.of_clinic(OTHER)).status == 202, "another client has its own"
    running.run(job_of(first), clock=timezone.now)
    assert kick_off(family.clinic).status == 202


# -- at rest -------------------------------------------------------------------------------------------


def test_nothing_legible_lies_in_the_folder_or_the_row(family: Neighbourhood, export_folder: Path) -> None:
    family.mother.made(pressure(note=[{"text": "とても秘密の所見 SECRET-FINDING"}]))
    query = "_typeFilter=Observation%3Fcode%3Dhttp://loinc.org%7C8480-6"
    done = exported(family.clinic, f"$export?{query}")
    assert b"SECRET-FINDING" in done.lines["output"]["Observation"][0]
    files = list(export_folder.rglob("*.sealed"))
    assert len(files) == len(done.manifest["output"])
    for path in files:
        content = path.read_bytes()
        for text in (b"SECRET", b"resourceType", str(YUKI).encode(), b"8480-6"):
            assert text not in content
        assert path.stat().st_mode & 0o077 == 0
    job = ExportJob.objects.get()
    assert b"8480-6" not in bytes(job.plan)
    assert "8480-6" not in str(job.authority)


def test_what_is_altered_does_not_leave(family: Neighbourhood, export_folder: Path) -> None:
    family.mother.made(pressure())
    done = exported(family.clinic)
    [path] = export_folder.rglob("output-Observation-1*")
    whole = path.read_bytes()
    for altered in (whole[:-1], whole[:20] + bytes([whole[20] ^ 1]) + whole[21:], b"", whole[:3]):
        path.write_bytes(altered)
        assert family.clinic.get(file_of(done, "Observation")).status == 500
    [patients] = export_folder.rglob("output-Patient-1*")
    path.write_bytes(patients.read_bytes())
    assert family.clinic.get(file_of(done, "Observation")).status == 500, "nor what was put in its place"
    path.unlink()
    assert family.clinic.get(file_of(done, "Observation")).status == 500


def test_keys_of_exports_rotate(family: Neighbourhood, settings: Any) -> None:
    done = exported(family.clinic)
    settings.PHR_KEYS = "new:" + "bmV3" * 10 + "bmU=," + settings.PHR_KEYS
    vault.parse_keyring.cache_clear()
    call_command("rotate_keys", stdout=open("/dev/null", "w"))  # noqa: SIM115
    assert ExportJob.objects.get().kek == "new"
    assert finished(family.clinic, done.url).lines == done.lines


# -- what stops it -------------------------------------------------------------------------------------


def withdraw_all(family: Neighbourhood) -> None:
    yuki = family.demo.people["yuki"]
    for grant in Grant.objects.filter(subject_id=YUKI, state="active"):
        grants.withdraw(grant=grant, by=yuki, reason="test", now=timezone.now())


@pytest.mark.IT("11")
def test_a_consent_withdrawn_in_the_middle_stops_what_follows(
    family: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 3)
    for _ in range(9):
        family.mother.made(pressure())
    family.clinic.made(organization())
    accepted = kick_off(family.clinic, "$export?_type=Observation")
    job = running._claim(job_of(accepted), now=timezone.now())
    assert job
    assert running._advance(job, now=timezone.now())
    withdraw_all(family)
    while running._advance(job, now=timezone.now()):
        pass
    assert [f.lines for f in ExportFile.objects.filter(type="Observation")] == [3]
    found = finished(family.clinic, accepted.headers["Content-Location"])
    assert found.lines["output"]["Observation"] == [], "and what is in the file already does not leave any more"


@pytest.mark.IT("11")
def test_a_consent_withdrawn_later_holds_back_the_file(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    own = family.clinic.made(pressure())
    done = exported(family.clinic)
    assert len(download(family.clinic, file_of(done, "Observation"))) == 2
    withdraw_all(family)
    [left] = download(family.clinic, file_of(done, "Observation"))
    assert own["id"].encode() in left, "what the clinic wrote itself stays its own"


def of_two(family: Neighbourhood) -> tuple[App, dict[str, Any]]:
    """Another clinic, to which Yuki and Otsu open their records, and a question about these two."""
    office = family.demo.organizations[PAEDIATRIC.code]
    root = Clause(permit=True, actors=frozenset({f"org:{office.pk}"}), purposes=frozenset({"TREAT"}),
                  categories=FOR_THE_CLINIC)  # fmt: skip
    for who, record in (("yuki", YUKI), ("otsu", OTSU)):
        grants.give(subject=Subject.objects.get(pk=record), root=root, by=Person.objects.get(username=who),
                    capacity="self", now=timezone.now())  # fmt: skip
    return family.of_clinic(PAEDIATRIC.code), parameters(
        patient=[{"reference": f"Patient/{YUKI}"}, {"reference": f"Patient/{OTSU}"}]
    )


@pytest.mark.IT("11")
@pytest.mark.parametrize("when", ["accepted", "running", "done"])
def test_an_export_of_named_persons_ends_when_one_withdraws(
    family: Neighbourhood, export_folder: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 3)
    for _ in range(9):
        family.mother.made(pressure())
    app, asked = of_two(family)
    accepted = kick_off(app, "Patient/$export", asked)
    id, url = job_of(accepted), accepted.headers["Content-Location"]
    held = running._claim(id, now=timezone.now()) if when == "running" else None
    if held is not None:
        assert running._advance(held, now=timezone.now())
    if when == "done":
        running.run(id, clock=timezone.now)
    assert running.void(now=timezone.now()) == 0, "while both consent it goes on"
    kept = ExportJob.objects.get(pk=id)
    folder = sealed_files.folder(id)
    assert list(folder.glob("*")) != [] or when == "accepted"
    withdraw_all(family)
    with TestCase.captureOnCommitCallbacks(execute=True):
        if held is not None:  # the worker itself finds it before its next chunk
            with pytest.raises(running.Refused):
                running._advance(held, now=timezone.now())
        assert running.void(now=timezone.now()) == 1
    job = ExportJob.objects.get(pk=id)
    assert (job.state, job.files.count(), list(folder.glob("*"))) == ("failed", 0, [])
    assert bytes(job.wrapped) != bytes(kept.wrapped)
    with pytest.raises(vault.CannotOpen):
        running.asked(job)
    assert app.get(url).status == 500
    assert audit_lines("export:failed")
    if held is not None:
        with pytest.raises(running.Overtaken):
            running._still_mine(held)
    assert kick_off(app, "Patient/$export", asked).status == 422, "and is not begun again with her in it"
    alone = exported(app, "Patient/$export", parameters(patient={"reference": f"Patient/{OTSU}"}))
    assert str(YUKI) not in str(alone.lines)


@pytest.mark.IT("11")
def test_an_export_of_many_ends_when_none_is_left(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SLICE", 1)
    app, asked = of_two(family)
    id = job_of(kick_off(app, "Patient/$export", asked))
    running.run(id, clock=timezone.now)
    withdraw_all(family)
    assert running.void(now=timezone.now()) == 0
    for grant in Grant.objects.filter(subject_id=OTSU, state="active"):
        grants.withdraw(grant=grant, by=Person.objects.get(username="otsu"), reason="", now=timezone.now())
    assert running.void(now=timezone.now()) == 1
    assert ExportJob.objects.get(pk=id).state == "failed"


@pytest.mark.parametrize("state", [Subject.State.LOCKED, Subject.State.ERASED])
def test_nothing_leaves_of_whoever_was_locked_or_erased(family: Neighbourhood, state: str) -> None:
    family.mother.made(pressure())
    family.clinic.made(pressure())
    done = exported(family.clinic)
    Subject.objects.filter(pk=YUKI).update(state=state)
    assert download(family.clinic, file_of(done, "Observation")) == []


def test_a_resource_deleted_later_does_not_leave(family: Neighbourhood) -> None:
    made = family.clinic.made(pressure())
    done = exported(family.clinic, "$export?_type=Observation")
    family.clinic.delete(f"Observation/{made['id']}")
    assert download(family.clinic, file_of(done, "Observation")) == []


@pytest.mark.parametrize(
    "change", [{"is_active": False}, {"system_scopes": "system/Patient.rs"}, {"system_scopes": ""}]
)
def test_a_client_that_may_no_longer_ask_gets_nothing_more(family: Neighbourhood, change: dict[str, Any]) -> None:
    accepted = kick_off(family.clinic)
    Application.objects.filter(client_id="clinic").update(**change)
    running.run(job_of(accepted), clock=timezone.now)
    assert ExportJob.objects.get().state == "failed"
    assert not ExportFile.objects.exists()
    assert audit_lines("export:failed")


def test_an_organisation_that_is_suspended(family: Neighbourhood) -> None:
    done, accepted = exported(family.clinic), kick_off(family.clinic)
    Organization.objects.filter(application__client_id="clinic").update(state="suspended")
    assert family.clinic.get(done.url).status == 404
    assert family.clinic.get(file_of(done, "Patient")).status == 404
    running.run(job_of(accepted), clock=timezone.now)
    assert ExportJob.objects.get(pk=job_of(accepted)).state == "failed"


def test_a_failed_export_says_so(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = kick_off(family.clinic)

    def broken(*args: object, **options: object) -> None:
        raise RuntimeError("clinical words")

    monkeypatch.setattr(running, "_write", broken)
    for _ in range(running.MOST_ATTEMPTS):
        running.run(job_of(accepted), clock=timezone.now)
    told = family.clinic.get(accepted.headers["Content-Location"])
    assert told.status == 500
    assert "clinical words" not in told.content.decode()


def test_files_lost_from_the_disk_are_written_anew(
    family: Neighbourhood, export_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 3)
    for _ in range(9):
        family.clinic.made(pressure())
    accepted = kick_off(family.clinic, "$export?_type=Observation")
    job = running._claim(job_of(accepted), now=timezone.now())
    assert job
    assert running._advance(job, now=timezone.now())
    sealed_files.remove(job.pk)
    running.run(job.pk, clock=lambda: timezone.now() + 2 * running.STALE)  # finds them lost, and begins anew
    running.run(job.pk, clock=timezone.now)
    found = finished(family.clinic, accepted.headers["Content-Location"])
    ids = [r["id"] for r in found.resources()]
    assert len(ids) == len(set(ids)) >= 9
