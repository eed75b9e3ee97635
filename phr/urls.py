"""Every path of the server. Each has a row in the permission table (tests/access)."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from phr.fhir.views import healthz, readyz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("fhir", include("phr.fhir.urls")),
    path("admin/", admin.site.urls),
]
