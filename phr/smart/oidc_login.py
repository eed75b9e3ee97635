"""Sign-in with the national card at an OpenID provider of the デジタル認証アプリ kind: we are the relying party.

Code flow with S256, state, nonce and private_key_jwt; the ID token is ES256 and nothing else. Off without an issuer.
Sources: OpenID Connect Core 1.0 §3.1; RFC 7636; RFC 7523; RFC 9207; RFC 9700 §4.4 (mix-up).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from authlib.oauth2.rfc7523.client import ASSERTION_TYPE
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from django.conf import settings
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from phr.smart import provider_documents
from phr.smart.provider_documents import Metadata, ProviderFailed

CALLBACK = "/sign-in/card/callback"
LIFE = timedelta(minutes=10)  # from our question to the answer
SKEW = 60  # seconds two clocks may differ
LEVEL = "aal3"
CLAIMS = {"iss": {"essential": True}, "sub": {"essential": True}, "aud": {"essential": True},
          "exp": {"essential": True}, "iat": {"essential": True}}  # fmt: skip


class CardRefused(Exception):
    """The answer cannot be believed. Says why, for the log; the person hears only that it did not work."""


class CardDeclined(Exception):
    """The person, or the provider, said no."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one sign-in at the provider is bound to: kept in the browser's session, used once."""

    state: str
    nonce: str
    verifier: str
    issuer: str
    asked_at: int

    def kept(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Proved:
    """Who it was, as the provider names her to us alone (pairwise), and when she proved it."""

    issuer: str
    subject: str
    acr: str
    at: datetime


def configured() -> bool:
    return bool(settings.PHR_CARD_ISSUER)


def ask(*, now: datetime) -> tuple[Question, str]:
    """A new question, and where to send the browser with it. Raises ProviderFailed."""
    issuer: str = settings.PHR_CARD_ISSUER
    question = Question(
        state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48),
        issuer=issuer, asked_at=int(now.timestamp()),
    )  # fmt: skip
    url = prepare_grant_uri(
        provider_documents.metadata(issuer).authorization, client_id=settings.PHR_CARD_CLIENT_ID, response_type="code",
        redirect_uri=_callback(), scope=settings.PHR_CARD_SCOPE, state=question.state, nonce=question.nonce,
        code_challenge=create_s256_code_challenge(question.verifier), code_challenge_method="S256",
        acr_values=settings.PHR_CARD_ACR,
    )  # fmt: skip
    return question, str(url)


def answered(question: Mapping[str, Any] | None, given: Mapping[str, list[str]], *, now: datetime) -> Proved:
    """Check the answer that came back with the browser, fetch the ID token for its code, and check that.

    Raises CardDeclined, CardRefused or ProviderFailed.
    """
    asked, told = _of_state(question, given)
    if now.timestamp() - asked.asked_at > LIFE.total_seconds():
        raise CardRefused("the answer came too late")
    provider = provider_documents.metadata(asked.issuer)
    silent = "" if provider.says_iss else asked.issuer
    if asked.issuer != settings.PHR_CARD_ISSUER or told.get("iss", silent) != asked.issuer:
        raise CardRefused("the answer is another issuer's")
    if "error" in told:
        raise CardDeclined(told["error"][:64])
    if not told.get("code"):
        raise CardRefused("no code")
    tokens = _redeem(told["code"], asked, provider, now)
    return _believed(tokens, asked, provider, now)


def ours(question: Mapping[str, Any] | None, given: Mapping[str, list[str]]) -> bool:
    """Whether this answers the question that this browser was sent off with."""
    try:
        _of_state(question, given)
    except CardRefused:
        return False
    return True


def _of_state(question: Mapping[str, Any] | None, given: Mapping[str, list[str]]) -> tuple[Question, dict[str, str]]:
    asked, told = _question(question), _single(given)
    if not secrets.compare_digest(told.get("state", "").encode(), asked.state.encode()):
        raise CardRefused("state is not ours")
    return asked, told


def _question(kept: Mapping[str, Any] | None) -> Question:
    try:
        return Question(**(kept or {}))
    except TypeError as error:
        raise CardRefused("nothing was asked") from error


def _single(given: Mapping[str, list[str]]) -> dict[str, str]:
    if any(len(values) != 1 or len(values[0]) > 4096 or "\x00" in values[0] for values in given.values()):
        raise CardRefused("a parameter came twice, or is unusable")
    return {name: values[0] for name, values in given.items()}


def _callback() -> str:
    return f"{settings.PHR_BASE_URL}{CALLBACK}"


def _redeem(code: str, asked: Question, provider: Metadata, now: datetime) -> dict[str, Any]:
    """The code against tokens, at the token endpoint, signed by our key (private_key_jwt)."""
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": _callback(),
        "client_id": settings.PHR_CARD_CLIENT_ID, "code_verifier": asked.verifier,
        "client_assertion_type": ASSERTION_TYPE, "client_assertion": _assertion(provider.token, now),
    }  # fmt: skip
    return provider_documents.post(provider.token, form)


def _assertion(audience: str, now: datetime) -> str:
    key, alg = signing_key(settings.PHR_CARD_KEY)
    header = {"kid": settings.PHR_CARD_KEY_ID} if settings.PHR_CARD_KEY_ID else {}
    moment = int(now.timestamp())
    signed = private_key_jwt_sign(
        key, settings.PHR_CARD_CLIENT_ID, audience, alg=alg, header=header, issued_at=moment, expires_at=moment + 120
    )
    return str(signed)


def signing_key(pem: str) -> tuple[ECKey | RSAKey, str]:
    """Our private key and what it signs with: P-256 or RSA of 2048 bits. Raises ValueError for anything else."""
    try:
        if "RSA PRIVATE" in pem:
            key: ECKey | RSAKey = RSAKey.import_key(pem)
        else:
            try:
                key = ECKey.import_key(pem)
            except (JoseError, ValueError):
                key = RSAKey.import_key(pem)
    except (JoseError, ValueError) as error:
        raise ValueError("PHR_CARD_KEY is not a private key in PEM") from error
    if not key.is_private:
        raise ValueError("PHR_CARD_KEY is not a private key in PEM")
    if isinstance(key, ECKey):
        if key.curve_name != "P-256":
            raise ValueError("PHR_CARD_KEY: of elliptic curves, P-256")
        return key, "ES256"
    if key.raw_value.key_size < 2048:
        raise ValueError("PHR_CARD_KEY: RSA of 2048 bits or more")
    return key, "RS256"


def _believed(tokens: Mapping[str, Any], asked: Question, provider: Metadata, now: datetime) -> Proved:
    raw, access = tokens.get("id_token"), tokens.get("access_token")
    if not isinstance(raw, str) or len(raw) > 16_384:
        raise CardRefused("no usable ID token")
    try:
        claims = _verified(raw, provider)
        told = CodeIDToken(
            claims.claims, claims.header,
            options={**{n: dict(o) for n, o in CLAIMS.items()}, "iss": {"essential": True, "value": asked.issuer},
                     "aud": {"essential": True, "value": settings.PHR_CARD_CLIENT_ID}},
            params={"nonce": asked.nonce, "client_id": settings.PHR_CARD_CLIENT_ID,
                    "access_token": access if isinstance(access, str) else None},
        )  # fmt: skip
        told.validate(now=int(now.timestamp()), leeway=SKEW)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CardRefused(f"ID token: {type(error).__name__} {error}"[:120]) from error
    return _read(told, asked, now)


def _read(told: Mapping[str, Any], asked: Question, now: datetime) -> Proved:
    """What Authlib leaves to us: nobody else in aud, recent, a usable sub, the level that was asked."""
    if told["aud"] not in (settings.PHR_CARD_CLIENT_ID, [settings.PHR_CARD_CLIENT_ID]):
        raise CardRefused("aud names others too")
    at = told.get("auth_time", told["iat"])
    moment = now.timestamp()
    for name, value in (("iat", told["iat"]), ("auth_time", at)):
        if isinstance(value, bool) or not isinstance(value, int | float) or value > moment + SKEW:
            raise CardRefused(f"{name} lies in the future")
    if told["iat"] < asked.asked_at - SKEW:
        raise CardRefused("the ID token is older than the question")
    subject = told["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not (subject.isascii() and subject.isprintable()):
        raise CardRefused("no usable sub")
    if LEVEL not in str(told.get("acr", "")).split():
        raise CardRefused("the card was not read")
    return Proved(asked.issuer, subject, LEVEL, datetime.fromtimestamp(max(0, min(at, moment)), UTC))


def _verified(raw: str, provider: Metadata) -> jwt.Token:
    """The signature, by the one key of the provider that the header names. Only ES256: no none, no other key type."""
    header = jws.extract_compact(raw.encode()).headers()
    if header.get("alg") != "ES256" or "crit" in header:
        raise CardRefused("the ID token is not signed ES256")
    key = ECKey.import_key(dict(provider_documents.key(provider.keys, header.get("kid"))))
    if key.curve_name != "P-256":
        raise CardRefused("ES256 needs a P-256 key")
    return jwt.decode(raw, key, algorithms=["ES256"])


__all__ = ["CardDeclined", "CardRefused", "Proved", "ProviderFailed", "Question", "answered", "ask", "configured"]
