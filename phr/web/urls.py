"""Routes of the pages."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

from phr.web import authorize, card, connected, home, passkeys, prove, recover, security, sign_in

urlpatterns = [
    path("", home.home, name="home"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-in/passkey", passkeys.use, name="passkey-use"),
    path("sign-in/card", card.begin, name="card-begin"),
    path("sign-in/card/callback", card.callback, name="card-callback"),
    path("sign-in/recover", recover.recover, name="recover"),
    path("prove", prove.prove, name="prove"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("account/security", security.security, name="security"),
    path("account/security/totp", security.totp_new, name="totp-new"),
    path("account/security/totp/remove", security.totp_remove, name="totp-remove"),
    path("account/security/codes", security.codes_new, name="codes-new"),
    path("account/security/passkey", passkeys.enrol, name="passkey-new"),
    path("account/security/passkey/<uuid:id>/remove", security.passkey_remove, name="passkey-remove"),
    path("account/security/card", card.link, name="card-link"),
    path("account/security/card/remove", card.unlink, name="card-unlink"),
    path("account/password", security.password, name="password"),
    path("oauth/authorize", authorize.authorize, name="authorize"),
    path("oauth/authorize/<uuid:id>", authorize.decide, name="authorize-decide"),
    path("apps", connected.apps, name="apps-page"),
    path("apps/stop", connected.stop_all, name="apps-page-stop-all"),
    path("apps/<uuid:id>/stop", connected.stop, name="app-stop"),
    path("demo/callback", home.demo_callback, name="demo-callback"),
    path("language", set_language, name="language"),
    path("static/tsumugi.css", home.stylesheet, name="stylesheet"),
    path("static/passkeys.js", passkeys.script, name="passkeys-script"),
]
