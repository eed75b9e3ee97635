"""Keeps a few programs running side by side until somebody says stop or one of them ends."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from phr.embedded.children import spawn, stop
from phr.embedded.trouble import DidNotStart

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Program:
    """One program to keep running; it writes to `log`."""

    name: str
    argv: Sequence[str]
    log: Path


class Stopped(BaseException):
    """Ctrl-C, or a signal that asks us to end. No error: it passes every `except Exception`."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """Turn the first signal that asks us to end into the end of the block; further ones wait for the tidying."""

    def leave(number: int, frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    before = {each: signal.signal(each, leave) for each in STOP_SIGNALS}
    try:
        yield
    except Stopped:
        pass
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def running(
    programs: Sequence[Program], *, env: Mapping[str, str], cwd: Path
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start the programs in order; on leaving stop them in reverse order."""
    with ExitStack() as stack:
        children = []
        for program in programs:
            program.log.parent.mkdir(parents=True, exist_ok=True)
            with open(program.log, "wb") as log:
                child = spawn(program.argv, env=env, cwd=cwd, output=log)
            stack.callback(stop, child)
            children.append(child)
        yield children


def wait_until_ready(url: str, watched: Mapping[str, subprocess.Popen[bytes]], logs: Path, *, patience: float) -> None:
    """Return when `url` answers 200. Raises DidNotStart when a watched program ends, or patience does."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        raise_for_ended(watched, logs)
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http address
                if answer.status == 200:
                    return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise DidNotStart("web", f"{url} gave no 200 within {patience:.0f} s. {tail(logs / 'web.log')}")


def watch(watched: Mapping[str, subprocess.Popen[bytes]], logs: Path, also: Callable[[], None]) -> None:
    """Stay until a program ends, which raises DidNotStart with the end of its log, or until `also` raises."""
    while True:
        also()
        raise_for_ended(watched, logs)
        time.sleep(0.5)


def raise_for_ended(watched: Mapping[str, subprocess.Popen[bytes]], logs: Path) -> None:
    for name, child in watched.items():
        if child.poll() is not None:
            raise DidNotStart(name, f"exit status {child.returncode}\n{tail(logs / f'{name}.log')}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, "" when there is none."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
