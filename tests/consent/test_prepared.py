"""The hot statements are really prepared, and behave as Django's own in errors and transactions."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from consent import prepared


@pytest.mark.django_db
def test_a_statement_is_prepared_once_per_connection() -> None:
    sql = "SELECT %s::int + 41 AS told"
    assert [prepared.fetch(sql, [n]) for n in (1, 2)] == [[(42,)], [(43,)]]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%+ 41 AS told%%'")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db
def test_a_prepared_statement_is_planned_once() -> None:
    """Whatever its values (decisions/prepared-statements.md)."""
    for n in range(7):
        prepared.fetch("SELECT id AS planned FROM consent_person WHERE id = %s::bigint", [n])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%%AS planned FROM%%'"
        )
        assert cursor.fetchall() == [(7, 0)]


@pytest.mark.django_db
def test_djangos_own_statements_are_not_prepared() -> None:
    prepared.fetch("SELECT %s::int", [1])
    for _ in range(20):
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::int AS unprepared", [1])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%%AS unprepared%%'")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_errors_are_djangos() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        prepared.execute("INSERT INTO nowhere VALUES (%s)", [1])
    assert prepared.fetch("SELECT %s::int", [1]) == [(1,)]
