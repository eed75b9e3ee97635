"""QR symbols of one notebook → one run of bytes. Pure.

Three ways of splitting are met (JAHIS 電子版お薬手帳 2.6, record 911; ISO/IEC 18004 Structured Append):
1. by the standard: between records, every part with a header and a last line 911;
2. the same, but each part starts again with the context (1, 5, 11, 15, 51, 55);
3. Structured Append without 911: the bytes are cut anywhere, even inside a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from integrations.incoming import Part
from integrations.jahis_qr import prescription
from integrations.jahis_qr.parse import MAX_BYTES, parse
from integrations.jahis_qr.rows import BOM, Row, bytes_of, encoding_of, rows_of
from integrations.jahis_qr.wording import say
from integrations.problems import Problem, Unreadable, errors

MAX_PARTS = 99
MAX_UNORDERED = 16  # the most symbols a Structured Append has
MAX_TRIES = 150  # beginnings of an order looked at: text in Japanese rarely needs more than a dozen
SYMBOL_BYTES = 2_953  # the largest QR symbol (40-L, 8-bit bytes)

Style = Literal["single", "split-911", "structured-append"]
_CONTEXT = ("1", "5", "11", "15", "51", "55")
_OF_GROUP = ("11", "15", "51", "55")
_COUNT = re.compile(r"\d{1,3}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Joined:
    """The whole, or what it still lacks. `missing`: positions from 1. `set_id`: what further parts share with these.

    `origins`: for each line of `data`, the (part, line) it came from, parts as given from 1; empty = the same line.
    """

    style: Style
    data: bytes | None = None
    missing: tuple[int, ...] = ()
    set_id: str = ""
    origins: tuple[tuple[int, int], ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Piece:
    """A part of a set split by 911: its rows between header and 911, and where it belongs."""

    given: int
    header: Row
    rows: list[Row]
    set_id: str
    total: int
    number: int


def join(parts: Sequence[Part]) -> Joined:
    """Put the parts of one notebook together, in whatever order they were read.

    A set that is not complete is no error: `data` is None and `missing` says which are lacking. Raises `Unreadable`
    when the parts contradict each other, belong to several sets, or their order cannot be told.
    """
    if not parts:
        raise Unreadable([say("no-parts")])
    if len(parts) > MAX_PARTS:
        raise Unreadable([say("too-many-parts", limit=MAX_PARTS)])
    if sum(len(part.data) for part in parts) > MAX_BYTES:
        raise Unreadable([say("too-large", limit=MAX_BYTES)])
    pieces = [_piece(given, part) for given, part in enumerate(parts, start=1)]
    if any(pieces):
        if not all(pieces):
            raise Unreadable([say("mixed-parts")])
        return _by_911([piece for piece in pieces if piece])
    if any(part.index is not None for part in parts):
        return _by_index(parts)
    distinct = list(dict.fromkeys(part.data for part in parts))
    repeats = (say("part-twice"),) * (len(parts) - len(distinct))
    if len(distinct) == 1:
        return Joined("single", distinct[0], problems=repeats)
    return Joined("structured-append", _ordered(distinct), problems=repeats)


def set_of(parts: Sequence[Part]) -> str:
    """What further parts of the same set share with these; "" when that cannot be told. Cheap, never raises."""
    for part in parts:
        last = part.data.rstrip(b"\x1a\r\n").replace(b"\r", b"\n").rpartition(b"\n")[2]
        record, set_id, total, *_ = (*last[:64].decode("ascii", "replace").split(","), "", "", "")
        if record.strip() == "911" and set_id.strip():
            return f"911:{set_id.strip()}:{total.strip()}"
    first = parts[0] if parts else None
    return f"sa:{first.id}:{first.total}" if first and first.id and first.total else ""


# 1 and 2: record 911


def _piece(given: int, part: Part) -> _Piece | None:
    """The part as a piece of a set split by 911; None when its last line is no 911."""
    rows = rows_of(part.data, encoding_of(part.data), [])
    if len(rows) < 2 or rows[-1].number != "911" or not rows[0].fields[0].startswith("JAHISTC"):
        return None
    set_id, total, number = (*rows[-1].fields, "", "", "")[:3]
    if not (_COUNT.match(total) and _COUNT.match(number) and 1 <= int(number) <= int(total)):
        raise Unreadable([say("bad-split", line=rows[-1].line, part=given)])
    return _Piece(given, rows[0], rows[1:-1], set_id, int(total), int(number))


def _by_911(pieces: list[_Piece]) -> Joined:
    first = pieces[0]
    if any((p.set_id, p.total) != (first.set_id, first.total) for p in pieces):
        raise Unreadable([say("mixed-parts")])
    by_number: dict[int, _Piece] = {}
    problems = []
    for piece in pieces:
        known = by_number.setdefault(piece.number, piece)
        if [row.raw for row in known.rows] != [row.raw for row in piece.rows]:
            raise Unreadable([say("part-conflict", part=piece.given)])
        if known is not piece:
            problems.append(say("part-twice", part=piece.given))
    set_id = f"911:{first.set_id}:{first.total}"
    missing = tuple(n for n in range(1, first.total + 1) if n not in by_number)
    if missing:
        return Joined("split-911", None, missing, set_id, problems=tuple(problems))
    ordered = [by_number[n] for n in sorted(by_number)]
    kept = [(ordered[0].given, ordered[0].header), *_without_repeats(ordered)]
    origins = tuple((given, row.line) for given, row in kept)
    data = bytes_of([row for _, row in kept])
    return Joined("split-911", data, (), set_id, origins, tuple(problems))


def _without_repeats(pieces: list[_Piece]) -> Iterator[tuple[int, Row]]:
    """The rows in order; context rows at the head of a later part go when they only say again what was last said."""
    last: dict[str, Row] = {}
    for piece in pieces:
        head = list(takewhile(lambda row: row.number in _CONTEXT, piece.rows)) if last else []
        for place, row in enumerate(piece.rows):
            if place < len(head) and _says_again(row, head, last):
                continue
            if row.number == "1" and "1" in last and row.raw != last["1"].raw:
                raise Unreadable([say("mixed-parts", part=piece.given, line=row.line)])
            if row.number == "5":  # another dispensing: its own pharmacy and doctors follow
                last = {number: known for number, known in last.items() if number not in _OF_GROUP}
                head = []
            last[row.number] = row
            yield piece.given, row


def _says_again(row: Row, head: list[Row], last: dict[str, Row]) -> bool:
    if not _equal(row, last.get(row.number)):
        return False
    if row.number != "5":
        return True
    # The same day at another pharmacy is another dispensing, not the same one continued.
    pharmacy = next((other for other in head if other.number == "11"), None)
    return pharmacy is None or _equal(pharmacy, last.get("11"))


def _equal(row: Row, known: Row | None) -> bool:
    return known is not None and row.raw == known.raw


# 3: Structured Append


def _by_index(parts: Sequence[Part]) -> Joined:
    totals = {part.total for part in parts if part.total is not None}
    if len(totals) > 1 or len({part.id for part in parts if part.id is not None}) > 1:
        raise Unreadable([say("mixed-parts")])
    by_index: dict[int, bytes] = {}
    problems = []
    for given, part in enumerate(parts, start=1):
        if part.index is None or part.index < 0:
            raise Unreadable([say("bad-index", part=given)])
        if part.index in by_index:
            problems.append(say("part-twice", part=given))
        if by_index.setdefault(part.index, part.data) != part.data:
            raise Unreadable([say("part-conflict", part=given)])
    total = totals.pop() if totals else max(by_index) + 1
    if max(by_index) >= total or total > MAX_PARTS:
        raise Unreadable([say("bad-index")])
    set_id = f"sa:{next((part.id for part in parts if part.id is not None), '')}:{total}"
    missing = tuple(n + 1 for n in range(total) if n not in by_index)
    data = None if missing else b"".join(by_index[n] for n in range(total))
    style: Style = "single" if total == 1 else "structured-append"
    return Joined(style, data, missing, set_id, problems=tuple(problems))


def _ordered(parts: list[bytes]) -> bytes:
    """The one order in which the bytes read as a sound notebook; the first part is the one with the header."""
    heads = [part for part in parts if part.removeprefix(BOM).lstrip().startswith(b"JAHIS")]
    if len(heads) != 1 or len(parts) > MAX_UNORDERED or max(map(len, parts)) > SYMBOL_BYTES:
        raise Unreadable([say("order-unknown")])
    rest = [part for part in parts if part is not heads[0]]
    sound: set[bytes] = set()
    for whole in _orders(heads[0], rest, iter(range(MAX_TRIES))):
        sound.update({whole} if _is_sound(whole) else ())
        if len(sound) > 1:
            break
    if len(sound) != 1:
        raise Unreadable([say("order-unknown")])
    return sound.pop()


def _orders(start: bytes, rest: list[bytes], tries: Iterator[int]) -> Iterator[bytes]:
    """Every way to go on from `start`, left as soon as a finished line no longer decodes.

    Raises Unreadable when there are too many to look at: the one order must be known to be the only one.
    """
    if not rest:
        yield start
        return
    for place, part in enumerate(rest):
        if next(tries, None) is None:
            raise Unreadable([say("order-unknown")])
        whole = start + part
        if _decodes(whole[: whole.rfind(b"\n") + 1]):
            yield from _orders(whole, rest[:place] + rest[place + 1 :], tries)


def _decodes(data: bytes) -> bool:
    problems: list[Problem] = []
    rows = rows_of(data, encoding_of(data), problems)
    return all(row.number for row in rows[1:]) and not any(p.code == "undecodable" for p in problems)


def _is_sound(data: bytes) -> bool:
    try:
        found = prescription.parse(data) if prescription.is_prescription(data) else parse(data)
    except Unreadable:
        return False
    return _decodes(data) and not errors(found.problems)
