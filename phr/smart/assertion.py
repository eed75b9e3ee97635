"""Client assertions (private_key_jwt): who signed, for whom, until when. Pure: keys and time are given.

Sources: SMART App Launch 2.2 "Backend Services" and "Client Authentication: Asymmetric"; RFC 7523;
HL7 UDAP Security, section 5.2.1.1 (the `hl7-b2b` extension).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY_TYPE = {"RS384": "RSA", "ES384": "EC"}
LONGEST_LIFE = 300  # seconds ahead that `exp` may lie
SKEW = 60  # seconds a client's clock may be ahead (iat, nbf)
MAX_LENGTH = 16_384  # characters
RSA_BITS = 2048
_B2B_TEXTS = ("organization_id", "organization_name", "subject_id", "subject_name", "subject_role")
_B2B_LONGEST, _B2B_MOST = 500, 20


class AssertionRefused(Exception):
    """Says why, for the log; the client only hears invalid_client."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A parsed, not yet verified assertion."""

    raw: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def issuer(self) -> str:
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) and issuer.isprintable() else ""


@dataclass(frozen=True, slots=True)
class Business:
    """The `hl7-b2b` extension: what the client signed about its purpose."""

    organization_id: str = ""
    purposes: tuple[str, ...] = ()
    subject_name: str = ""
    subject_role: str = ""
    subject_id: str = ""
    organization_name: str = ""
    consent_policy: tuple[str, ...] = ()
    consent_reference: tuple[str, ...] = ()  # of FHIR Consents the client stands on

    def as_json(self) -> dict[str, Any]:
        """As it is kept beside the token; only what was said."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Verified:
    jti: str
    expires: datetime
    business: Business | None = field(default=None)


def read(raw: str) -> Assertion:
    """Take an assertion apart without believing it. Raises AssertionRefused."""
    if len(raw) > MAX_LENGTH or raw.count(".") != 2:
        raise AssertionRefused("not a compact JWS")
    token = JWS()
    try:
        token.deserialize(raw)
        header = json.loads(token.objects["protected"])
        claims = json.loads(token.objects["payload"])
    except (JWException, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AssertionRefused("malformed") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise AssertionRefused("malformed")
    return Assertion(raw, header, claims)


def verify(
    assertion: Assertion, keys: Sequence[Mapping[str, Any]], *, client_id: str, audience: str, jku: str, now: datetime
) -> Verified:
    """Signature, then claims. `jku`: the registered key address, the only one a header may name.

    Raises AssertionRefused. That the `jti` is new is for the caller to establish.
    """
    header, claims = assertion.header, assertion.claims
    if header.get("alg") not in KEY_TYPE:
        raise AssertionRefused("algorithm is not RS384 or ES384")
    if "crit" in header or header.get("typ", "JWT") != "JWT":
        raise AssertionRefused("header not understood")
    if "jku" in header and header["jku"] != jku:
        raise AssertionRefused("jku is not the registered one")
    _check_signature(assertion, _only_key(header, keys))
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise AssertionRefused("iss and sub must both be the client")
    if claims.get("aud") not in (audience, [audience]):
        raise AssertionRefused("aud is not the token endpoint")
    return Verified(_jti(claims), _expiry(claims, now), business_of(claims))


def _only_key(header: Mapping[str, Any], keys: Sequence[Mapping[str, Any]]) -> JWK:
    """Exactly one registered key may match kid and key type; two are ambiguous, so neither counts."""
    kid, kind = header.get("kid"), KEY_TYPE[header["alg"]]
    if not isinstance(kid, str) or not kid:
        raise AssertionRefused("no kid")
    found = [key for key in keys if key.get("kid") == kid and key.get("kty") == kind and key.get("use") != "enc"]
    if len(found) != 1:
        raise AssertionRefused(f"{len(found)} keys match kid and kty")
    try:
        key = JWK(**found[0])
    except (JWException, ValueError, TypeError) as error:
        raise AssertionRefused("the registered key is unusable") from error
    if kind == "EC" and found[0].get("crv") != "P-384":
        raise AssertionRefused("ES384 needs a P-384 key")
    if kind == "RSA" and key.get_op_key("verify").key_size < RSA_BITS:
        raise AssertionRefused("RSA key shorter than 2048 bits")
    return key


def _check_signature(assertion: Assertion, key: JWK) -> None:
    token = JWS()
    token.allowed_algs = list(KEY_TYPE)
    try:
        token.deserialize(assertion.raw)
        token.verify(key, alg=assertion.header["alg"])
    except (JWException, ValueError, TypeError) as error:
        raise AssertionRefused("signature does not verify") from error


def _jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= 255 or not jti.isprintable():
        raise AssertionRefused("no usable jti")
    return jti


def _expiry(claims: Mapping[str, Any], now: datetime) -> datetime:
    expires, moment = _seconds(claims, "exp"), now.timestamp()
    if expires is None or not moment < expires <= moment + LONGEST_LIFE:
        raise AssertionRefused("exp is missing, past or more than five minutes ahead")
    for name in ("iat", "nbf"):
        if name in claims and (_seconds(claims, name) or float("inf")) > moment + SKEW:
            raise AssertionRefused(f"{name} lies in the future")
    return datetime.fromtimestamp(expires, UTC)


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:  # JSON knows no largest integer
        return float("inf")


def business_of(claims: Mapping[str, Any]) -> Business | None:
    """The `hl7-b2b` extension, if there is one. Raises AssertionRefused when it is malformed."""
    extensions = claims.get("extensions", {})
    found = extensions.get("hl7-b2b") if isinstance(extensions, dict) else None
    if found is None:
        return None
    if not isinstance(found, dict) or found.get("version") != "1":
        raise AssertionRefused("hl7-b2b is not version 1")
    words = {name: found.get(name, "") for name in _B2B_TEXTS}
    lists = {name: found.get(name, []) for name in ("purpose_of_use", "consent_policy", "consent_reference")}
    purposes = lists.pop("purpose_of_use")
    if not purposes or not all(map(_is_text, words.values())):
        raise AssertionRefused("hl7-b2b is malformed")
    if not all(
        isinstance(one, list) and len(one) <= _B2B_MOST and all(map(_is_text, one))
        for one in [purposes, *lists.values()]
    ):
        raise AssertionRefused("hl7-b2b is malformed")
    return Business(
        purposes=tuple(map(_code, purposes)),
        consent_policy=tuple(lists["consent_policy"]),
        consent_reference=tuple(lists["consent_reference"]),
        **words,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _B2B_LONGEST and "\x00" not in value


def _code(purpose: str) -> str:
    """`urn:oid:2.16.840.1.113883.5.8#TREAT`, `system|TREAT` or `TREAT` -> `TREAT`."""
    return purpose.replace("|", "#").rpartition("#")[2]
