"""An OpenID provider of the デジタル認証アプリ kind, on this machine: discovery, authorize, token, keys; over HTTP.

It verifies what it is sent (private_key_jwt, PKCE, one use of a code) and signs ES256. Another JOSE library than the
relying party's is used, so that both do not err alike. Tests spoil its answers through `claims`, `signer` and `back`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

CLIENT_ID = "tsumugi"
PEOPLE = ("yuki-at-tsumugi", "ichiro-at-tsumugi")  # pairwise: what the provider calls them to us


def same(value: Any) -> Any:
    return value


@dataclass
class Provider:
    """The provider's state, and the knobs of the tests."""

    client_key: JWK  # the public half, registered
    key: JWK = field(default_factory=lambda: JWK.generate(kty="EC", crv="P-256", kid="card-1"))
    url: str = ""
    person: str = PEOPLE[0]  # whose card is read when nobody clicks
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    seen_jti: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # paths, in the order they were asked
    claims: Callable[[dict[str, Any]], dict[str, Any]] = same
    signer: Callable[[dict[str, Any]], str] | None = None
    back: Callable[[dict[str, str]], dict[str, str]] = same
    metadata: Callable[[dict[str, Any]], dict[str, Any]] = same
    keys: Callable[[dict[str, Any]], dict[str, Any]] = same

    def discovery(self) -> dict[str, Any]:
        return self.metadata({
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
            "authorization_response_iss_parameter_supported": True,
        })  # fmt: skip

    def approve(self, asked: dict[str, str], person: str) -> str:
        """Where the browser goes once the card was read."""
        code = secrets.token_urlsafe(24)
        self.codes[code] = {**asked, "sub": person}
        told = self.back({"code": code, "state": asked["state"], "iss": self.url})
        return asked["redirect_uri"] + "?" + urlencode(told)

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        fault = self._fault(form)
        if fault:
            self.refused.append(fault)
            return 400, {"error": "invalid_client" if "assertion" in fault else "invalid_grant"}
        asked = self.codes[form["code"]]
        self.used.add(form["code"])
        access, now = secrets.token_urlsafe(24), int(time.time())
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims = self.claims({
            "iss": self.url, "sub": asked["sub"], "aud": CLIENT_ID, "azp": CLIENT_ID, "exp": now + 300, "iat": now,
            "auth_time": now, "nonce": asked["nonce"], "acr": "aal3",
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        })  # fmt: skip
        signed = self.signer(claims) if self.signer else sign(claims, self.key)
        return 200, {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": signed}

    def _fault(self, form: dict[str, str]) -> str:
        asked = self.codes.get(form.get("code", ""))
        if asked is None or form["code"] in self.used:
            return "code"
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return "code_verifier"
        if form.get("redirect_uri") != asked["redirect_uri"] or form.get("client_id") != CLIENT_ID:
            return "redirect_uri or client_id"
        return self._assertion_fault(form)

    def _assertion_fault(self, form: dict[str, str]) -> str:
        token = JWS()
        token.allowed_algs = ["ES256", "RS256"]
        try:
            token.deserialize(form.get("client_assertion", ""))
            token.verify(self.client_key)
        except (JWException, ValueError):
            return "assertion: signature"
        claims = json.loads(token.payload)
        if claims["iss"] != CLIENT_ID or claims["sub"] != CLIENT_ID or claims["aud"] != f"{self.url}/token":
            return "assertion: iss, sub or aud"
        if claims["jti"] in self.seen_jti or not time.time() - 60 < claims["exp"] <= time.time() + 300:
            return "assertion: jti or exp"
        self.seen_jti.add(claims["jti"])
        return ""


def sign(claims: dict[str, Any], key: JWK, **header: Any) -> str:
    token = JWS(json.dumps(claims))
    token.allowed_algs = ["ES256", "RS256", "HS256", "ES384"]
    told = {"alg": "ES256", "kid": key.get("kid"), "typ": "JWT", **header}
    token.add_signature(key, alg=None, protected=json.dumps({n: v for n, v in told.items() if v is not None}))
    return str(token.serialize(compact=True))


class Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.provider.asked.append(parts.path)
        if parts.path == "/.well-known/openid-configuration":
            self._json(200, self.provider.discovery())
        elif parts.path == "/keys":
            self._json(200, self.provider.keys({"keys": [json.loads(self.provider.key.export_public())]}))
        elif parts.path == "/authorize" and asked.get("code_challenge_method") == "S256":
            self._page(asked)
        elif parts.path == "/read":
            self._away(self.provider.approve(asked, asked.pop("card")))
        else:
            self._json(400, {"error": "invalid_request"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._json(*self.provider.token({name: values[0] for name, values in parse_qs(body).items()}))

    def _page(self, asked: dict[str, str]) -> None:
        links = "".join(
            f'<p><a href="/read?{urlencode({**asked, "card": who})}">{who}</a></p>'.replace("&", "&amp;")
            for who in PEOPLE
        )
        self._send(200, "text/html; charset=utf-8", f"<title>card</title><h1>Read your card</h1>{links}".encode())

    def _away(self, url: str) -> None:
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, status: int, told: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(told).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def serve(provider: Provider) -> ThreadingHTTPServer:
    """Start it; `provider.url` is set. Stop it with `.shutdown()` and `.server_close()`."""

    bound = type("Bound", (Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
