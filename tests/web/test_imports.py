"""The pages about what comes in, without a browser: proof before linking, files too large, other towns' runs."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from consent.models import Person
from integrations import linking, taking
from integrations.items import Piece
from integrations.models import ImportRun, LinkCode, LocalNumber, Unlinked
from integrations.pages import uploads
from integrations.school import connector as school
from tests.family import Neighbourhood, at_home
from tests.integrations.school.test_school import GOLDEN


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


def session_of(person: Person, *, acr: str = "aal1", at: datetime | None = None) -> Client:
    client = Client()
    client.force_login(person)
    kept = client.session
    kept["acr"], kept["authenticated_at"] = acr, int((at or timezone.now()).timestamp())
    kept.save()
    return client


def desk(family: Neighbourhood, **proof: Any) -> Client:
    return session_of(family.demo.people["sato"], **proof)


def sent(client: Client, **fields: Any) -> Any:
    file = SimpleUploadedFile("checkup.csv", GOLDEN, content_type="text/csv")
    return client.post("/imports/new", {"what": "school-csv/standard", "file": file} | fields)


def waiting(family: Neighbourhood) -> int:
    """A case of the town's: Hana's row of the school's file."""
    from integrations import running

    office = family.demo.people["sato"].organization
    assert office is not None
    run = taking.take(
        school, [Piece("a.csv", io.BytesIO(GOLDEN))], organization=office, now=timezone.now(), profile="standard",
        by=taking.caller_for(office, client="town"), wake=False,
    )  # fmt: skip
    running.run(run.pk, clock=timezone.now)
    return Unlinked.objects.order_by("pk")[0].pk


def test_a_file_is_tried_first(family: Neighbourhood) -> None:
    answer = sent(desk(family))
    run = ImportRun.objects.get(kind="school-csv")
    assert (answer.status_code, answer["Location"]) == (302, f"/imports/{run.pk}")
    assert (run.dry, run.profile, run.requested_by) == (True, "standard", family.demo.people["sato"])
    shown = desk(family).get(f"/imports/{run.pk}")
    assert shown["Refresh"] == "3"  # it looks again while it is open


def test_layouts_are_chosen_by_their_titles(family: Neighbourhood) -> None:
    shown = desk(family).get("/imports/new").content.decode()
    assert '<option value="municipal-csv/infant-3-4m">' in shown
    assert "— 3〜4か月児健康診査 標準レイアウト</option>" in shown
    assert "— infant-3-4m" not in shown


@pytest.mark.parametrize("fields", [{"what": ""}, {"what": "jahis-qr/"}, {"what": "school-csv/none"}, {"file": ""}])
def test_an_incomplete_form_is_said(family: Neighbourhood, fields: dict[str, str]) -> None:
    answer = sent(desk(family), **fields)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not ImportRun.objects.exists()


def test_a_file_too_large_is_not_held(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST", 100)
    assert sent(desk(family)).status_code == 413
    assert not ImportRun.objects.exists()


def test_forms_of_other_sites_do_nothing(family: Neighbourhood) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = desk(family).cookies
    assert sent(client).status_code == 403
    assert not ImportRun.objects.exists()


def test_another_towns_run_is_not_there(family: Neighbourhood) -> None:
    sent(desk(family))
    run = ImportRun.objects.get()
    other = session_of(family.demo.people["kondo"]) if "kondo" in family.demo.people else None
    for client in filter(None, [other, session_of(family.demo.people["yuki"])]):
        assert client.get(f"/imports/{run.pk}").status_code == 404
        assert client.post(f"/imports/{run.pk}/cancel").status_code == 404
    run.refresh_from_db()
    assert run.state == "accepted"


def test_a_run_is_steered_and_what_cannot_be_is_said(family: Neighbourhood) -> None:
    client = desk(family)
    sent(client)
    run = ImportRun.objects.get()
    for deed, state in (("pause", "paused"), ("resume", "accepted"), ("cancel", "cancelled")):
        assert client.post(f"/imports/{run.pk}/{deed}").status_code == 302
        run.refresh_from_db()
        assert run.state == state
    assert client.post(f"/imports/{run.pk}/proceed").status_code == 409


def test_linking_wants_a_fresh_proof(family: Neighbourhood, settings: Any) -> None:
    settings.PHR_ACR_DEEDS = "aal2"
    case = waiting(family)
    old = timezone.now() - timedelta(minutes=6)
    for client in (desk(family), desk(family, acr="aal2", at=old)):
        for deed in ("link", "code"):
            answer = client.post(f"/imports/queue/{case}/{deed}", {"subject": "x", "code": "x"})
            assert answer.status_code == 302 and answer["Location"].startswith("/sign-in?")
    fresh = desk(family, acr="aal2")
    assert fresh.post(f"/imports/queue/{case}/link", {"subject": "x"}).status_code == 404
    assert fresh.post(f"/imports/queue/{case}/code", {"code": "ABCDEFGHJK"}).status_code == 422
    assert not LocalNumber.objects.exists()


def test_a_familys_code_links_and_the_family_ends_it(family: Neighbourhood, settings: Any) -> None:
    settings.PHR_ACR_DEEDS = "aal1"
    case = waiting(family)
    yuki = family.demo.people["yuki"]
    mother = session_of(yuki)
    shown = mother.get("/numbers").content.decode()
    key = shown.split('name="record" value="')[1].split('"')[0]
    assert mother.post("/numbers/code", {"record": "nobody"}).status_code == 404
    assert mother.post("/numbers/code", {"record": key}).status_code == 200
    assert LinkCode.objects.count() == 1
    code, _ = linking.make_code(subject=family.demo.people["yuki"].own_subject_id, by=yuki, now=timezone.now())
    answer = desk(family).post(f"/imports/queue/{case}/code", {"code": code})
    # The row is a girl of seven: it contradicts Yuki's Patient, so nothing is linked.
    assert answer.status_code == 409
    assert not LocalNumber.objects.exists()


def test_making_a_code_wants_a_fresh_proof(family: Neighbourhood, settings: Any) -> None:
    settings.PHR_ACR_DEEDS = "aal2"
    answer = session_of(family.demo.people["yuki"]).post("/numbers/code", {"record": "self"})
    assert answer.status_code == 302 and answer["Location"].startswith("/sign-in?")
    assert not LinkCode.objects.exists()


def test_pages_hold_no_script_and_are_kept_by_nobody(family: Neighbourhood) -> None:
    for client, place in ((desk(family), "/imports"), (desk(family), "/imports/new"), (desk(family), "/imports/queue"),
                          (session_of(family.demo.people["yuki"]), "/numbers")):  # fmt: skip
        answer = client.get(place)
        assert answer.status_code == 200
        assert "<script" not in answer.content.decode()
        assert answer["Cache-Control"] == "no-store"
        assert answer["Content-Security-Policy"].startswith("default-src 'none'")
