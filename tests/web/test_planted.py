"""Whoever once knew the password plants nothing that outlives it: no half sign-in, no secret, no codes."""

from __future__ import annotations

import re
from datetime import timedelta

import pyotp
import pytest
from django.test import Client
from django.utils import timezone

from consent.models import Notice
from consent.refusal import Refusal
from phr.smart import factors, recovery, totp
from phr.smart.login_models import RecoveryCode, SignInFailure, Totp
from tests.smart.conftest import Family
from tests.web.test_step_up import enter, level, with_totp

NEW = "another horse 紡紡"
SETUP = "/account/security/totp"


def at_the_counter(family: Family, *, factors_lost: bool = False, password: str = NEW) -> None:
    now = timezone.now()
    code = recovery.open_ticket(family.yuki, factors_lost=factors_lost, by=family.sato, now=now)
    recovery.recover(username="yuki", code=code, password=password, now=now)


def secret_on(browser: Client) -> str:
    shown = re.search(r'class="secret">([A-Z2-7 ]+)<', browser.get(SETUP).content.decode())
    assert shown
    return shown[1].replace(" ", "")


def codes_in(page: str) -> list[str]:
    return re.findall(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}", page)


@pytest.mark.parametrize("factors_lost", [True, False])
def test_half_a_sign_in_ends_with_its_password_at_the_counter(family: Family, factors_lost: bool) -> None:
    app = with_totp(family.yuki)
    thief = Client()
    enter(thief)
    at_the_counter(family, factors_lost=factors_lost)
    answer = thief.post("/prove", {"code": app.now(), "next": "/"})
    assert answer["Location"].startswith("/sign-in")
    assert level(thief) == "" and thief.get("/")["Location"].startswith("/sign-in")


def test_half_a_sign_in_ends_with_a_changed_password(family: Family) -> None:
    app = with_totp(family.yuki)
    thief = Client()
    enter(thief)
    recovery.change_password(password=NEW, by=family.yuki, now=timezone.now())
    assert thief.post("/prove", {"code": app.now()})["Location"].startswith("/sign-in")
    assert level(thief) == ""


def test_nothing_completes_no_sign_in(family: Family) -> None:
    """Her second factor was taken away meanwhile: what is left to ask is asked, not passed over."""
    with_totp(family.yuki)
    browser = Client()
    enter(browser)
    totp.remove(by=family.yuki, now=timezone.now())
    assert 'name="password"' in browser.get("/prove").content.decode()
    assert browser.post("/prove", {"next": "/"}).status_code == 422
    assert level(browser) == ""
    assert browser.post("/prove", {"password": "correct horse 紡"}).status_code == 302
    assert level(browser) == "aal1"


def test_a_secret_is_new_on_every_look(family: Family, client: Client) -> None:
    enter(client)
    first, second = secret_on(client), secret_on(client)
    assert first != second
    assert client.post(SETUP, {"code": pyotp.TOTP(first).now()}).status_code == 422
    assert client.post(SETUP, {"code": pyotp.TOTP(second).now()}).status_code == 200


def test_a_secret_is_confirmed_where_it_was_shown(family: Family, client: Client) -> None:
    thief = Client()
    enter(thief)
    planted = secret_on(thief)
    enter(client)
    code = pyotp.TOTP(planted).now()
    assert client.post(SETUP, {"code": code})["Location"] == "/account/security"  # not this session's
    assert not factors.of(family.yuki).totp
    hers = secret_on(client)
    assert hers != planted
    assert thief.post(SETUP, {"code": code})["Location"] == "/account/security"  # replaced
    assert client.post(SETUP, {"code": pyotp.TOTP(hers).now()}).status_code == 200
    Totp.objects.update(last_step=0)
    assert not totp.right(code, of=family.yuki, now=timezone.now())


def test_a_secret_that_was_left_lapses(family: Family, client: Client) -> None:
    enter(client)
    secret = secret_on(client)
    Totp.objects.update(created_at=timezone.now() - timedelta(minutes=10))
    assert client.post(SETUP, {"code": pyotp.TOTP(secret).now()})["Location"] == "/account/security"
    with pytest.raises(Refusal):
        totp.confirm(secret=secret, code=pyotp.TOTP(secret).now(), by=family.yuki, now=timezone.now())
    assert not factors.of(family.yuki).totp


@pytest.mark.parametrize("how", ["the counter", "a new password"])
def test_a_secret_that_waits_ends_with_the_password(family: Family, client: Client, how: str) -> None:
    enter(client)
    secret_on(client)
    if how == "the counter":
        at_the_counter(family)
    else:
        recovery.change_password(password=NEW, by=family.yuki, now=timezone.now())
    assert not Totp.objects.exists()


def test_a_password_in_use_keeps_its_second_factor(family: Family) -> None:
    with_totp(family.yuki)
    recovery.change_password(password=NEW, by=family.yuki, now=timezone.now())
    assert factors.of(family.yuki).totp


def test_codes_stand_in_for_a_factor_and_never_for_none(family: Family, client: Client) -> None:
    enter(client)
    assert client.post("/account/security/codes").status_code == 409
    assert not RecoveryCode.objects.exists() and not Notice.objects.filter(person=family.yuki).exists()


def test_new_codes_are_told(family: Family, client: Client) -> None:
    app = with_totp(family.yuki)
    enter(client)
    client.post("/prove", {"code": app.now()})
    Notice.objects.all().delete()
    assert len(codes_in(client.post("/account/security/codes").content.decode())) == 10
    told = Notice.objects.get(person=family.yuki)
    assert told.kind == "credential:added" and told.detail["method"] == "recovery-codes"


def test_the_first_factor_ends_the_codes_that_lie_in_wait(family: Family, client: Client) -> None:
    with_totp(family.yuki)
    old = recovery.new_codes(by=family.yuki, now=timezone.now())
    totp.remove(by=family.yuki, now=timezone.now())
    enter(client)
    secret = secret_on(client)
    assert len(codes_in(client.post(SETUP, {"code": pyotp.TOTP(secret).now()}).content.decode())) == 10
    thief = Client()
    enter(thief)
    assert thief.post("/prove", {"code": old[0]}).status_code == 422
    assert level(thief) == ""


def test_the_counter_ends_the_codes(family: Family) -> None:
    with_totp(family.yuki)
    codes = recovery.new_codes(by=family.yuki, now=timezone.now())
    at_the_counter(family)
    assert factors.of(family.yuki) == factors.Means(totp=True, passkeys=0, codes=0, card=False)
    browser = Client()
    enter(browser, password=NEW)
    assert browser.post("/prove", {"code": codes[0]}).status_code == 422
    assert SignInFailure.objects.exists()
