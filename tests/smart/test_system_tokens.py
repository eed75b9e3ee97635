"""Backend services: a system signs an assertion and gets a short token for its own organisation."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from jwcrypto.jwk import JWK

from consent.models import Organization
from phr.smart import assertion, demo
from phr.smart.models import AccessToken, Application, Launch, RefreshToken, UsedAssertion
from phr.smart.tokens import bearer
from tests.smart.conftest import FORM, Family, basic, post

Ask = Callable[..., Any]


@pytest.mark.spec("SMART App Launch 2.2", "backend-services", "RS384 and ES384, 300 seconds, no refresh token")
@pytest.mark.parametrize("which", ["es384", "rs384"])
def test_a_signed_assertion_gets_a_short_token(ask_system: Ask, which: str, request: pytest.FixtureRequest) -> None:
    answer = ask_system(key=request.getfixturevalue(which))
    assert answer.status_code == 200
    told = answer.json()
    assert told["expires_in"] == 300
    assert told["scope"] == "system/Observation.rs"
    assert "refresh_token" not in told and "patient" not in told
    assert answer["Cache-Control"] == "no-store"
    row = AccessToken.objects.get()
    assert row.expires <= timezone.now() + timedelta(seconds=300)
    assert not RefreshToken.objects.exists()


def test_it_acts_for_the_organization_of_the_client(ask_system: Ask, family: Family) -> None:
    found = bearer(ask_system().json()["access_token"], now=timezone.now())
    assert found is not None
    assert (found.organization, found.person, found.subject, found.capacity, found.purpose) == (
        family.clinic.pk, None, None, "system", "TREAT",
    )  # fmt: skip


@pytest.mark.spec("RFC 7523", "3", "a jti is accepted once")
def test_replay_is_refused(ask_system: Ask, clinic: Application, es384: JWK) -> None:
    signed = demo.sign("clinic-system", es384, now=timezone.now())
    assert ask_system(raw=signed).status_code == 200
    again = ask_system(raw=signed)
    assert again.status_code == 401 and again.json()["error"] == "invalid_client"
    assert "WWW-Authenticate" in again
    assert AccessToken.objects.count() == 1


def test_a_failed_request_still_uses_up_its_jti(ask_system: Ask, es384: JWK, clinic: Application) -> None:
    signed = demo.sign("clinic-system", es384, now=timezone.now())
    assert ask_system("patient/*.rs", raw=signed).status_code == 400
    assert ask_system(raw=signed).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_two_replays_at_once_get_one_token(ask_system: Ask, es384: JWK) -> None:
    signed = demo.sign("clinic-system", es384, now=timezone.now())

    def once(_: int) -> int:
        try:
            return ask_system(raw=signed).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(once, range(4)))
    assert statuses == [200, 401, 401, 401]


def test_old_jtis_are_forgotten(ask_system: Ask, clinic: Application) -> None:
    past = timezone.now() - timedelta(minutes=10)
    UsedAssertion.objects.create(application=clinic, jti="old", expires_at=past)
    assert ask_system().status_code == 200
    assert not UsedAssertion.objects.filter(jti="old").exists()


@pytest.mark.spec("SMART App Launch 2.2", "client-confidential-asymmetric", "claims of the assertion")
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://evil.example/token"},
        {"aud": None},
        {"aud": ["http://127.0.0.1:8000/oauth/token", "https://evil.example/token"]},
        {"iss": "somebody-else"},
        {"iss": None},
        {"iss": ["clinic-system"]},
        {"iss": "clinic\x00system"},
        {"iss": "\ud800"},
        {"sub": "somebody-else"},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 99_999_999_999},
        {"exp": 10**400},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 256},
        {"jti": "a\x00b"},
        {"jti": "\ud800"},
        {"jti": 5},
        {"nbf": 99_999_999_999},
        {"nbf": 10**400},
        {"iat": 99_999_999_999},
        {"iat": "now"},
    ],
    ids=str,
)
def test_wrong_claims_are_401(ask_system: Ask, claims: dict[str, Any]) -> None:
    answer = ask_system(**claims)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


def test_five_minutes_are_the_most(ask_system: Ask) -> None:
    now = int(timezone.now().timestamp())
    assert ask_system(exp=now + 305).status_code == 401
    assert ask_system(exp=now + 298).status_code == 200


def test_a_clock_may_be_a_minute_ahead_for_iat_but_not_behind_for_exp(ask_system: Ask) -> None:
    now = int(timezone.now().timestamp())
    assert ask_system(iat=now + 50, nbf=now + 50).status_code == 200
    assert ask_system(iat=now + 90).status_code == 401
    assert ask_system(exp=now - 1).status_code == 401


def test_another_key_with_the_same_kid_is_refused(ask_system: Ask) -> None:
    assert ask_system(key=JWK.generate(kty="EC", crv="P-384", kid="es-1")).status_code == 401


def test_an_unknown_kid_is_refused(ask_system: Ask, es384: JWK) -> None:
    renamed = JWK(**{**json.loads(es384.export_private()), "kid": "other"})
    assert ask_system(key=renamed).status_code == 401


@pytest.mark.spec("SMART App Launch 2.2", "client-confidential-asymmetric", "exactly one key matches kid and kty")
def test_an_ambiguous_kid_is_refused(ask_system: Ask, clinic: Application, es384: JWK) -> None:
    key = json.loads(es384.export_public())
    clinic.client_jwks = {"keys": [key, {**key}]}
    clinic.save()
    assert ask_system().status_code == 401


def test_the_same_kid_for_two_key_types_is_not_ambiguous(
    ask_system: Ask, clinic: Application, rs384: JWK, es384: JWK
) -> None:
    clinic.client_jwks = {"keys": [{**json.loads(k.export_public()), "kid": "es-1"} for k in (es384, rs384)]}
    clinic.save()
    assert ask_system().status_code == 200


def forged(header: dict[str, Any], key: str = "") -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(timezone.now().timestamp())
    claims = {
        "iss": "clinic-system",
        "sub": "clinic-system",
        "aud": "http://127.0.0.1:8000/oauth/token",
        "exp": now + 200,
        "jti": "j",
    }
    return f"{part(header)}.{part(claims)}.{key}"


@pytest.mark.parametrize(
    "raw",
    [
        forged({"alg": "none", "kid": "es-1"}),
        forged({"alg": "HS256", "kid": "es-1"}, "AAAA"),
        forged({"alg": "ES384"}, "AAAA"),
        forged({"alg": "ES384", "kid": "es-1", "crit": ["x"], "x": 1}, "AAAA"),
        forged({"alg": "ES384", "kid": "es-1", "jku": "https://evil.example/jwks"}, "AAAA"),
        forged({"alg": "ES384", "kid": ["es-1"]}, "AAAA"),
        "a.b.c", "...", "", "x" * 17_000, "W10.W10.W10", "\x00.\x00.\x00", "[" * 4000 + "..",
    ],
    ids=lambda raw: raw[:12],
)  # fmt: skip
def test_forgeries_are_refused(ask_system: Ask, raw: str) -> None:
    assert ask_system(raw=raw or " ").status_code in (400, 401)
    assert not AccessToken.objects.exists()


def test_an_assertion_and_a_secret_do_not_mix(clinic: Application, es384: JWK) -> None:
    signed = demo.sign("clinic-system", es384, now=timezone.now())
    fields = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion": signed}
    fields["client_assertion_type"] = assertion.TYPE
    assert post("/oauth/token", fields, **basic("clinic-system", "x")).status_code == 401
    assert post("/oauth/token", {**fields, "client_secret": "x"}).status_code == 401
    assert post("/oauth/token", {**fields, "client_id": "other"}).status_code == 401
    assert post("/oauth/token", {**fields, "client_assertion_type": "x"}).status_code == 401


@pytest.mark.spec("SMART App Launch 2.2", "backend-services", "scopes are limited to what was registered")
def test_scopes_are_narrowed_to_the_registration(ask_system: Ask, clinic: Application) -> None:
    clinic.system_scopes = "system/Observation.rs system/Patient.rs"
    clinic.save()
    told = ask_system("system/Observation.cruds system/Patient.rs system/Condition.rs").json()
    assert told["scope"] == "system/Observation.rs system/Patient.rs"
    assert ask_system("system/Condition.rs").status_code == 400


@pytest.mark.parametrize(
    "scope", [None, "patient/*.rs", "user/*.rs", "system/Nope.rs", "system/*.x", "openid", "system/*.sr"]
)
@pytest.mark.spec("SMART App Launch 2.2", "backend-services", "a bad scope is 400, none asked is none given")
def test_bad_scopes_are_400(ask_system: Ask, scope: str | None) -> None:
    answer = ask_system(scope)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_scope"
    assert not AccessToken.objects.exists()


B2B = {"version": "1", "organization_id": "9919000001", "purpose_of_use": ["urn:oid:2.16.840.1.113883.5.8#ETREAT"]}


@pytest.mark.spec("HL7 UDAP Security", "5.2.1.1", "hl7-b2b purpose of use")
def test_a_signed_purpose_is_kept(ask_system: Ask) -> None:
    assert ask_system(extensions={"hl7-b2b": B2B}).status_code == 200
    assert Launch.objects.get().purpose == "ETREAT"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"purpose_of_use": ["HRESCH"]}, 400),
        ({"purpose_of_use": ["TREAT", "HPAYMT"]}, 400),
        ({"organization_id": "1234567890"}, 400),
        ({"organization_id": ""}, 400),
        ({"purpose_of_use": []}, 401),
        ({"purpose_of_use": "TREAT"}, 401),
        ({"purpose_of_use": [1]}, 401),
        ({"version": "2"}, 401),
    ],
)
def test_a_purpose_that_is_not_theirs_is_refused(ask_system: Ask, change: dict[str, Any], status: int) -> None:
    assert ask_system(extensions={"hl7-b2b": {**B2B, **change}}).status_code == status
    assert not AccessToken.objects.exists()


def test_a_public_or_secret_client_gets_no_system_token(
    family: Family, app: Application, watcher: tuple[str, str]
) -> None:
    fields = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    assert post("/oauth/token", {**fields, "client_id": "phone-app"}).status_code in (400, 401)
    assert post("/oauth/token", fields, **basic(*watcher)).status_code == 400


# -- blank secrets


@pytest.mark.parametrize("secret", ["", " ", "%20"])
@pytest.mark.spec("RFC 6749", "2.3.1", "a blank secret never authenticates")
def test_a_blank_secret_never_authenticates(family: Family, watcher: tuple[str, str], secret: str) -> None:
    fields = {"token": "x"}
    assert post("/oauth/introspect", fields, **basic("watcher", secret)).status_code == 401
    assert post("/oauth/introspect", {**fields, "client_id": "watcher", "client_secret": secret}).status_code == 401
    assert post("/oauth/introspect", {**fields, "client_id": "watcher"}).status_code == 401


@pytest.mark.parametrize("secret", ["", "  "])
def test_a_blank_secret_cannot_be_stored(family: Family, secret: str) -> None:
    made = Application(
        client_id="x", client_type="confidential", authorization_grant_type="authorization-code",
        token_endpoint_auth_method="client_secret_basic", client_secret=secret,
        redirect_uris="https://a.example/b",
    )  # fmt: skip
    with pytest.raises(ValidationError):
        made.full_clean()
    with pytest.raises(ValidationError):
        made.save()


def test_the_database_refuses_blank_and_plain_secrets(watcher: tuple[str, str]) -> None:
    rows = Application.objects.filter(client_id="watcher")
    for change in ({"client_secret": ""}, {"hash_client_secret": False}, {"authorization_grant_type": "password"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**change)


def test_a_key_client_has_no_usable_secret(clinic: Application) -> None:
    assert clinic.client_secret.startswith("pbkdf2")
    assert post("/oauth/introspect", {"token": "x"}, **basic("clinic-system", clinic.client_secret)).status_code == 401


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"redirect_uris": "http://app.example/cb"}, "redirect_uris"),
        ({"redirect_uris": "http://localhost/cb"}, "redirect_uris"),
        ({"redirect_uris": "javascript:alert(1)"}, "redirect_uris"),
        ({"redirect_uris": "myapp://cb"}, "redirect_uris"),
        ({"redirect_uris": "https://*.example/cb"}, "redirect_uris"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "client_jwks"),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "client_jwks": {"keys": [{"kty": "EC", "d": "x"}]}},
            "client_jwks",
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "client_jwks": {"keys": [{"kty": "oct", "k": "x"}]}},
            "client_jwks",
        ),
        ({"token_endpoint_auth_method": "private_key_jwt", "client_jwks": [1]}, "client_jwks"),
        ({"token_endpoint_auth_method": "private_key_jwt", "client_jwks_uri": "http://a.example/j"}, "client_jwks_uri"),
    ],
)
def test_what_cannot_be_registered(db: None, fields: dict[str, Any], field: str) -> None:
    made = Application(**{
        "client_id": "x", "client_type": "public", "authorization_grant_type": "authorization-code",
        "redirect_uris": "https://a.example/b", **fields,
    })  # fmt: skip
    with pytest.raises(ValidationError) as caught:
        made.full_clean()
    assert field in caught.value.message_dict


@pytest.mark.parametrize(
    "uri", ["https://a.example/cb", "http://127.0.0.1/cb", "http://[::1]/cb", "jp.example.app:/cb"]
)
def test_redirect_addresses_that_may_be_registered(db: None, uri: str) -> None:
    Application(
        client_id="x", client_type="public", authorization_grant_type="authorization-code", redirect_uris=uri
    ).full_clean()


# -- the endpoint itself


def test_only_a_form_by_post_each_parameter_once(ask_system: Ask, client: Any) -> None:
    assert client.get("/oauth/token").status_code == 405
    assert client.post("/oauth/token", {"a": 1}, content_type="application/json").status_code == 400
    assert client.post("/oauth/token?scope=x", {}, content_type=FORM).status_code == 400
    assert post("/oauth/token", {"grant_type": ["refresh_token", "client_credentials"]}).status_code == 400
    assert post("/oauth/token", {"grant_type": "refresh_token", "refresh_token": "a\x00"}).status_code == 400
    assert post("/oauth/token", {"resource": "https://evil.example"}).status_code == 400


@pytest.mark.spec("SMART App Launch 2.2", "2.1.3", "CORS for registered origins")
def test_cors_only_for_registered_origins(app: Application, client: Any) -> None:
    ours = client.options("/oauth/token", headers={"origin": "https://app.example"})
    assert ours["Access-Control-Allow-Origin"] == "https://app.example"
    for other in ("https://evil.example", "https://app.example.evil", "null", "https://app"):
        assert "Access-Control-Allow-Origin" not in client.options("/oauth/token", headers={"origin": other})
    assert client.get("/.well-known/smart-configuration")["Access-Control-Allow-Origin"] == "*"


def test_a_suspended_organization_has_no_active_token(
    ask_system: Ask, family: Family, watcher: tuple[str, str]
) -> None:
    token = ask_system().json()["access_token"]
    assert post("/oauth/introspect", {"token": token}, **basic(*watcher)).json()["active"] is True
    family.clinic.state = Organization.State.SUSPENDED
    family.clinic.save()
    assert post("/oauth/introspect", {"token": token}, **basic(*watcher)).json() == {"active": False}
