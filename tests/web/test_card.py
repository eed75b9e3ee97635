"""Signing in with a card at a provider: the whole way over HTTP, and every answer that must not be believed."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.test import Client
from django.utils import timezone
from jwcrypto.jwk import JWK

from consent.models import AuditEntry, Notice
from phr.smart import cards, provider_documents
from phr.smart.login_models import CardAccount
from phr.smart.oidc_login import Proved, ProviderFailed
from tests.smart.conftest import PASSWORD, Family
from tests.web.card_provider import CLIENT_ID, PEOPLE, Provider, serve, sign

CLIENT_KEY = JWK.generate(kty="EC", crv="P-256", kid="tsumugi-1")
OTHER_KEY = JWK.generate(kty="EC", crv="P-256", kid="card-1")
RSA_KEY = JWK.generate(kty="RSA", size=2048, kid="card-1")


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    made = Provider(JWK.from_json(CLIENT_KEY.export_public()))
    server = serve(made)
    settings.DEMO = True  # a provider on this machine is called in the demo only
    settings.PHR_CARD_ISSUER = made.url
    settings.PHR_CARD_CLIENT_ID = CLIENT_ID
    settings.PHR_CARD_KEY = CLIENT_KEY.export_to_pem(private_key=True, password=None).decode()
    settings.PHR_CARD_KEY_ID = "tsumugi-1"
    settings.PHR_ACR_DEEDS = "aal3"
    provider_documents.forget()
    yield made
    server.shutdown()
    server.server_close()
    provider_documents.forget()


def ask(client: Client, path: str = "/sign-in/card", **query: str) -> dict[str, str]:
    """Off to the provider: what we ask it."""
    answer = client.get(path, query)
    assert answer.status_code == 302, answer.content.decode()
    return dict(parse_qsl(urlsplit(answer["Location"]).query))


def back(client: Client, url: str) -> Any:
    parts = urlsplit(url)
    return client.get(f"{parts.path}?{parts.query}")


def read_card(client: Client, provider: Provider, path: str = "/sign-in/card", **query: str) -> Any:
    return back(client, provider.approve(ask(client, path, **query), provider.person))


def linked(family: Family, provider: Provider, who: str = PEOPLE[0], name: str = "yuki") -> Client:
    """A person whose card is linked, in her own browser."""
    client = Client()
    client.post("/sign-in", {"username": name, "password": PASSWORD})
    provider.person = who
    answer = read_card(client, provider, "/account/security/card")
    assert answer["Location"] == "/account/security", answer.content.decode()
    provider.person = PEOPLE[0]
    return client


def known(family: Family, provider: Provider) -> None:
    """The mother's card, linked some time ago."""
    now = timezone.now()
    cards.link(Proved(provider.url, PEOPLE[0], "aal3", now), by=family.yuki, now=now)


def test_linked_once_it_signs_in(family: Family, provider: Provider, client: Client) -> None:
    hers = linked(family, provider)
    assert hers.session["acr"] == "aal2"  # the card was hers to bring, and not yet known as hers
    row = CardAccount.objects.get()
    assert row.person == family.yuki
    assert PEOPLE[0].encode() not in bytes(row.subject) + bytes(row.subject_hash)
    assert "credential:added" in Notice.objects.filter(person=family.yuki).values_list("kind", flat=True)
    answer = read_card(client, provider, next="/account/security")
    assert answer["Location"] == "/account/security"
    assert client.session["acr"] == "aal3"
    assert client.get("/").status_code == 200
    assert not provider.refused
    assert [e.person for e in AuditEntry.objects.filter(event="person:signed-in")] == [family.yuki.pk] * 2


def test_what_is_asked_of_the_provider(family: Family, provider: Provider, client: Client) -> None:
    asked = ask(client, acr_values="aal3", max_age="300")
    assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
    assert asked["scope"] == "openid" and asked["acr_values"] == "aal3" and asked["client_id"] == CLIENT_ID
    assert asked["redirect_uri"] == "http://127.0.0.1:8000/sign-in/card/callback"
    again = ask(client)
    assert not {asked[n] for n in ("state", "nonce", "code_challenge")} & {again[n] for n in again}


def test_stepping_up_with_the_card(family: Family, provider: Provider) -> None:
    hers = linked(family, provider)
    session = hers.session
    session["authenticated_at"] -= 6 * 60
    session.save()
    page = hers.get("/prove?acr_values=aal3&max_age=300&next=/account/security").content.decode()
    assert "カードで確認する" in page
    answer = read_card(hers, provider, acr_values="aal3", max_age="300", next="/account/security")
    assert answer["Location"] == "/account/security"
    assert time.time() - hers.session["authenticated_at"] < 60


def test_a_card_read_long_ago_is_not_fresh(family: Family, provider: Provider) -> None:
    hers = linked(family, provider)
    provider.claims = lambda told: {**told, "auth_time": told["iat"] - 3600}
    answer = read_card(hers, provider, acr_values="aal3", max_age="300", next="/account/security")
    assert answer["Location"].startswith("/prove?acr_values=aal3")


def _altered(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda told: {n: v for n, v in {**told, **changes}.items() if v is not None}


LIES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "nonce": _altered(nonce="another"), "no nonce": _altered(nonce=None),
    "iss": _altered(iss="https://evil.example"), "iss with a slash": lambda t: {**t, "iss": t["iss"] + "/"},
    "no iss": _altered(iss=None), "aud": _altered(aud="somebody-else"), "no aud": _altered(aud=None),
    "aud with others": _altered(aud=[CLIENT_ID, "somebody-else"]), "azp": _altered(azp="somebody-else"),
    "expired": lambda t: {**t, "exp": t["iat"] - 120}, "no exp": _altered(exp=None), "exp text": _altered(exp="soon"),
    "iat ahead": lambda t: {**t, "iat": t["iat"] + 600}, "no iat": _altered(iat=None),
    "iat before the question": lambda t: {**t, "iat": t["iat"] - 3600},
    "at_hash": _altered(at_hash="AAAAAAAAAAAAAAAAAAAAAA"), "no sub": _altered(sub=None),
    "sub list": _altered(sub=["x"]),
    "empty sub": _altered(sub=""), "long sub": _altered(sub="x" * 256), "no acr": _altered(acr=None),
    "acr too low": _altered(acr="aal2"), "acr alike": _altered(acr="aal33"),
    "auth_time ahead": lambda t: {**t, "auth_time": t["iat"] + 600}, "auth_time text": _altered(auth_time="now"),
    "nbf ahead": lambda t: {**t, "nbf": t["iat"] + 600},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_claims_that_are_not_believed(family: Family, provider: Provider, client: Client, lie: str) -> None:
    known(family, provider)
    provider.claims = LIES[lie]
    answer = read_card(client, provider)
    assert answer.status_code == 400
    assert "受け付けられませんでした" in answer.content.decode()
    assert client.get("/")["Location"].startswith("/sign-in")
    assert AuditEntry.objects.filter(event="person:sign-in-failed").count() == 1


def _unsigned(told: dict[str, Any]) -> str:
    parts = [{"alg": "none", "kid": "card-1"}, told]
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts) + "."


def _symmetric(told: dict[str, Any], public: JWK) -> str:
    """The classic confusion: HS256 with the public key as the secret."""
    secret = base64.urlsafe_b64encode(public.export_to_pem()).rstrip(b"=").decode()
    return sign(told, JWK(kty="oct", k=secret, kid="card-1"), alg="HS256")


SIGNERS: dict[str, Callable[[Provider], Callable[[dict[str, Any]], str]]] = {
    "none": lambda p: _unsigned,
    "hs256 of the public key": lambda p: lambda told: _symmetric(told, p.key),
    "rs256": lambda p: lambda told: sign(told, RSA_KEY, alg="RS256"),
    "another key of that name": lambda p: lambda told: sign(told, OTHER_KEY),
    "a key in the header": lambda p: lambda told: sign(told, OTHER_KEY, jwk=json.loads(OTHER_KEY.export_public())),
    "an unknown key": lambda p: lambda told: sign(told, p.key, kid="card-9"),
    "no kid": lambda p: lambda told: sign(told, p.key, kid=None),
    "crit": lambda p: lambda told: sign(told, p.key, crit=["b64"], b64=True),
    "a changed payload": lambda p: lambda told: _swapped(sign(told, p.key), {**told, "sub": PEOPLE[1]}),
    "not a token": lambda p: lambda told: "a.b",
    "nothing": lambda p: lambda told: "",
    "five parts": lambda p: lambda told: sign(told, p.key) + ".x.y",
    "an array": lambda p: lambda told: sign([told], p.key),  # type: ignore[arg-type]
}


def _swapped(signed: str, told: dict[str, Any]) -> str:
    head, _payload, signature = signed.split(".")
    return ".".join([head, base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode(), signature])


@pytest.mark.parametrize("how", SIGNERS)
def test_signatures_that_are_not_believed(family: Family, provider: Provider, client: Client, how: str) -> None:
    known(family, provider)
    provider.signer = SIGNERS[how](provider)
    answer = read_card(client, provider)
    assert answer.status_code in (400, 503), answer.status_code
    assert "acr" not in client.session


def test_keys_of_the_wrong_kind_under_the_right_name(family: Family, provider: Provider, client: Client) -> None:
    """The provider's own key set may be confused; ES256 is still all that is believed."""
    known(family, provider)
    provider_documents.forget()
    provider.keys = lambda told: {"keys": [json.loads(RSA_KEY.export_public())]}
    provider.signer = lambda told: sign(told, RSA_KEY, alg="RS256")
    assert read_card(client, provider).status_code == 400
    provider_documents.forget()
    provider.keys = lambda told: {"keys": told["keys"] * 2}
    provider.signer = None
    assert read_card(client, provider).status_code == 503  # two keys of one name


def test_a_new_key_is_fetched_once(family: Family, provider: Provider, client: Client) -> None:
    known(family, provider)
    provider.key = JWK.generate(kty="EC", crv="P-256", kid="card-2")
    provider_documents._keys.update({u: (at - 61, keys) for u, (at, keys) in provider_documents._keys.items()})
    assert read_card(client, provider)["Location"] == "/"
    provider.signer = lambda told: sign(told, provider.key, kid="card-77")
    before = provider.asked.count("/keys")
    for _ in range(3):
        assert read_card(Client(), provider).status_code == 503
    assert provider.asked.count("/keys") == before  # an unknown name makes us look again once a minute at most


BACK: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "state": lambda t: {**t, "state": "x" * 43},
    "no state": lambda t: {n: v for n, v in t.items() if n != "state"},
    "iss (RFC 9207)": lambda t: {**t, "iss": "https://evil.example"},
    "no iss though promised": lambda t: {n: v for n, v in t.items() if n != "iss"},
    "no code": lambda t: {n: v for n, v in t.items() if n != "code"},
    "an error": lambda t: {"error": "access_denied", "state": t["state"], "iss": t["iss"]},
    "NUL": lambda t: {**t, "code": "\x00"},
    "foreign letters": lambda t: {**t, "state": "状態"},
}


@pytest.mark.parametrize("how", BACK)
def test_answers_that_are_not_taken(family: Family, provider: Provider, client: Client, how: str) -> None:
    known(family, provider)
    provider.back = BACK[how]
    answer = read_card(client, provider)
    assert answer.status_code == 400
    assert "acr" not in client.session and not provider.refused


def test_an_answer_without_a_question(family: Family, provider: Provider, client: Client) -> None:
    known(family, provider)
    asked = ask(client)
    url = provider.approve(asked, PEOPLE[0])
    assert back(Client(), url).status_code == 400  # another browser: forged, or stolen
    assert back(client, url).status_code == 302
    assert back(client, url).status_code == 400  # twice


def test_a_stolen_code_fits_no_other_question(family: Family, provider: Provider, client: Client) -> None:
    """Code injection: the attacker's browser puts the victim's code into its own answer."""
    known(family, provider)
    victims = dict(parse_qsl(urlsplit(provider.approve(ask(Client()), PEOPLE[0])).query))
    mine = ask(client)
    answer = client.get("/sign-in/card/callback", {**victims, "state": mine["state"]})
    assert answer.status_code == 503 and provider.refused == ["code_verifier"]
    assert "acr" not in client.session


def test_a_late_answer_is_none(family: Family, provider: Provider, client: Client) -> None:
    known(family, provider)
    url = provider.approve(ask(client), PEOPLE[0])
    session = client.session
    session["card"]["question"]["asked_at"] -= 601
    session.save()
    assert back(client, url).status_code == 400


def test_a_parameter_twice_is_refused(family: Family, provider: Provider, client: Client) -> None:
    known(family, provider)
    url = provider.approve(ask(client), PEOPLE[0])
    assert back(client, f"{url}&code=second").status_code == 400


def test_a_card_nobody_linked_opens_nothing(family: Family, provider: Provider, client: Client) -> None:
    answer = read_card(client, provider)
    assert answer.status_code == 403 and "つながっていません" in answer.content.decode()
    assert "acr" not in client.session


def test_anothers_card_does_not_step_up(family: Family, provider: Provider) -> None:
    """A swapped sub: the father's card in the mother's session."""
    linked(family, provider, PEOPLE[1], "ichiro")
    hers = linked(family, provider)
    session = hers.session
    session["authenticated_at"] -= 600
    session.save()
    provider.person = PEOPLE[1]
    answer = read_card(hers, provider, acr_values="aal3", max_age="300")
    assert answer.status_code == 403
    assert hers.session["authenticated_at"] < time.time() - 300


def test_who_signs_in_on_the_way_is_not_mixed_up(family: Family, provider: Provider, client: Client) -> None:
    known(family, provider)
    url = provider.approve(ask(client), PEOPLE[0])
    client.post("/sign-in", {"username": "ichiro", "password": PASSWORD})
    assert back(client, url).status_code == 400


def test_a_card_belongs_to_one_account(family: Family, provider: Provider) -> None:
    linked(family, provider)
    his = Client()
    his.post("/sign-in", {"username": "ichiro", "password": PASSWORD})
    answer = read_card(his, provider, "/account/security/card")
    assert answer.status_code == 409 and "yuki" not in answer.content.decode()


def test_linking_needs_a_fresh_proof(family: Family, provider: Provider, client: Client) -> None:
    client.post("/sign-in", {"username": "yuki", "password": PASSWORD})
    session = client.session
    session["authenticated_at"] -= 301
    session.save()
    assert client.get("/account/security/card")["Location"].startswith("/sign-in?acr_values=aal1&max_age=300")


def test_a_changed_card_keeps_its_history(family: Family, provider: Provider) -> None:
    hers = linked(family, provider)
    read_card(hers, provider)
    provider.person = PEOPLE[1]
    assert read_card(hers, provider, "/account/security/card")["Location"] == "/account/security"
    assert CardAccount.objects.filter(person=family.yuki).count() == 2
    assert CardAccount.objects.filter(person=family.yuki, ended_at=None).count() == 1
    read_card(hers, provider)
    assert hers.post("/account/security/card/remove")["Location"] == "/account/security"
    assert read_card(Client(), provider).status_code == 403


def test_a_stopped_account_stays_shut(family: Family, provider: Provider, client: Client) -> None:
    known(family, provider)
    family.yuki.is_active = False
    family.yuki.save()
    assert read_card(client, provider).status_code == 403


def test_a_provider_out_of_reach_is_said_plainly(family: Family, provider: Provider, settings: Any) -> None:
    settings.PHR_CARD_ISSUER = "http://127.0.0.1:9"
    answer = Client().get("/sign-in/card")
    assert answer.status_code == 503 and "つながりません" in answer.content.decode()
    assert Client().get("/sign-in").status_code == 200  # other ways stay


def test_nothing_inside_is_asked_for(provider: Provider, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A discovery document that is believed still leads to no address inside."""
    for inside in ("10.0.0.1", "169.254.169.254"):
        with monkeypatch.context() as patched:
            found = [(socket.AF_INET, 1, 6, "", (inside, 443))]
            patched.setattr(socket, "getaddrinfo", lambda *a, found=found, **k: found)
            with pytest.raises(ProviderFailed, match="inside"):
                provider_documents.key("https://card.example/keys", "card-1")
    settings.DEMO = False
    with pytest.raises(ProviderFailed, match="not-https"):
        provider_documents.metadata(provider.url)


@pytest.mark.parametrize(
    "told",
    [{"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/token"}, {"jwks_uri": "file:///x"},
     {"authorization_endpoint": ""}, {"authorization_endpoint": "https://[x"}],
)  # fmt: skip
def test_discovery_that_is_not_trusted(family: Family, provider: Provider, client: Client, told: Any) -> None:
    provider.metadata = lambda plain: {**plain, **told}
    assert client.get("/sign-in/card").status_code == 503


def test_fixed_addresses_need_no_discovery(family: Family, provider: Provider, client: Client, settings: Any) -> None:
    settings.PHR_CARD_ENDPOINTS = [f"{provider.url}/{path}" for path in ("authorize", "token", "keys")]
    known(family, provider)
    assert read_card(client, provider)["Location"] == "/"
    assert "/.well-known/openid-configuration" not in provider.asked


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_the_card_never_leads_elsewhere(family: Family, provider: Provider, client: Client, target: str) -> None:
    known(family, provider)
    assert read_card(client, provider, next=target)["Location"] == "/"


def test_a_wrong_client_key_gets_no_tokens(family: Family, provider: Provider, client: Client, settings: Any) -> None:
    known(family, provider)
    settings.PHR_CARD_KEY = OTHER_KEY.export_to_pem(private_key=True, password=None).decode()
    assert read_card(client, provider).status_code == 503
    assert provider.refused == ["assertion: signature"]


def test_it_is_off_unless_configured(family: Family, client: Client) -> None:
    assert client.get("/sign-in/card").status_code == 404
    assert "カード" not in client.get("/sign-in").content.decode()
