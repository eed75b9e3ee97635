"""Two database roles: the owner migrates, the application's role works and cannot rewrite what was said."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from consent.models import AuditBatch, AuditEntry

READ_ONLY = (MigrationRecorder.Migration._meta.db_table,)
APPEND_ONLY = (AuditEntry._meta.db_table, AuditBatch._meta.db_table, "phr_version")


class Command(BaseCommand):
    help = (
        "アプリ用ロールに権限を与えます。Grants the application's database role what it needs and no more; repeatable."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--role", default="tsumugi_app", help="the role that web, worker and beat connect as")

    @transaction.atomic
    def handle(self, *args: Any, role: str, **options: Any) -> None:
        name = sql.Identifier(role)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
            if not cursor.fetchone():
                cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
            for statement in (
                "GRANT USAGE ON SCHEMA public TO {}",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
                "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}",
            ):
                cursor.execute(sql.SQL(statement).format(name))
            # No temporary table may stand before the log under its name, and no schema of its own.
            cursor.execute(
                sql.SQL("REVOKE TEMPORARY, CREATE ON DATABASE {} FROM {}, PUBLIC").format(
                    sql.Identifier(connection.settings_dict["NAME"]), name
                )
            )
            for table in APPEND_ONLY:
                _revoke(cursor, "UPDATE, DELETE, TRUNCATE", table, name)
            for table in READ_ONLY:
                _revoke(cursor, "INSERT, UPDATE, DELETE, TRUNCATE", table, name)


def _revoke(cursor: Any, rights: str, table: str, role: sql.Identifier) -> None:
    cursor.execute(sql.SQL("REVOKE {} ON {} FROM {}").format(sql.SQL(rights), sql.Identifier(table), role))
