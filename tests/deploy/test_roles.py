"""The role the application works as can add to the log, and nothing else."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from consent.models import AuditEntry


@pytest.fixture
def as_application(db: None) -> None:
    call_command("grant_roles", role="tsumugi_app_test")
    with connection.cursor() as cursor:
        cursor.execute("GRANT tsumugi_app_test TO CURRENT_USER")
        cursor.execute("SET LOCAL ROLE tsumugi_app_test")


@pytest.mark.usefixtures("as_application")
def test_a_line_can_be_added_to_the_log(now: datetime) -> None:
    AuditEntry.objects.create(at=now, event="record:read", salt=b"0" * 16)
    assert AuditEntry.objects.count() == 1


@pytest.mark.usefixtures("as_application")
@pytest.mark.parametrize(
    ("table", "column"),
    [("consent_auditentry", "at"), ("consent_auditbatch", "sealed_at"), ("phr_version", "updated_at")],
)
@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = now()", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_a_line_can_never_be_changed(table: str, column: str, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=f"permission denied for table {table}"), transaction.atomic():
        connection.cursor().execute(statement.format(table, column))


@pytest.mark.usefixtures("as_application")
def test_the_tables_themselves_cannot_be_changed() -> None:
    with pytest.raises(ProgrammingError, match="must be owner"), transaction.atomic():
        connection.cursor().execute("ALTER TABLE consent_auditentry DISABLE TRIGGER ALL")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute("DELETE FROM django_migrations")


@pytest.mark.usefixtures("as_application")
@pytest.mark.parametrize("xid", [1, 9 * 10**18])
def test_a_line_bears_the_number_of_its_own_transaction(now: datetime, xid: int) -> None:
    """So it is sealed in its turn: neither among what is sealed already, nor never."""
    line = AuditEntry.objects.create(at=now, xid=xid, event="record:read", salt=b"0" * 16)
    line.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        assert line.xid == cursor.fetchone()[0]


@pytest.mark.usefixtures("as_application")
def test_nothing_stands_before_the_log(now: datetime) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute("CREATE TEMP TABLE consent_auditentry (LIKE public.consent_auditentry)")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute("CREATE SCHEMA mine")


@pytest.mark.django_db
def test_a_temporary_table_takes_no_line_of_the_log(now: datetime) -> None:
    """Even where somebody may make one, it comes last."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE consent_auditentry (LIKE public.consent_auditentry) ON COMMIT DROP")
        cursor.execute("SHOW search_path")
        assert cursor.fetchone()[0].replace(" ", "") == "public,pg_temp"
        cursor.execute("SELECT 'consent_auditentry'::regclass = 'public.consent_auditentry'::regclass")
        assert cursor.fetchone()[0]
