"""Which fields of this app are personal (see `consent/personal.py`). Secrets count as personal: nothing shows them."""

from __future__ import annotations

from consent.personal import PERSONAL, PLAIN, Declaration, Kind


def _fields(*, personal: str = "", plain: str = "") -> dict[str, Kind]:
    return {**dict.fromkeys(personal.split(), PERSONAL), **dict.fromkeys(plain.split(), PLAIN)}


_FACTS = "subject subject2 categories level clinical_low clinical_high author marks terms"

DECLARED: Declaration = {
    "Resource": _fields(
        personal=f"{_FACTS} fhir_id named updated_at body", plain="id type version deleted key_version"
    ),
    "Version": _fields(personal=f"{_FACTS} resource updated_at body", plain="id version deleted key_version"),
    "Range": _fields(personal="pk resource low high", plain="param"),
    "Text": _fields(personal="resource text", plain="id param"),
    "Words": _fields(personal="pk resource words", plain="param"),
    "Change": _fields(personal="resource", plain="id xid version method"),
    "Package": _fields(plain="id name version digest loaded_at"),
    "Canonical": _fields(plain="id package url version type content"),
    "ExportJob": _fields(
        personal="authority wrapped plan",
        plain="id client organization kek state transaction_at high_water step after done claim attempts created_at"
        " finished_at expires_at heartbeat_at",
    ),
    "ExportFile": _fields(plain="id job kind type number lines pieces size"),
    "Ingest": _fields(
        personal="sha256",
        plain="id organization patients_done offset line created unchanged refused started_at finished_at",
    ),
    "Application": _fields(
        personal="user client_secret",
        plain="id client_id redirect_uris post_logout_redirect_uris client_type authorization_grant_type"
        " hash_client_secret name skip_authorization created updated algorithm allowed_origins registration_source"
        " cimd_expires_at token_endpoint_auth_method client_jwks client_jwks_uri organization system_scopes"
        " may_introspect may_link is_active",
    ),
    "Launch": _fields(
        personal="id person subject guardianship glass capacity purpose scope encounter context business acr"
        " authenticated_at created_at ends_at revoked_at",
        plain="application organization",
    ),
    "LaunchContext": _fields(
        personal="digest person subject encounter context created_at expires_at used_at", plain="organization"
    ),
    "AuthorizationRequest": _fields(personal="id person parameters launched created_at used_at", plain="application"),
    "AuthorizationCode": _fields(
        personal="user code scope nonce claims launch code_challenge created updated expires",
        plain="id application redirect_uri code_challenge_method resource",
    ),
    "UsedCode": _fields(personal="digest launch used_at"),
    "UsedAssertion": _fields(personal="jti", plain="id application expires_at"),
    "AccessToken": _fields(
        personal="user source_refresh_token token token_checksum id_token scope launch created updated expires"
        " revoked_at",
        plain="id application resource",
    ),
    "RefreshToken": _fields(
        personal="user token token_checksum access_token token_family launch created updated revoked",
        plain="id application resource",
    ),
    "IDToken": _fields(personal="user jti scope created updated expires", plain="id application"),
    "DeviceGrant": _fields(
        personal="user device_code user_code scope expires last_checked", plain="id interval status client_id"
    ),
    "AppWrites": _fields(personal="digest day in_day minute in_minute", plain="id"),
    "SignInFailure": _fields(personal="digest failed_at", plain="id"),
    "Passkey": _fields(personal="id person credential handle public_key sign_count name created_at used_at"),
    "Totp": _fields(personal="person secret last_step created_at confirmed_at", plain="id kek"),
    "RecoveryCode": _fields(personal="person digest created_at used_at", plain="id"),
    "RecoveryTicket": _fields(personal="person opened_by digest factors_lost created_at ends_at used_at", plain="id"),
    "CardAccount": _fields(personal="person subject_hash subject linked_at used_at ended_at", plain="id issuer kek"),
    "CardCertificate": _fields(
        personal="person serial_hash serial not_after linked_at ended_at because", plain="id kek"
    ),
    "KnownDevice": _fields(personal="person digest created_at ends_at", plain="id"),
    "UsedChallenge": _fields(personal="digest ends_at"),
}
