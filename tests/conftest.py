"""The ground every test stands on: an embedded PostgreSQL of its own, a fixed clock, no network.

Each parallel worker starts a server of its own: what counts transactions of the whole server (the seal of the log, the
feed of changes) then waits for no other worker's test.
"""

from __future__ import annotations

import atexit
import base64
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from phr import embedded
from phr.embedded import postgres_server
from phr.embedded.household import fresh_oidc_key
from tests.conformance.table import ConformanceTable
from tests.evidence import Evidence

JST = timezone(timedelta(hours=9))
NOON = datetime(2026, 4, 1, 12, 0, tzinfo=JST)

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
SERVERS = ExitStack()


def _secret(letter: str) -> str:
    return base64.b64encode(letter.encode() * 32).decode()


def _environment(folder: Path) -> dict[str, str]:
    """What `phr.settings` will read; nothing of the developer's own environment may leak in."""
    return {
        "DJANGO_SETTINGS_MODULE": "phr.settings",
        "DATABASE_URL": postgres_server.url(folder / "postgres"),
        "PHR_VAR": str(folder),
        "PHR_SECRET_KEY": "tests only, tests only, tests only, tests only, 50",
        "PHR_KEYS": f"test-1:{_secret('k')}",
        "PHR_INDEX_KEY": _secret("i"),
        "PHR_AUDIT_KEY": _secret("a"),
        "PHR_OIDC_KEY": fresh_oidc_key(),
        # One test may write more in a minute than an app does; those of the quota set their own.
        "PHR_APP_WRITES_PER_MINUTE": "1000000",
        "PHR_APP_WRITES_PER_DAY": "1000000",
    }


if not IS_WORKER:  # workers are children: they find all this in their environment
    for name in [n for n in os.environ if n.startswith(("PHR_", "DATABASE_", "REDIS_", "CELERY_"))]:
        del os.environ[name]
    FOLDER = Path(tempfile.mkdtemp(prefix="tsumugi-tests-"))
    FOLDER.chmod(0o711)
    atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)  # also when not a single test can be collected
    os.environ.update(_environment(FOLDER))
else:
    FOLDER = Path(os.environ["TESTS_WORKER_FOLDER"])

import django  # noqa: E402

django.setup()

hypothesis.settings.register_profile("tsumugi", deadline=None, print_blob=True)
hypothesis.settings.load_profile("tsumugi")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ConformanceTable())
    config.pluginmanager.register(Evidence())
    if IS_WORKER or not _starts_workers(config):
        SERVERS.enter_context(embedded.postgres(FOLDER / "postgres", durable=False))


def _starts_workers(config: pytest.Config) -> bool:
    return bool(config.getoption("numprocesses", 0)) and not config.option.collectonly


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Each worker hears of its own server before Django's settings are read there."""
    for number, spec in enumerate(specs):
        folder = FOLDER / f"worker-{number}"
        folder.mkdir(mode=0o711)
        spec.env.update(
            TESTS_WORKER_FOLDER=str(folder), DATABASE_URL=postgres_server.url(folder / "postgres"), PHR_VAR=str(folder)
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    SERVERS.close()


_true_getaddrinfo = socket.getaddrinfo


def _loopback_only(host: Any, *args: Any, **options: Any) -> Any:
    if host not in (None, "", "localhost", "127.0.0.1", "::1", b"localhost", b"127.0.0.1"):
        raise socket.gaierror(socket.EAI_FAIL, f"tests look up no names: {host!r}")
    return _true_getaddrinfo(host, *args, **options)


@pytest.fixture(autouse=True)
def _no_name_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--allow-hosts` stops connections; this stops the question to a name server before them."""
    monkeypatch.setattr(socket, "getaddrinfo", _loopback_only)


APPEND_ONLY = ("consent_auditentry", "consent_auditbatch")


@pytest.fixture(scope="session", autouse=True)
def _flush_steps_around_append_only_tables() -> Iterator[None]:
    """After a test that commits, Django truncates all tables: the owner of the log takes its triggers off meanwhile."""
    from django.db import connection
    from django.test import TransactionTestCase

    plain = TransactionTestCase._fixture_teardown

    def triggers(verb: str) -> None:
        with connection.cursor() as cursor:
            for table in APPEND_ONLY:
                cursor.execute(f"ALTER TABLE {table} {verb} TRIGGER USER")

    def teardown(case: TransactionTestCase) -> None:
        triggers("DISABLE")
        plain(case)
        triggers("ENABLE")

    TransactionTestCase._fixture_teardown = teardown
    yield
    TransactionTestCase._fixture_teardown = plain


@pytest.fixture
def now() -> datetime:
    """The first of April 2026, noon in Japan."""
    return NOON


@pytest.fixture
def utc_now() -> datetime:
    return NOON.astimezone(UTC)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis, started by the first test of a worker that asks for it."""
    folder = Path(tempfile.mkdtemp(prefix="tsumugi-redis-"))
    folder.chmod(0o711)
    with embedded.redis(folder / "redis") as url:
        yield url
    shutil.rmtree(folder, ignore_errors=True)
