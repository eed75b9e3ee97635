"""Files and folders of this machine as the pieces of an input, in an order that stays the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from integrations.items import Piece


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
