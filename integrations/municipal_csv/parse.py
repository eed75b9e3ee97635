"""Bytes of a municipal CSV file -> Items, streaming in flat memory. Pure.

What one row says is read by the profile; a row that cannot be used falls out alone and is named by line and column. A
file with a column of 個人番号 is refused as a whole: by its header, or because nearly all values of a column have its
form (the first thousand rows are looked at before anything is given, the others as they come).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from integrations.items import Item, Piece
from integrations.municipal_csv.layout import Layout, laid
from integrations.municipal_csv.profile import Profile
from integrations.municipal_csv.rows import RowReader
from integrations.municipal_csv.wording import say
from integrations.problems import Problem, Unreadable
from integrations.tabular.my_numbers import Watch
from integrations.tabular.reading import Record, records

LOOK_AHEAD = 1000
LOOK_AGAIN = 10_000


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
    watch = Watch()
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
