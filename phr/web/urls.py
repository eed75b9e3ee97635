"""Routes of the pages."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

from phr.web import apps, authorize, home, sign_in

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("oauth/authorize", authorize.authorize, name="authorize"),
    path("oauth/authorize/<uuid:id>", authorize.decide, name="authorize-decide"),
    path("apps", apps.apps, name="apps-page"),
    path("apps/stop", apps.stop_all, name="apps-page-stop-all"),
    path("apps/<uuid:id>/stop", apps.stop, name="app-stop"),
    path("demo/callback", home.demo_callback, name="demo-callback"),
    path("language", set_language, name="language"),
    path("static/tsumugi.css", home.stylesheet, name="stylesheet"),
]
