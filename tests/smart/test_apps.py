"""The apps a person connected: what she is shown, and that stopping them stops them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from phr.smart.models import Launch
from phr.smart.tokens import bearer
from tests.smart.conftest import Family, Phone

OFFLINE = "launch/patient patient/*.rs offline_access"
TRUST = f"{OFFLINE} trust.read trust.write"
pytestmark = pytest.mark.usefixtures("app")


def active(token: str) -> bool:
    return bearer(token, now=timezone.now()) is not None


def child(family: Family) -> str:
    return f"guardian-{family.link(family.yuki, family.hana).pk}"


def ask(token: str, method: str = "GET", path: str = "apps") -> Any:
    return Client().generic(method, f"/api/trust/{path}", headers={"authorization": f"Bearer {token}"})


def signed_in(family: Family) -> Client:
    client = Client()
    client.force_login(family.yuki)
    return client


@pytest.mark.spec("SMART App Launch 2.2", "2.2", "management_endpoint: the person sees and stops her apps")
@pytest.mark.IT("11")
def test_the_page_shows_each_app_once_and_stops_it(family: Family) -> None:
    first, second = (Phone(family.yuki, scope=OFFLINE).tokens("self")["access_token"] for _ in range(2))
    other = Phone(family.yuki, scope=OFFLINE).tokens(child(family))["access_token"]
    client = signed_in(family)
    shown = client.get("/apps").content.decode()
    assert shown.count("「母子アプリ」を止める") == 2, "one card for each record"
    assert "すべての記録を見る" in shown and "最後に使った日時" in shown
    launch = Launch.objects.filter(subject=family.yuki.own_subject_id).latest("created_at")
    assert client.post(f"/apps/{launch.pk}/stop", {"next": "/apps"})["Location"] == "/apps"
    assert not active(first) and not active(second) and active(other)


@pytest.mark.IT("11")
def test_all_are_stopped_at_once(family: Family) -> None:
    tokens = [Phone(family.yuki, scope=OFFLINE).tokens(role)["access_token"] for role in ("self", child(family))]
    another = Phone(family.ichiro, scope=OFFLINE).tokens("self")["access_token"]
    client = signed_in(family)
    assert "すべてのアプリを止める" in client.get("/apps").content.decode()
    assert client.post("/apps/stop")["Location"] == "/apps"
    assert not any(map(active, tokens)) and active(another)
    assert "つないだアプリはありません" in client.get("/apps").content.decode()


def test_stopping_needs_a_form_of_this_site(family: Family) -> None:
    token = Phone(family.yuki, scope=OFFLINE).tokens("self")["access_token"]
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(family.yuki)
    assert strict.post("/apps/stop").status_code == 403
    assert strict.get("/apps/stop").status_code == 405
    assert active(token)


def test_an_app_lists_what_is_at_its_record(family: Family) -> None:
    own = Phone(family.yuki, scope=TRUST).tokens("self")["access_token"]
    Phone(family.yuki, scope=OFFLINE).tokens(child(family))
    (told,) = ask(own).json()
    assert told["record"] == str(family.yuki.own_subject_id) and told["client_id"] == "phone-app"
    assert told["since"] <= told["last_used"] < told["ends_at"]
    assert set(told["scopes"]) == set(TRUST.split())
    assert len(signed_in(family).get("/api/trust/apps").json()) == 2


def test_an_app_cannot_stop_what_is_at_another_record(family: Family) -> None:
    own = Phone(family.yuki, scope=TRUST).tokens("self")["access_token"]
    other = Phone(family.yuki, scope=OFFLINE).tokens(child(family))["access_token"]
    theirs = Launch.objects.get(subject=family.hana)
    foreign = Phone(family.ichiro, scope=OFFLINE).tokens("self")["access_token"]
    his = Launch.objects.get(person=family.ichiro)
    for launch in (theirs.pk, his.pk, "0f0f0f0f-0000-4000-8000-000000000000"):
        assert ask(own, "POST", f"apps/{launch}/stop").status_code == 404
    assert ask(own, "POST", "apps/stop").json() == {"stopped": 1}
    assert not active(own) and active(other) and active(foreign)


@pytest.mark.G("05")
def test_the_other_parents_apps_are_not_shown(family: Family) -> None:
    Phone(family.ichiro, scope=OFFLINE).tokens(f"guardian-{family.link(family.ichiro, family.hana).pk}")
    assert "母子アプリ" not in signed_in(family).get("/apps").content.decode()


@pytest.mark.G("07")
def test_what_rests_on_a_frozen_link_is_not_there(family: Family) -> None:
    token = Phone(family.yuki, scope=OFFLINE).tokens(child(family))["access_token"]
    link = family.link(family.yuki, family.hana)
    link.state = "frozen"
    link.save()
    assert "母子アプリ" not in signed_in(family).get("/apps").content.decode()
    assert active(token), "the decision answers for it: nothing is shown"


def test_last_used_follows_use(family: Family) -> None:
    token = Phone(family.yuki, scope=TRUST).tokens("self")["access_token"]
    Launch.objects.update(created_at=timezone.now() - timedelta(days=3))
    before = ask(token).json()[0]
    Client().get("/fhir/Patient", headers={"authorization": f"Bearer {token}"})
    after = ask(token).json()[0]
    assert after["since"] == before["since"] < after["last_used"]
    assert before["last_used"] < after["last_used"]
