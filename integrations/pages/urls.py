"""Routes of the pages about what comes in."""

from __future__ import annotations

from django.urls import path

from integrations.pages import matching, numbers, runs

urlpatterns = [
    path("imports", runs.runs, name="imports-page"),
    path("imports/new", runs.new, name="import-new"),
    path("imports/<uuid:id>", runs.show, name="import-page"),
    path("imports/<uuid:id>/<slug:deed>", runs.steer, name="import-page-steer"),
    path("imports/queue", matching.queue, name="import-queue"),
    path("imports/queue/<int:id>", matching.case, name="import-case"),
    path("imports/queue/<int:id>/link", matching.link, name="import-case-link"),
    path("imports/queue/<int:id>/code", matching.link_by_code, name="import-case-code"),
    path("imports/queue/<int:id>/dismiss", matching.dismiss, name="import-case-dismiss"),
    path("numbers", numbers.numbers, name="numbers"),
    path("numbers/code", numbers.code, name="number-code"),
    path("numbers/<int:id>/end", numbers.end, name="number-end"),
]
