"""The whole flow in a real Chromium: a mother signs in, chooses her child, allows an app; and stops it again."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from phr.populate import demo as demo_family
from phr.smart import demo
from phr.smart.tokens import bearer
from tests.smart.conftest import post, query

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PICTURES = os.environ.get("TSUMUGI_SCREENSHOTS")  # a folder: keep a picture of every page
PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
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


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # the browser's event loop runs in this thread
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module", autouse=True)
def _server_threads_let_go(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The threads of the test server keep their connections; the test database must be free to go."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    size = getattr(request, "param", PHONE)
    context = browser.new_context(viewport=size, locale="ja-JP")
    opened = context.new_page()
    faults: list[str] = []
    opened.on("console", lambda m: faults.append(m.text) if m.type == "error" and "status of 4" not in m.text else None)
    opened.on("pageerror", lambda e: faults.append(str(e)))
    opened.size = "phone" if size is PHONE else "wide"
    yield opened
    context.close()
    assert not faults


def look(page: Any, name: str) -> None:
    """The accessibility baseline, and a picture if they are kept."""
    assert page.evaluate("document.documentElement.lang") in ("ja", "en")
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert page.title()
    unnamed = "[...document.querySelectorAll('input:not([type=hidden])')].filter(e => !e.labels.length).length"
    assert page.evaluate(unnamed) == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways"
    small = "[...document.querySelectorAll('main button, main .choice')].filter(e => e.offsetHeight < 44).length"
    assert page.evaluate(small) == 0, "too small to touch"
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{PICTURES}/{name}-{page.size}.png", full_page=True)


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
