"""POST and GET /api/imports over HTTP, with tokens from the real endpoints."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from consent.models import Person, Subject
from integrations import accepting, tasks
from integrations.models import ImportPart, ImportRun
from phr.smart import demo
from tests.consent.people import People
from tests.integrations.jahis_qr.samples import notebook, sample
from tests.integrations.test_runs import FULL, hanas, kinds

Token = Callable[..., str]
WHOLE = hanas(sample("tc08_full.txt"))


@pytest.fixture
def clock(now: datetime, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The fixed moment, for whoever asks Django for the time."""
    monkeypatch.setattr(timezone, "now", lambda: now)
    return now


@pytest.fixture
def token(family: People, clock: datetime, settings: Any, tmp_path: Any) -> Token:
    settings.PHR_VAR = str(tmp_path)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the client secret is not the point
    demo.register(clinic=family.clinic)

    def issue(person: Person, subject: Subject, scope: str = "launch/patient patient/*.cruds") -> str:
        patient = str(subject.pk)
        issued = demo.person_token(person, client_id=demo.APP, scope=scope, patient=patient, now=clock)
        return str(issued["access_token"])

    return issue


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Runs a worker was told of; `work` lets it do them."""
    found: list[UUID] = []
    monkeypatch.setattr(accepting, "wake_worker", found.append)
    return found


def work(woken: list[UUID]) -> None:
    for run in woken:
        tasks.run_import(str(run))
    woken.clear()


def call(method: str, path: str, token: str | None = None, content: Any = None, **headers: str) -> HttpResponse:
    host = {"Host": urlsplit(settings.PHR_BASE_URL).netloc}
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    text = content if isinstance(content, bytes) else json.dumps(content).encode() if content is not None else b""
    kind = headers.pop("kind", "application/json")
    return Client(headers={**host, **bearer}, enforce_csrf_checks=True).generic(method, path, text, content_type=kind)


def part(data: bytes, **more: Any) -> dict[str, Any]:
    return {"data": base64.b64encode(data).decode(), **more}


def send(token: str | None, *parts: Any, **more: Any) -> HttpResponse:
    return call("POST", "/api/imports/jahis-qr", token, {"parts": list(parts), **more})


def test_from_symbol_to_record(family: People, token: Token, woken: list[UUID]) -> None:
    mine = token(family.yuki, family.hana)
    answer = send(mine, part(WHOLE), subject=str(family.hana.pk))
    told = answer.json()
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/imports/{told['id']}"
    assert (told["state"], told["subject"]) == ("accepted", str(family.hana.pk))
    work(woken)
    later = call("GET", answer["Location"], mine)
    assert later.status_code == 200
    assert later.json()["state"] == "done"
    assert later.json()["progress"] == {"done": 17, "total": 17}
    assert later.json()["counts"] == {"created": 17, "updated": 0, "unchanged": 0}
    assert kinds(family.hana.pk) == FULL
    search = call("GET", f"/fhir/MedicationDispense?patient={family.hana.pk}&_total=accurate", mine)
    assert search.json()["total"] == 5


def test_sent_again_it_is_the_same_run(family: People, token: Token, woken: list[UUID]) -> None:
    mine = token(family.yuki, family.hana)
    first = send(mine, part(WHOLE))
    work(woken)
    again = send(mine, part(WHOLE))
    assert again["Location"] == first["Location"]
    assert again.json()["state"] == "done"
    assert not woken


def test_a_refusal_names_line_and_field(family: People, token: Token, woken: list[UUID]) -> None:
    mine = token(family.yuki, family.hana)
    answer = send(mine, part(sample("tc08_full.txt")))
    work(woken)
    told = call("GET", answer["Location"], mine).json()
    assert told["state"] == "refused"
    assert {"code": "birth-differs", "line": 2, "field": 3} in [
        {k: p.get(k) for k in ("code", "line", "field")} for p in told["problems"]
    ]
    assert all(p["ja"] and p["en"] for p in told["problems"])
    assert not kinds(family.hana.pk)


def test_parts_one_by_one(family: People, token: Token, woken: list[UUID]) -> None:
    mine = token(family.yuki, family.hana)
    cuts = [WHOLE[:463], WHOLE[463:900], WHOLE[900:]]
    states = []
    for n in (2, 0, 1):
        answer = send(mine, part(cuts[n], index=n, total=3, id=77))
        work(woken)
        told = call("GET", answer["Location"], mine).json()
        states.append((told["state"], told["missing"]))
    assert states == [("waiting", [1, 2]), ("waiting", [2]), ("done", [])]


def test_other_peoples_runs_look_like_none(family: People, token: Token, woken: list[UUID]) -> None:
    location = send(token(family.yuki, family.hana), part(WHOLE))["Location"]
    nowhere = f"/api/imports/{uuid4()}"
    for person, subject in (
        (family.ichiro, family.hana),
        (family.yuki, family.ren),
        (family.teen, family.teen_subject),
    ):
        theirs = token(person, subject)
        seen, absent = call("GET", location, theirs), call("GET", nowhere, theirs)
        assert (seen.status_code, seen.content) == (404, absent.content)


def test_another_subject_than_the_tokens_looks_like_none(family: People, token: Token) -> None:
    mine = token(family.yuki, family.hana)
    answers = [send(mine, part(WHOLE), subject=s) for s in (str(family.ren.pk), str(uuid4()), "x", "")]
    assert {a.status_code for a in answers} == {404}
    assert len({a.content for a in answers}) == 1
    assert not ImportRun.objects.exists()


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("launch/patient patient/*.rs", 403), ("launch/patient patient/MedicationDispense.rs", 403),
        ("launch/patient patient/Communication.cruds", 403), ("launch/patient patient/MedicationDispense.c", 202),
    ],
)  # fmt: skip
def test_the_scope_decides(family: People, token: Token, woken: list[UUID], scope: str, status: int) -> None:
    answer = send(token(family.yuki, family.hana, scope), part(WHOLE))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["issue"][0]["code"] == "forbidden"


def test_without_a_token_there_is_no_door(family: People) -> None:
    for answer in (send(None, part(WHOLE)), send("nonsense", part(WHOLE)), call("GET", f"/api/imports/{uuid4()}")):
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["resourceType"] == "OperationOutcome"


BAD = [
    (b" ", 400), (b"[]", 400), (b"{", 400), (b"\xff\xfe", 400), (b'{"parts": 1}', 400), (b'{"parts": []}', 400),
    (b'{"parts": [1]}', 400), (b'{"parts": [{}]}', 400), (b'{"parts": [{"data": 1}]}', 400),
    (b'{"parts": [{"data": "#"}]}', 400), (b'{"parts": [{"data": "eA"}]}', 400),
    ('{"parts": [{"data": "あ"}]}'.encode(), 400), (b'{"parts": [{"data": "eA==", "index": -1}]}', 400),
    (b'{"parts": [{"data": "eA==", "index": true}]}', 400), (b'{"parts": [{"data": "eA==", "index": 1.5}]}', 400),
    (b'{"parts": [{"data": "eA==", "total": 99999999999}]}', 400), (b'{"parts": [{"data": "eA==", "total": 0}]}', 400),
    (b'{"parts": [{"data": "eA==", "id": {}}]}', 400),
    (b'{"parts": [{"data": "eA==", "id": "%s"}]}' % (b"9" * 65), 400),
    (b'{"parts": [{"data": "eA==", "file": "x"}]}', 400), (b'{"parts": [{"data": "eA=="}], "x\\u0000": 1}', 400),
    (b'{"subject": 7, "parts": [{"data": "eA=="}]}', 400), (b'{"parts":' + b"[" * 500 + b"]" * 500 + b"}", 400),
    (json.dumps({"parts": [{"data": "eA=="}] * 100}).encode(), 413),
    (json.dumps({"parts": [part(b"x" * 1_048_577)]}).encode(), 413), (b'{"x": "' + b"x" * 11_000_000 + b'"}', 413),
]  # fmt: skip


def test_bad_bodies_get_the_right_answer_and_leave_nothing(family: People, token: Token) -> None:
    mine = token(family.yuki, family.hana)
    for content, status in BAD:
        answer = call("POST", "/api/imports/jahis-qr", mine, content)
        assert answer.status_code == status, content[:80]
        assert answer.json()["issue"][0]["diagnostics"]
    assert not ImportRun.objects.exists()
    assert not ImportPart.objects.exists()


def test_a_hostile_set_number_is_only_a_number(family: People, token: Token, woken: list[UUID]) -> None:
    mine = token(family.yuki, family.hana)
    answers = [
        send(mine, part(WHOLE[:400], index=0, total=2, id="\x00'; drop")),
        send(mine, part(hanas(notebook("911,\x00,2,1")))),
        send(mine, part(b"\x00" * 50)),
    ]
    work(woken)
    states = [call("GET", a["Location"], mine).json()["state"] for a in answers]
    assert states == ["waiting", "waiting", "refused"]


def test_other_kinds_methods_and_formats(family: People, token: Token) -> None:
    mine = token(family.yuki, family.hana)
    assert call("POST", "/api/imports/fax", mine, {"parts": [part(b"x")]}).status_code == 404
    assert call("GET", "/api/imports/jahis-qr", mine).status_code == 405
    assert call("DELETE", f"/api/imports/{uuid4()}", mine).status_code == 405
    assert call("POST", "/api/imports/jahis-qr", mine, b"x", kind="text/plain").status_code == 415


def test_too_many_open_imports_must_wait(
    family: People, token: Token, woken: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "MOST_OPEN", 2)
    mine = token(family.yuki, family.hana)
    answers = [send(mine, part(b"%d" % n)) for n in range(3)]
    assert [a.status_code for a in answers] == [202, 202, 429]
    assert answers[2]["Retry-After"] == "60"
