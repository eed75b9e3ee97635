"""The doctor finds what is wrong, says how to mend it, and says so when nothing is."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from consent.models import AuditBatch, AuditEntry, Organization
from phr.records.jobs import ExportJob
from tests.consent.test_audit import _tampering


def told() -> str:
    out = StringIO()
    try:
        call_command("doctor", stdout=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


@pytest.fixture
def healthy(db: None, settings: Any, redis_url: str) -> None:
    settings.DEMO = True  # a deployment's checks are test_checks' subject
    settings.REDIS_URL = redis_url


@pytest.mark.usefixtures("healthy")
def test_a_healthy_service() -> None:
    assert "All is well" in told()


@pytest.mark.usefixtures("healthy")
def test_a_missing_migration() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'phr'")
    assert "manage.py migrate" in told()


@pytest.mark.usefixtures("healthy")
def test_a_key_that_does_not_fit(settings: Any) -> None:
    settings.PHR_KEYS = ""
    assert "PHR_KEYS" in told()


@pytest.mark.usefixtures("healthy")
def test_a_log_without_its_guard() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_auditentry DISABLE TRIGGER USER")
    assert "no guarding trigger" in told()


@pytest.mark.usefixtures("healthy")
def test_a_role_that_may_rewrite_the_log(settings: Any) -> None:
    settings.DEMO = False
    assert "may UPDATE the log" in told()


@pytest.mark.usefixtures("healthy")
def test_entries_that_nobody_seals() -> None:
    AuditEntry.objects.create(at=timezone.now() - timedelta(hours=1), event="record:read", salt=b"0" * 16)
    assert "wait for a seal" in told()


@pytest.mark.usefixtures("healthy")
def test_heads_that_are_published_nowhere_or_wait(settings: Any, tmp_path: Path) -> None:
    settings.DEMO = False
    settings.PHR_AUDIT_HEADS_FILE = settings.PHR_AUDIT_HEADS_URL = ""
    assert "published nowhere" in told()
    settings.PHR_AUDIT_HEADS_FILE = str(tmp_path / "heads")
    assert "published nowhere" not in told()
    AuditBatch.objects.create(
        sequence=1, sealed_at=timezone.now() - timedelta(hours=1), entries=[], leaves=b"", root=b"", previous_root=b"",
        signature=b"", key_id="", last_xid=1, last_entry=1,
    )  # fmt: skip
    assert "heads wait to be published (file)" in told()


@pytest.mark.usefixtures("healthy")
def test_a_log_from_another_cluster() -> None:
    with _tampering():  # as a dump does, which puts its lines in before its triggers
        AuditEntry.objects.create(at=timezone.now(), xid=1 << 40, event="record:read", salt=b"0" * 16)
    assert "pg_resetwal" in told()


@pytest.mark.usefixtures("healthy")
def test_a_broker_that_is_away(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert "✗ broker" in told()


@pytest.mark.usefixtures("healthy")
def test_a_folder_for_exports_that_cannot_be(settings: Any) -> None:
    settings.PHR_EXPORT_FOLDER = "/dev/null/exports"
    assert "PHR_EXPORT_FOLDER" in told()


@pytest.mark.usefixtures("healthy")
def test_an_export_that_nobody_takes_up() -> None:
    clinic = Organization.objects.create(code="9919000001", name="見本", kind="clinic")
    long_ago = timezone.now() - timedelta(hours=1)
    ExportJob.objects.create(
        client="clinic", organization=clinic, authority={}, kek="", wrapped=b"", plan=b"", created_at=long_ago,
        heartbeat_at=long_ago,
    )  # fmt: skip
    assert "wait for a worker" in told()
