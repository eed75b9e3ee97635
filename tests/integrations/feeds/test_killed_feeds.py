"""kill -9 of the worker, and of the database, anywhere in a long import: each fact is there exactly once in the end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from consent.models import Organization
from integrations.models import ImportRun
from phr.embedded import postgres_server, redis_server
from tests.consent.people import People
from tests.integrations.feeds import town
from tests.integrations.feeds.town import HANA, contents
from tests.integrations.test_killed import own_database

ROOT = Path(__file__).parents[3]
LATER = 200  # seconds by which each next worker is later: the last one's claim is stale then


class Nursery:
    """The process that makes workers."""

    def __init__(self, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integrations.feeds.worker"], env={**os.environ, **env}, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def told(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert "failed" not in answer, answer.get("failed")
        return answer

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


@contextmanager
def nursery(**env: str) -> Iterator[Nursery]:
    made = Nursery(**env)
    try:
        yield made
    finally:
        made.stop()


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """A child of the nursery that has ended stays a zombie until its parent looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_twice_leaves_each_dose_once(family: People) -> None:
    now = timezone.now()
    lines = "".join(f"0001,{HANA},2019-{1 + n % 12:02d}-{1 + n // 12:02d},L{n},,\n" for n in range(240))
    run = town.brought(lines, organization=family.city, now=now, run=False)
    dice = random.Random(7)
    with nursery(DATABASE_URL=own_database(), TESTS_CHUNK="20") as made:
        for turn, least in enumerate((40, 140)):
            pid = made.told(deed="run", run=str(run.pk), later=LATER * turn)["pid"]
            wait(lambda least=least: done(run) >= least)
            time.sleep(dice.uniform(0, 0.05))
            kill(pid)
        pid = made.told(deed="run", run=str(run.pk), later=LATER * 2)["pid"]
        wait(lambda: not alive(pid))
        found = made.told(deed="count", run=str(run.pk))
    assert_each_once(found, 240)
    assert len(contents(Organization.objects.get(pk=family.city.pk), now)) == 240


def done(run: ImportRun) -> int:
    return ImportRun.objects.values_list("done", flat=True).get(pk=run.pk)


def wait(until: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "nothing moves"
        time.sleep(0.005)


def assert_each_once(found: dict[str, Any], rows: int) -> None:
    assert found == {
        "state": "done", "done": rows, "created": rows, "problems": [], "facts": rows, "known": rows, "names": rows,
        "versions": 0, "told_once": rows, "told_more": 0, "logged": True, "changes": rows,
    }  # fmt: skip


@pytest.mark.long
def test_twenty_thousand_rows_survive_fifty_kills_of_worker_database_and_broker(tmp_path: Path) -> None:
    """A sweep wakes a Celery worker by a message, the worker is killed (SIGKILL), and so on.

    Every fifth time the database goes with it (SIGKILL to the postmaster), every fifth the broker and all it holds:
    then the sweep's message is lost, and the next sweep tries again.
    """
    rows, kills, dice = 20_000, int(os.environ.get("TESTS_KILLS", "50")), random.Random(20)
    tmp_path.chmod(0o711)
    server, broker = Server(tmp_path / "pg"), Broker(tmp_path / "redis")
    server.start()
    broker.start()
    try:
        with nursery(DATABASE_URL=postgres_server.url(tmp_path / "pg"), TESTS_CHUNK="50") as made:
            run = made.told(deed="prepare", rows=rows, children=100)["run"]
            claim = server.claim(run)
            for turn in range(kills):
                later = LATER * 2 * (turn + 1)
                assert made.told(deed="sweep", later=later, broker=broker.url)["woken"] == 1
                pid = made.told(deed="work", later=later, broker=broker.url)["pid"]
                # Somewhere in a chunk; every third time in the first, as soon as the run is claimed.
                least, before = server.done(run) + (dice.randint(1, rows // kills) if turn % 3 else 0), claim
                wait(lambda least=least, before=before: server.claim(run) != before and server.done(run) >= least)
                time.sleep(dice.uniform(0, 0.1))
                claim = server.claim(run)
                assert server.done(run) < rows, "the import was over before it was killed often enough"
                if turn % 5 == 4:
                    server.kill()
                if turn % 5 == 2:
                    broker.kill()
                kill(pid)
                wait(lambda pid=pid: not alive(pid))
                if turn % 5 == 4:
                    server.start()
                if turn % 5 == 2:
                    assert made.told(deed="sweep", later=later + LATER, broker=broker.url)["woken"] == 1
                    broker.start()
            made.told(deed="sweep", later=LATER * 2 * (kills + 1), broker=broker.url)
            pid = made.told(deed="work", later=LATER * 2 * (kills + 1), broker=broker.url)["pid"]
            wait(lambda: server.done(run) == rows, 300)
            kill(pid)
            assert_each_once(made.told(deed="count", run=run), rows)
    finally:
        broker.kill()
        server.stop()


class Broker:
    """A Redis of its own, which may be killed with all it holds."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.url = folder, ""
        self._child: Any = None

    def start(self) -> None:
        self._child, self.url = redis_server._start(redis_server._program(), self.folder)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()


class Server:
    """A durable PostgreSQL of its own, which may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: Any = None
        self._connection: psycopg.Connection[Any] | None = None

    def start(self) -> None:
        self._running = postgres_server.postgres(self.folder)
        self._running.__enter__()

    def done(self, run: str) -> int:
        return int(self._column("done", run))

    def claim(self, run: str) -> str:
        """Changes with every worker that takes the run."""
        return str(self._column("claim", run))

    def _column(self, name: str, run: str) -> Any:
        if self._connection is None:
            self._connection = psycopg.connect(postgres_server.url(self.folder), autocommit=True)
        row = self._connection.execute(f"SELECT {name} FROM integrations_importrun WHERE id = %s", [run]).fetchone()
        return row[0] if row else None

    def kill(self) -> None:
        number = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
        os.kill(number, signal.SIGKILL)
        self._connection = None
        self.stop()
        wait(self._gone)

    def _gone(self) -> bool:
        try:
            psycopg.connect(postgres_server.url(self.folder)).close()
        except psycopg.OperationalError:
            return True
        return False

    def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.__exit__(None, None, None)
