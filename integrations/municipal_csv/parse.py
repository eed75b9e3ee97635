"""Bytes of a municipal CSV file -> Items, streaming in flat memory. Pure.

What one row says is read by the profile; a row that cannot be used falls out alone and is named by line and column. A
file with a column of 個人番号 is refused as a whole: by its header, or because nearly all values of a column have its
form (the first thousand rows are looked at before anything is given, the others as they come).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from integrations.items import Item, Piece
from integrations.municipal_csv.layout import Layout, laid
from integrations.municipal_csv.profile import Profile
from integrations.municipal_csv.rows import RowReader
from integrations.municipal_csv.wording import say
from integrations.problems import Problem, Unreadable
from integrations.tabular.figures import is_my_number
from integrations.tabular.reading import Record, records

LOOK_AHEAD = 1000
LOOK_AGAIN = 10_000
FEWEST_NUMBERS = 3  # fewer are chance (about 1 of 11): only told
NEARLY_ALL = 0.9


def items(pieces: Iterable[Piece], *, profile: Profile, code: str) -> Iterator[Item | Problem]:
    """The Items of the files, in order. `code`: 団体コード or 医療機関コード of the sender.

    Raises Unreadable when nothing of a file can be used.
    """
    for piece in pieces:
        yield from _of_piece(piece, profile, code)


def _of_piece(piece: Piece, profile: Profile, code: str) -> Iterator[Item | Problem]:
    found = records(piece.stream, declared=profile.encoding, delimiter=profile.delimiter)
    told, layout, first = _head(found, profile)
    yield from told
    reader = RowReader(profile, layout, code=code, piece=piece.name)
    watch = _Watch(layout)
    ahead = list(islice(chain(first, found), LOOK_AHEAD))
    for one in ahead:
        watch.look(one)
    watch.refuse()
    for one in ahead:
        yield from reader.read(one)
    for count, one in enumerate(found, start=1):
        watch.look(one)
        if count % LOOK_AGAIN == 0:
            watch.refuse()
        yield from reader.read(one)
    watch.refuse()
    yield from watch.doubts()


def _head(found: Iterator[Record | Problem], profile: Profile) -> tuple[list[Problem], Layout, list[Record]]:
    """What was noticed, the layout, and the first row where there are no headers."""
    told: list[Problem] = []
    wanted = profile.skip_rows + (profile.header_rows or 1)
    rows: list[Record] = []
    for one in found:
        if isinstance(one, Problem):
            told.append(one)
            if one.severity == "error":
                raise Unreadable(told)  # what stands above the rows must be read
        else:
            rows.append(one)
        if len(rows) == wanted:
            break
    if len(rows) < wanted:
        raise Unreadable([*told, say("no-rows")])
    last = rows[profile.skip_rows :]
    width = max(len(row.fields) for row in last)
    headers = [row.fields for row in last] if profile.header_rows else []
    try:
        layout = laid(profile, headers, width=width, line=last[-1].line)
    except Unreadable as error:
        raise Unreadable([*told, *error.problems]) from None
    return [*told, *layout.problems], layout, [] if profile.header_rows else last


@dataclass(slots=True)
class _Watch:
    """Counts, for every column, the values that have the form of a 個人番号, and all others."""

    layout: Layout
    hits: dict[int, int] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)  # of the columns with hits, since the first
    seen: int = 0

    def look(self, one: Record | Problem) -> None:
        if isinstance(one, Problem):
            return
        fields = one.fields
        self.seen += 1
        for index in self.hits:
            if index < len(fields) and fields[index].strip():
                self.values[index] += 1
        for index, text in enumerate(fields):
            if 12 <= len(text) <= 16 and is_my_number(text.strip()):
                if index not in self.hits:
                    self.hits[index], self.lines[index], self.values[index] = 0, one.line, 1
                self.hits[index] += 1

    def refuse(self) -> None:
        """Raises Unreadable where nearly all values of a column have the form."""
        for index, hits in self.hits.items():
            if hits >= FEWEST_NUMBERS and hits >= NEARLY_ALL * self.values[index]:
                raise Unreadable([say("my-number-column", line=self.lines[index], field=index + 1)])

    def doubts(self) -> Iterator[Problem]:
        for index, hits in sorted(self.hits.items()):
            yield say("my-number-like", line=self.lines[index], field=index + 1, count=hits)
