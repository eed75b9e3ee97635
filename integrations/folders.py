"""Files and folders of this machine as the pieces of an input, in an order that stays the same."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from consent.models import Organization
from integrations.ids import digest
from integrations.items import Feed, Piece
from integrations.models import ImportRun

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def pieces(paths: Iterable[Path]) -> Iterator[Piece]:
    """Each file, and each file below each folder, in the order of their names; `/` between the parts of a name.

    A link that leads out of its folder is not followed. Raises OSError.
    """
    for path in paths:
        if path.is_dir():
            for file in _below(path):
                yield from _piece(file, file.relative_to(path).as_posix())
        else:
            yield from _piece(path, path.name)


@contextmanager
def held(root: Path, *names: str, make: bool = False) -> Iterator[int]:
    """A folder below one that is trusted, as a descriptor: no name on the way is a link, now or later. Raises OSError.

    `make`: those that are not there are made.
    """
    found = os.open(root, _FOLDER)
    try:
        for name in names:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=found)
            below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=found)
            os.close(found)
            found = below
        yield found
    finally:
        os.close(found)


def names(at: int) -> list[str]:
    """What a folder holds, in order."""
    with os.scandir(at) as found:
        return sorted(entry.name for entry in found)


def is_folder(name: str, *, at: int) -> bool:
    """Whether it is a folder itself, no link to one. Raises OSError."""
    return stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)


def strange(name: str, *, at: int) -> bool:
    """Whether it is neither a file nor a folder: a link, a pipe, a device. Raises OSError."""
    mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def pieces_at(name: str, *, at: int) -> Iterator[Piece]:
    """As `pieces`, of one name in a folder that somebody else writes to: plain files only, no link at any level."""
    if not is_folder(name, at=at):
        yield from _plain(name, name, at=at)
        return
    for root, below, files, found in os.fwalk(name, dir_fd=at):
        below.sort()
        above = Path(root).relative_to(name)
        for file in sorted(files):
            yield from _plain(file, (above / file).as_posix(), at=found)


def _plain(file: str, name: str, *, at: int) -> Iterator[Piece]:
    if stat.S_ISREG(os.stat(file, dir_fd=at, follow_symlinks=False).st_mode):
        with os.fdopen(os.open(file, _FILE, dir_fd=at), "rb") as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                yield Piece(name, stream)


def mark_of(folder: Path) -> str:
    """By what runs of one folder are known (`ImportRun.set_key`)."""
    return digest("folder", str(folder.resolve()))


def read_until(folder: Path, feed: Feed, organization: Organization, *, profile: str) -> datetime | None:
    """When the last run that took in all of this folder began; None: there was none."""
    done = ImportRun.objects.filter(
        kind=feed.KIND, organization=organization, profile=profile, set_key=mark_of(folder), dry=False,
        state=ImportRun.State.DONE,
    )  # fmt: skip
    return done.order_by("-created_at").values_list("created_at", flat=True).first()


def _piece(file: Path, name: str) -> Iterator[Piece]:
    with file.open("rb") as stream:
        yield Piece(name, stream)


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            file = Path(root, name)
            if file.is_file() and not file.is_symlink():
                yield file
