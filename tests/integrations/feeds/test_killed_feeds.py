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
from phr.embedded import postgres_server
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
def test_twenty_thousand_rows_survive_fifty_kills_of_worker_and_database(tmp_path: Path) -> None:
    """Every fifth time the database is killed instead (SIGKILL to the postmaster), and started again."""
    rows, kills, dice = 20_000, int(os.environ.get("TESTS_KILLS", "50")), random.Random(20)
    tmp_path.chmod(0o711)
    folder = tmp_path / "pg"
    server = Server(folder)
    server.start()
    try:
        with nursery(DATABASE_URL=postgres_server.url(folder), TESTS_CHUNK="50") as made:
            run = made.told(deed="prepare", rows=rows, children=100)["run"]
            died = 0
            for turn in range(1000):
                pid = made.told(deed="run", run=run, later=LATER * turn)["pid"]
                if died < kills:
                    # Somewhere in a chunk; every third time before the first. Five times so, and a run is given up.
                    least = 0 if turn % 3 == 2 else server.done(run) + dice.randint(1, 150)
                    wait(lambda pid=pid, least=least: server.done(run) >= least or not alive(pid))
                    time.sleep(dice.uniform(0, 0.3))
                    died += alive(pid)
                    if turn % 5 == 4:
                        server.kill()
                        wait(lambda pid=pid: not alive(pid))
                        server.start()
                    else:
                        kill(pid)
                else:
                    wait(lambda pid=pid: not alive(pid), 900)
                    break
            assert_each_once(made.told(deed="count", run=run), rows)
            assert died >= kills * 0.9, "the import was over before it was killed often enough"
    finally:
        server.stop()


class Server:
    """A durable PostgreSQL of its own, which may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: Any = None

    def start(self) -> None:
        self._running = postgres_server.postgres(self.folder)
        self._running.__enter__()

    def done(self, run: str) -> int:
        with psycopg.connect(postgres_server.url(self.folder)) as connection:
            row = connection.execute("SELECT done FROM integrations_importrun WHERE id = %s", [run]).fetchone()
        return int(row[0]) if row else 0

    def kill(self) -> None:
        number = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
        os.kill(number, signal.SIGKILL)
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
