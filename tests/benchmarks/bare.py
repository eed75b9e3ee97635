"""The bare baseline: an empty Django view, and a DRF view with one SELECT of a row as large as an Observation.

Settings, urls, views and WSGI application in one: nothing of the project is in it but the libraries.
"""

from __future__ import annotations

import os

from django.conf import settings

from phr.settings import database  # noqa: TID251 - its reader of addresses, before there are settings

if not settings.configured:
    settings.configure(
        ROOT_URLCONF="tests.benchmarks.bare",
        DATABASES={"default": database(os.environ["DATABASE_URL"])},
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # sets Content-Length
        INSTALLED_APPS=["rest_framework"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_PERMISSION_CLASSES": [],
            "UNAUTHENTICATED_USER": None,
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
        USE_TZ=True,
    )

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"{}", content_type="application/json")


class OneRow(APIView):
    def get(self, request: Request, id: int) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT body FROM bare_rows WHERE id = %s", [id])
            return Response(cursor.fetchone()[0])


urlpatterns = [path("empty", empty), path("row/<int:id>", OneRow.as_view())]
