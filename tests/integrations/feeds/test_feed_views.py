"""POST /api/imports/{kind} for feeds, over HTTP with a system's token; and what hostile bodies get."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.http import HttpResponse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import accepting, linking, tasks
from integrations.models import ImportRun, LocalNumber
from phr.smart import demo
from tests.consent.people import People
from tests.integrations.feeds import doses
from tests.integrations.feeds.town import HANA, REN, contents
from tests.integrations.test_views import call

TWO = f"0001,{HANA},2019-01-10,L1,,\n0002,{REN},2026-03-20,L2,,\nwhat\n".encode()
Token = Callable[..., str]


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    found: list[UUID] = []
    monkeypatch.setattr(accepting, "wake_worker", found.append)
    return found


@pytest.fixture
def token(family: People, now: datetime, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Token:
    """The town's system."""
    monkeypatch.setattr(timezone, "now", lambda: now)
    settings.PHR_VAR = str(tmp_path)
    demo.register(clinic=family.city)

    def issue(scope: str = "system/*.cruds") -> str:
        return str(demo.system_token(demo.CLINIC, scope=scope, now=now)["access_token"])

    return issue


def send(token: str | None, data: bytes = TWO, query: str = "", kind: str = "text/csv") -> HttpResponse:
    return call("POST", f"/api/imports/test-doses{query}", token, data, kind=kind)


def test_a_town_sends_a_file_and_asks_what_became_of_it(
    token: Token, woken: list[UUID], family: People, now: datetime
) -> None:
    sent = send(token(), query="?name=doses.csv")
    assert (sent.status_code, sent.json()["state"]) == (202, "accepted")
    place = sent["Location"]
    tasks.run_import(str(woken[0]))
    told = call("GET", place, token()).json()
    assert (told["state"], told["progress"]["percent"], told["counts"]["created"]) == ("done", 100.0, 2)
    assert [(p["line"], p["code"]) for p in told["problems"]] == [(3, "cells")]
    assert {"ja", "en"} <= told["problems"][0].keys()
    assert len(contents(family.city, now)) == 2


def test_a_dry_run_is_told_and_then_done(token: Token, woken: list[UUID], family: People, now: datetime) -> None:
    place = send(token(), query="?dryRun=true")["Location"]
    tasks.run_import(str(woken.pop()))
    assert call("GET", place, token()).json()["state"] == "reported"
    assert not contents(family.city, now)
    assert call("POST", f"{place}/resume", token()).status_code == 409
    assert call("POST", f"{place}/proceed", token()).json()["state"] == "accepted"
    tasks.run_import(str(woken.pop()))
    assert call("GET", place, token()).json()["counts"]["created"] == 2


def test_a_run_is_steered(token: Token, woken: list[UUID]) -> None:
    place = send(token())["Location"]
    assert call("POST", f"{place}/pause", token()).json()["state"] == "paused"
    assert call("POST", f"{place}/resume", token()).json()["state"] == "accepted"
    assert call("POST", f"{place}/cancel", token()).json()["state"] == "cancelled"
    assert call("POST", f"{place}/pause", token()).status_code == 409
    assert call("POST", f"{place}/explode", token()).status_code == 404
    assert call("POST", f"/api/imports/{uuid4()}/pause", token()).status_code == 404


def test_several_small_files_come_as_json(token: Token, woken: list[UUID], family: People, now: datetime) -> None:
    parts = [{"name": f"{n}.csv", "data": base64.b64encode(line).decode()} for n, line in enumerate(TWO.splitlines())]
    sent = send(token(), json.dumps({"parts": parts}).encode(), kind="application/json")
    tasks.run_import(str(woken[0]))
    told = call("GET", sent["Location"], token()).json()
    assert [(p["part"], p["line"]) for p in told["problems"] if "part" in p] in ([], [(3, 1)])
    assert len(contents(family.city, now)) == 2


def test_who_may_not_is_told_only_what_its_token_says(token: Token, woken: list[UUID], family: People) -> None:
    assert send(None).status_code == 401
    assert send(token("system/Observation.cruds")).status_code == 403
    assert call("POST", "/api/imports/nothing", token(), TWO, kind="text/csv").status_code in (404, 415)
    assert not ImportRun.objects.exists()
    place = send(token())["Location"]
    ImportRun.objects.update(organization=family.other_city)
    assert call("GET", place, token()).status_code == 404
    assert call("POST", f"{place}/cancel", token()).status_code == 404


def test_what_is_asked_wrongly_is_named(token: Token, woken: list[UUID], monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = token()
    assert send(bearer, query="?dryRun=perhaps").status_code == 400
    assert send(bearer, query="?what=1").status_code == 400
    assert send(bearer, query="?profile=none").status_code == 400
    assert send(bearer, b"").status_code == 400
    monkeypatch.setattr(doses, "MAX_BYTES", 10)
    assert send(bearer).status_code == 413
    assert not ImportRun.objects.exists()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), query=st.text("?=&dryRunprofile%true\x00あ", max_size=30))
def test_no_body_and_no_query_is_a_server_error(
    data: bytes, query: str, token: Token, woken: list[UUID], now: datetime
) -> None:
    bearer = _once(token)
    for kind in ("text/csv", "application/json"):
        woken.clear()
        answer = send(bearer, data, f"?{query}", kind)
        assert answer.status_code < 500, (answer.status_code, answer.content)
        for run in woken:
            tasks.run_import(str(run))
            assert ImportRun.objects.get(pk=run).state in ("done", "refused", "reported")


_TOKENS: dict[int, str] = {}


def _once(token: Token) -> str:
    if id(token) not in _TOKENS:
        _TOKENS.clear()
        _TOKENS[id(token)] = token()
    return _TOKENS[id(token)]


def test_a_code_the_family_shows_links_by_the_door(token: Token, family: People, now: datetime) -> None:
    code, _ = linking.make_code(subject=family.ren.pk, by=family.yuki, now=now)
    asked = {"system": doses.SYSTEM, "value": "K-5", "code": code}
    wrong = call("POST", "/api/numbers", token(), {**asked, "code": "AAAAAAAAAA"})
    assert wrong.status_code == 404
    assert call("POST", "/api/numbers", token(), asked).status_code == 201
    assert call("POST", "/api/numbers", token(), asked).status_code == wrong.status_code == 404
    assert LocalNumber.objects.get(ground="code").subject == family.ren
    assert str(family.ren.pk) not in call("POST", "/api/numbers", token(), asked).content.decode()
    for spoilt in (
        {},
        {**asked, "value": ""},
        {**asked, "value": 5},
        {**asked, "more": 1},
        {**asked, "system": "x" * 300},
    ):
        assert call("POST", "/api/numbers", token(), spoilt).status_code == 400
