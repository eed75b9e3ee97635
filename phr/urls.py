"""Every path of the server. Each has a row in the permission table (tests/access)."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.http import require_GET
from django.views.generic import RedirectView

from phr.fhir.views import healthz, readyz

to_sign_in = RedirectView.as_view(url="/sign-in?acr_values=aal2&next=/admin/")

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("", include("phr.smart.urls")),
    path("", include("phr.web.urls")),
    path("", include("integrations.pages.urls")),
    path("fhir", include("phr.fhir.urls")),
    path("api/trust/", include("phr.api.urls")),
    path("api/", include("integrations.urls")),
    # Operators sign in where everybody does, with a second factor (phr/web/session.py).
    path("admin/login/", require_GET(to_sign_in), name="admin-sign-in"),
    path("admin/", admin.site.urls),
]

handler400 = "phr.web.errors.bad_request"
handler403 = "phr.web.errors.forbidden"
handler404 = "phr.web.errors.not_found"
handler500 = "phr.web.errors.server_error"
