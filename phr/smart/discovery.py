"""What clients discover: only what is served. URLs are absolute, from PHR_BASE_URL."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from phr.smart import brands
from phr.smart.step_up import LEVELS

SCOPES = [
    "openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access",
    "patient/*.cruds", "user/*.cruds", "system/*.cruds",
]  # fmt: skip
# SMART App Launch 2.2 section 8.1; what is not listed is not there (no symmetric clients for apps).
CAPABILITIES = [
    "launch-ehr", "launch-standalone", "client-public", "client-confidential-asymmetric", "context-banner",
    "context-style", "context-ehr-patient", "context-ehr-encounter", "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline", "permission-online", "permission-patient", "permission-user", "permission-v1",
    "permission-v2", "authorize-post",
]  # fmt: skip


def smart_configuration() -> dict[str, Any]:
    """`/.well-known/smart-configuration`."""
    base = settings.PHR_BASE_URL
    told: dict[str, Any] = {
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "scopes_supported": SCOPES,
        "introspection_endpoint": f"{base}/oauth/introspect",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "management_endpoint": f"{base}/apps",
        "user_access_brand_bundle": f"{base}/brands",
        "user_access_brand_identifier": brands.identifier(),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "capabilities": list(CAPABILITIES),
    }
    if settings.PHR_OIDC_KEY:
        told |= {"issuer": base, "jwks_uri": f"{base}/oauth/jwks"}
        told["capabilities"].append("sso-openid-connect")
    return told


def openid_configuration() -> dict[str, Any]:
    """`/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`."""
    told = smart_configuration()
    for ours in ("capabilities", "management_endpoint", "user_access_brand_bundle", "user_access_brand_identifier"):
        del told[ours]
    return {
        **told,
        "issuer": settings.PHR_BASE_URL,
        "jwks_uri": f"{settings.PHR_BASE_URL}/oauth/jwks",
        "subject_types_supported": ["public"],
        "acr_values_supported": list(LEVELS),
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "fhirUser", "name"],
    }
