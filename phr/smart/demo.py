"""The demo's clients, and tokens for its people through the real endpoints: nothing is issued on the side."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.conf import settings
from django.test import Client
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from consent.models import Organization, Person
from phr.smart import assertion
from phr.smart.launches import Role, roles_for
from phr.smart.models import Application
from phr.smart.scopes import ScopeError, split
from phr.smart.step_up import LEVELS

APP, CLINIC, RESOURCE_SERVER = "tsumugi-app", "clinic", "resource-server"
CALLBACK = "http://127.0.0.1:8000/demo/callback"  # any port: RFC 8252 section 7.3
OPERATOR = "0000000000"
FOUNDED = datetime(2020, 4, 1, tzinfo=UTC)
CLINIC_SCOPES = "system/*.cruds trust.read trust.write"


class NoToken(Exception):
    """The endpoints said no; the text is theirs."""


def register(*, clinic: Organization) -> None:
    """Register the demo's three clients, once. Private keys and the one secret stay under var/demo."""
    _keep(APP, name="紡アプリ（デモ）", client_type="public", authorization_grant_type="authorization-code",
          redirect_uris=CALLBACK, token_endpoint_auth_method="none")  # fmt: skip
    _keep(CLINIC, name=str(clinic), client_type="confidential", authorization_grant_type="client-credentials",
          token_endpoint_auth_method="private_key_jwt", organization=clinic, system_scopes=CLINIC_SCOPES,
          client_jwks={"keys": [json.loads(private_key(CLINIC).export_public())]})  # fmt: skip
    operator, _ = Organization.objects.get_or_create(
        code=OPERATOR,
        defaults={"name": "紡 運営（デモ）", "kind": Organization.Kind.OPERATOR, "class_from": FOUNDED},
    )
    _keep(RESOURCE_SERVER, name="資源サーバー（デモ）", client_type="confidential", organization=operator,
          authorization_grant_type="client-credentials", token_endpoint_auth_method="client_secret_basic",
          may_introspect=True, client_secret=secret_of(RESOURCE_SERVER))  # fmt: skip


def _keep(client_id: str, **fields: Any) -> None:
    found = Application.objects.filter(client_id=client_id).first() or Application(client_id=client_id)
    for name, value in fields.items():
        setattr(found, name, value)
    found.full_clean()
    found.save()


def private_key(client_id: str) -> JWK:
    """The demo client's ES384 key, made once, readable by the owner only; never in the repository."""
    path = _folder() / f"{client_id}.jwk.json"
    if not path.exists():
        key = JWK.generate(kty="EC", crv="P-384", kid=secrets.token_hex(8), use="sig", alg="ES384")
        _write(path, key.export_private())
    return JWK.from_json(path.read_text(encoding="utf-8"))


def secret_of(client_id: str) -> str:
    path = _folder() / f"{client_id}.secret"
    if not path.exists():
        _write(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8")


def _folder() -> Path:
    folder = Path(settings.PHR_VAR) / "demo"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def system_token(client_id: str, *, scope: str, now: datetime) -> dict[str, Any]:
    """A client-credentials token: a freshly signed assertion, sent to the token endpoint. Raises NoToken."""
    return _token(
        grant_type="client_credentials", scope=scope, client_assertion_type=assertion.TYPE,
        client_assertion=sign(client_id, private_key(client_id), now=now),
    )  # fmt: skip


def sign(client_id: str, key: JWK, *, now: datetime, **claims: Any) -> str:
    """A client assertion as SMART Backend Services asks for it; `claims` overrides."""
    alg = "ES384" if key["kty"] == "EC" else "RS384"
    told = {
        "iss": client_id, "sub": client_id, "aud": f"{settings.PHR_BASE_URL}/oauth/token",
        "exp": int(now.timestamp()) + 240, "iat": int(now.timestamp()), "jti": secrets.token_urlsafe(16), **claims,
    }  # fmt: skip
    token = JWS(json.dumps(told))
    token.add_signature(key, alg=None, protected=json.dumps({"alg": alg, "kid": key["kid"], "typ": "JWT"}))
    return str(token.serialize(compact=True))


def person_token(person: Person, *, client_id: str, scope: str, patient: str, now: datetime) -> dict[str, Any]:
    """A person's token by the authorization code flow with PKCE, page by page. Raises NoToken."""
    browser, verifier = _client(), secrets.token_urlsafe(48)
    try:
        role = _role(person, scope, patient, now)
    except ScopeError as error:
        raise NoToken(f"invalid_scope {error}") from error
    browser.force_login(person)
    _prove(browser, now)
    try:
        back = _code(browser, _asked(client_id, scope, verifier), role)
    finally:
        browser.logout()
    return _token(
        grant_type="authorization_code", code=back, client_id=client_id, redirect_uri=CALLBACK, code_verifier=verifier
    )


def _prove(browser: Client, now: datetime) -> None:
    """As if the person had just held her card to the phone: the demo's people can do every deed."""
    session = browser.session
    session["acr"], session["authenticated_at"] = LEVELS[-1], int(now.timestamp())
    session.save()


def _asked(client_id: str, scope: str, verifier: str) -> dict[str, str]:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return {
        "response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": scope,
        "state": secrets.token_urlsafe(16), "aud": f"{settings.PHR_BASE_URL}/fhir",
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip


def _role(person: Person, scope: str, patient: str, now: datetime) -> Role:
    """`patient`: "" = the first child, else herself; "self"; or a Patient id."""
    roles = roles_for(person, split(scope), now=now)
    if not patient:
        children = [role for role in roles if role.guardianship]
        free = [role for role in roles if role.subject is None]
        roles = tuple(children or free or roles)
    else:
        roles = tuple(role for role in roles if patient in (role.key, str(role.subject)))
    if not roles:
        raise NoToken(f"{person} には開ける記録がありません。/ There is no such record {person} may open.")
    return roles[0]


def _code(browser: Client, asked: dict[str, str], role: Role) -> str:
    answer = browser.get("/oauth/authorize", asked)
    if answer.status_code == 302 and answer["Location"].startswith("/oauth/authorize/"):
        answer = browser.post(answer["Location"], {"decision": "allow", "role": role.key})
    told = parse_qs(urlsplit(answer.headers.get("Location", "")).query)
    if "code" not in told:
        raise NoToken(" ".join(told.get("error", []) + told.get("error_description", [])) or str(answer.status_code))
    return told["code"][0]


def _token(**fields: str) -> dict[str, Any]:
    answer = _client().generic(
        "POST", "/oauth/token", urlencode(fields), content_type="application/x-www-form-urlencoded"
    )
    told: dict[str, Any] = answer.json()
    if answer.status_code != 200:
        raise NoToken(f"{told.get('error')} {told.get('error_description', '')}".strip())
    return told


def _client() -> Client:
    base = urlsplit(settings.PHR_BASE_URL)
    defaults: dict[str, Any] = {"wsgi.url_scheme": base.scheme}
    return Client(headers={"host": base.netloc}, **defaults)
