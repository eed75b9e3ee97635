"""Routes of the trust's API. Each area keeps its own list beside its views."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView

from phr.api import apps, births, erasure, family, glass, guardianship, launches, log, notices, rights

urlpatterns: list[URLPattern | URLResolver] = [
    path("openapi", SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[]), name="openapi"),
    *apps.urlpatterns,
    *erasure.urlpatterns,
    *launches.urlpatterns,
    *family.urlpatterns,
    *births.urlpatterns,
    *glass.urlpatterns,
    *guardianship.urlpatterns,
    *log.urlpatterns,
    *notices.urlpatterns,
    *rights.urlpatterns,
]
