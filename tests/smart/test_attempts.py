"""How often one may try: counted by what, taken back when, and never for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from phr.smart import attempts, sweep
from phr.smart.attempts import LIMITS, Door, TooMany
from phr.smart.login_models import SignInFailure
from tests.smart.conftest import PASSWORD, Family, Phone, post
from tests.web.test_step_up import enter, with_totp

NOW = timezone.now()
MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.django_db


def fail(times: int, door: Door = Door.PASSWORD, *, at: Any = NOW, **about: str) -> None:
    for _ in range(times):
        attempts.begin(door, now=at, **about)


def test_the_limit_is_the_limit() -> None:
    fail(10, name="yuki")
    with pytest.raises(TooMany) as refused:
        attempts.begin(Door.PASSWORD, now=NOW + MINUTE, name="yuki")
    assert 13 * 60 < refused.value.wait <= 14 * 60 + 1
    attempts.begin(Door.PASSWORD, now=NOW + MINUTE, name="ichiro")
    attempts.begin(Door.CODE, now=NOW + MINUTE, name="yuki")  # another door
    attempts.begin(Door.PASSWORD, now=NOW + timedelta(minutes=15), name="yuki")


def test_knocking_on_does_not_keep_the_door_shut() -> None:
    """A try that is refused is not counted: nobody locks another out for longer than the window."""
    fail(10, name="yuki")
    for minute in range(1, 15):
        with pytest.raises(TooMany):
            attempts.begin(Door.PASSWORD, now=NOW + minute * MINUTE, name="yuki")
    attempts.begin(Door.PASSWORD, now=NOW + 15 * MINUTE, name="yuki")


def test_one_address_may_try_many_names_but_not_for_ever() -> None:
    for number in range(100):
        attempts.begin(Door.PASSWORD, now=NOW, name=f"person-{number}", address="192.0.2.7")
    with pytest.raises(TooMany):
        attempts.begin(Door.PASSWORD, now=NOW, name="yuki", address="192.0.2.7")
    attempts.begin(Door.PASSWORD, now=NOW, name="yuki", address="192.0.2.8")


def test_success_takes_back_its_own_count_and_clears_the_name() -> None:
    fail(9, name="yuki", address="192.0.2.7")
    attempts.succeeded(attempts.begin(Door.PASSWORD, now=NOW, name="yuki", address="192.0.2.7"))
    assert SignInFailure.objects.count() == 9  # of the address
    fail(10, name="yuki")


def test_a_day_long_limit_on_codes() -> None:
    for quarter in range(4):
        fail(5, Door.CODE, at=NOW + quarter * timedelta(minutes=16), name="yuki")
    with pytest.raises(TooMany) as refused:
        attempts.begin(Door.CODE, now=NOW + timedelta(hours=3), name="yuki")
    assert refused.value.wait > 20 * 3600


def test_nothing_readable_is_kept() -> None:
    fail(1, name="yuki", address="192.0.2.7")
    assert all(len(bytes(row.digest)) == 32 for row in SignInFailure.objects.all())
    assert len({bytes(row.digest) for row in SignInFailure.objects.all()}) == 2


def test_counts_outlive_a_restart_and_not_a_day() -> None:
    """They are rows: another process, or this one started again, sees them."""
    fail(10, name="yuki")
    assert SignInFailure.objects.count() == 10
    longest = max(limit.window for limits in LIMITS.values() for limit in limits)
    assert longest <= timedelta(days=1)
    sweep.forget(now=NOW + timedelta(days=1, seconds=1))
    assert not SignInFailure.objects.exists()


@pytest.mark.parametrize(
    ("remote", "forwarded", "behind", "seen"),
    [
        ("192.0.2.7", "", False, "192.0.2.7"), ("192.0.2.7", "203.0.113.1", False, "192.0.2.7"),
        ("10.0.0.1", "203.0.113.1", True, "203.0.113.1"), ("10.0.0.1", "1.1.1.1, 203.0.113.1", True, "203.0.113.1"),
        ("10.0.0.1", "", True, "10.0.0.1"), ("10.0.0.1", "nonsense", True, "unknown"),
        ("2001:db8:1:2:3:4:5:6", "", False, "2001:db8:1:2::/64"), ("fe80::1%eth0", "", False, "fe80::/64"),
        ("", "", False, "unknown"),
    ],
)  # fmt: skip
def test_where_a_request_comes_from(
    rf: Any, settings: Any, remote: str, forwarded: str, behind: bool, seen: str
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if behind else None
    more = {"headers": {"x-forwarded-for": forwarded}} if forwarded else {}
    assert attempts.address_of(rf.get("/", REMOTE_ADDR=remote, **more)) == seen


def test_a_known_browser_is_not_locked_out_by_strangers(family: Family, client: Client) -> None:
    enter(client)
    client.post("/sign-out")
    for _ in range(10):
        enter(Client(), "yuki", "wrong")
    assert enter(Client(), "yuki", PASSWORD).status_code == 429
    assert enter(client, "yuki", PASSWORD)["Location"] == "/"
    assert enter(Client(headers={"cookie": "tsumugi_device=forged"}), "yuki", PASSWORD).status_code == 429


def test_a_known_browser_is_known_for_its_person_only(family: Family, client: Client) -> None:
    enter(client, "ichiro")
    client.post("/sign-out")
    for _ in range(10):
        enter(Client(), "yuki", "wrong")
    assert enter(client, "yuki", PASSWORD).status_code == 429


def test_names_that_are_not_there_are_counted_and_told_alike(family: Family, client: Client) -> None:
    def tries(name: str) -> list[tuple[int, bytes]]:
        answers = [enter(Client(), name, "wrong") for _ in range(11)]
        return [(a.status_code, a.content.replace(name.encode(), b"NAME")) for a in answers]

    def plain(told: list[tuple[int, bytes]]) -> list[Any]:
        import re

        return [(status, re.sub(rb'csrfmiddlewaretoken" value="\w+"', b"", body)) for status, body in told]

    assert plain(tries("yuki")) == plain(tries("nobody-of-that-name"))


def test_a_hash_is_computed_whether_or_not_the_name_is_there(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    seen: list[int] = []
    plain = PBKDF2PasswordHasher.encode

    def counted(self: Any, password: str, salt: str, iterations: int | None = None) -> str:
        seen.append(1)
        return str(plain(self, password, salt, iterations))

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", counted)
    costs = []
    family.mei.is_active = False
    family.mei.save()
    for name in ("yuki", "nobody", "mei"):
        seen.clear()
        enter(Client(), name, "wrong")
        costs.append(len(seen))
    assert costs == [1, 1, 1]


def test_half_a_sign_in_clears_nothing_of_the_codes(family: Family) -> None:
    """Giving the right password again does not buy five more guesses of the code."""
    with_totp(family.yuki)
    for _ in range(5):
        browser = Client()
        enter(browser)
        browser.post("/prove", {"code": "000000"})
    browser = Client()
    enter(browser)
    assert browser.post("/prove", {"code": "000000"}).status_code == 429


@pytest.mark.usefixtures("app")
def test_the_token_endpoint_slows_who_fails(family: Family) -> None:
    wrong = {"grant_type": "authorization_code", "code": "guess", "client_id": "phone-app", "redirect_uri": "x"}
    for _ in range(30):
        assert post("/oauth/token", wrong).status_code in (400, 401)
    refused = post("/oauth/token", wrong)
    assert refused.status_code == 429 and 0 < int(refused["Retry-After"]) <= 61
    assert refused.json()["error"] == "temporarily_unavailable"
    SignInFailure.objects.update(failed_at=timezone.now() - timedelta(minutes=2))
    assert Phone(family.yuki).tokens("self")["access_token"]
    for _ in range(35):
        Phone(family.yuki).tokens("self")  # who succeeds is not counted


def test_the_door_of_apps_has_a_limit(family: Family, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, (Door.AUTHORIZE, "address"), (attempts.Limit(3, timedelta(minutes=5)),))
    for _ in range(3):
        assert client.get("/oauth/authorize").status_code == 400
    refused = client.get("/oauth/authorize")
    assert refused.status_code == 429 and refused["Retry-After"]
