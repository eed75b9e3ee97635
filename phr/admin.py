"""What operators may see of this app: the registered clients. Tokens, codes and records are never in the admin.

django-oauth-toolkit registers its own pages when its turn comes (before ours, see INSTALLED_APPS); they are
taken away: a token made there would have no launch behind it, and a token shown there would be one more copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from phr.smart.models import AccessToken, Application, AuthorizationCode, DeviceGrant, IDToken, RefreshToken

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Application]
else:
    _Base = admin.ModelAdmin

for model in (AccessToken, Application, AuthorizationCode, DeviceGrant, IDToken, RefreshToken):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(Application)
class ApplicationAdmin(_Base):
    """Register and stop clients. A secret is made by the server and shown to nobody."""

    list_display = ("client_id", "name", "organization", "authorization_grant_type", "is_active")
    list_filter = ("authorization_grant_type", "is_active")
    search_fields = ("client_id", "name")
    fields = (
        "client_id", "name", "organization", "client_type", "authorization_grant_type", "redirect_uris",
        "allowed_origins", "token_endpoint_auth_method", "client_jwks", "client_jwks_uri", "system_scopes",
        "may_introspect", "may_link", "is_active",
    )  # fmt: skip
