"""The card's whole way in a real Chromium: link it, sign in with it, step up with it, be told when it is not known."""

from __future__ import annotations

import re
from typing import Any

import pytest

from consent.models import AuditEntry
from phr.smart.login_models import CardAccount
from tests.smart.conftest import PASSWORD, Family
from tests.web.card_provider import PEOPLE, Provider
from tests.web.chromium import CHROMIUM, PHONE, WIDE, browser, let_server_threads_go, look, page
from tests.web.test_card import provider

__all__ = ["browser", "let_server_threads_go", "page", "provider"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM, reason="NO CHROMIUM: the pages were NOT looked at (apt-get install chromium)"),
]


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_a_card_is_linked_and_signs_in(
    family: Family, page: Any, live_server: Any, provider: Provider, settings: Any
) -> None:
    live = settings.PHR_BASE_URL = live_server.url.replace("localhost", "127.0.0.1")
    page.goto(f"{live}/sign-in?acr_values=aal3&next=/account/security")
    look(page, "sign-in-card")
    page.fill("#username", "yuki")
    page.fill("#password", PASSWORD)
    page.click("form.card button")
    page.get_by_role("heading", name="マイナンバーカードでの確認が必要です").wait_for()
    look(page, "prove-card-unlinked")
    page.get_by_role("link", name="サインインと安全へ").click()
    look(page, "security-card")
    page.get_by_role("link", name="カードをつなぐ").click()
    page.get_by_role("link", name=PEOPLE[0]).click()
    page.get_by_role("link", name="カードで確認する").click()  # linked now, and asked for as hers
    page.get_by_role("link", name=PEOPLE[0]).click()
    page.wait_for_url(f"{live}/account/security")
    assert "つながっています" in page.locator("main").inner_text()
    assert CardAccount.objects.get().person == family.yuki
    look(page, "security-card-linked")

    page.get_by_role("button", name="サインアウト").click()
    page.get_by_role("link", name="マイナンバーカードでサインイン").click()
    page.get_by_role("link", name=PEOPLE[0]).click()
    page.wait_for_url(f"{live}/")
    assert "見本 雪" in page.get_by_role("heading", level=1).inner_text()
    page.goto(f"{live}/prove?acr_values=aal3&max_age=0&next=/account/security")
    assert page.url == f"{live}/account/security"  # read within the minute

    page.get_by_role("button", name="サインアウト").click()
    page.get_by_role("link", name="マイナンバーカードでサインイン").click()
    page.get_by_role("link", name=PEOPLE[1]).click()
    page.get_by_role("heading", name=re.compile("つながっていません")).wait_for()
    look(page, "card-unknown")
    provider.back = lambda told: {**told, "state": "forged"}
    page.goto(f"{live}/sign-in/card")
    page.get_by_role("link", name=PEOPLE[0]).click()
    page.get_by_role("heading", name=re.compile("受け付けられませんでした")).wait_for()
    look(page, "card-refused")
    assert AuditEntry.objects.filter(event="person:sign-in-failed").count() == 2
    assert not provider.refused
