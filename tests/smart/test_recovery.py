"""When a password or everything is lost: what comes back, what ends, who is told, and what nobody may do."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from consent import grants
from consent.in_force import in_force_between
from consent.models import AuditEntry, Guardianship, Notice, Organization, Person, Subject
from consent.refusal import Refusal
from consent.scope import Clause
from phr.smart import cards, factors, recovery, totp
from phr.smart.login_models import KnownDevice, Passkey, RecoveryTicket
from phr.smart.oidc_login import Proved
from phr.smart.tokens import bearer
from tests.smart.conftest import PASSWORD, Family, Phone
from tests.web.test_step_up import enter, with_totp

NEW = "a better password 2"


def form(code: str, **changes: str) -> dict[str, str]:
    return {"username": "yuki", "code": code, "password": NEW, "again": NEW, **changes}


@pytest.mark.usefixtures("app")
def test_a_reset_ends_what_may_be_in_a_strangers_hands(family: Family, client: Client) -> None:
    enter(client)
    token = Phone(family.yuki, scope="launch/patient patient/*.rs offline_access").tokens("self")["access_token"]
    now = timezone.now()
    code = recovery.open_ticket(family.yuki, by=family.sato, now=now)
    assert KnownDevice.objects.exists() and bearer(token, now=now)
    answer = Client().post("/sign-in/recover", form(code.lower().replace("-", "")))
    assert answer.status_code == 200
    assert client.get("/")["Location"].startswith("/sign-in")  # the session that was open
    assert not KnownDevice.objects.exists() and bearer(token, now=timezone.now()) is None
    assert enter(Client(), "yuki", PASSWORD).status_code == 422
    assert enter(Client(), "yuki", NEW).status_code == 302
    assert Client().post("/sign-in/recover", form(code)).status_code == 422  # once
    kinds = list(Notice.objects.filter(person=family.yuki).values_list("kind", flat=True))
    assert kinds.count("account:recovered") == 1 and "password:changed" in kinds
    opened = AuditEntry.objects.get(event="recovery:opened")
    assert opened.person == family.sato.pk


def let_in(family: Family, *, now: datetime) -> None:
    """Yuki lets her sister see her allergies for a while."""
    root = Clause(
        permit=True, actors=frozenset({f"person:{family.mei.pk}"}), purposes=frozenset({"FAMRQT"}),
        categories=frozenset({"ALLERGY"}), valid_to=now + timedelta(days=90),
    )  # fmt: skip
    subject = Subject.objects.get(pk=family.yuki.own_subject_id)
    grants.give(subject=subject, root=root, by=family.yuki, capacity="self", now=now)


def is_in(family: Family, *, now: datetime) -> bool:
    return bool(in_force_between(family.mei.pk, family.yuki.own_subject_id, now=now).grants)


@pytest.mark.G("09")
@pytest.mark.parametrize("how", ["a reset in person", "a recovery code", "another card"])
def test_proxies_stop_counting_until_she_confirms(family: Family, how: str) -> None:
    now = timezone.now()
    let_in(family, now=now)
    cards.link(Proved("https://card.example", "first", "aal3", now), by=family.yuki, now=now)
    assert is_in(family, now=now)
    if how == "a reset in person":
        code = recovery.open_ticket(family.yuki, by=family.sato, now=now)
        assert is_in(family, now=now)  # opened is not used
        recovery.recover(username="yuki", code=code, password=NEW, now=now)
    elif how == "a recovery code":
        with_totp(family.yuki)
        assert recovery.use_code(recovery.new_codes(by=family.yuki, now=now)[0], of=family.yuki, now=now)
    else:
        cards.link(Proved("https://card.example", "second", "aal3", now), by=family.yuki, now=now)
    assert not is_in(family, now=now)
    assert "proxies:to-confirm" in Notice.objects.filter(person=family.yuki).values_list("kind", flat=True)


def test_second_factors_stay_unless_they_are_lost(family: Family) -> None:
    with_totp(family.yuki)
    now = timezone.now()
    Passkey.objects.create(person=family.yuki, credential=b"c", handle=b"h", public_key=b"k", name="x", created_at=now)
    recovery.new_codes(by=family.yuki, now=now)
    recovery.recover(
        username="yuki", code=recovery.open_ticket(family.yuki, by=family.sato, now=now), password=NEW, now=now
    )
    assert factors.of(family.yuki).second
    code = recovery.open_ticket(family.yuki, factors_lost=True, by=family.sato, now=now)
    recovery.recover(username="yuki", code=code, password=NEW + "!", now=now)
    assert factors.of(family.yuki) == factors.Means(totp=False, passkeys=0, codes=0, card=False)


def test_a_ticket_lives_half_an_hour_and_only_the_newest(family: Family) -> None:
    now = timezone.now()
    old = recovery.open_ticket(family.yuki, by=family.sato, now=now)
    new = recovery.open_ticket(family.yuki, by=family.sato, now=now)
    for code, at in ((old, now), (new, now + timedelta(minutes=30)), ("", now), (new[:-1], now)):
        with pytest.raises(Refusal):
            recovery.recover(username="yuki", code=code, password=NEW, now=at)
    with pytest.raises(Refusal):
        recovery.recover(username="ichiro", code=new, password=NEW, now=now)
    assert not any(code.encode() in bytes(row.digest) for code in (old, new) for row in RecoveryTicket.objects.all())
    recovery.recover(username="yuki", code=new, password=NEW, now=now + timedelta(minutes=29))


def test_nobody_opens_a_reset_for_herself_or_the_stopped(family: Family) -> None:
    now = timezone.now()
    with pytest.raises(Refusal):
        recovery.open_ticket(family.sato, by=family.sato, now=now)
    family.mei.is_active = False
    family.mei.save()
    with pytest.raises(Refusal):
        recovery.open_ticket(family.mei, by=family.sato, now=now)


@pytest.mark.parametrize("who", ["an operator", "a superuser", "staff of a clinic", "staff of the same office"])
def test_the_counter_resets_nobody_who_opens_others_records(family: Family, who: str) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "an operator": {"is_staff": True}, "a superuser": {"is_superuser": True},
        "staff of a clinic": {"organization": family.clinic}, "staff of the same office": {"organization": family.city},
    }  # fmt: skip
    now = timezone.now()
    before = recovery.open_ticket(family.yuki, by=family.sato, now=now)
    Person.objects.filter(pk=family.yuki.pk).update(**kinds[who])
    family.yuki.refresh_from_db()
    with pytest.raises(Refusal):
        recovery.open_ticket(family.yuki, factors_lost=True, by=family.sato, now=now)
    with pytest.raises(Refusal):  # she became one in the meantime
        recovery.recover(username="yuki", code=before, password=NEW, now=now)


@pytest.mark.parametrize("how", ["stopped", "moved to a clinic", "left", "the office is suspended"])
def test_a_ticket_ends_with_the_office_of_its_officer(family: Family, how: str) -> None:
    now = timezone.now()
    code = recovery.open_ticket(family.yuki, by=family.sato, now=now)
    if how == "the office is suspended":
        Organization.objects.filter(pk=family.city.pk).update(state="suspended")
    else:
        change: dict[str, dict[str, Any]] = {
            "stopped": {"is_active": False}, "moved to a clinic": {"organization": family.clinic},
            "left": {"organization": None},
        }  # fmt: skip
        Person.objects.filter(pk=family.sato.pk).update(**change[how])
    with pytest.raises(Refusal):
        recovery.recover(username="yuki", code=code, password=NEW, now=now)
    with pytest.raises(Refusal):
        recovery.open_ticket(family.yuki, by=Person.objects.get(pk=family.sato.pk), now=now)
    family.yuki.refresh_from_db()
    assert family.yuki.check_password(PASSWORD)


def test_an_officer_resets_nobody_of_the_family(family: Family) -> None:
    """The other parent of one's child, a child of age, a parent: whoever shares a record, now or ever."""
    now = timezone.now()
    Person.objects.filter(pk=family.ichiro.pk).update(organization=family.city)
    father = Person.objects.get(pk=family.ichiro.pk)
    with pytest.raises(Refusal):
        recovery.open_ticket(family.yuki, by=father, now=now)
    Guardianship.objects.update(state="ended", ends_on=now.date())
    with pytest.raises(Refusal):
        recovery.open_ticket(family.yuki, by=father, now=now)
    Person.objects.filter(pk=family.mei.pk).update(own_subject=family.hana)  # grown up
    with pytest.raises(Refusal):
        recovery.open_ticket(Person.objects.get(pk=family.mei.pk), by=father, now=now)
    assert not RecoveryTicket.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [{"code": "x"}, {"username": "nobody"}, {"username": "yu\x00ki"}, {"password": "short", "again": "short"},
     {"again": "another one entirely"}, {"password": "password123", "again": "password123"}, {"code": "\x00"}],
)  # fmt: skip
def test_what_a_reset_refuses(family: Family, client: Client, changes: dict[str, str]) -> None:
    code = recovery.open_ticket(family.yuki, by=family.sato, now=timezone.now())
    assert client.post("/sign-in/recover", {**form(code), **changes}).status_code == 422
    family.yuki.refresh_from_db()
    assert family.yuki.check_password(PASSWORD)


def test_resets_are_not_guessed(family: Family, client: Client) -> None:
    code = recovery.open_ticket(family.yuki, by=family.sato, now=timezone.now())
    for _ in range(20):
        assert client.post("/sign-in/recover", form("GUESS")).status_code == 422
    refused = client.post("/sign-in/recover", form(code))
    assert refused.status_code == 429 and int(refused["Retry-After"]) > 0
    # Whoever guessed kept nobody from recovering but those beside him.
    hers = Client(REMOTE_ADDR="203.0.113.9")
    assert hers.post("/sign-in/recover", form(code)).status_code == 200


def test_a_new_password_ends_every_other_session(family: Family, client: Client) -> None:
    other = Client()
    enter(other)
    enter(client)
    assert client.post("/account/password", {"password": "x", "again": "x"}).status_code == 422
    assert client.post("/account/password", {"password": NEW, "again": NEW + "x"}).status_code == 422
    assert client.post("/account/password", {"password": NEW, "again": NEW})["Location"] == "/account/security"
    assert client.get("/").status_code == 200
    assert other.get("/")["Location"].startswith("/sign-in")
    assert KnownDevice.objects.count() == 1  # this browser, known anew
    assert Notice.objects.filter(person=family.yuki, kind="password:changed").count() == 1


def test_the_counter_opens_a_reset(family: Family, client: Client, settings: Any) -> None:
    client.force_login(family.sato)
    asked = {"username": "yuki"}
    challenged = client.post("/api/trust/desk/password-resets", asked, content_type="application/json")
    assert challenged.status_code == 401 and "insufficient_user_authentication" in challenged["WWW-Authenticate"]
    session = client.session
    session["acr"], session["authenticated_at"] = "aal2", int(timezone.now().timestamp())
    session.save()
    told = client.post("/api/trust/desk/password-resets", asked, content_type="application/json")
    assert told.status_code == 201 and re.fullmatch(r"([A-Z2-9]{4}-){3}[A-Z2-9]{4}", told.json()["code"])
    assert Client().post("/sign-in/recover", form(told.json()["code"])).status_code == 200
    none = client.post("/api/trust/desk/password-resets", {"username": "none"}, content_type="application/json")
    assert none.status_code == 404


def test_secrets_are_sealed_anew_by_a_new_key(family: Family, settings: Any) -> None:
    from phr.smart import sealed

    app = with_totp(family.yuki)
    settings.PHR_KEYS = f"new-1:{'bmV3' * 10}bmU=,{settings.PHR_KEYS}"
    assert sealed.rewrap() == 1 and sealed.rewrap() == 0
    settings.PHR_KEYS = settings.PHR_KEYS.partition(",")[0]
    assert totp.right(app.now(), of=family.yuki, now=timezone.now())
