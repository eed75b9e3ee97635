"""The family and the clients of the token tests, and the moves every flow is made of."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.utils import timezone
from jwcrypto.jwk import JWK

from consent.models import Guardianship, Organization, Person, Subject
from phr.smart import assertion, demo
from phr.smart.models import Application

FORM = "application/x-www-form-urlencoded"
CALLBACK = "https://app.example/callback"


PASSWORD = "correct horse 紡"


@cache
def hashed_password() -> str:
    return make_password(PASSWORD)


@dataclass
class Family:
    yuki: Person
    ichiro: Person
    mei: Person
    sato: Person
    mori: Person
    hana: Subject
    ren: Subject
    clinic: Organization
    city: Organization

    def link(self, person: Person, child: Subject) -> Guardianship:
        return Guardianship.objects.get(person=person, subject=child)


@pytest.fixture
def family(db: None) -> Family:
    now = timezone.now()
    city = Organization.objects.create(name="見本市", kind="municipality", code="999001")
    clinic = Organization.objects.create(name="見本産婦人科クリニック", kind="clinic", code="9919000001")

    def subject(birth_on: date) -> Subject:
        return Subject.objects.create(birth_on=birth_on, created_at=now)

    def person(username: str, name: str, **more: Any) -> Person:
        return Person.objects.create(username=username, name=name, password=hashed_password(), **more)

    found = Family(
        yuki=person("yuki", "見本 雪", own_subject=subject(date(1992, 2, 3))),
        ichiro=person("ichiro", "見本 一郎", own_subject=subject(date(1990, 8, 20))),
        mei=person("mei", "見本 芽衣"),
        sato=person("sato", "佐藤 例美", organization=city),
        mori=person("mori", "森 例子", organization=clinic),
        hana=subject(now.date() - timedelta(days=7 * 366)),
        ren=subject(now.date() - timedelta(days=100)),
        clinic=clinic,
        city=city,
    )
    for parent in (found.yuki, found.ichiro):
        for child in (found.hana, found.ren):
            Guardianship.objects.create(
                person=parent, subject=child, evidence="birth-notice", verified_by=found.sato,
                starts_on=child.birth_on or now.date(), review_on=now.date() + timedelta(days=300),
            )  # fmt: skip
    return found


@pytest.fixture
def app(db: None) -> Application:
    found = Application(
        client_id="phone-app", name="母子アプリ", client_type="public", authorization_grant_type="authorization-code",
        redirect_uris=CALLBACK, allowed_origins="https://app.example",
    )  # fmt: skip
    found.full_clean()
    found.save()
    return found


@pytest.fixture(scope="session")
def es384() -> JWK:
    return JWK.generate(kty="EC", crv="P-384", kid="es-1")


@pytest.fixture(scope="session")
def rs384() -> JWK:
    return JWK.generate(kty="RSA", size=2048, kid="rs-1")


@pytest.fixture
def clinic(family: Family, es384: JWK, rs384: JWK) -> Application:
    found = Application(
        client_id="clinic-system", name="見本産婦人科クリニック", client_type="confidential",
        authorization_grant_type="client-credentials", token_endpoint_auth_method="private_key_jwt",
        organization=family.clinic, system_scopes="system/*.cruds",
        client_jwks={"keys": [json.loads(k.export_public()) for k in (es384, rs384)]},
    )  # fmt: skip
    found.full_clean()
    found.save()
    return found


@pytest.fixture
def watcher(family: Family) -> tuple[str, str]:
    """A resource server that may introspect: (client_id, secret)."""
    Application(
        client_id="watcher", client_type="confidential", authorization_grant_type="client-credentials",
        token_endpoint_auth_method="client_secret_basic", organization=family.clinic, may_introspect=True,
        client_secret="a secret of the watcher",
    ).save()  # fmt: skip
    return "watcher", "a secret of the watcher"


def post(path: str, fields: dict[str, Any], **headers: str) -> Any:
    """A form, as clients send it."""
    return Client().generic("POST", path, urlencode(fields, doseq=True), content_type=FORM, headers=headers)


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


@pytest.fixture
def ask_system(clinic: Application, es384: JWK) -> Callable[..., Any]:
    """Ask for a system token; `key` and claims may be spoilt."""

    def ask(scope: str | None = "system/Observation.rs", *, key: JWK = es384, raw: str = "", **claims: Any) -> Any:
        signed = raw or demo.sign("clinic-system", key, now=timezone.now(), **claims)
        fields = {
            "grant_type": "client_credentials",
            "client_assertion": signed,
            "client_assertion_type": assertion.TYPE,
        }
        return post("/oauth/token", fields if scope is None else {**fields, "scope": scope})

    return ask


class Phone:
    """An app and the person holding it: the authorization code flow, step by step."""

    def __init__(self, person: Person, **changes: str | None) -> None:
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "response_type": "code", "client_id": "phone-app", "redirect_uri": CALLBACK,
            "scope": "launch/patient patient/*.rs", "state": "a state with entropy 0123456789",
            "aud": f"{settings.PHR_BASE_URL}/fhir", "code_challenge_method": "S256",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), **changes,
        }  # fmt: skip
        self.asked = {name: value for name, value in asked.items() if value is not None}
        self.browser = Client()
        self.browser.force_login(person)

    def knock(self) -> Any:
        return self.browser.get("/oauth/authorize", self.asked)

    def decide(self, role: str, decision: str = "allow") -> dict[str, str]:
        """What comes back to the app."""
        page = self.knock()
        assert page.status_code == 302 and page["Location"].startswith("/oauth/authorize/"), page.content
        answer = self.browser.post(page["Location"], {"decision": decision, "role": role})
        assert answer.status_code == 302, answer.content.decode()
        return query(answer["Location"])

    def redeem(self, code: str, **changes: str) -> Any:
        fields = {
            "grant_type": "authorization_code", "code": code, "client_id": "phone-app", "redirect_uri": CALLBACK,
            "code_verifier": self.verifier, **changes,
        }  # fmt: skip
        return post("/oauth/token", fields)

    def tokens(self, role: str) -> dict[str, Any]:
        answer = self.redeem(self.decide(role)["code"])
        assert answer.status_code == 200, answer.content
        return dict(answer.json())


def proved(phone: Phone, acr: str, *, ago: int = 0) -> Phone:
    session = phone.browser.session
    session["acr"], session["authenticated_at"] = acr, int(timezone.now().timestamp()) - ago
    session.save()
    return phone


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def refresh(token: str, **more: str) -> Any:
    return post(
        "/oauth/token", {"grant_type": "refresh_token", "refresh_token": token, "client_id": "phone-app", **more}
    )
