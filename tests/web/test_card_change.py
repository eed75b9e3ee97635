"""Another card for an account: only with the one that stands, told to the proxies, and no proof of who brought it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from consent.models import Notice
from phr.smart import attempts, cards
from phr.smart.login_models import CardAccount, SignInFailure
from phr.smart.oidc_login import Proved
from tests.smart.conftest import Family
from tests.smart.test_recovery import is_in, let_in
from tests.web.card_provider import PEOPLE, Provider
from tests.web.test_card import ask, back, known, linked, provider, read_card  # noqa: F401 (a fixture)
from tests.web.test_step_up import enter, level, with_totp

LINK, REMOVE = "/account/security/card", "/account/security/card/remove"


def test_a_password_and_a_code_change_no_card(family: Family, provider: Provider) -> None:  # noqa: F811
    known(family, provider)
    app = with_totp(family.yuki)
    thief = Client()
    enter(thief)
    thief.post("/prove", {"code": app.now()})
    assert level(thief) == "aal2"
    for answer in (thief.get(LINK), thief.post(REMOVE)):
        assert answer["Location"].startswith("/sign-in?acr_values=aal3&max_age=300")
    provider.person = PEOPLE[1]
    assert read_card(thief, provider, acr_values="aal3").status_code == 403  # another's card proves nothing
    assert level(thief) == "aal2" and CardAccount.objects.get().ended_at is None


def test_the_card_that_stands_changes_it(family: Family, provider: Provider) -> None:  # noqa: F811
    hers = linked(family, provider)
    read_card(hers, provider)
    assert level(hers) == "aal3"
    provider.person = PEOPLE[1]
    assert read_card(hers, provider, LINK)["Location"] == "/account/security"
    assert level(hers) == "aal2"  # until the new one is read again
    assert hers.post(REMOVE)["Location"].startswith("/sign-in?acr_values=aal3")
    read_card(hers, provider)
    assert level(hers) == "aal3"


@pytest.mark.G("09")
@pytest.mark.parametrize("again", ["first", "second"])
def test_taken_away_first_it_is_a_change_all_the_same(family: Family, again: str) -> None:
    now = timezone.now()
    cards.link(Proved("https://card.example", "first", "aal3", now), by=family.yuki, now=now)
    let_in(family, now=now)
    cards.unlink(by=family.yuki, now=now)
    assert is_in(family, now=now)
    cards.link(Proved("https://card.example", again, "aal3", now), by=family.yuki, now=now)
    assert is_in(family, now=now) is (again == "first")
    told: Any = Notice.objects.filter(person=family.yuki, kind="proxies:to-confirm")
    assert told.exists() is (again == "second")


def test_others_at_the_address_lose_nothing_by_those_who_turned_back(
    family: Family,
    provider: Provider,  # noqa: F811
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known(family, provider)
    for _ in range(31):
        assert client.get("/sign-in/card/callback").status_code == 400
    for _ in range(31):
        browser = Client()
        asked = ask(browser)
        told = {"error": "access_denied", "state": asked["state"], "iss": provider.url}
        assert browser.get("/sign-in/card/callback", told).status_code == 400
    assert not SignInFailure.objects.exists()
    assert read_card(client, provider)["Location"] == "/"


def test_codes_that_are_not_the_providers_are_counted(
    family: Family,
    provider: Provider,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = attempts.Limit(3, attempts.LIMITS[attempts.Door.CARD, "address"][0].window)
    monkeypatch.setitem(attempts.LIMITS, (attempts.Door.CARD, "address"), (limit,))
    for status in (503, 503, 503, 429):
        browser = Client()
        told = {"code": "guess", "state": ask(browser)["state"], "iss": provider.url}
        assert browser.get("/sign-in/card/callback", told).status_code == status
    assert provider.refused == ["code"] * 3
