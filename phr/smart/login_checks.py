"""System checks phr.E121 to phr.E123: signing in with cards is either off or can work."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from consent import outside
from phr.smart import jpki, oidc_login
from phr.smart.provider_documents import LOOPBACK


@register(Tags.security)
def card_provider_is_usable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E121: a card provider is set wholly or not at all; what leaves this machine is https."""
    if not settings.PHR_CARD_ISSUER:
        return []
    faults = []
    if not settings.PHR_CARD_CLIENT_ID:
        faults.append("PHR_CARD_CLIENT_ID is missing")
    if len(settings.PHR_CARD_ENDPOINTS) not in (0, 3):
        faults.append("PHR_CARD_ENDPOINTS are three addresses, or none")
    if not all(_safe(url) for url in (settings.PHR_CARD_ISSUER, *settings.PHR_CARD_ENDPOINTS)):
        faults.append("PHR_CARD_ISSUER and PHR_CARD_ENDPOINTS must be https")
    if "openid" not in settings.PHR_CARD_SCOPE.split():
        faults.append("PHR_CARD_SCOPE must name openid")
    try:
        oidc_login.signing_key(settings.PHR_CARD_KEY)
    except ValueError as error:
        faults.append(str(error))
    return [_error("E121", f"The card provider cannot work: {'; '.join(faults)}.")] if faults else []


def _safe(url: str) -> bool:
    parts, home = urlsplit(url), urlsplit(settings.PHR_BASE_URL).hostname
    local = parts.hostname in LOOPBACK and home in LOOPBACK and outside.trusts_this_machine()
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))


@register(Tags.security)
def levels_can_be_reached(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E122: where the card is asked for, somebody must be able to read it."""
    asked = [name for name in ("PHR_ACR_DEEDS", "PHR_ACR_READ") if getattr(settings, name) == "aal3"]
    if not asked or settings.PHR_CARD_ISSUER:
        return []
    return [_error("E122", f"{', '.join(asked)} is aal3, and there is no PHR_CARD_ISSUER: nobody can reach it.")]


@register(Tags.security)
def card_files_are_there(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """phr.E123: our own verifier of card signatures needs the CA's certificates and its revocation lists."""
    if settings.PHR_JPKI_BACKEND not in ("own", jpki.OWN):
        return []
    missing = [name for name in ("PHR_JPKI_CA", "PHR_JPKI_CRL") if not Path(getattr(settings, name) or "-").is_file()]
    return (
        [_error("E123", f"PHR_JPKI_BACKEND is own, but there is no file at {', '.join(missing)}.")] if missing else []
    )


def _error(id: str, message: str) -> Error:
    return Error(message, hint="See deploy/env.example.", id=f"phr.{id}")
