"""The OAuth tables: django-oauth-toolkit's six models, swapped, and the context each token stands in.

The toolkit's `Grant` is an authorization code and is named so here, apart from `consent.Grant`.
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from jwcrypto.jwk import JWK
from oauth2_provider.models import (
    AbstractAccessToken,
    AbstractApplication,
    AbstractDeviceGrant,
    AbstractGrant,
    AbstractIDToken,
    AbstractRefreshToken,
    ApplicationManager,
)

from consent.models import EmergencyAccess, Guardianship, Organization, Subject

BLANK = "A blank secret is refused. / 空のシークレットは登録できません。"
LOOPBACK = frozenset({"127.0.0.1", "::1"})  # RFC 8252 section 7.3; the name localhost is not recommended


class Application(AbstractApplication):
    """A client. Field names of the key fields follow the toolkit's coming release (#1762)."""

    class AuthMethod(models.TextChoices):
        NONE = "none"  # public client, PKCE alone
        SECRET_BASIC = "client_secret_basic"
        PRIVATE_KEY_JWT = "private_key_jwt"

    token_endpoint_auth_method = models.CharField(max_length=32, choices=AuthMethod.choices, default=AuthMethod.NONE)
    client_jwks = models.JSONField(null=True, blank=True)
    client_jwks_uri = models.URLField(blank=True)
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    system_scopes = models.TextField(blank=True)  # the most a client-credentials token may ask for
    may_introspect = models.BooleanField(default=False)
    may_link = models.BooleanField(default=False)  # the trust lets it ask who is who (Patient $match)
    is_active = models.BooleanField(default=True)

    objects = ApplicationManager()

    class Meta(AbstractApplication.Meta):
        constraints = [
            models.CheckConstraint(
                condition=~Q(client_secret="") & Q(hash_client_secret=True), name="client_secret_hashed_never_blank"
            ),
            models.CheckConstraint(
                condition=~Q(authorization_grant_type="client-credentials") | Q(organization__isnull=False),
                name="system_client_has_an_organization",
            ),
            models.CheckConstraint(
                condition=Q(authorization_grant_type__in=["authorization-code", "client-credentials"]),
                name="grant_types_served",
            ),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not (self.client_secret or "").strip():  # the toolkit would hash "" into a working password
            raise ValidationError({"client_secret": BLANK})
        self.algorithm = self.RS256_ALGORITHM
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse what the toolkit lets pass: blank secrets, plain http, keyless key clients, private keys."""
        super().clean()
        faults: dict[str, str] = {}
        if not (self.client_secret or "").strip():
            faults["client_secret"] = BLANK
        if not all(redirect_is_safe(uri) for uri in self.redirect_uris.split()):
            faults["redirect_uris"] = "https, a loopback address or a reverse-domain app scheme, please."
        if self.token_endpoint_auth_method == self.AuthMethod.PRIVATE_KEY_JWT:
            faults |= key_faults(self.client_jwks, self.client_jwks_uri)
        elif self.authorization_grant_type == self.GRANT_CLIENT_CREDENTIALS and self.system_scopes:
            faults["token_endpoint_auth_method"] = "A system client signs: private_key_jwt. / 署名鍵が必要です。"
        if faults:
            raise ValidationError(faults)

    def get_allowed_schemes(self) -> list[str]:
        """https, and the schemes this client registered (each checked when it was registered)."""
        return sorted({"https", *(urlsplit(uri).scheme for uri in self.redirect_uris.split())})

    def is_usable(self, request: object) -> bool:
        return self.is_active

    @property
    def jwk_key(self) -> JWK:
        """ID tokens are signed RS256 by the server's key, whichever client asks."""
        return JWK.from_pem(settings.PHR_OIDC_KEY.encode())


def redirect_is_safe(uri: str) -> bool:
    """https; http on a loopback address; or a private-use scheme in reverse-domain form (RFC 8252 section 7.1)."""
    parts = urlsplit(uri)
    if "#" in uri or "@" in parts.netloc:
        return False
    if parts.scheme == "http":
        return parts.hostname in LOOPBACK
    return (parts.scheme == "https" and bool(parts.hostname)) or "." in parts.scheme


def key_faults(jwks: object, uri: str) -> dict[str, str]:
    """What is wrong with a key client's registration; empty when nothing is."""
    if not jwks and not uri:
        return {"client_jwks": "Public keys or their https address are needed. / 公開鍵が必要です。"}
    if uri and urlsplit(uri).scheme != "https" and urlsplit(uri).hostname not in LOOPBACK:
        return {"client_jwks_uri": "https only."}
    keys = jwks.get("keys") if isinstance(jwks, dict) else [] if not jwks else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        return {"client_jwks": "Not a JWK Set (RFC 7517 section 5)."}
    if any("d" in key or key.get("kty") == "oct" for key in keys):
        return {"client_jwks": "Private keys must never be sent to this server. / 秘密鍵は登録できません。"}
    return {}


class Launch(models.Model):
    """What one authorization is about: who, acting for whom, by what right. Tokens point here.

    A token is only as good as this row: the link it rests on is looked at on every request.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="launches")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, null=True, on_delete=models.PROTECT, related_name="+")
    subject = models.ForeignKey(Subject, null=True, on_delete=models.PROTECT, related_name="+")
    guardianship = models.ForeignKey(Guardianship, null=True, on_delete=models.PROTECT, related_name="+")
    glass = models.ForeignKey(EmergencyAccess, null=True, on_delete=models.PROTECT, related_name="+")
    capacity = models.CharField(max_length=10)
    purpose = models.CharField(max_length=16)
    scope = models.TextField()  # what was agreed to: the most any token of this launch may carry
    encounter = models.CharField(max_length=64, blank=True)  # the FHIR id of the one in context
    context = models.JSONField(default=dict)  # what else the token response tells (SMART App Launch 2.2 §2.1.5.1)
    business = models.JSONField(default=dict)  # what a system signed about its purpose (UDAP `hl7-b2b`)
    acr = models.CharField(max_length=8, blank=True)  # how well the person had proved who she is: aal1, aal2, aal3
    authenticated_at = models.DateTimeField(null=True)  # when she last had
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField()  # the absolute cap of the refresh family
    revoked_at = models.DateTimeField(null=True)


class LaunchContext(models.Model):
    """What an EHR has open when it starts an app. The app gets an opaque value; its SHA-256 is kept, once for use.

    For staff of one organisation, or one person of it; `context` holds what the token response tells beside the
    patient and the encounter.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    subject = models.ForeignKey(Subject, null=True, on_delete=models.CASCADE, related_name="+")
    encounter = models.CharField(max_length=64, blank=True)
    context = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)


class AuthorizationRequest(models.Model):
    """A checked authorization request, kept server-side: form fields of the browser are not trusted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    parameters = models.JSONField()
    launched = models.ForeignKey(LaunchContext, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class AuthorizationCode(AbstractGrant):
    """`code` holds the SHA-256 of the code (hexadecimal), never the code."""

    launch = models.ForeignKey(Launch, on_delete=models.CASCADE, related_name="codes")

    class Meta(AbstractGrant.Meta):
        pass


class UsedCode(models.Model):
    """Hash of a redeemed authorization code: a replay finds it and revokes the launch."""

    digest = models.BinaryField(max_length=32, primary_key=True)
    launch = models.ForeignKey(Launch, on_delete=models.CASCADE, related_name="+")
    used_at = models.DateTimeField()


class UsedAssertion(models.Model):
    """`jti` of a client assertion, refused when seen again before `expires_at`."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="+")
    jti = models.CharField(max_length=255)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "jti"], name="jti_once")]


class AccessToken(AbstractAccessToken):
    launch = models.ForeignKey(Launch, on_delete=models.CASCADE, related_name="access_tokens")
    revoked_at = models.DateTimeField(null=True)

    class Meta(AbstractAccessToken.Meta):
        pass

    def revoke(self) -> None:
        """Mark the token; the row stays (the toolkit would delete it)."""
        AccessToken.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())


class RefreshToken(AbstractRefreshToken):
    launch = models.ForeignKey(Launch, on_delete=models.CASCADE, related_name="refresh_tokens")

    class Meta(AbstractRefreshToken.Meta):
        pass

    @classmethod
    def revoke_family(cls, token_family: uuid.UUID | None) -> None:
        """A used refresh token came again: its whole launch ends, access tokens included (RFC 9700 4.14.2)."""
        Launch.objects.filter(refresh_tokens__token_family=token_family, revoked_at=None).update(
            revoked_at=timezone.now()
        )


class IDToken(AbstractIDToken):
    class Meta(AbstractIDToken.Meta):
        pass


class DeviceGrant(AbstractDeviceGrant):
    """Swapped with the others; the device flow itself is not mounted (CVE-2026-49272)."""

    class Meta(AbstractDeviceGrant.Meta):
        pass
