"""Rows of the permission table: signing in, stepping up, and what an account is proved with."""

from __future__ import annotations

from tests.access.row import Row

_NO_PASSKEY = "00000000-0000-0000-0000-000000000000"

# fmt: off
ROWS = (
    #                                                             anonymous mother father aunt clinic officer stranger
    Row("passkeys-script", "GET", "/static/passkeys.js",          "200 200 200 200 200 200 200"),
    Row("prove", "GET", "/prove",                                 "302 302 302 302 302 302 302"),
    Row("prove", "GET", "/prove?acr_values=aal2",                 "302 200 200 200 302 200 200"),
    Row("prove", "POST", "/prove",                                "302 422 422 422 302 422 422",
        "acr_values=aal2&password=wrong"),
    Row("passkey-use", "GET", "/sign-in/passkey", "404 404 404 404 404 404 404"),  # reached by its address
    Row("passkey-use", "POST", "/sign-in/passkey",                "404 404 404 404 404 404 404", ""),
    Row("card-begin", "GET", "/sign-in/card",                     "404 404 404 404 404 404 404"),  # off
    Row("card-callback", "GET", "/sign-in/card/callback?code=x",  "404 404 404 404 404 404 404"),
    Row("recover", "GET", "/sign-in/recover",                     "200 200 200 200 200 200 200"),
    Row("recover", "POST", "/sign-in/recover",                    "422 422 422 422 422 422 422",
        "username=yuki&code=x&password=long%20enough%20it%20is&again=long%20enough%20it%20is"),
    # A session that nobody proved lately changes nothing of the account.
    Row("security", "GET", "/account/security",                   "302 200 200 200 302 200 200"),
    Row("totp-new", "GET", "/account/security/totp",              "302 302 302 302 302 302 302"),
    Row("totp-new", "POST", "/account/security/totp",             "302 302 302 302 302 302 302", "code=123456"),
    Row("totp-remove", "POST", "/account/security/totp/remove",   "302 302 302 302 302 302 302", ""),
    Row("codes-new", "POST", "/account/security/codes",           "302 302 302 302 302 302 302", ""),
    Row("passkey-new", "GET", "/account/security/passkey",        "302 302 302 302 302 302 302"),
    Row("passkey-new", "POST", "/account/security/passkey",       "302 302 302 302 302 302 302", ""),
    Row("passkey-remove", "POST", f"/account/security/passkey/{_NO_PASSKEY}/remove", "302 302 302 302 302 302 302", ""),
    Row("card-link", "GET", "/account/security/card",             "302 302 302 302 302 302 302"),
    Row("card-unlink", "POST", "/account/security/card/remove",   "302 302 302 302 302 302 302", ""),
    Row("password", "GET", "/account/password",                   "302 302 302 302 302 302 302"),
    Row("password", "POST", "/account/password",                  "302 302 302 302 302 302 302", "password=x&again=x"),
    Row("password-reset-open", "POST", "/api/trust/desk/password-resets", "401 403 403 403 403 404 403",
        {"username": "nobody-of-that-name"}),
    Row("admin-sign-in", "GET", "/admin/login/",                  "302 302 302 302 302 302 302"),
)
