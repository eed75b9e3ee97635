"""Files and folders of this machine as the pieces of an input, in an order that stays the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from consent.models import Organization
from integrations.ids import digest
from integrations.items import Feed, Piece
from integrations.models import ImportRun


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
