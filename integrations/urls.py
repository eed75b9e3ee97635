"""Paths below /api."""

from django.urls import path

from integrations import views
from phr.fhir.door import door

urlpatterns = [
    path("imports/<uuid:id>", door(GET=views.show), name="import"),
    path("imports/<slug:kind>", door(POST=views.start), name="start-import"),
]
