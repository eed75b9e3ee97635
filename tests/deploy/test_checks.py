"""A wrong deployment is refused by name, and a right one is not."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.core import checks
from django.core.management.base import SystemCheckError
from pytest_django.fixtures import Settings

from phr.checks import require_safe
from phr.embedded.household import fresh_oidc_key

KEY = base64.b64encode(b"k" * 32).decode()
RIGHT: dict[str, Any] = {
    "SECRET_KEY": "s" * 60, "PHR_KEYS": f"a:{KEY}", "PHR_INDEX_KEY": KEY, "PHR_AUDIT_KEY": KEY,
    "PHR_OIDC_KEY": fresh_oidc_key(), "PHR_BASE_URL": "https://phr.example.jp", "ALLOWED_HOSTS": ["phr.example.jp"],
    "DEBUG": False, "DEMO": False,
}  # fmt: skip


def ids(settings: Settings, **changed: Any) -> set[str]:
    for name, value in {**RIGHT, **changed}.items():
        setattr(settings, name, value)
    messages = checks.run_checks(tags=["security"], include_deployment_checks=True)
    return {str(m.id) for m in messages if str(m.id).startswith("phr.")}


def test_a_right_deployment_passes(settings: Settings) -> None:
    assert ids(settings) == set()


@pytest.mark.parametrize(
    ("expected", "changed"),
    [
        ("phr.E101", {"SECRET_KEY": "insecure: phr.E101 refuses to deploy with this, long as it may be"}),
        ("phr.E101", {"SECRET_KEY": "short"}),
        ("phr.E102", {"DEMO": True}),
        ("phr.E103", {"PHR_KEYS": ""}),
        ("phr.E103", {"PHR_INDEX_KEY": ""}),
        ("phr.E103", {"PHR_AUDIT_KEY": ""}),
        ("phr.E104", {"PHR_BASE_URL": "http://phr.example.jp"}),
        ("phr.E106", {"PHR_OIDC_KEY": "-----BEGIN PRIVATE KEY-----"}),
        ("phr.E107", {"DEBUG": True}),
        ("phr.E107", {"DEMO": True}),
    ],
)
def test_what_is_wrong_has_an_id(settings: Settings, expected: str, changed: dict[str, Any]) -> None:
    assert expected in ids(settings, **changed)


def test_every_message_says_how_to_mend_it(settings: Settings) -> None:
    wrong = dict.fromkeys(("PHR_KEYS", "PHR_INDEX_KEY", "PHR_AUDIT_KEY", "PHR_OIDC_KEY"), "")
    for name, value in {**RIGHT, **wrong, "SECRET_KEY": "short", "DEBUG": True, "DEMO": True}.items():
        setattr(settings, name, value)
    messages = checks.run_checks(tags=["security"], include_deployment_checks=True)
    ours = [message for message in messages if str(message.id).startswith("phr.")]
    assert len(ours) >= 4
    assert all(message.hint for message in ours)


def test_a_web_server_that_is_reached_from_elsewhere_does_not_start_unsafe(settings: Settings) -> None:
    for name, value in {**RIGHT, "DEMO": True}.items():
        setattr(settings, name, value)
    with pytest.raises(SystemCheckError, match=r"phr\.E102[\s\S]*phr\.E107"):
        require_safe()
    settings.DEMO = False
    require_safe()
    settings.SECRET_KEY = "short"
    with pytest.raises(SystemCheckError, match=r"phr\.E101"):
        require_safe()


def test_on_this_machine_alone_a_demo_may_start(settings: Settings) -> None:
    for name, value in {**RIGHT, "DEMO": True, "DEBUG": True, "PHR_BASE_URL": "http://127.0.0.1:8000"}.items():
        setattr(settings, name, value)
    require_safe()
    settings.OAUTH2_PROVIDER = {**settings.OAUTH2_PROVIDER, "PKCE_REQUIRED": False}
    with pytest.raises(SystemCheckError, match=r"phr\.E105"):
        require_safe()
