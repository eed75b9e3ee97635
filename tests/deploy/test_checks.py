"""A wrong deployment is refused by name, and a right one is not."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import checks
from django.core.management.base import SystemCheckError
from pytest_django.fixtures import Settings

from phr.checks import require_safe
from phr.embedded.household import fresh_oidc_key
from phr.smart import checks as smart_checks

ROOT = Path(__file__).parents[2]
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
        ("phr.E105", {"OAUTH2_PROVIDER": {}}),
        ("phr.E107", {"DEBUG": True}),
        ("phr.E107", {"DEMO": True}),
        ("phr.E109", {"PHR_ACR_DEEDS": "aal9"}),
        ("phr.E109", {"PHR_ACR_READ": ""}),
        ("phr.E110", {"PHR_BRAND_CHANGED": "yesterday"}),
        ("phr.E110", {"PHR_BRAND_NAME": " "}),
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


@pytest.mark.parametrize(("toolkit", "old"), [("oauthlib", "3.3.1"), ("django-oauth-toolkit", "3.4.0")])
def test_a_release_with_a_known_fault_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, toolkit: str, old: str
) -> None:
    monkeypatch.setattr(smart_checks, "version", lambda name: old if name == toolkit else "9.9.9")
    assert "phr.E108" in ids(settings)


def deploy(tmp_path: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check --deploy` as an operator, or the build, runs it."""
    environment = {
        "PATH": os.environ["PATH"], "DATABASE_URL": os.environ["DATABASE_URL"], "PHR_VAR": str(tmp_path),
        "PHR_SECRET_KEY": "s" * 20 + "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF", "PHR_KEYS": f"a:{KEY}",
        "PHR_INDEX_KEY": KEY, "PHR_AUDIT_KEY": KEY, "PHR_OIDC_KEY": RIGHT["PHR_OIDC_KEY"],
        "PHR_BASE_URL": "https://phr.example.jp", "PHR_ALLOWED_HOSTS": "phr.example.jp", **changed,
    }  # fmt: skip
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "ERROR"]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_gate_of_a_deployment_opens_and_shuts(tmp_path: Path) -> None:
    passed = deploy(tmp_path)
    assert passed.returncode == 0, passed.stderr
    for changed, id in (({"PHR_DEMO": "1"}, "phr.E102"), ({"PHR_BASE_URL": "http://phr.example.jp"}, "phr.E104")):
        refused = deploy(tmp_path, **changed)
        assert refused.returncode != 0 and id in refused.stderr, refused.stderr
