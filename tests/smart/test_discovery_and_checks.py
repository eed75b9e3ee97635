"""What clients discover is what is served; what is misconfigured does not start."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from phr.records.validate import check
from phr.smart import checks
from tests.smart.conftest import post

PATHS = [
    "/.well-known/smart-configuration",
    "/fhir/.well-known/smart-configuration",
    "/.well-known/openid-configuration",
]


@pytest.mark.spec("SMART App Launch 2.2", "conformance", "absolute URLs, S256 and never plain")
@pytest.mark.parametrize("path", PATHS)
def test_every_named_endpoint_exists(db: None, settings: Any, path: str) -> None:
    told = Client().get(path).json()
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["issuer"] == settings.PHR_BASE_URL
    for name, value in told.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert value.startswith(settings.PHR_BASE_URL + "/")
            resolve(value.removeprefix(settings.PHR_BASE_URL))


def test_every_named_grant_is_known_and_no_other(db: None) -> None:
    told = Client().get(PATHS[0]).json()
    for grant in told["grant_types_supported"]:
        assert post("/oauth/token", {"grant_type": grant}).json()["error"] != "unsupported_grant_type"
    assert set(told["grant_types_supported"]) == {"authorization_code", "client_credentials", "refresh_token"}


def test_nothing_is_promised_that_is_not_there(db: None) -> None:
    told = Client().get(PATHS[0]).json()
    assert {"client-confidential-symmetric", "permission-app-state"}.isdisjoint(told["capabilities"])
    assert "registration_endpoint" not in told
    with pytest.raises(Resolver404):
        resolve("/oauth/register")


@pytest.mark.spec(
    "SMART App Launch 2.2", "2.2", "what is promised beside the endpoints: EHR launch, management, brands"
)
def test_what_is_promised(db: None, settings: Any) -> None:
    told = Client().get(PATHS[0]).json()
    wanted = {"launch-ehr", "launch-standalone", "authorize-post", "context-ehr-patient", "context-ehr-encounter"}
    assert wanted | {"context-standalone-encounter", "context-banner", "context-style"} <= set(told["capabilities"])
    assert told["management_endpoint"] == f"{settings.PHR_BASE_URL}/apps"
    assert {"launch", "launch/patient", "launch/encounter"} <= set(told["scopes_supported"])


@pytest.mark.spec("SMART App Launch 2.2", "4", "brands: one primary brand, one endpoint, a timestamp, any origin, ETag")
def test_the_brand_bundle(db: None, settings: Any) -> None:
    told = Client().get(PATHS[0]).json()
    assert told["user_access_brand_bundle"] == f"{settings.PHR_BASE_URL}/brands"
    answer = Client().get("/brands", headers={"origin": "https://anywhere.example"})
    assert answer["Access-Control-Allow-Origin"] == "*" and answer["Access-Control-Expose-Headers"] == "ETag"
    assert answer["Content-Type"].startswith("application/fhir+json")
    bundle = answer.json()
    assert bundle["type"] == "collection" and bundle["timestamp"] == settings.PHR_BRAND_CHANGED
    brand, endpoint = (entry["resource"] for entry in bundle["entry"])
    assert told["user_access_brand_identifier"] in brand["identifier"]
    assert brand["endpoint"] == [{"reference": bundle["entry"][1]["fullUrl"]}]
    assert endpoint["address"] == f"{settings.PHR_BASE_URL}/fhir"
    for resource in (bundle, brand, endpoint):
        assert not check(resource), check(resource)


@pytest.mark.spec("RFC 9110", "13.1.2", "If-None-Match spares sending the brands again")
def test_brands_are_sent_once(db: None, settings: Any) -> None:
    first = Client().get("/brands")
    for known in (first["ETag"], f'"other", W/{first["ETag"]}', "*"):
        again = Client().get("/brands", headers={"if-none-match": known})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert Client().get("/brands", headers={"if-none-match": '"other"'}).status_code == 200
    settings.PHR_BRAND_NAME = "別の名前"
    assert Client().get("/brands", headers={"if-none-match": first["ETag"]}).status_code == 200


def test_the_signing_key_is_public_only(db: None) -> None:
    (key,) = Client().get("/oauth/jwks").json()["keys"]
    assert key["kty"] == "RSA" and key["alg"] == "RS256"
    assert not {"d", "p", "q"} & set(key)


def ids(messages: list[Any]) -> set[str]:
    return {message.id for message in messages}


def test_our_own_settings_pass() -> None:
    assert not checks.toolkit_is_hardened(None) and not checks.signing_key_is_usable(None)
    assert not checks.demo_stays_at_home(None)


@pytest.mark.parametrize("name", [*checks.GATES, *checks.MANDATORY])
def test_loosening_any_gate_is_an_error(settings: Any, name: str) -> None:
    settings.OAUTH2_PROVIDER = {k: v for k, v in settings.OAUTH2_PROVIDER.items() if k != name}
    assert ids(checks.toolkit_is_hardened(None)) == {"phr.E105"}


def test_the_demo_is_refused_elsewhere(settings: Any) -> None:
    settings.DEMO = True
    assert not checks.demo_stays_at_home(None)
    settings.PHR_BASE_URL = "https://phr.example.jp"
    assert ids(checks.demo_stays_at_home(None)) == {"phr.E102"}
    assert "phr.E107" in ids(checks.deployment_is_safe(None))


def test_a_deployment_needs_secrets_and_tls(settings: Any) -> None:
    settings.PHR_BASE_URL = "https://phr.example.jp"
    settings.SECRET_KEY = "x" * 50
    assert not checks.deployment_is_safe(None)
    settings.PHR_KEYS = settings.PHR_OIDC_KEY = ""
    settings.SECRET_KEY = "short"
    settings.PHR_BASE_URL = "http://phr.example.jp"
    assert ids(checks.deployment_is_safe(None)) == {"phr.E101", "phr.E103", "phr.E104"}


@pytest.mark.parametrize("pem", ["nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_an_unusable_signing_key_is_an_error(settings: Any, pem: str) -> None:
    settings.PHR_OIDC_KEY = pem
    assert ids(checks.signing_key_is_usable(None)) == {"phr.E106"}
