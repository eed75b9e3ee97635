"""SS-MIX2 標準化ストレージ: files, folders, and archives of them, as a feed (`integrations.items.Feed`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from integrations.items import About, Item, Mapped, Piece
from integrations.problems import Problem, Unreadable
from integrations.ssmix2 import archive, mapping, reading, tree
from integrations.ssmix2.reading import Source
from integrations.ssmix2.stays import Stays

KIND = "ssmix2"
MAX_BYTES = 64 << 30  # a hospital's whole storage; read in flat memory
NEEDS = "Encounter"
SENDERS = frozenset({"hospital", "clinic"})
WAITS = True
KEEPS_ORIGINAL = True

EXACT, LEADING_ZEROS = "", "leading-zeros"


def profiles() -> Mapping[str, str]:
    """ "" : PID-3 and the file's name agree to the letter; `leading-zeros`: they may differ in zeros at the front."""
    return {EXACT: "", LEADING_ZEROS: "患者番号の先頭の0を区別しない"}


def folder(path: Path, *, since: datetime | None) -> Piece:
    """A storage on a disk as one piece; `since`: only what was touched from then on."""
    return tree.piece(path, since=since)


def items(pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
    """Every valid or deleted message of the storage. Problems count files (`part`) from 1, as they are read."""
    source = Source(code, leading_zeros=profile == LEADING_ZEROS)
    stays = Stays()
    for number, (path, data) in enumerate(archive.files(pieces), start=1):
        try:
            item = reading.of_file(path, data, source)
        except Unreadable as error:
            yield from (replace(problem, part=number) for problem in error.problems)
            continue
        if item is not None:
            item = stays.placed(item)
            yield replace(item, line=number, problems=tuple(replace(p, part=number) for p in item.problems))


def resources(item: Item, *, about: About) -> Mapped:
    """Map one message. Problems name the file and the segment."""
    mapped = mapping.to_resources(item, about=about)
    return Mapped(mapped.resources, tuple(replace(problem, part=item.line) for problem in mapped.problems))
