"""Stepping up: what is missing is asked, what was given is not; and a second factor, once there, is always owed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pyotp
import pytest
from django.test import Client
from django.utils import timezone

from consent.models import AuditEntry, Notice, Person
from phr.smart import recovery, step_up, totp
from phr.smart.login_models import KnownDevice, RecoveryCode, SignInFailure, Totp
from tests.smart.conftest import PASSWORD, Family

BASE = "/prove?acr_values=aal2&max_age=300&next=/account/security"


def enter(client: Client, name: str = "yuki", password: str = PASSWORD, **more: str) -> Any:
    return client.post("/sign-in", {"username": name, "password": password, **more})


def with_totp(person: Person) -> pyotp.TOTP:
    """Somebody whose authenticator app was set up a minute ago."""
    then = timezone.now() - timedelta(minutes=2)
    app = pyotp.TOTP(totp.begin(by=person, now=then))
    totp.confirm(secret=app.secret, code=app.at(then), by=person, now=then)
    return app


def age(client: Client, minutes: int) -> None:
    """Let the proofs of a session be so old."""
    session = client.session
    for name in ("authenticated_at", "password_at"):
        if name in session:
            session[name] -= minutes * 60
    session.save()


def level(client: Client) -> str:
    return str(client.session.get("acr", ""))


def test_a_password_is_aal1(family: Family, client: Client) -> None:
    enter(client)
    assert level(client) == "aal1"
    line = AuditEntry.objects.get(event="person:signed-in")
    assert line.person == family.yuki.pk


def test_who_has_a_second_factor_is_not_signed_in_by_the_password(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    answer = enter(client, next="/account/security")
    assert answer["Location"] == "/prove?next=%2Faccount%2Fsecurity"
    assert client.get("/")["Location"].startswith("/sign-in")
    assert client.get("/api/trust/notices").status_code == 401
    page = client.get(answer["Location"]).content.decode()
    assert 'name="code"' in page and 'name="password"' not in page  # it was just given
    done = client.post("/prove", {"code": app.now(), "next": "/account/security"})
    assert done["Location"] == "/account/security"
    assert level(client) == "aal2"
    assert client.get("/").status_code == 200


def test_half_a_sign_in_lapses(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    enter(client)
    session = client.session
    session["half"] = {**session["half"], "at": session["half"]["at"] - 601}
    session.save()
    assert client.post("/prove", {"code": app.now()})["Location"].startswith("/sign-in")
    assert level(client) == ""


def test_half_a_sign_in_changes_the_session(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    enter(client)
    half = client.session.session_key
    client.post("/prove", {"code": app.now()})
    assert client.session.session_key != half
    assert "half" not in client.session


def test_a_code_is_good_once(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    code = app.now()
    enter(client)
    assert client.post("/prove", {"code": code}).status_code == 302
    again = Client()
    enter(again)
    assert again.post("/prove", {"code": code}).status_code == 422
    assert level(again) == ""


def test_wrong_codes_are_counted_and_the_right_one_waits_too(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    enter(client)
    for _ in range(5):
        assert client.post("/prove", {"code": "000000"}).status_code == 422
    refused = client.post("/prove", {"code": app.now()})
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 15 * 60 + 1
    SignInFailure.objects.update(failed_at=timezone.now() - timedelta(minutes=16))
    assert client.post("/prove", {"code": app.now()}).status_code == 302


@pytest.mark.parametrize("code", ["", "abcdef", "１２３", "9" * 64, "\x00", "0" * 5, "-1"])
def test_odd_codes_are_wrong_codes(family: Family, client: Client, code: str) -> None:
    with_totp(family.yuki)
    enter(client)
    assert client.post("/prove", {"code": code}).status_code == 422


def test_wide_digits_are_digits(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    enter(client)
    wide = app.now().translate({ord("0") + n: ord("０") + n for n in range(10)})
    assert client.post("/prove", {"code": f" {wide[:3]} {wide[3:]}"}).status_code == 302


def test_only_what_is_missing_is_asked(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    enter(client)
    client.post("/prove", {"code": app.now()})
    assert client.get(BASE)["Location"] == "/account/security"  # nothing is missing
    age(client, 6)
    page = client.get(BASE).content.decode()
    assert 'name="code"' in page and 'name="password"' in page
    Totp.objects.update(last_step=0)
    asked = {"acr_values": "aal2", "max_age": "300", "next": "/account/security"}
    assert client.post("/prove", {**asked, "code": app.now()}).status_code == 422  # without the password
    Totp.objects.update(last_step=0)
    SignInFailure.objects.all().delete()
    assert client.post("/prove", {**asked, "code": app.now(), "password": PASSWORD})["Location"] == "/account/security"
    assert AuditEntry.objects.filter(event="person:proved").count() == 1


def test_the_older_factor_counts(family: Family, client: Client) -> None:
    """A code of now beside a password of eight minutes ago is an authentication of eight minutes ago."""
    app = with_totp(family.yuki)
    enter(client)
    session = client.session
    session["password_at"] -= 8 * 60
    session.save()
    client.post("/prove", {"code": app.now()})
    assert level(client) == "aal2"
    assert timezone.now().timestamp() - client.session["authenticated_at"] >= 8 * 60
    assert 'name="password"' in client.get(BASE).content.decode()


def test_a_fresh_password_does_not_lower_a_session(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    enter(client)
    client.post("/prove", {"code": app.now()})
    age(client, 60)
    page = client.get("/prove?max_age=300").content.decode()
    assert 'name="code"' in page


def test_who_has_no_second_factor_is_led_to_one(family: Family, client: Client) -> None:
    enter(client)
    led = client.get(BASE)
    assert led["Location"].startswith("/account/security?acr_values=aal2")
    page = client.get(led["Location"]).content.decode()
    assert "もう一つの確認方法が必要です" in page
    setup = client.get("/account/security/totp?acr_values=aal2&max_age=300&next=/oauth/authorize").content.decode()
    match = re.search(r'class="secret">([A-Z2-7 ]+)<', setup)
    assert match
    app = pyotp.TOTP(match[1].replace(" ", ""))
    assert client.post("/account/security/totp", {"code": "000000"}).status_code == 422
    done = client.post("/account/security/totp", {"code": app.now(), "acr_values": "aal2", "next": "/oauth/authorize"})
    shown = done.content.decode()
    assert len(re.findall(r"<li>[A-Z2-9-]{19}</li>", shown)) == 10
    assert 'href="/oauth/authorize"' in shown
    assert level(client) == "aal2"
    told = Notice.objects.filter(person=family.yuki).values_list("kind", flat=True)
    assert "credential:added" in told
    assert app.secret.encode() not in bytes(Totp.objects.get().secret)


def test_setting_up_needs_a_fresh_password(family: Family, client: Client) -> None:
    enter(client)
    age(client, 6)
    for path in ("/account/security/totp", "/account/password"):
        led = client.get(path)["Location"]
        assert parse_qs(urlsplit(led).query) == {"acr_values": ["aal1"], "max_age": ["300"], "next": [path]}
    asked = client.get(client.get("/account/security/totp")["Location"])["Location"]
    assert 'name="password"' in client.get(asked).content.decode()
    form = {"password": PASSWORD, "acr_values": "aal1", "max_age": "300", "next": "/account/security/totp"}
    assert client.post("/prove", form)["Location"] == "/account/security/totp"
    assert client.get("/account/security/totp").status_code == 200


@pytest.mark.parametrize("path", ["totp/remove", "codes", "passkey/00000000-0000-0000-0000-000000000000/remove"])
def test_changing_factors_needs_every_factor_afresh(family: Family, client: Client, path: str) -> None:
    app = with_totp(family.yuki)
    enter(client)
    client.post("/prove", {"code": app.now()})
    age(client, 6)
    assert client.post(f"/account/security/{path}")["Location"].startswith("/sign-in?acr_values=aal2&max_age=300")
    assert Totp.objects.exists() and not RecoveryCode.objects.exists()


def test_a_recovery_code_stands_in_once(family: Family, client: Client) -> None:
    with_totp(family.yuki)
    codes = recovery.new_codes(by=family.yuki, now=timezone.now())
    assert len(set(codes)) == 10
    assert not any(code.encode() in bytes(row.digest) for code in codes for row in RecoveryCode.objects.all())
    enter(client)
    assert client.post("/prove", {"code": codes[3].lower().replace("-", " ")}).status_code == 302
    assert level(client) == "aal2"
    again = Client()
    enter(again)
    assert again.post("/prove", {"code": codes[3]}).status_code == 422
    other = Client()
    with_totp(family.ichiro)
    enter(other, "ichiro")
    assert other.post("/prove", {"code": codes[4]}).status_code == 422  # another's
    assert recovery.codes_left(family.yuki) == 9


def test_recovering_is_told(family: Family, client: Client) -> None:
    with_totp(family.yuki)
    code = recovery.new_codes(by=family.yuki, now=timezone.now())[0]
    enter(client)
    client.post("/prove", {"code": code})
    kinds = set(Notice.objects.filter(person=family.yuki).values_list("kind", flat=True))
    assert "account:recovered" in kinds


def test_unknown_levels_and_ages_are_not_asked(family: Family, client: Client) -> None:
    enter(client)
    for query in ("acr_values=aal9", "max_age=soon", "max_age=-5", "max_age=99999999999999", "acr_values="):
        assert client.get(f"/sign-in?{query}&next=/account/security")["Location"] == "/account/security"
    assert client.get("/sign-in?acr_values=aal9 aal2&next=/")["Location"].startswith("/prove?acr_values=aal2")


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_stepping_up_never_leads_elsewhere(family: Family, client: Client, target: str) -> None:
    app = with_totp(family.yuki)
    enter(client, next=target)
    assert client.get(f"/prove?next={quote(target)}").content.decode().count('name="next" value="/"') == 1
    assert client.post("/prove", {"code": app.now(), "next": target})["Location"] == "/"


def test_a_card_is_asked_for_where_none_can_be(family: Family, client: Client) -> None:
    enter(client)
    answer = client.get("/prove?acr_values=aal3&next=/")
    assert answer.status_code == 403 and "窓口" in answer.content.decode()


@pytest.mark.parametrize(
    ("acr", "minutes", "wanted", "max_age", "enough"),
    [
        ("aal1", 0, "", None, True), ("aal1", 0, "aal2", None, False), ("aal2", 0, "aal2", 300, True),
        ("aal2", 6, "aal2", 300, False), ("aal2", 6, "aal2", None, True), ("aal3", 0, "aal2", 300, True),
        ("aal2", 0, "aal3", None, False), ("", 0, "aal1", None, False), ("aal2", 0, "aal2", 0, True),
        ("aal2", 2, "aal2", 0, False),
    ],
)  # fmt: skip
def test_what_satisfies(
    family: Family, rf: Any, acr: str, minutes: int, wanted: str, max_age: int | None, enough: bool
) -> None:
    now = timezone.now()
    request = rf.get("/")
    request.session, request.user = {}, family.yuki
    step_up.keep(request, acr, now=now - timedelta(minutes=minutes))
    assert step_up.satisfied(request, acr=wanted, max_age=max_age, now=now) is enough


def test_pages_may_ask_more_of_readers(family: Family, client: Client, settings: Any) -> None:
    settings.PHR_ACR_READ = "aal2"
    enter(client)
    assert client.get("/")["Location"] == "/sign-in?acr_values=aal2&next=%2F"
    assert client.get("/api/trust/notices").status_code == 401


def test_a_session_has_an_end_that_no_use_puts_off(family: Family, client: Client) -> None:
    enter(client)
    assert client.get("/").status_code == 200
    session = client.session
    session["begun_at"] -= 12 * 3600 + 1
    session.save()
    assert client.get("/")["Location"].startswith("/sign-in")
    assert level(client) == ""


def test_operators_need_a_second_factor(family: Family, client: Client) -> None:
    Person.objects.filter(pk=family.mori.pk).update(is_staff=True, is_superuser=True)
    assert client.get("/admin/login/?next=/admin/")["Location"] == "/sign-in?acr_values=aal2&next=/admin/"
    enter(client, "mori")
    assert client.get("/admin/")["Location"] == "/sign-in?acr_values=aal2&next=%2Fadmin%2F"
    app = with_totp(family.mori)
    client.post("/prove", {"code": app.now(), "acr_values": "aal2"})
    assert client.get("/admin/").status_code == 200


def test_cookies_are_kept_from_scripts_and_other_sites(family: Family, client: Client) -> None:
    answer = enter(client)
    for name in ("sessionid", "tsumugi_device"):
        assert answer.cookies[name]["httponly"] and answer.cookies[name]["samesite"] == "Lax"
    assert KnownDevice.objects.get().person == family.yuki
