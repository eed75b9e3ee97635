"""What the card provider publishes (its addresses and keys) and the one call we make to it. Small, slow to trust.

Addresses come from settings or from OpenID Connect Discovery 1.0 §4; they and the keys are kept for an hour. A key we
do not know makes us look again, at most once a minute.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings

from consent import outside

LONGEST = 10.0  # seconds, for the whole answer
MAX_BYTES = 64 * 1024
KEPT, AGAIN = 3600.0, 60.0  # seconds
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
FORM = "application/x-www-form-urlencoded"

_metadata: dict[str, tuple[float, Metadata]] = {}
_keys: dict[str, tuple[float, list[Mapping[str, Any]]]] = {}


class ProviderFailed(Exception):
    """The provider cannot be reached, or says what cannot be used."""


@dataclass(frozen=True, slots=True)
class Metadata:
    authorization: str
    token: str
    keys: str
    says_iss: bool  # RFC 9207: answers always carry iss


def metadata(issuer: str) -> Metadata:
    """The provider's addresses. Raises ProviderFailed; a document of another issuer is refused (§4.3)."""
    if settings.PHR_CARD_ENDPOINTS:
        authorization, token, keys = settings.PHR_CARD_ENDPOINTS
        return Metadata(authorization, token, keys, says_iss=False)
    until, known = _metadata.get(issuer, (0.0, None))
    if known is not None and time.monotonic() < until:
        return known
    told = _json(_call("GET", f"{issuer}/.well-known/openid-configuration"))
    if told.get("issuer") != issuer:
        raise ProviderFailed("the discovery document is another issuer's")
    found = Metadata(
        authorization=_url(told, "authorization_endpoint"), token=_url(told, "token_endpoint"),
        keys=_url(told, "jwks_uri"), says_iss=told.get("authorization_response_iss_parameter_supported") is True,
    )  # fmt: skip
    _metadata[issuer] = (time.monotonic() + KEPT, found)
    return found


def _url(told: Mapping[str, Any], name: str) -> str:
    return _checked(str(told.get(name, "")))


def key(url: str, kid: object) -> Mapping[str, Any]:
    """The provider's signing key of this name. Raises ProviderFailed when there is not exactly one."""
    now = time.monotonic()
    fetched, known = _keys.get(url, (-KEPT, []))
    found = _named(known, kid)
    if now - fetched > KEPT or (not found and now - fetched > AGAIN):
        told = _json(_call("GET", url)).get("keys")
        known = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
        _keys[url] = (now, known)
        found = _named(known, kid)
    if len(found) != 1:
        raise ProviderFailed(f"{len(found)} keys of the provider have that name")
    return found[0]


def _named(keys: list[Mapping[str, Any]], kid: object) -> list[Mapping[str, Any]]:
    fitting = [one for one in keys if one.get("kty") == "EC" and one.get("use", "sig") == "sig" and "d" not in one]
    return [one for one in fitting if isinstance(kid, str) and one.get("kid") == kid]


def forget() -> None:
    """Fetch everything again when it is next needed."""
    _metadata.clear()
    _keys.clear()


def post(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    """A form to the token endpoint, and the JSON that answers it. Raises ProviderFailed."""
    return _json(_call("POST", url, urlencode(form)))


def _checked(url: str) -> str:
    """Only https; plain http on this machine, for a provider that is on it too, in the demo."""
    try:
        parts, home = urlsplit(url), urlsplit(settings.PHR_CARD_ISSUER)
    except ValueError:
        raise ProviderFailed("an address of the provider is no address") from None
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK and home.hostname in LOOPBACK
    if (parts.scheme != "https" and not plain) or not parts.hostname or parts.username:
        raise ProviderFailed("an address of the provider is not https")
    return url


def _call(method: str, url: str, body: str | None = None) -> bytes:
    """One request (`consent.outside`): no redirects, nowhere inside, bounded; anything but 200 fails."""
    headers = {"Accept": "application/json", **({"Content-Type": FORM} if body is not None else {})}
    told = body.encode() if body is not None else None
    try:
        answer = outside.call(method, _checked(url), body=told, headers=headers, most=MAX_BYTES, seconds=LONGEST)
    except outside.NotFetched as error:
        raise ProviderFailed(f"the provider cannot be reached: {error.code}") from error
    if answer.status != 200:
        raise ProviderFailed(f"the provider answered {answer.status}")
    return answer.body


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderFailed("the provider's answer is no JSON") from error
    if not isinstance(told, dict):
        raise ProviderFailed("the provider's answer is no JSON object")
    return told
