"""Routes of the machine endpoints. The device flow, dynamic registration and token lists are not mounted."""

from __future__ import annotations

from django.urls import path

from phr.smart import views

urlpatterns = [
    path("oauth/token", views.token, name="token"),
    path("oauth/revoke", views.revoke, name="revoke"),
    path("oauth/introspect", views.introspect, name="introspect"),
    path("brands", views.brand_bundle, name="brands"),
    path("oauth/jwks", views.jwks, name="jwks"),
    path(".well-known/smart-configuration", views.smart_configuration, name="smart-configuration"),
    path("fhir/.well-known/smart-configuration", views.smart_configuration, name="fhir-smart-configuration"),
    path(".well-known/openid-configuration", views.openid_configuration, name="openid-configuration"),
    path(".well-known/oauth-authorization-server", views.openid_configuration, name="authorization-server"),
]
