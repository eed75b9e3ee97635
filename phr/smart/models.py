"""The OAuth tables: django-oauth-toolkit's six models, swapped, and the context each token stands in.

The toolkit's `Grant` is an authorization code and is named so here, apart from `consent.Grant`.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from oauth2_provider.models import (
    AbstractAccessToken,
    AbstractApplication,
    AbstractDeviceGrant,
    AbstractGrant,
    AbstractIDToken,
    AbstractRefreshToken,
    ApplicationManager,
)

from consent.models import Guardianship, Organization, Subject


class Application(AbstractApplication):
    """A client. Field names of the key fields follow the toolkit's coming release (#1762)."""

    class AuthMethod(models.TextChoices):
        NONE = "none"  # public client, PKCE alone
        SECRET_BASIC = "client_secret_basic"
        PRIVATE_KEY_JWT = "private_key_jwt"

    token_endpoint_auth_method = models.CharField(
        max_length=32, choices=AuthMethod.choices, default=AuthMethod.NONE
    )
    client_jwks = models.JSONField(null=True, blank=True)
    client_jwks_uri = models.URLField(blank=True)
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    system_scopes = models.TextField(blank=True)  # the most a client-credentials token may ask for
    may_introspect = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    objects = ApplicationManager()

    class Meta(AbstractApplication.Meta):
        constraints = [
            models.CheckConstraint(condition=~Q(client_secret=""), name="client_secret_never_blank"),
            models.CheckConstraint(
                condition=~Q(authorization_grant_type="client-credentials") | Q(organization__isnull=False),
                name="system_client_has_an_organization",
            ),
        ]


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
    capacity = models.CharField(max_length=10)
    purpose = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)  # the absolute cap of the refresh family
    revoked_at = models.DateTimeField(null=True)


class AuthorizationRequest(models.Model):
    """A checked authorization request, kept server-side: form fields of the browser are not trusted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    application = models.ForeignKey(Application, on_delete=models.CASCADE, related_name="+")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    parameters = models.JSONField()
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class AuthorizationCode(AbstractGrant):
    launch = models.ForeignKey(Launch, null=True, on_delete=models.CASCADE, related_name="codes")

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
    launch = models.ForeignKey(Launch, null=True, on_delete=models.CASCADE, related_name="access_tokens")
    revoked_at = models.DateTimeField(null=True)

    class Meta(AbstractAccessToken.Meta):
        pass


class RefreshToken(AbstractRefreshToken):
    launch = models.ForeignKey(Launch, null=True, on_delete=models.CASCADE, related_name="refresh_tokens")

    class Meta(AbstractRefreshToken.Meta):
        pass


class IDToken(AbstractIDToken):
    class Meta(AbstractIDToken.Meta):
        pass


class DeviceGrant(AbstractDeviceGrant):
    """Swapped with the others; the device flow itself is not mounted (CVE-2026-49272)."""

    class Meta(AbstractDeviceGrant.Meta):
        pass
