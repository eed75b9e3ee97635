"""The whole flow in a real Chromium: a mother signs in, chooses her child, allows an app; and stops it again."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from phr.populate import demo as demo_family
from phr.smart import demo
from phr.smart.tokens import bearer
from tests.smart.conftest import post, query
from tests.web.chromium import CHROMIUM, PHONE, WIDE, browser, let_server_threads_go, look, page

__all__ = ["browser", "let_server_threads_go", "page"]

SECRET = "a password for the browser test"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM, reason="NO CHROMIUM: the pages were NOT looked at (apt-get install chromium)"),
]


@pytest.fixture
def stage(settings: Any, tmp_path: Path) -> demo_family.DemoFamily:
    settings.DEMO = True
    settings.PHR_VAR = str(tmp_path)
    now = timezone.now()
    family = demo_family.make_family(now=now, password=SECRET)
    demo_family.import_records(now=now)
    demo.register(clinic=family.clinic)
    return family


def asked(live: str, verifier: str) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    parameters = {
        "response_type": "code", "client_id": demo.APP, "redirect_uri": f"{live}/demo/callback",
        "scope": "openid fhirUser launch/patient patient/Observation.rs patient/Immunization.rs "
        "patient/MedicationDispense.cruds patient/Observation.rs?category="
        "http://terminology.hl7.org/CodeSystem/observation-category|laboratory offline_access",
        "state": secrets.token_urlsafe(24), "aud": f"{django_settings.PHR_BASE_URL}/fhir",
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    return f"{live}/oauth/authorize?{urlencode(parameters)}"


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_a_mother_connects_an_app_and_stops_it(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    verifier = secrets.token_urlsafe(48)
    page.goto(asked(live, verifier))

    assert page.url.startswith(f"{live}/sign-in")
    page.fill("#username", "yuki")
    page.fill("#password", "wrong")
    page.click("form.card button")
    assert page.get_by_role("alert").inner_text() == "ユーザー名またはパスワードが違います。"
    look(page, "1-sign-in-wrong")
    page.fill("#password", SECRET)
    page.click("form.card button")

    assert page.get_by_role("heading", level=1).inner_text() == "だれの記録を開きますか"
    look(page, "2-picker")
    page.get_by_role("link", name=re.compile("花")).click()

    assert "許可しますか" in page.get_by_role("heading", level=1).inner_text()
    assert "見本 花" in page.locator(".who").inner_text()
    assert "予防接種を見る" in page.locator(".scopes").inner_text()
    look(page, "3-consent")
    page.get_by_role("button", name="許可する").click()

    page.wait_for_url("**/demo/callback?*")
    look(page, "4-callback")
    code = query(page.url)["code"]
    told = post("/oauth/token", {
        "grant_type": "authorization_code", "code": code, "client_id": demo.APP, "code_verifier": verifier,
        "redirect_uri": f"{live}/demo/callback",
    }).json()  # fmt: skip
    assert told["patient"] == str(demo_family.HANA)

    page.goto(live)
    look(page, "5-home")
    page.get_by_role("button", name="「紡アプリ（デモ）」を止める").click()
    page.wait_for_url(f"{live}/")
    assert bearer(told["access_token"], now=timezone.now()) is None

    page.get_by_role("button", name="English").click()
    assert page.get_by_role("heading", level=1).inner_text() == "見本 雪’s page"
    look(page, "6-home-english")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{live}/sign-in")
    look(page, "7-sign-in-english")


def test_a_refusal_goes_back_to_the_app(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    page.goto(asked(live, "v" * 43))
    page.fill("#username", "yuki")
    page.fill("#password", SECRET)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=re.compile("蓮")).click()
    page.get_by_role("button", name="許可しない").click()
    page.wait_for_url("**/demo/callback?*")
    assert query(page.url)["error"] == "access_denied"
    look(page, "8-refused")


def test_an_aunt_is_told_plainly(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    page.goto(asked(live, "v" * 43))
    page.fill("#username", "mei")
    page.fill("#password", SECRET)
    page.keyboard.press("Enter")
    page.wait_for_url("**/oauth/authorize/*")
    assert page.get_by_role("heading", level=1).inner_text() == "このアプリに開ける記録がありません。"
    look(page, "9-no-record")
    page.get_by_role("button", name="アプリに戻る").click()
    page.wait_for_url("**/demo/callback?*")
    assert query(page.url)["error"] == "access_denied"
    page.goto(live)
    look(page, "10-home-aunt")


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_a_mother_looks_through_her_apps_and_stops_them_all(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    yuki = stage.people["yuki"]
    scope = "launch/patient patient/*.rs offline_access"
    tokens = [
        demo.person_token(yuki, client_id=demo.APP, scope=scope, patient=who, now=timezone.now())["access_token"]
        for who in ("self", str(demo_family.HANA))
    ]
    page.goto(f"{live}/apps")
    page.fill("#username", "yuki")
    page.fill("#password", SECRET)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live}/apps")
    assert page.locator("article.app").count() == 2
    look(page, "11-apps")
    page.get_by_role("button", name="English").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Connected apps"
    look(page, "12-apps-english")
    page.get_by_role("button", name="Stop all apps").click()
    page.wait_for_url(f"{live}/apps")
    assert page.locator("article.app").count() == 0
    assert not any(bearer(token, now=timezone.now()) for token in tokens)
    look(page, "13-no-apps-english")


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_a_mother_chooses_the_visit_an_app_is_about(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    page.goto(asked(live, "v" * 43).replace("launch%2Fpatient", "launch%2Fencounter"))
    page.fill("#username", "yuki")
    page.fill("#password", SECRET)
    page.keyboard.press("Enter")
    page.get_by_role("link", name=re.compile("雪")).click()
    look(page, "14-visit")
    page.locator("input[name=encounter]").first.check()
    page.get_by_role("button", name="許可する").click()
    page.wait_for_url("**/demo/callback?*")
    assert "code" in query(page.url)
