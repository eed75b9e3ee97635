"""Passkeys against a lying authenticator: challenge, origin, host, verification, counter, owner; each alone refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.utils import timezone
from webauthn.helpers import base64url_to_bytes

from consent.models import AuditEntry, Person
from consent.refusal import Refusal
from phr.smart import passkeys
from phr.smart.login_models import Passkey, UsedChallenge
from tests.smart.conftest import Family
from tests.smart.soft_key import PRESENT, VERIFIED, SoftKey

NOW = timezone.now()


@pytest.fixture(autouse=True)
def _named(settings: Any) -> None:
    settings.PHR_BASE_URL = "https://phr.example"


def device() -> SoftKey:
    return SoftKey("https://phr.example", "phr.example")


def enrolled(person: Person) -> SoftKey:
    made = device()
    asked = passkeys.ask_to_enrol(by=person, now=NOW)
    passkeys.enrol(credential=made.make(asked.options), ticket=asked.ticket, name="携帯", by=person, now=NOW)
    return made


def use(made: SoftKey, *, of: Person | None = None, now: Any = NOW, **lies: Any) -> Person:
    asked = passkeys.ask_to_use(of=of, now=NOW)
    return passkeys.use(credential=made.sign(asked.options, **lies), ticket=asked.ticket, of=of, now=now)


def test_enrolled_it_says_who_she_is(family: Family) -> None:
    made = enrolled(family.yuki)
    assert use(made) == family.yuki
    assert use(made, of=family.yuki) == family.yuki
    row = Passkey.objects.get()
    assert (row.sign_count, row.name) == (2, "携帯")
    assert AuditEntry.objects.filter(event="credential:added").count() == 1


def test_what_is_asked(family: Family) -> None:
    enrolled(family.yuki)
    asked = json.loads(passkeys.ask_to_enrol(by=family.yuki, now=NOW).options)
    assert asked["rp"]["id"] == "phr.example" and asked["attestation"] == "none"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert len(asked["excludeCredentials"]) == 1
    assert asked["user"]["name"] == "yuki" and len(base64url_to_bytes(asked["user"]["id"])) == 32
    anyone = json.loads(passkeys.ask_to_use(of=None, now=NOW).options)
    assert anyone["userVerification"] == "required" and not anyone.get("allowCredentials")
    assert anyone["challenge"] != json.loads(passkeys.ask_to_use(of=None, now=NOW).options)["challenge"]


LIES: dict[str, dict[str, Any]] = {
    "another origin": {"client": {"origin": "https://phr.example.evil.example"}},
    "plain http": {"client": {"origin": "http://phr.example"}},
    "another challenge": {"client": {"challenge": "AAAA"}},
    "another ceremony": {"client": {"type": "webauthn.create"}},
    "another host": {"host": "evil.example"},
    "the person not verified": {"flags": PRESENT},
    "nobody present": {"flags": VERIFIED},
    "a counter that stands still": {"step": 0},
    "a counter that falls": {"step": -1},
    "another key": {"signer": ec.generate_private_key(ec.SECP256R1())},
    "another's handle": {"handle": b"x" * 32},
    "no handle": {"handle": None},
    "an unknown credential": {"id": b"y" * 32},
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_alone_is_refused(family: Family, lie: str) -> None:
    made = enrolled(family.yuki)
    use(made)
    before = Passkey.objects.get().sign_count
    with pytest.raises(Refusal):
        use(made, **LIES[lie])
    assert Passkey.objects.get().sign_count == before


@pytest.mark.parametrize("lie", ["another origin", "another challenge", "another host", "the person not verified"])
def test_lies_at_enrolment(family: Family, lie: str) -> None:
    asked = passkeys.ask_to_enrol(by=family.yuki, now=NOW)
    with pytest.raises(Refusal):
        passkeys.enrol(
            credential=device().make(asked.options, **LIES[lie]), ticket=asked.ticket, name="", by=family.yuki, now=NOW
        )
    assert not Passkey.objects.exists()


def test_an_answer_is_good_once(family: Family) -> None:
    made = enrolled(family.yuki)
    asked = passkeys.ask_to_use(of=None, now=NOW)
    answer = made.sign(asked.options)
    passkeys.use(credential=answer, ticket=asked.ticket, of=None, now=NOW)
    Passkey.objects.update(sign_count=0)  # even where an authenticator does not count
    with pytest.raises(Refusal):
        passkeys.use(credential=answer, ticket=asked.ticket, of=None, now=NOW)
    assert UsedChallenge.objects.count() == 2  # enrolment and use


def test_a_ticket_is_of_its_ceremony_its_person_and_five_minutes(family: Family) -> None:
    made = enrolled(family.yuki)
    hers, anyones = passkeys.ask_to_use(of=family.yuki, now=NOW), passkeys.ask_to_use(of=None, now=NOW)
    enrolment = passkeys.ask_to_enrol(by=family.yuki, now=NOW)
    later = NOW + timedelta(minutes=5, seconds=2)
    for asked, ticket, of, now in (
        (hers, hers.ticket, None, NOW), (hers, hers.ticket, family.ichiro, NOW), (anyones, anyones.ticket, None, later),
        (anyones, anyones.ticket + "x", None, NOW), (anyones, "", None, NOW),
        (hers, enrolment.ticket, family.yuki, NOW),
        (anyones, passkeys.ask_to_use(of=None, now=NOW).ticket, None, NOW),
        (anyones, anyones.ticket, None, NOW - timedelta(hours=1)),
    ):  # fmt: skip
        with pytest.raises(Refusal):
            passkeys.use(credential=made.sign(asked.options), ticket=ticket, of=of, now=now)


def test_anothers_passkey_does_not_step_up(family: Family) -> None:
    his = enrolled(family.ichiro)
    with pytest.raises(Refusal):
        use(his, of=family.yuki)


def test_a_stopped_person_stays_out(family: Family) -> None:
    made = enrolled(family.yuki)
    family.yuki.is_active = False
    family.yuki.save()
    with pytest.raises(Refusal):
        use(made)


def test_a_credential_is_enrolled_once(family: Family) -> None:
    made = enrolled(family.yuki)
    for person in (family.yuki, family.ichiro):
        asked = passkeys.ask_to_enrol(by=person, now=NOW)
        with pytest.raises(Refusal):
            passkeys.enrol(credential=made.make(asked.options), ticket=asked.ticket, name="", by=person, now=NOW)
    assert Passkey.objects.get().person == family.yuki


def test_all_of_a_person_are_one_account_to_her_devices(family: Family) -> None:
    first, second, his = enrolled(family.yuki), enrolled(family.yuki), enrolled(family.ichiro)
    assert first.handle == second.handle != his.handle
    assert use(first) == use(second) == family.yuki
    with pytest.raises(Refusal):
        use(first, handle=his.handle)


def test_several_passkeys_and_a_most(family: Family) -> None:
    for _ in range(passkeys.MOST):
        enrolled(family.yuki)
    with pytest.raises(Refusal):
        enrolled(family.yuki)


@pytest.mark.parametrize(
    "credential",
    ["", "null", "[]", "{}", "[" * 9000, "x" * 30_000, '{"response": {}}', '{"rawId": 1, "response": {}}',
     '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": 1}}',
     '{"rawId": "\u3042", "response": {"userHandle": "\u3042"}}', '{"rawId": "A", "response": 7}'],
)  # fmt: skip
def test_hostile_answers_are_refused_and_nothing_worse(family: Family, credential: str) -> None:
    enrolled(family.yuki)
    use_asked, enrol_asked = passkeys.ask_to_use(of=None, now=NOW), passkeys.ask_to_enrol(by=family.yuki, now=NOW)
    with pytest.raises(Refusal):
        passkeys.use(credential=credential, ticket=use_asked.ticket, of=None, now=NOW)
    with pytest.raises(Refusal):
        passkeys.enrol(credential=credential, ticket=enrol_asked.ticket, name="", by=family.yuki, now=NOW)


def test_mangled_answers_are_refused_and_nothing_worse(family: Family) -> None:
    """Every field of a true answer, cut, swapped and turned into something else."""
    made = enrolled(family.yuki)
    for field in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
        for wrong in ("", "AAAA", "!", None, 7, [], "A" * 10_000):
            asked = passkeys.ask_to_use(of=None, now=NOW)
            told = json.loads(made.sign(asked.options))
            told["response"][field] = wrong
            with pytest.raises(Refusal):
                passkeys.use(credential=json.dumps(told), ticket=asked.ticket, of=None, now=NOW)


def test_only_its_owner_removes_one(family: Family) -> None:
    enrolled(family.yuki)
    id = Passkey.objects.get().pk
    with pytest.raises(Refusal):
        passkeys.remove(id, by=family.ichiro, now=NOW)
    passkeys.remove(id, by=family.yuki, now=NOW)
    assert not Passkey.objects.exists()


def test_a_server_without_a_name_has_none(client: Client, db: None, settings: Any) -> None:
    settings.PHR_BASE_URL = "http://127.0.0.1:8000"
    assert not passkeys.possible()
    assert client.get("/sign-in/passkey").status_code == 404
    settings.PHR_BASE_URL = "https://phr.example"
    assert passkeys.possible()
    answer = client.get("/sign-in/passkey")
    assert answer.status_code == 200
    assert answer["Content-Security-Policy"].endswith("; script-src 'self'")
    assert answer.cookies["tsumugi_challenge"]["samesite"] == "Strict"
    assert answer.cookies["tsumugi_challenge"]["httponly"]
    assert "script-src" not in client.get("/sign-in")["Content-Security-Policy"]


def test_tries_of_one_address_are_limited(client: Client, family: Family) -> None:
    for _ in range(30):
        assert client.post("/sign-in/passkey", {"credential": "{}"}).status_code == 422
    refused = client.post("/sign-in/passkey", {"credential": "{}"})
    assert refused.status_code == 429 and refused["Retry-After"]
