"""Routes of the trust's API. Each area keeps its own list beside its views."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView

from phr.api import (
    births,
    caring,
    closing,
    complaints,
    connected,
    consents,
    erasure,
    family,
    glass,
    guardianship,
    incidents,
    launches,
    log,
    mandates,
    marks,
    notices,
    programs,
    provisions,
    receiving,
    recipients,
    recovery,
    rights,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("openapi", SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[]), name="openapi"),
    *closing.urlpatterns,
    *connected.urlpatterns,
    *erasure.urlpatterns,
    *launches.urlpatterns,
    *family.urlpatterns,
    *births.urlpatterns,
    *caring.urlpatterns,
    *glass.urlpatterns,
    *guardianship.urlpatterns,
    *marks.urlpatterns,
    *log.urlpatterns,
    *consents.urlpatterns,
    *notices.urlpatterns,
    *complaints.urlpatterns,
    *incidents.urlpatterns,
    *mandates.urlpatterns,
    *programs.urlpatterns,
    *provisions.urlpatterns,
    *receiving.urlpatterns,
    *recipients.urlpatterns,
    *recovery.urlpatterns,
    *rights.urlpatterns,
]
