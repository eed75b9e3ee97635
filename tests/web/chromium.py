"""A real Chromium for the tests of pages, and how a page is looked at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PICTURES = os.environ.get("TSUMUGI_SCREENSHOTS")  # a folder: keep a picture of every page
PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # the browser's event loop runs in this thread
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session", autouse=True)
def let_server_threads_go(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The threads of the test server keep their connections; the test database must be free to go."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    size = getattr(request, "param", PHONE)
    context = browser.new_context(viewport=size, locale="ja-JP")
    opened = context.new_page()
    faults: list[str] = []
    opened.on("console", lambda m: faults.append(m.text) if m.type == "error" and "status of 4" not in m.text else None)
    opened.on("pageerror", lambda e: faults.append(str(e)))
    opened.size = "phone" if size is PHONE else "wide"
    yield opened
    context.close()
    assert not faults


def look(page: Any, name: str) -> None:
    """The accessibility baseline, and a picture if they are kept."""
    page.wait_for_load_state()
    page.locator("h1").wait_for()
    assert page.evaluate("document.documentElement.lang") in ("ja", "en")
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1
    assert page.title()
    unnamed = "[...document.querySelectorAll('input:not([type=hidden])')].filter(e => !e.labels.length).length"
    assert page.evaluate(unnamed) == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways"
    touched = "main button, main .choice, main .button"
    small = f"[...document.querySelectorAll('{touched}')].filter(e => e.offsetHeight < 44).length"
    assert page.evaluate(small) == 0, "too small to touch"
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{PICTURES}/{name}-{page.size}.png", full_page=True)
