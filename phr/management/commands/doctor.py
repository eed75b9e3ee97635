"""`manage.py doctor`: what is wrong here, and how to mend it. Reads only; changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from consent import heads
from consent.models import AuditBatch, AuditEntry
from phr.fhir.bulk import running
from phr.records import vault
from phr.records.profiles import enforced

OLDEST_POSTGRESQL = 15
SEALED_WITHIN = EXPORTED_WITHIN = timedelta(minutes=10)

Finding = tuple[str, str]  # what is wrong, how to mend it


class Command(BaseCommand):
    help = "診断します。Says what is wrong with this deployment and how to mend it; changes nothing."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        for name, examine in EXAMINATIONS.items():
            findings = _findings(examine)
            found += len(findings)
            self.stdout.write(f"{'✗' if findings else '✓'} {name}")
            for wrong, mend in findings:
                self.stdout.write(f"    {wrong}\n    → {mend}")
            if findings and name == FIRST:
                break
        if found:
            raise CommandError(f"{found} 件の問題があります。 {found} problem(s) found.")
        self.stdout.write("問題はありません。 All is well.")


def _findings(examine: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(examine())
    except (DatabaseError, redis.RedisError, ImproperlyConfigured, OSError) as error:
        return [
            (
                f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
                "deploy/README.md, «When something is wrong»",
            )
        ]


def database() -> Iterator[Finding]:
    connection.ensure_connection()
    version = connection.cursor().connection.info.server_version // 10000
    if version < OLDEST_POSTGRESQL:
        yield f"PostgreSQL {version}", f"use PostgreSQL {OLDEST_POSTGRESQL} or newer"
    if _one("SHOW server_encoding") != "UTF8":
        yield "the database is not UTF8", "create it anew with ENCODING 'UTF8'"


def migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    if waiting := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield f"{len(waiting)} migration(s) are waiting", "as the owner: manage.py migrate, then manage.py grant_roles"


def keys() -> Iterator[Finding]:
    vault.prove()
    vault.index_key()
    yield from ()


def the_log() -> Iterator[Finding]:
    table = AuditEntry._meta.db_table
    for right in ("UPDATE", "DELETE", "TRUNCATE"):
        if not settings.DEMO and _one("SELECT has_table_privilege(%s, %s)", table, right):
            yield f"this database role may {right} the log", "connect as tsumugi_app; see deploy/postgres/roles.sql"
    if not settings.DEMO and _one("SELECT has_database_privilege(current_database(), 'TEMPORARY')"):
        yield "this database role may make temporary tables", "as the owner: manage.py grant_roles"
    if not _one("SELECT count(*) FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled <> 'D'", table):
        yield "the log has no guarding trigger", "manage.py migrate; find out who took it away"
    if _counter_is_behind():
        yield (
            "the transaction counter is behind the log: a new cluster?",
            "deploy/README.md, «Backup»: pg_resetwal --epoch",
        )
    if waits := _unsealed_since():
        yield (
            f"entries wait for a seal since {waits:%Y-%m-%d %H:%M}",
            "start the worker and one beat; is PHR_AUDIT_KEY set?",
        )
    yield from _heads()


def _heads() -> Iterator[Finding]:
    """The heads of the log must stand outside the database too."""
    told = {"file": settings.PHR_AUDIT_HEADS_FILE, "url": settings.PHR_AUDIT_HEADS_URL}
    if not any(told.values()) and not settings.DEMO:
        yield "the heads of the log are published nowhere", "set PHR_AUDIT_HEADS_FILE or PHR_AUDIT_HEADS_URL"
    if told["file"] and _heads_are_cut():
        yield "the file of heads is broken, or holds less than was written to it", "find out who cut it (phr.alarm)"
    for where in (name for name, value in told.items() if value):
        waits = heads.behind(where)
        if waits and waits.sealed_at < timezone.now() - SEALED_WITHIN:
            yield (
                f"heads wait to be published ({where}) since {waits.sealed_at:%Y-%m-%d %H:%M}",
                "can the worker write the file, reach the address? Its log says (phr.alarm)",
            )


def broker() -> Iterator[Finding]:
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as client:
        client.ping()
    yield from ()


def configuration() -> Iterator[Finding]:
    for message in checks.run_checks(include_deployment_checks=not settings.DEMO):
        if message.level >= checks.WARNING and not message.is_silenced():
            yield f"{message.id}: {message.msg}", message.hint or "see deploy/env.example"


def profiles() -> Iterator[Finding]:
    for url in enforced.missing():
        yield f"{url} is enforced and not loaded, or cannot be checked", "manage.py load_ig PACKAGE.tgz"
    for word in enforced.misspelt():
        yield f"PHR_PROFILES_ENFORCED: {word!r} means nothing", "own, claimed or a canonical URL: deploy/env.example"


def exports() -> Iterator[Finding]:
    folder = Path(settings.PHR_EXPORT_FOLDER)
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield f"{folder} cannot be written", "let the user of web and worker own PHR_EXPORT_FOLDER"
    if waiting := running.due(now=timezone.now() - EXPORTED_WITHIN):
        yield f"{len(waiting)} export(s) wait for a worker", "start the worker and one beat"


FIRST = "database / データベース"
EXAMINATIONS: dict[str, Callable[[], Iterator[Finding]]] = {
    FIRST: database,
    "migrations / マイグレーション": migrations,
    "keys / 鍵": keys,
    "log / 監査ログ": the_log,
    "broker / Redis": broker,
    "settings / 設定": configuration,
    "profiles / プロファイル": profiles,
    "exports / 一括出力": exports,
}


def _heads_are_cut() -> bool:
    try:
        return heads.cut()
    except (heads.UnreadableHeads, OSError):
        return True


def _counter_is_behind() -> bool:
    """A dump restored into a new cluster: new entries would sort below sealed ones and never be sealed."""
    return bool(
        _one(
            f"SELECT max(xid) >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM {AuditEntry._meta.db_table}"  # noqa: S608 - a name of our own
        )
    )


def _unsealed_since() -> datetime | None:
    """When the oldest entry was written that should be sealed by now, None when all are."""
    sealed = AuditBatch.objects.order_by("-sequence").values_list("last_xid", flat=True).first() or 0
    late = AuditEntry.objects.filter(xid__gt=sealed, at__lt=timezone.now() - SEALED_WITHIN)
    return late.order_by("at").values_list("at", flat=True).first()


def _one(query: str, *values: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        row = cursor.fetchone()
    return row[0] if row else None
