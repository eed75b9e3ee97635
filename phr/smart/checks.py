"""System checks phr.E101 to phr.E110: tokens, secrets, levels and the demo. `check --deploy` runs them all."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from phr.smart.step_up import LEVELS

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
LEAST = {
    "oauthlib": (4, 0, 1),  # CVE-2026-49272: a bogus device_code yields a token
    "django-oauth-toolkit": (3, 4, 1),  # exact redirect addresses; deleting a token ends its refresh token
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
SECRETS = ("PHR_KEYS", "PHR_INDEX_KEY", "PHR_AUDIT_KEY", "PHR_OIDC_KEY")
MANDATORY = {
    "DEFAULT_SCOPES": [], "REFRESH_TOKEN_REUSE_PROTECTION": True, "ROTATE_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0, "PKCE_REQUIRED": True, "DCR_ENABLED": False, "CIMD_ENABLED": False,
    "OAUTH2_VALIDATOR_CLASS": "phr.smart.provider.Validator", "OAUTH2_SERVER_CLASS": "phr.smart.provider.Server",
}  # fmt: skip
GATES = tuple(
    f"COMPLIANT_BCP_RFC9700_{name}"
    for name in (
        "IMPLICIT_GRANT", "PASSWORD_GRANT", "PKCE_METHOD", "ACCESS_TOKEN_TRANSPORT", "AUTHZ_RESPONSE_ISS",
        "TOKEN_STORAGE", "REFRESH_TOKEN", "REDIRECT_URI_SCHEME", "REDIRECT_URI_MATCHING", "PKCE_REQUIRED",
    )
)  # fmt: skip


@register(Tags.security)
def demo_stays_at_home(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E102: demo tokens are issued on this machine's own address and nowhere else."""
    if settings.DEMO and urlsplit(settings.PHR_BASE_URL).hostname not in LOCAL:
        return [_error("E102", f"PHR_DEMO=1 but PHR_BASE_URL is {settings.PHR_BASE_URL}.", "Unset PHR_DEMO.")]
    return []


@register(Tags.security)
def toolkit_is_hardened(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E105: the OAuth settings that must not be loosened."""
    chosen = settings.OAUTH2_PROVIDER
    wanted = {**MANDATORY, **dict.fromkeys(GATES, True)}
    wrong = sorted(name for name, value in wanted.items() if chosen.get(name) != value)
    return [_error("E105", f"OAUTH2_PROVIDER is loosened: {', '.join(wrong)}.", "Restore them.")] if wrong else []


@register(Tags.security)
def toolkit_is_mended(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E108: no release of the toolkits in which a fault is known that this server would have to live with."""
    old = [f"{name} {found}" for name, least in LEAST.items() if _release(found := version(name)) < least]
    hint = "uv sync --locked"
    return [_error("E108", f"Releases with known faults: {', '.join(old)}.", hint)] if old else []


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", text)[:3])


@register(Tags.security)
def levels_are_known(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E109: levels of authentication are ones we know; an unknown one would be reached by nobody, or by a fault."""
    wrong = [name for name in ("PHR_ACR_DEEDS", "PHR_ACR_READ") if getattr(settings, name) not in LEVELS]
    return [_error("E109", f"Not a level: {', '.join(wrong)}.", f"One of {', '.join(LEVELS)}.")] if wrong else []


@register(Tags.security)
def brand_is_dated(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E110: the brand bundle's timestamp is a FHIR instant."""
    if _INSTANT.fullmatch(settings.PHR_BRAND_CHANGED) and settings.PHR_BRAND_NAME.strip():
        return []
    return [_error("E110", "PHR_BRAND_NAME or PHR_BRAND_CHANGED is unusable.", "As 2026-04-01T00:00:00+09:00.")]


@register(Tags.security)
def signing_key_is_usable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E106: the ID token key, if there is one, is an RSA private key of 2048 bits or more."""
    if not settings.PHR_OIDC_KEY:
        return []
    try:
        key = JWK.from_pem(settings.PHR_OIDC_KEY.encode())
        if key["kty"] == "RSA" and key.has_private and key.get_op_key("sign").key_size >= 2048:
            return []
    except (JWException, ValueError):
        pass
    hint = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"
    return [_error("E106", "PHR_OIDC_KEY is not an RSA private key of 2048 bits or more (PEM).", hint)]


@register(Tags.security, deploy=True)
def deployment_is_safe(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E101, E103, E104, E107: what a deployment must have set."""
    found: list[CheckMessage] = []
    if settings.SECRET_KEY.startswith("insecure") or len(settings.SECRET_KEY) < 50:
        found.append(_error("E101", "PHR_SECRET_KEY is missing or shorter than 50 characters.", "Make a random one."))
    if missing := [name for name in SECRETS if not getattr(settings, name)]:
        found.append(_error("E103", f"Secrets missing: {', '.join(missing)}.", "See deploy/env.example."))
    if urlsplit(settings.PHR_BASE_URL).scheme != "https":
        found.append(_error("E104", "PHR_BASE_URL is not https.", "Tokens and records need TLS."))
    if settings.DEMO or settings.DEBUG:
        found.append(_error("E107", "PHR_DEMO or PHR_DEBUG is on.", "Neither belongs into a deployment."))
    return found


def _error(id: str, message: str, hint: str) -> Error:
    return Error(message, hint=hint, id=f"phr.{id}")
