"""The pages without a browser: signing in, policy headers, language, what home shows and stops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from consent import audit
from consent.models import AuditEntry
from phr.smart.login_models import SignInFailure
from phr.smart.models import Launch
from phr.smart.tokens import bearer
from tests.smart.conftest import PASSWORD, Family, Phone


def sign_in(client: Client, name: str, password: str, **more: str) -> Any:
    return client.post("/sign-in", {"username": name, "password": password, **more})


def test_the_right_password_signs_in(family: Family, client: Client) -> None:
    answer = sign_in(client, "yuki", PASSWORD)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert AuditEntry.objects.get(event="person:signed-in").person == family.yuki.pk
    assert "見本 雪" in client.get("/").content.decode()


def test_signing_in_changes_the_session(family: Family, client: Client) -> None:
    client.get("/sign-in")
    before = client.session.session_key
    sign_in(client, "yuki", PASSWORD)
    assert client.session.session_key != before


@pytest.mark.parametrize(
    ("name", "password"), [("yuki", "wrong"), ("nobody", PASSWORD), ("", ""), ("yu\x00ki", "x"), ("yuki", "\x00")]
)
def test_a_wrong_password_says_little(family: Family, client: Client, name: str, password: str) -> None:
    answer = sign_in(client, name, password)
    assert answer.status_code == 422
    assert "ユーザー名またはパスワードが違います" in answer.content.decode()
    line = AuditEntry.objects.get(event="person:sign-in-failed")
    assert name not in str(audit.opened([line])) or not name


def test_a_stopped_person_cannot_sign_in(family: Family, client: Client) -> None:
    family.yuki.is_active = False
    family.yuki.save()
    assert sign_in(client, "yuki", PASSWORD).status_code == 422


def test_guessing_is_slowed_for_a_name_and_only_for_it(family: Family, client: Client) -> None:
    for _ in range(10):
        assert sign_in(client, "yuki", "wrong").status_code == 422
    assert sign_in(client, "yuki", PASSWORD).status_code == 429
    assert sign_in(client, " YUKI ", PASSWORD).status_code == 429
    assert sign_in(Client(), "ichiro", PASSWORD).status_code == 302
    SignInFailure.objects.update(failed_at=timezone.now() - timedelta(minutes=16))
    assert sign_in(client, "yuki", PASSWORD).status_code == 302
    assert SignInFailure.objects.count() == 10  # of the address; the name's are forgotten


@pytest.mark.parametrize(
    ("target", "goes"),
    [
        ("/oauth/authorize?client_id=x", "/oauth/authorize?client_id=x"),
        ("https://evil.example/", "/"), ("//evil.example/", "/"), ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"), ("http://testserver.evil.example", "/"), ("\x00/", "/"),
    ],
)  # fmt: skip
def test_signing_in_never_leads_elsewhere(family: Family, client: Client, target: str, goes: str) -> None:
    assert sign_in(client, "yuki", PASSWORD, next=target)["Location"] == goes
    assert client.get("/sign-in", {"next": target})["Location"] == goes


def test_signing_out_needs_a_form(family: Family, client: Client) -> None:
    client.force_login(family.yuki)
    assert client.get("/sign-out").status_code == 405
    assert client.post("/sign-out")["Location"] == "/sign-in"
    assert client.get("/")["Location"].startswith("/sign-in")


@pytest.mark.parametrize("path", ["/sign-in", "/", "/no-such-page", "/demo/callback"])
def test_every_page_has_its_policy(family: Family, client: Client, path: str) -> None:
    client.force_login(family.yuki) if path == "/" else None
    answer = client.get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "script-src" not in policy and "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cache-Control"] == "no-store"
    assert "<script" not in answer.content.decode() and " style=" not in answer.content.decode()


@pytest.mark.usefixtures("app")
def test_the_consent_page_may_send_its_form_to_the_app_only(family: Family) -> None:
    phone = Phone(family.yuki)
    answer = phone.browser.get(phone.knock()["Location"] + "?role=self")
    assert "form-action 'self' https://app.example;" in answer["Content-Security-Policy"]


@pytest.mark.usefixtures("app")
def test_hostile_names_are_shown_as_text(family: Family) -> None:
    family.yuki.name = '<b onclick="x">雪</b>'
    family.yuki.save()
    phone = Phone(family.yuki, state="<script>alert(1)</script>", scope="patient/Observation.rs?category=%3Cb%3E")
    text = phone.browser.get(phone.knock()["Location"] + "?role=self").content.decode()
    assert "<b " not in text and "<b>" not in text and "<script" not in text
    assert "&lt;b&gt;" in text


def test_the_language_can_be_chosen(family: Family, client: Client) -> None:
    assert 'lang="ja"' in client.get("/sign-in").content.decode()
    client.post("/language", {"language": "en", "next": "/sign-in"})
    text = client.get("/sign-in").content.decode()
    assert '<html lang="en">' in text and "Password" in text


def test_home_shows_whose_records_and_nobody_elses(family: Family, client: Client) -> None:
    client.force_login(family.yuki)
    assert client.get("/").content.decode().count("保護者として") == 2
    client.force_login(family.mei)
    assert "開ける記録はありません" in client.get("/").content.decode()
    link = family.link(family.ichiro, family.hana)
    link.state = "frozen"
    link.save()
    client.force_login(family.ichiro)
    text = client.get("/").content.decode()
    assert text.count("保護者として") == 1 and "frozen" not in text


@pytest.mark.usefixtures("app")
@pytest.mark.IT("11")
def test_an_app_is_stopped_from_home_at_once(family: Family, client: Client) -> None:
    token = Phone(family.yuki, scope="launch/patient patient/*.rs offline_access").tokens("self")["access_token"]
    launch = Launch.objects.get()
    client.force_login(family.yuki)
    assert "「母子アプリ」を止める" in client.get("/").content.decode()
    stranger = Client()
    stranger.force_login(family.ichiro)
    assert stranger.post(f"/apps/{launch.pk}/stop").status_code == 404
    assert bearer(token, now=timezone.now())
    assert client.post(f"/apps/{launch.pk}/stop")["Location"] == "/"
    assert bearer(token, now=timezone.now()) is None
    assert "止める" not in client.get("/").content.decode()


def test_the_demo_page_is_in_the_demo_only(db: None, client: Client, settings: Any) -> None:
    assert client.get("/demo/callback").status_code == 404
    settings.DEMO = True
    assert client.get("/demo/callback?code=secret-code").status_code == 200
    assert "secret-code" not in client.get("/demo/callback?code=secret-code").content.decode()


def test_the_stylesheet_is_served(client: Client) -> None:
    answer = client.get("/static/tsumugi.css")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/css")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert "url(" not in text and "@import" not in text
