"""Who is who at a peer: by a code the family shows there, or by signing in there; and our keys for it to know us by."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from consent.models import Person
from integrations import linking
from integrations.fhir_peer import client, keys, registry
from integrations.models import LocalNumber, Peer
from phr.smart import assertion
from phr.smart.models import Application
from tests.consent.people import People
from tests.integrations.fhir_peer.conftest import Ticking
from tests.integrations.fhir_peer.moves import registered, system_token
from tests.integrations.fhir_peer.wire import KEY, Wire


@pytest.fixture
def peer(family: People, wire: Wire, clock: Ticking, settings: Any) -> Peer:
    settings.DEMO = True
    family.yuki.is_active = True
    family.yuki.save()
    root = wire.base.removesuffix("/fhir")
    wire.answers["/fhir/.well-known/smart-configuration"] = (200, {}, json.dumps({
        "authorization_endpoint": f"{root}/oauth/authorize", "token_endpoint": f"{root}/oauth/token",
    }).encode())  # fmt: skip
    return registered(wire.base, KEY, family.clinic, now=clock(), launch_client="tsumugi-app")


def signed_in(person: Person) -> Client:
    browser = Client()
    browser.force_login(person)
    session = browser.session
    session["acr"], session["authenticated_at"] = "aal2", int(timezone.now().timestamp())
    session.save()
    return browser


def off(browser: Client, family: People, subject: object) -> dict[str, str]:
    """She begins; what the browser is sent to the peer with."""
    answer = browser.post("/api/peers/second/begin", {"subject": str(subject)})
    assert answer.status_code == 302, answer.content
    return {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}


def says(wire: Wire, patient: str, **demographics: str) -> None:
    told = {"access_token": "hers", "token_type": "Bearer", "expires_in": 300, "patient": patient}
    wire.answers["/oauth/token"] = (200, {}, json.dumps(told).encode())
    theirs = {"resourceType": "Patient", "id": patient, **demographics}
    wire.answers[f"/fhir/Patient/{patient}"] = (200, {}, json.dumps(theirs).encode())


@pytest.mark.spec(
    "SMART App Launch 2.2", "app-launch", "standalone launch with PKCE; the patient of the token response"
)
def test_who_signs_in_there_is_linked(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    browser = signed_in(family.yuki)
    asked = off(browser, family, family.yuki_subject.pk)
    assert (asked["client_id"], asked["aud"], asked["code_challenge_method"]) == ("tsumugi-app", wire.base, "S256")
    says(wire, "p-9", birthDate="1990-05-05", gender="female")
    answer = browser.get("/api/peers/callback", {"state": asked["state"], "code": "c-1"})
    assert answer.status_code == 302 and answer["Location"].startswith("/api/peers")

    [sent] = [parse_qs(b.decode()) for b in wire.bodies if b.startswith(b"grant_type=authorization_code")]
    digest = hashlib.sha256(sent["code_verifier"][0].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
    proof = assertion.read(sent["client_assertion"][0])
    known = keys.public_set()["keys"]
    assert assertion.verify(
        proof, known, client_id="tsumugi-app", audience=peer.token_url, jku="", now=timezone.now()
    ).jti
    number = LocalNumber.objects.get()
    assert (number.subject_id, number.ground, registry.opened(number)) == (family.yuki_subject.pk, "launch", "p-9")
    assert [one.patient for one in registry.persons(peer)] == ["p-9"]
    again = browser.get("/api/peers/callback", {"state": asked["state"], "code": "c-1"})
    assert again.status_code == 404, "a question is answered once"


@pytest.mark.parametrize("wrong", [{"state": "x", "code": "c"}, {"code": "c"}, {"state": ""}])
def test_an_answer_nobody_asked_for(family: People, wire: Wire, peer: Peer, wrong: dict[str, str]) -> None:
    browser = signed_in(family.yuki)
    off(browser, family, family.yuki_subject.pk)
    says(wire, "p-9")
    assert browser.get("/api/peers/callback", wrong).status_code == 404
    assert not LocalNumber.objects.exists()


@pytest.mark.parametrize("issuer", ["", "https://peer.example/issuer"])
@pytest.mark.spec("RFC 9207", "2.4", "an answer that names another issuer is refused")
def test_an_answer_of_another_server(family: People, wire: Wire, peer: Peer, issuer: str) -> None:
    path = "/fhir/.well-known/smart-configuration"
    wire.answers[path] = (200, {}, json.dumps(json.loads(wire.told(path)[2]) | {"issuer": issuer}).encode())
    browser = signed_in(family.yuki)
    says(wire, "p-9", birthDate="1990-05-05", gender="female")

    def answered(iss: str) -> int:
        state = off(browser, family, family.yuki_subject.pk)["state"]
        return browser.get("/api/peers/callback", {"state": state, "code": "c", "iss": iss}).status_code

    for wrong in ("https://evil.example/issuer", "", "javascript:x", issuer + "/"):
        assert answered(wrong) == 404, wrong
    assert not LocalNumber.objects.exists()
    assert answered(issuer or wire.base) == 302
    assert LocalNumber.objects.count() == 1


def test_who_does_not_act_for_her_links_nothing(family: People, wire: Wire, peer: Peer) -> None:
    browser = signed_in(family.mei)
    asked = off(browser, family, family.hana.pk)
    says(wire, "p-9")
    assert browser.get("/api/peers/callback", {"state": asked["state"], "code": "c"}).status_code == 404
    assert not LocalNumber.objects.exists()


def test_another_birth_date_there_links_nothing(family: People, wire: Wire, peer: Peer) -> None:
    browser = signed_in(family.yuki)
    asked = off(browser, family, family.hana.pk)
    says(wire, "p-9", birthDate="2019-01-01")
    assert browser.get("/api/peers/callback", {"state": asked["state"], "code": "c"}).status_code == 409
    assert not LocalNumber.objects.exists()


def test_refused_there(family: People, wire: Wire, peer: Peer) -> None:
    browser = signed_in(family.yuki)
    asked = off(browser, family, family.yuki_subject.pk)
    answer = browser.get("/api/peers/callback", {"state": asked["state"], "error": "access_denied"})
    assert answer.status_code == 409 and not LocalNumber.objects.exists()


def test_a_configuration_that_leads_elsewhere(family: People, wire: Wire, peer: Peer) -> None:
    wire.answers["/fhir/.well-known/smart-configuration"] = (200, {}, json.dumps({
        "authorization_endpoint": "https://evil.example/", "token_endpoint": peer.token_url}).encode())  # fmt: skip
    browser = signed_in(family.yuki)
    answer = browser.post("/api/peers/second/begin", {"subject": str(family.yuki_subject.pk)})
    assert answer.status_code == 502


def test_a_peers_system_redeems_a_code_once(family: People, peer: Peer, clock: Ticking) -> None:
    code, _ = linking.make_code(subject=family.hana.pk, by=family.yuki, now=timezone.now())
    bearer = {"authorization": f"Bearer {system_token(family.clinic, KEY)}"}

    def ask(**told: str) -> int:
        answer = Client().post("/api/peers/links", json.dumps(told), content_type="application/json", headers=bearer)
        return int(answer.status_code)

    assert ask(patient="p-4", code="WRONG234") == 404
    assert ask(patient="../p", code=code) == 404
    assert ask(patient="p-4", code=code, base="https://other.example") == 404
    assert ask(patient="p-4", code=code) == 204
    assert ask(patient="p-5", code=code) == 404
    number = LocalNumber.objects.get()
    assert (number.subject_id, number.ground, registry.opened(number)) == (family.hana.pk, "code", "p-4")


def test_our_keys_are_public_and_only_the_public_half(peer: Peer) -> None:
    answer = Client().get("/api/peers/jwks")
    [key] = answer.json()["keys"]
    assert key["kid"] == peer.kid and "d" not in key
    registry.change(peer, Peer.State.ENDED, now=timezone.now())
    assert Client().get("/api/peers/jwks").json() == {"keys": []}
    peer.refresh_from_db()
    assert not bytes(peer.sealed)


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
@pytest.mark.spec("SMART App Launch 2.2", "client-confidential-asymmetric", "RS384 and ES384, five minutes at most")
def test_our_assertion_is_one_a_server_takes(family: People, clock: Ticking, settings: Any, algorithm: str) -> None:
    settings.DEMO = True
    base = "http://127.0.0.1:9/fhir"
    peer = registry.add(
        code="fresh", name="x", base=base, client_id="tsumugi", organization=family.clinic,
        found=client.Configured("http://127.0.0.1:9/token", (), ""), origins=registry.origins_of(base, []),
        algorithm=algorithm, types=["Observation"], categories=["VITAL"], purpose="TREAT", pulls=True, pushes=True,
        bulk="", now=clock(),
    )  # fmt: skip
    peer.refresh_from_db()
    application = Application(client_jwks=keys.public_set())
    proof = assertion.read(keys.assertion(peer, now=clock()))
    verified = assertion.verify(
        proof, application.client_jwks["keys"], client_id="tsumugi", audience=peer.token_url, jku="", now=clock()
    )
    assert verified.jti


def test_the_command_registers_lists_and_ends(family: People, wire: Wire, peer: Peer, capsys: Any) -> None:
    registry.change(peer, Peer.State.ENDED, now=timezone.now())
    Peer.objects.update(base="https://was.example/fhir")
    told = ["peer", "add", "next", wire.base, "--client", "us", "--organization", family.clinic.code]
    call_command(*told)
    assert "/api/peers/jwks" in capsys.readouterr().out
    with pytest.raises(CommandError, match="registered already"):
        call_command(*told)
    with pytest.raises(CommandError, match="not an https address"):
        call_command("peer", "add", "plain", "ftp://peer.example/fhir", *told[4:])
    call_command("peer", "check", "next")
    call_command("peer", "pause", "next")
    with pytest.raises(CommandError):
        call_command("peer", "sync", "next")
    call_command("peer", "resume", "next")
    call_command("peer", "sync", "next")
    call_command("peer", "list")
    assert "next  active  pull push  linked=0" in capsys.readouterr().out
    call_command("peer", "remove", "next")
    with pytest.raises(CommandError):
        call_command("peer", "resume", "next")
