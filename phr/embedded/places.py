"""Folders of the embedded servers: closed to others, and short enough for a socket's path."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from phr.embedded.children import User
from phr.embedded.trouble import BrokenFolder

SOCKET_PATH_LIMIT = 107  # bytes: sun_path of unix(7) without its closing zero
SOCKET_NAME = ".s.PGSQL.5432.lock"


def private_folder(folder: Path, user: User | None) -> Path:
    """Make `folder`, open to its server's user alone (0700). Raises BrokenFolder when it is somebody else's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = folder.lstat()
    ours = {os.geteuid(), user.uid if user else os.geteuid()}
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in ours:
        raise BrokenFolder(folder, f"{folder} belongs to uid {facts.st_uid}")
    folder.chmod(0o700)
    if user:
        os.chown(folder, user.uid, user.gid)
    return folder


def socket_folder(data: Path) -> Path:
    """Where the server on `data` puts its socket: the same place each time; not made here."""
    beside = data.resolve().with_name(data.name + ".socket")
    if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return beside
    mark = hashlib.sha256(os.fsencode(beside)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"tsumugi-{os.geteuid()}-{mark}"
