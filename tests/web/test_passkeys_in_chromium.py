"""Passkeys in a real Chromium, with its virtual authenticator: enrol, sign in without a password, step up, remove."""

from __future__ import annotations

import re
from typing import Any

import pyotp
import pytest
from django.utils import timezone

from consent.models import AuditEntry, Person
from phr.smart.login_models import Passkey, RecoveryCode
from tests.smart.conftest import PASSWORD, Family
from tests.web.chromium import CHROMIUM, PHONE, WIDE, browser, let_server_threads_go, look, page

__all__ = ["browser", "let_server_threads_go", "page"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM, reason="NO CHROMIUM: the pages were NOT looked at (apt-get install chromium)"),
]


@pytest.fixture
def live(live_server: Any, settings: Any) -> str:
    """Passkeys belong to a name, so the server is reached by one."""
    port = live_server.url.rpartition(":")[2]
    settings.PHR_BASE_URL = f"http://localhost:{port}"
    return str(settings.PHR_BASE_URL)


def authenticator(page: Any) -> Any:
    """A device of the person: it keeps keys, and has checked her finger."""
    wire = page.context.new_cdp_session(page)
    wire.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    made = wire.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return wire, made["authenticatorId"]


def enter(page: Any, live: str, name: str = "yuki") -> None:
    page.goto(f"{live}/sign-in")
    page.fill("#username", name)
    page.fill("#password", PASSWORD)
    page.click("form.card button")


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_a_passkey_from_enrolment_to_removal(family: Family, page: Any, live: str) -> None:
    wire, device = authenticator(page)
    enter(page, live)
    page.goto(f"{live}/account/security")
    look(page, "security-empty")
    page.get_by_role("link", name="パスキーを登録").click()
    look(page, "passkey-new")
    page.fill("#name", "わたしのスマホ")
    page.click("form.card button.primary")
    page.get_by_role("heading", name="回復コードを控えてください").wait_for()
    look(page, "codes")
    key = Passkey.objects.get()
    assert (key.person_id, key.name) == (family.yuki.pk, "わたしのスマホ")
    assert len(wire.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]) == 1
    page.get_by_role("link", name="控えました。続ける").click()
    assert "わたしのスマホ" in page.locator("main").inner_text()
    look(page, "security")

    # Without a password: the device says who she is.
    page.get_by_role("button", name="サインアウト").click()
    look(page, "sign-in")
    page.get_by_role("link", name="パスキーでサインイン").click()
    look(page, "passkey")
    page.get_by_role("button", name="パスキーを使う").click()
    page.wait_for_url(f"{live}/")
    assert "見本 雪" in page.get_by_role("heading", level=1).inner_text()
    assert AuditEntry.objects.filter(event="person:signed-in").count() == 2
    key.refresh_from_db()
    assert key.sign_count > 0 and key.used_at

    # A password alone is half a sign-in now; the passkey is the rest.
    page.get_by_role("button", name="サインアウト").click()
    enter(page, live)
    page.wait_for_url(f"{live}/prove?*")
    look(page, "prove-passkey")
    page.get_by_role("link", name="パスキーで確認").click()
    page.get_by_role("button", name="パスキーを使う").click()
    page.wait_for_url(f"{live}/")

    page.goto(f"{live}/account/security")
    page.get_by_role("button", name=re.compile("わたしのスマホ")).click()
    page.wait_for_url(f"{live}/account/security")
    assert not Passkey.objects.exists()
    page.get_by_role("button", name="English").click()
    look(page, "security-english")


def test_an_app_code_and_a_recovery_code(family: Family, page: Any, live: str) -> None:
    enter(page, live)
    page.goto(f"{live}/account/security")
    page.get_by_role("link", name="認証アプリを登録").click()
    look(page, "totp-new")
    secret = page.locator(".secret").inner_text().replace(" ", "")
    assert page.evaluate("document.querySelector('.picture img').naturalWidth") > 100  # the policy lets it through
    page.fill("#code", "000000")
    page.click("form.card button.primary")
    look(page, "totp-wrong")
    page.fill("#code", pyotp.TOTP(secret).now())
    page.click("form.card button.primary")
    codes = page.locator(".codes li").all_inner_texts()
    assert len(codes) == 10
    page.get_by_role("button", name="サインアウト").click()
    enter(page, live)
    look(page, "prove-code")
    page.fill("#code", codes[0])
    page.click("form.card button.primary")
    page.wait_for_url(f"{live}/")
    assert RecoveryCode.objects.exclude(used_at=None).count() == 1
    page.goto(f"{live}/prove?acr_values=aal3")
    look(page, "prove-no-card")
    page.goto(f"{live}/account/password")
    look(page, "password")


def test_a_reset_opened_by_an_officer(family: Family, page: Any, live: str) -> None:
    from phr.smart import recovery

    code = recovery.open_ticket(family.yuki, by=family.sato, now=timezone.now())
    page.goto(f"{live}/sign-in")
    page.get_by_role("link", name="パスワードを忘れたとき").click()
    look(page, "recover")
    page.fill("#username", "yuki")
    page.fill("#code", code)
    page.fill("#new", "a better password 2")
    page.fill("#again", "a better password 2")
    page.get_by_role("button", name="パスワードを決める").click()
    page.get_by_role("heading", name="パスワードを決めました").wait_for()
    look(page, "recovered")
    assert Person.objects.get(username="yuki").check_password("a better password 2")


def test_an_authenticator_that_did_not_check_her_is_not_enough(family: Family, page: Any, live: str) -> None:
    wire, device = authenticator(page)
    wire.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    enter(page, live)
    page.goto(f"{live}/account/security/passkey")
    page.click("form.card button.primary")
    page.locator("[data-failed]").wait_for()
    look(page, "passkey-failed")
    assert not Passkey.objects.exists()


def test_the_script_may_send_forms_and_nothing_else(family: Family, browser: Any, live: str) -> None:
    opened = browser.new_context().new_page()  # what is refused is told on its console
    opened.goto(f"{live}/sign-in/passkey")
    assert opened.evaluate("fetch(location.href).then(() => 'fetched', () => 'refused')") == "refused"
    opened.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.x = 1'}))")
    assert opened.evaluate("window.x === undefined")
    opened.context.close()
