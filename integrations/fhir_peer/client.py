"""Calling a peer: as a system client with a token, at registered origins only, within size and time.

A failure says by a code what it was, and whether it may pass: no answer, 408, 429 and 5xx may; any other refusal is
the peer's last word on that request. Redirects are refused. Nothing here is logged but codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any
from urllib.parse import urlencode

from consent import outside
from consent.outside import Answer, NotFetched
from integrations.fhir_peer import keys, parse
from integrations.models import Peer
from phr.smart.assertion import TYPE

Clock = Callable[[], datetime]

FHIR_JSON = "application/fhir+json"
PAGE_BYTES = 20 * 1024 * 1024
SECONDS = 30.0  # for one call
EARLY = timedelta(seconds=30)  # before its end a token counts as over
LONGEST_TOKEN = 3600  # seconds
_LEFT = re.compile(r"[\x21-\x7e]{1,8192}")  # what a bearer token may consist of here

_tokens: dict[tuple[int, str], tuple[datetime, str]] = {}  # (peer, key) -> until, token; of this process


class Failed(Exception):
    """The peer did not do it. `code`: why; `passes`: it may do it later; `after`: the seconds it asks us to wait."""

    def __init__(self, code: str, *, passes: bool, after: int | None = None) -> None:
        super().__init__(code)
        self.code, self.passes, self.after = code, passes, after


@dataclass(frozen=True, slots=True)
class Configured:
    """What a peer's smart-configuration says that we need."""

    token_url: str
    algorithms: tuple[str, ...]
    authorize_url: str
    issuer: str = ""  # "" = not said


def configuration(base: str, *, origins: list[str]) -> Configured:
    """`<base>/.well-known/smart-configuration`. Raises Failed: not there, or its addresses lead elsewhere."""
    answer = _called(
        "GET", f"{base}/.well-known/smart-configuration", origins=origins, headers=_accept("application/json")
    )
    if answer.status != 200:
        raise Failed(f"configuration-{answer.status}", passes=False)
    told = _json(answer)
    token, authorize = told.get("token_endpoint"), told.get("authorization_endpoint", "")
    offered = told.get("token_endpoint_auth_signing_alg_values_supported", [])
    if not isinstance(token, str) or not isinstance(authorize, str) or not isinstance(offered, list):
        raise Failed("configuration-unusable", passes=False)
    for url in (token, authorize):
        if url and _origin(url) not in origins:
            raise Failed("other-host", passes=False)
    issuer = told.get("issuer")
    algorithms = tuple(a for a in offered if a in keys.ALGORITHMS)
    return Configured(token, algorithms, authorize, issuer if isinstance(issuer, str) else "")


def ask(peer: Peer, method: str, url: str, *, clock: Clock, body: bytes | None = None,
        headers: Mapping[str, str] | None = None, most: int = PAGE_BYTES, seconds: float = SECONDS,
        into: IO[bytes] | None = None) -> Answer:  # fmt: skip
    """One request with a token; once more with a new one where that is refused (401). Raises Failed.

    Any answer of 2xx or 4xx (but 401, 408, 429) is returned.
    """
    told = {**_accept(FHIR_JSON), **({"Content-Type": FHIR_JSON} if body is not None else {}), **(headers or {})}
    for attempt in (1, 2):
        signed = {**told, "Authorization": f"Bearer {_token(peer, clock=clock)}"}
        answer = _called(method, url, origins=peer.origins, headers=signed, body=body, most=most, seconds=seconds,
                         into=into)  # fmt: skip
        if answer.status != 401:
            return answer
        _tokens.pop((peer.pk, peer.kid), None)
        if attempt == 2:
            break
    raise Failed("unauthorized", passes=True)


def get(peer: Peer, url: str, *, clock: Clock) -> Answer:
    """A page or resource that must be there. Raises Failed for any other answer than 200."""
    answer = ask(peer, "GET", url, clock=clock)
    if answer.status != 200:
        raise Failed(f"status-{answer.status}", passes=False)
    return answer


def forget_token(peer: Peer) -> None:
    """Let the next call ask for a new token."""
    _tokens.pop((peer.pk, peer.kid), None)


def exchange(peer: Peer, *, code: str, verifier: str, redirect_uri: str, now: datetime) -> tuple[str, str]:
    """A code of somebody who signed in there -> an access token and her Patient id there. Raises Failed.

    Source: SMART App Launch 2.2 (asymmetric client, PKCE, launch/patient).
    """
    told = _granted(peer, {
        "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier,
        "client_assertion_type": TYPE, "client_assertion": keys.assertion(peer, now=now, client=peer.launch_client),
    })  # fmt: skip
    patient = told.get("patient")
    if not isinstance(patient, str) or not parse.ID.fullmatch(patient):
        raise Failed("no-patient", passes=False)
    return str(told["access_token"]), patient


def patient_of(peer: Peer, token: str, id: str) -> dict[str, Any]:
    """Her Patient there, read with her own token; empty where that is not shown. Raises Failed."""
    headers = {**_accept(FHIR_JSON), "Authorization": f"Bearer {token}"}
    answer = _called("GET", f"{peer.base}/Patient/{id}", origins=peer.origins, headers=headers)
    found = _json(answer) if answer.status == 200 else {}
    return found if (found.get("resourceType"), found.get("id")) == ("Patient", id) else {}


def _token(peer: Peer, *, clock: Clock) -> str:
    until, token = _tokens.get((peer.pk, peer.kid), (None, ""))
    now = clock()
    if until is not None and now < until:
        return token
    scopes = " ".join(f"system/{type}.{'cruds' if peer.pushes else 'rs'}" for type in sorted(peer.types))
    told = _granted(peer, {
        "grant_type": "client_credentials", "scope": scopes, "client_assertion_type": TYPE,
        "client_assertion": keys.assertion(peer, now=now),
    })  # fmt: skip
    token, seconds = str(told["access_token"]), told.get("expires_in", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0:
        raise Failed("token-unusable", passes=True)
    _tokens[peer.pk, peer.kid] = (now + timedelta(seconds=min(seconds, LONGEST_TOKEN)) - EARLY, token)
    return token


def _granted(peer: Peer, form: Mapping[str, str]) -> dict[str, Any]:
    """What the token endpoint grants, with a sound bearer token. Raises Failed."""
    headers = {**_accept("application/json"), "Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form).encode()
    answer = _called("POST", peer.token_url, origins=peer.origins, headers=headers, body=body, most=64 * 1024)
    if answer.status != 200:
        raise Failed(f"token-{answer.status}", passes=True)  # a client that is not yet, or no more, registered there
    told = _json(answer)
    token = told.get("access_token")
    if not isinstance(token, str) or not _LEFT.fullmatch(token) or str(told.get("token_type", "")).lower() != "bearer":
        raise Failed("token-unusable", passes=True)
    return told


def _called(method: str, url: str, **options: Any) -> Answer:
    """One call. Raises Failed for no answer, a redirect, and what may pass."""
    options.setdefault("seconds", SECONDS)
    try:
        answer = outside.call(method, url, **options)
    except NotFetched as error:
        raise Failed(error.code, passes=error.passes) from error
    if 300 <= answer.status < 400:
        raise Failed("redirected", passes=False)
    if answer.status in (408, 429) or answer.status >= 500 or answer.status < 200:
        raise Failed(f"status-{answer.status}", passes=True, after=_after(answer))
    return answer


def _after(answer: Answer) -> int | None:
    """Retry-After in seconds; a date is not read, and nobody makes us wait longer than a day."""
    text = answer.headers.get("retry-after", "").strip()
    return min(int(text), 86_400) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _json(answer: Answer) -> dict[str, Any]:
    try:
        return parse.json(answer.body)
    except parse.Unusable as error:
        raise Failed(str(error), passes=False) from None


def _origin(url: str) -> str:
    try:
        return outside.origin(url)
    except NotFetched as error:
        raise Failed(error.code, passes=False) from error


def _accept(kind: str) -> dict[str, str]:
    return {"Accept": kind}
