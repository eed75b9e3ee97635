"""Child processes that cannot outlive their parent, and the ordinary user that servers run as under root."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from phr.embedded.trouble import DidNotStart

PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class User:
    """Who a server runs as. `reach`: give it CAP_DAC_OVERRIDE, because a folder on its way is closed to it."""

    uid: int
    gid: int
    reach: bool = False

    @property
    def name(self) -> str:
        return pwd.getpwuid(self.uid).pw_name


def server_user(*, needs: Sequence[Path]) -> User | None:
    """The user that servers run as: None = as we are. PostgreSQL refuses root, so root becomes `nobody`.

    `needs`: programs to be run and folders to be entered by that user.
    """
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    user = User(entry.pw_uid, entry.pw_gid)
    return user if all(_reaches(user, path) for path in needs) else User(user.uid, user.gid, reach=True)


def _reaches(user: User, path: Path) -> bool:
    """Asked of the kernel, not worked out from mode bits: access lists and mounts count too."""
    try:
        probe = subprocess.run(
            ["test", "-x", str(path)],
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            check=False,
        )
    except OSError as error:
        raise DidNotStart("PostgreSQL", f"cannot become {user.name} (uid {user.uid}): {error}") from error
    return probe.returncode == 0


def spawn(
    argv: Sequence[str],
    *,
    dies_by: signal.Signals = signal.SIGTERM,
    user: User | None = None,
    stdin: int | IO[Any] = subprocess.DEVNULL,
    output: int | IO[Any] | None = None,
    stdout: int | IO[Any] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a process group of its own that the kernel signals with `dies_by` when we die.

    The group keeps a terminal's Ctrl-C from reaching it: the parent stops its children in order.
    `output` takes both its streams, `stdout` only the one.
    Call it from the main thread only: the kernel watches the thread that forked.
    """
    options: dict[str, Any] = {
        "stdin": stdin, "stdout": output if stdout is None else stdout,
        "stderr": subprocess.STDOUT if output is not None else None,
        "env": env, "cwd": cwd, "process_group": 0,
    }  # fmt: skip
    return subprocess.Popen(**as_user(argv, user, dies_by), **options)


def as_user(argv: Sequence[str], user: User | None, dies_by: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
    """Popen arguments that run `argv` as `user`, bound to our life."""
    if user is not None and user.reach:
        return {"args": [*_setpriv(user), "--pdeathsig", dies_by.name.removeprefix("SIG"), *argv]}
    who: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}
    return {"args": list(argv), "preexec_fn": _dies_with_us(dies_by), **who}


def _setpriv(user: User) -> list[str]:
    program = shutil.which("setpriv")
    if program is None:
        raise DidNotStart("PostgreSQL", f"{user.name} cannot enter the project's folders and `setpriv` is missing")
    capability = "+dac_override"
    return [
        program, f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups",
        f"--inh-caps={capability}", f"--ambient-caps={capability}",
        # access(2), by which initdb looks for its programs, ignores capabilities of ordinary users without this.
        "--securebits=+no_setuid_fixup",
    ]  # fmt: skip


def _dies_with_us(number: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def bind() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return bind


def stop(child: subprocess.Popen[bytes], *, by: signal.Signals = signal.SIGTERM, patience: float = 10) -> None:
    """Ask `child` to end, wait `patience` seconds, then kill its whole group. Returns when it is gone."""
    if child.poll() is None:
        child.send_signal(by)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
