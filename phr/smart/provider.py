"""The toolkit, hardened. Everything that subclasses django-oauth-toolkit or oauthlib is in this module.

Codes are looked up by their SHA-256: the views hash what a client presents before it comes here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.utils import timezone
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import BaseScopes
from oauth2_provider.settings import oauth2_settings
from oauthlib.common import Request
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.endpoints import AuthorizationEndpoint, RevocationEndpoint, TokenEndpoint
from oauthlib.oauth2.rfc6749.grant_types import AuthorizationCodeGrant as PlainCodeGrant
from oauthlib.oauth2.rfc6749.grant_types import ClientCredentialsGrant
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc6749.tokens import BearerToken
from oauthlib.openid.connect.core.grant_types import AuthorizationCodeGrant, RefreshTokenGrant
from oauthlib.openid.connect.core.grant_types.dispatchers import (
    AuthorizationCodeGrantDispatcher,
    AuthorizationTokenGrantDispatcher,
)

from consent.scope import Purpose
from phr.records import vault
from phr.smart import assertion, launches, scopes, trail
from phr.smart.assertion import AssertionRefused, Business, Verified
from phr.smart.keys import keys_of
from phr.smart.models import (
    AccessToken,
    Application,
    AuthorizationCode,
    IDToken,
    Launch,
    RefreshToken,
    UsedAssertion,
    UsedCode,
)

TOKEN_URL = settings.PHR_BASE_URL + "/oauth/token"
FHIR_URL = settings.PHR_BASE_URL + "/fhir"


class Descriptions(dict[str, str]):
    """Scope -> text. Granular scopes are endless, so any scope that parses has one."""

    def __missing__(self, scope: str) -> str:
        return scope


class Scopes(BaseScopes):  # type: ignore[misc]
    """What the toolkit asks about scopes; the real check is `Validator.validate_scopes`."""

    def get_all_scopes(self) -> dict[str, str]:
        return Descriptions(oauth2_settings.SCOPES)

    def get_available_scopes(self, application: Any = None, request: Any = None, *args: Any, **kw: Any) -> list[str]:
        return sorted(scopes.PLAIN)

    def get_default_scopes(self, application: Any = None, request: Any = None, *args: Any, **kw: Any) -> list[str]:
        return []


class Server(AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint):  # type: ignore[misc]
    """Three grants and no other: code with PKCE S256, client credentials, refresh. No implicit, password, device."""

    def __init__(self, request_validator: Validator, **ignored: Any) -> None:
        plain, oidc = PlainCodeGrant(request_validator), AuthorizationCodeGrant(request_validator)
        for grant in (plain, oidc.proxy_target):
            grant._code_challenge_methods = {"S256": code_challenge_method_s256}  # noqa: SLF001 (oauthlib has no setting)
        bearer = BearerToken(request_validator, expires_in=request_validator.lifetime)
        AuthorizationEndpoint.__init__(
            self, default_response_type="code", default_token_type=bearer,
            response_types={"code": AuthorizationCodeGrantDispatcher(plain, oidc)},
        )  # fmt: skip
        TokenEndpoint.__init__(
            self, default_grant_type="authorization_code", default_token_type=bearer,
            grant_types={
                "authorization_code": AuthorizationTokenGrantDispatcher(request_validator, plain, oidc),
                "client_credentials": ClientCredentialsGrant(request_validator),
                "refresh_token": RefreshTokenGrant(request_validator),
            },
        )  # fmt: skip
        RevocationEndpoint.__init__(self, request_validator)
        self.request_validator = request_validator


class Validator(OAuth2Validator):  # type: ignore[misc]
    """Who a client is, what it may ask, and what is stored when it gets it."""

    oidc_claim_scope = {"sub": "openid", "fhirUser": "fhirUser", "name": "profile"}

    # -- who the client is ----------------------------------------------------------------------

    def client_authentication_required(self, request: Request, *args: Any, **kwargs: Any) -> bool:
        return _assertion_of(request) is not None or super().client_authentication_required(request, *args, **kwargs)

    def authenticate_client(self, request: Request, *args: Any, **kwargs: Any) -> bool:
        """By signed assertion, or by a secret in the Authorization header; never by both, never by a blank one."""
        if _assertion_of(request) is not None:
            return self._authenticate_key(request)
        return (
            self._authenticate_basic_auth(request)
            and request.client.token_endpoint_auth_method == Application.AuthMethod.SECRET_BASIC
            and request.client_id in (None, request.client.client_id)
        )

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        return bool(provided_secret.strip()) and super()._check_secret(provided_secret, stored_secret)

    def _authenticate_key(self, request: Request) -> bool:
        try:
            self._verify_assertion(request)
        except AssertionRefused as refusal:
            request.refusal = str(refusal)
            return False
        return True

    def _verify_assertion(self, request: Request) -> None:
        if self._extract_basic_auth(request) or request.client_secret:
            raise AssertionRefused("two ways of authentication at once")
        if getattr(request, "client_assertion_type", None) != assertion.TYPE:
            raise AssertionRefused("client_assertion_type")
        claimed = assertion.read(_assertion_of(request) or "")
        client = self._load_application(claimed.issuer, request)
        if client is None or client.token_endpoint_auth_method != Application.AuthMethod.PRIVATE_KEY_JWT:
            raise AssertionRefused("no such key client")
        if request.client_id not in (None, client.client_id):
            raise AssertionRefused("client_id is not the issuer")
        now = timezone.now()
        verified = assertion.verify(
            claimed,
            keys_of(client),
            client_id=client.client_id,
            audience=TOKEN_URL,
            jku=client.client_jwks_uri,
            now=now,
        )
        _use_once(client, verified, now)
        request.business = verified.business

    # -- what it may ask ------------------------------------------------------------------------

    def validate_response_type(
        self, client_id: str, response_type: str, client: Application, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        if response_type != "code":
            raise errors.UnsupportedResponseTypeError(request=request)
        return client.allows_grant_type(Application.GRANT_AUTHORIZATION_CODE)

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Application, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        if grant_type == "client_credentials":
            signs = client.token_endpoint_auth_method == Application.AuthMethod.PRIVATE_KEY_JWT
            return signs and client.allows_grant_type(Application.GRANT_CLIENT_CREDENTIALS)
        return client.allows_grant_type(Application.GRANT_AUTHORIZATION_CODE)

    def validate_scopes(
        self, client_id: str, asked: Sequence[str], client: Application, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        """None asked: none given. Systems get at most what was registered for them, and are told what they got."""
        try:
            permitted = _permitted(asked, client, system=request.grant_type == "client_credentials")
        except scopes.ScopeError as error:
            raise errors.InvalidScopeError(description=str(error)[:300], request=request) from error
        if not permitted:
            raise errors.InvalidScopeError(description="No scope that could be granted.", request=request)
        request.scopes = list(permitted)
        return True

    def is_within_original_scope(
        self, asked: Sequence[str], refresh_token: str, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        try:
            return scopes.narrow(asked, request.standing.scope.split()) == tuple(dict.fromkeys(asked))
        except scopes.ScopeError:
            return False

    def get_original_scopes(self, refresh_token: str, request: Request, *args: Any, **kwargs: Any) -> str:
        return str(request.standing.scope)

    # -- the code -------------------------------------------------------------------------------

    def _create_authorization_code(
        self, request: Request, code: dict[str, str], expires: datetime | None = None
    ) -> Any:
        if request.code_challenge_method != "S256":
            raise errors.InvalidRequestError(description="PKCE with S256 is required.", request=request)
        return AuthorizationCode.objects.create(
            application=request.client, user=request.user, launch=request.standing,
            code=hashlib.sha256(code["code"].encode()).hexdigest(),
            expires=timezone.now() + timedelta(seconds=oauth2_settings.AUTHORIZATION_CODE_EXPIRE_SECONDS),
            redirect_uri=request.redirect_uri, scope=" ".join(request.scopes),
            code_challenge=request.code_challenge, code_challenge_method="S256", nonce=request.nonce or "",
            claims="{}", resource=[],
        )  # fmt: skip

    def validate_code(
        self, client_id: str, code: str, client: Application, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        """Take the code's row for this transaction. A code seen before ends what it once opened (RFC 6749 4.1.2)."""
        row = AuthorizationCode.objects.select_for_update().filter(code=code, application=client).first()
        if row is None:
            _replayed(code)
            return False
        request.standing = _launch(row.launch_id)
        return launches.stands(request.standing, now=timezone.now()) and super().validate_code(
            client_id, code, client, request, *args, **kwargs
        )

    def invalidate_authorization_code(
        self, client_id: str, code: str, request: Request, *args: Any, **kwargs: Any
    ) -> None:
        super().invalidate_authorization_code(client_id, code, request, *args, **kwargs)
        now = timezone.now()
        UsedCode.objects.create(digest=bytes.fromhex(code), launch=request.standing, used_at=now)

    # -- the tokens -----------------------------------------------------------------------------

    def lifetime(self, request: Request) -> int:
        """Seconds an access token lives: 300 for systems, 900 for persons, never longer than its launch."""
        if request.grant_type == "client_credentials":
            return int(launches.SYSTEM_LIFE.total_seconds())
        left = (request.standing.ends_at - timezone.now()).total_seconds()
        return max(1, min(int(launches.PERSON_LIFE.total_seconds()), round(left)))

    def validate_refresh_token(
        self, refresh_token: str, client: Application, request: Request, *args: Any, **kwargs: Any
    ) -> bool:
        """One use at a time. A rotated token that comes again ends its launch; no grace (RFC 9700 4.14.2)."""
        digest = hashlib.sha256(refresh_token.encode()).hexdigest()
        row = RefreshToken.objects.select_for_update().filter(token_checksum=digest, application=client).first()
        if row is None:
            return False
        request.standing = _launch(row.launch_id)
        if row.revoked is not None:
            _end(request.standing, "a used refresh token came again")
            return False
        if not super().validate_refresh_token(refresh_token, client, request, *args, **kwargs):
            return False
        return launches.stands(request.standing, now=timezone.now())

    def _save_bearer_token(self, token: dict[str, Any], request: Request, *args: Any, **kwargs: Any) -> None:
        now = timezone.now()
        if request.grant_type == "client_credentials":
            purpose = _purpose(request.client, getattr(request, "business", None), request)
            business = getattr(request, "business", None)
            request.standing = launches.begin_system(
                application=request.client, purpose=purpose, scope=token["scope"],
                business=business.as_json() if business else None, now=now,
            )  # fmt: skip
        if not scopes.REFRESH & set(request.standing.scope.split()):
            token.pop("refresh_token", None)
        super()._save_bearer_token(token, request, *args, **kwargs)
        trail.issued(request.standing, grant_type=request.grant_type, scope=token["scope"], now=now)
        token |= launches.context_of(request.standing)

    def _check_and_set_request_resource(self, request: Request) -> None:
        """Tokens are for one place, this FHIR server; the views refuse any other `resource` (RFC 8707)."""
        request.resource = []

    def _create_access_token(
        self, expires: datetime, request: Request, token: dict[str, Any], source_refresh_token: Any = None
    ) -> AccessToken:
        row = AccessToken(
            user=request.user, scope=token["scope"], expires=expires, application=request.client,
            id_token=getattr(request, "id_token", None) if "id_token" in token else None,
            source_refresh_token=source_refresh_token, launch=request.standing,
        )  # fmt: skip
        self._set_token_value(row, token["access_token"])
        row.save()
        return row

    def _create_refresh_token(
        self, request: Request, refresh_token_code: str, access_token: AccessToken, previous_refresh_token: Any
    ) -> RefreshToken:
        row = RefreshToken(
            user=request.user, application=request.client, access_token=access_token,
            token_family=request.standing.pk, launch=request.standing,
        )  # fmt: skip
        self._set_token_value(row, refresh_token_code)
        row.save()
        return row

    def revoke_token(self, token: str, token_type_hint: str, request: Request, *args: Any, **kwargs: Any) -> None:
        """RFC 7009. Whichever token of a launch is revoked, the launch ends; others' tokens look unknown."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        for model in (AccessToken, RefreshToken):
            for row in model.objects.filter(token_checksum=digest, application=request.client):
                _end(_launch(row.launch_id), "revoked by its client")

    # -- the ID token ---------------------------------------------------------------------------

    def get_additional_claims(self, request: Request) -> dict[str, Any]:
        return {"fhirUser": launches.fhir_user(request.standing, FHIR_URL), "name": request.user.name}

    def get_id_token_dictionary(self, token: Any, token_handler: Any, request: Request) -> tuple[dict[str, Any], Any]:
        """What the person proved when she allowed the app: `acr`, `amr` and `auth_time` (OpenID Connect Core §2)."""
        claims, expires = super().get_id_token_dictionary(token, token_handler, request)
        del claims["auth_time"]  # the toolkit's is the last sign-in anywhere
        return {**claims, **launches.proof_claims(request.standing)}, expires

    def finalize_id_token(self, id_token: dict[str, Any], token: Any, token_handler: Any, request: Request) -> str:
        signed = super().finalize_id_token(id_token, token, token_handler, request)
        assert isinstance(request.id_token, IDToken)
        return str(signed)


def _assertion_of(request: Request) -> str | None:
    found = getattr(request, "client_assertion", None)
    return found if isinstance(found, str) else None


def _use_once(client: Application, verified: Verified, now: datetime) -> None:
    """Remember the jti until it expires; the unique constraint decides between two at the same moment."""
    UsedAssertion.objects.filter(application=client, expires_at__lt=now).delete()
    _, fresh = UsedAssertion.objects.get_or_create(
        application=client, jti=verified.jti, defaults={"expires_at": verified.expires}
    )
    if not fresh:
        raise AssertionRefused("jti was used before")


def _permitted(asked: Sequence[str], client: Application, *, system: bool) -> tuple[str, ...]:
    """The scopes that may be granted. Raises ScopeError."""
    wanted = scopes.split(" ".join(asked))
    scopes.to_doors(wanted, vault.index_key())  # every granular query must mean something
    for scope, permission in ((str(p), p) for p in scopes.parse(wanted)):
        if (permission.context == "system") is not system:
            raise scopes.ScopeError(scope, "system/ scopes and client credentials go together")
    if system:
        return scopes.narrow(wanted, scopes.split(client.system_scopes))
    if "openid" in wanted and not settings.PHR_OIDC_KEY:
        raise scopes.ScopeError("openid", "this server signs no ID tokens")
    return wanted


def _purpose(client: Application, business: Business | None, request: Request) -> str:
    """The signed purpose, if the client's organisation may have it; its usual one when it signed none."""
    organization = client.organization
    assert organization is not None  # a constraint of the table
    usual = launches.PURPOSES[organization.kind]
    if business is None:
        return usual[0]
    if business.organization_id not in (organization.code, f"{INSTITUTION}|{organization.code}"):
        raise errors.InvalidGrantError(description="organization_id is not this client's.", request=request)
    linking = (Purpose.PATADMIN,) if client.may_link else ()
    if len(business.purposes) != 1 or business.purposes[0] not in (*usual, *linking):
        raise errors.InvalidGrantError(description="purpose_of_use is not one this client may state.", request=request)
    return business.purposes[0]


# JP Core: identifier system of the 10-digit 医療機関コード
INSTITUTION = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no"


def _launch(pk: Any) -> Launch:
    return Launch.objects.select_related("application", "person", "organization", "subject").get(pk=pk)


def _replayed(code: str) -> None:
    used = UsedCode.objects.filter(digest=bytes.fromhex(code)).first()
    if used:
        _end(_launch(used.launch_id), "its authorization code came again")


def _end(launch: Launch, because: str) -> None:
    now = timezone.now()
    if launches.end(launch, now=now):
        trail.revoked(launch, because=because, now=now)


@cache
def server() -> Server:
    return Server(Validator())
