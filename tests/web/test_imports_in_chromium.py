"""Bringing a file in, linking a number, and ending the link, in a real Chromium: at a desk, and at home."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from consent.decide import Caller
from consent.models import Organization
from integrations import running, taking
from integrations.models import ImportRun, LocalNumber, Peer
from phr.populate import demo as demo_family
from phr.records.gateway import Records
from phr.records.models import Resource
from tests.web.chromium import CHROMIUM, PHONE, WIDE, browser, let_server_threads_go, look, page

__all__ = ["browser", "let_server_threads_go", "page"]

SECRET = "a password for the browser test"
SCHOOL = Path(__file__).parents[1] / "golden" / "school" / "checkup.csv"
TARO = UUID("7461726f-0000-8000-8000-000000000002")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM, reason="NO CHROMIUM: the pages were NOT looked at (apt-get install chromium)"),
]


@pytest.fixture
def stage(settings: Any, tmp_path: Path) -> demo_family.DemoFamily:
    settings.DEMO = True
    settings.PHR_VAR = str(tmp_path)
    settings.PHR_ACR_DEEDS = "aal1"  # nobody here has a second factor
    now = timezone.now()
    family = demo_family.make_family(now=now, password=SECRET)
    demo_family.import_records(now=now)
    register(family.people["sato"].organization, now)
    return family


def caller(office: Organization) -> Caller:
    return taking.caller_for(office, client="town")


def register(office: Organization, now: Any) -> None:
    """The town knows one of the pupils: he is a candidate."""
    taro = {
        "resourceType": "Patient", "id": str(TARO), "birthDate": "2013-04-02", "gender": "male",
        "name": [{"text": "見本 太郎"}],
    }  # fmt: skip
    Records.opened_by(caller(office), now=now).create_all([taro], keep_ids=True)


def sign_in(page: Any, live: str, name: str, to: str) -> None:
    page.goto(f"{live}{to}")
    page.fill("#username", name)
    page.fill("#password", SECRET)
    page.click("form.card button")
    page.wait_for_url(f"{live}{to}")


def work(run: str) -> ImportRun:
    """What a worker does meanwhile."""
    running.run(UUID(run), clock=timezone.now)
    return ImportRun.objects.get(pk=run)


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_staff_bring_a_file_in_and_link_who_is_in_it(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    sign_in(page, live, "sato", "/imports")
    look(page, "imports-1-empty")
    page.get_by_role("link", name="ファイルを取り込む").click()
    look(page, "imports-2-new")
    page.select_option("#what", "school-csv/standard")
    page.set_input_files("#file", str(SCHOOL))
    page.get_by_role("button", name="中身を確かめる").click()

    page.wait_for_url(f"{live}/imports/*-*")
    assert "順番を待っています" in page.get_by_role("status").inner_text()
    look(page, "imports-3-accepted")
    id = page.url.rsplit("/", 1)[1]
    assert work(id).state == "reported"
    page.reload()
    assert "まだ何も記録していません" in page.get_by_role("status").inner_text()
    assert not Resource.objects.filter(subject=TARO).exclude(type="Patient").exists()
    look(page, "imports-4-reported")
    page.get_by_role("button", name="この内容で取り込む").click()
    page.wait_for_load_state()
    assert work(id).state == "done"
    page.reload()
    assert "100.0%" in page.locator("main").inner_text()
    look(page, "imports-5-done")

    page.goto(f"{live}/imports")
    look(page, "imports-6-runs")
    page.get_by_role("link", name="本人の確認を待つ人（2件）").click()
    look(page, "imports-7-queue")
    page.get_by_role("link", name="見本 太郎").click()
    look(page, "imports-8-case")
    page.get_by_role("button", name="この人の番号として結び付ける").click()
    page.wait_for_url(f"{live}/imports/queue")
    assert LocalNumber.objects.get(subject=TARO).ground == "desk"
    assert Resource.objects.filter(subject=TARO, type="Observation").count() > 5

    page.get_by_role("link", name="見本 花").click()
    assert "見つかりません" in page.locator("main").inner_text()
    page.fill("#code", "ABCDE FGHJK")
    page.get_by_role("button", name="コードで結び付ける").click()
    assert "このコードは使えません" in page.get_by_role("alert").inner_text()
    look(page, "imports-9-wrong-code")
    page.get_by_role("button", name="English").click()
    look(page, "imports-10-english")
    page.get_by_role("button", name="It is nobody here").click()
    page.wait_for_url(f"{live}/imports/queue")
    assert "Nobody is waiting." in page.locator("main").inner_text()


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_a_mother_makes_a_code_and_ends_the_link(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    sato = stage.people["sato"]
    now = timezone.now()
    sign_in(page, live, "yuki", "/numbers")
    look(page, "numbers-1-none")
    section = page.locator("section", has=page.get_by_role("heading", name="見本 花"))
    section.get_by_role("button", name="窓口で見せるコードを作る").click()
    page.wait_for_url(f"{live}/numbers/code")
    look(page, "numbers-2-code")
    code = page.locator(".secret").inner_text()

    from integrations import linking
    from integrations.items import Identity

    linking.link_by_code(identity=Identity("urn:school", "0001"), code=code, by=caller(sato.organization), now=now)
    page.goto(f"{live}/numbers")
    assert "0001" in section.inner_text()
    look(page, "numbers-3-linked")
    section.get_by_role("button", name="結び付きを終える").click()
    page.wait_for_url(f"{live}/numbers")
    assert "0001" not in page.locator("main").inner_text()
    assert LocalNumber.objects.get().until is not None


@pytest.mark.parametrize("page", [PHONE, WIDE], ids=["phone", "wide"], indirect=True)
def test_a_mother_looks_for_a_service_to_link_with(stage: Any, page: Any, live_server: Any) -> None:
    live = live_server.url.replace("localhost", "127.0.0.1")
    sign_in(page, live, "yuki", "/numbers")
    page.get_by_role("link", name="ほかのサービスとつなぐ").click()
    page.wait_for_url(f"{live}/api/peers")
    look(page, "peers-1-none")
    for code, name in (
        ("mint", "みんと母子手帳サービス"),
        ("long", "見本県立こども医療センター 患者さんのための記録の窓口"),
    ):
        peer(code, name, stage.people["sato"].organization)
    page.reload()
    assert page.get_by_role("heading", name="みんと母子手帳サービス").count() == 1
    look(page, "peers-2-offered")
    page.goto(f"{live}/api/peers?linked=1")
    assert "つながりました" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="English").click()
    look(page, "peers-3-english")
    page.get_by_role("link", name="Back to linked numbers").click()
    page.wait_for_url(f"{live}/numbers")
    assert page.get_by_role("link", name="Link with another service").count() == 1


def peer(code: str, name: str, office: Organization) -> Peer:
    base = f"https://{code}.example/fhir"
    return Peer.objects.create(
        code=code, name=name, organization=office, base=base, origins=[f"https://{code}.example:443"],
        token_url=f"{base}/token", client="us", launch_client="ours", kid=code, algorithm="ES384", public={},
        key_version=1, sealed=b"", purpose="TREAT", types=[], categories=0, next_at=timezone.now(),
        created_at=timezone.now(),
    )  # fmt: skip
