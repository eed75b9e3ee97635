"""Bytes of a CSV file -> records of text, streaming, in flat memory. Pure.

Strict CSV (RFC 4180) with a report by row: what cannot be read falls out alone and is named; nothing is guessed and no
character is replaced. Source of the oddities met here: municipal exports (0x1A at the end, CP932, UTF-16 of Excel).
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import IO

from integrations.problems import Problem, Unreadable
from integrations.tabular.figures import undecoded
from integrations.tabular.wording import say

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp932", "shift_jis", "euc_jp")
BLOCK = 1 << 16
LONGEST_LINE = 1 << 18  # characters
MOST_LINES_OF_A_RECORD = 40  # embedded newlines; a quote that is never closed ends here
LONGEST_FIELD = 50_000  # characters of a record
LONGEST_RECORD = LONGEST_FIELD + 2 * MOST_LINES_OF_A_RECORD  # and its line ends

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LOST = "\udc80"  # stands where bytes were no character; a row that holds it falls out
_FAULT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\udc80\uf8f0-\uf8f3\ufffd]")
_DOS_END = "\x1a"

codecs.register_error("tsumugi-csv", lambda error: (_LOST, error.end))  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `line` is where it begins, from 1."""

    line: int
    fields: list[str]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The encoding chosen, and what the byte order mark and the first block say."""

    name: str
    problems: tuple[Problem, ...] = ()


def choose(head: bytes, declared: Iterable[str], *, whole: bool) -> Encoded:
    """The first declared encoding that reads the head; `whole`: the head is everything there is.

    Raises Unreadable where a byte order mark says another encoding, or no declared one fits: with what it looks like.
    """
    allowed = tuple(declared)
    marked = next((name for mark, name in _BOMS if head.startswith(mark)), "")
    if marked:
        if marked not in allowed and not (marked.startswith("utf-16") and "utf-16" in allowed):
            raise Unreadable([say("encoding-differs", declared=" / ".join(allowed), guess=marked)])
        return Encoded(marked)
    for name in allowed:
        if name != "utf-16" and _decodes(head, name, whole=whole):
            return Encoded(name, (say("encoding-chosen", encoding=name),) if len(allowed) > 1 else ())
    guess = guessed(head, whole=whole)
    if guess.startswith("utf-16") and "utf-16" in allowed:
        return Encoded(guess, (say("encoding-chosen", encoding=guess),))
    if guess and guess not in allowed and not (guess == "cp932" and "shift_jis" in allowed):
        raise Unreadable([say("encoding-differs", declared=" / ".join(allowed), guess=guess)])
    rest = [name for name in allowed if name != "utf-16"]
    if not rest:
        raise Unreadable([say("encoding-differs", declared=" / ".join(allowed), guess=guess or "?")])
    nearest = min(rest, key=lambda name: _lost(head, name))  # some rows will not decode: they fall out, named
    return Encoded(nearest, (say("encoding-chosen", encoding=nearest),) if len(rest) > 1 else ())


def guessed(head: bytes, *, whole: bool) -> str:
    """What the bytes look like: utf-8, utf-16-le, utf-16-be, cp932, euc_jp, or "" when they are none of these."""
    if marked := next((name for mark, name in _BOMS if head.startswith(mark)), ""):
        return marked
    if head[1::2].count(0) > len(head) // 50:
        return "utf-16-le"
    if head[::2].count(0) > len(head) // 50:
        return "utf-16-be"
    return next((name for name in ("utf-8", "euc_jp", "cp932") if _decodes(head, name, whole=whole)), "")


def _lost(head: bytes, name: str) -> int:
    """How many places of the head are no characters of the encoding."""
    return len(_FAULT.findall(codecs.getincrementaldecoder(name)("tsumugi-csv").decode(head)))


def _decodes(head: bytes, name: str, *, whole: bool) -> bool:
    try:
        text = codecs.getincrementaldecoder(name)("strict").decode(head.rstrip(b"\x1a\x00") if whole else head, whole)
    except UnicodeDecodeError:
        return False
    return not undecoded(text) and "\x00" not in text


def records(stream: IO[bytes], *, declared: Iterable[str], delimiter: str) -> Iterator[Record | Problem]:
    """Every record of the file; a Problem stands where a line or record could not be read, at its first line.

    The first value may be an `encoding-chosen` Problem. Raises Unreadable: nothing in it, or another encoding.
    """
    head = _read(stream)
    if not head.strip(b"\x1a\r\n\x00 "):
        raise Unreadable([say("empty")])
    more = _read(stream)
    encoded = choose(head, declared, whole=not more)
    yield from encoded.problems
    yield from _records(_lines(_texts(head, more, stream, encoded.name)), delimiter)


def _read(stream: IO[bytes]) -> bytes:
    """A full block, also from a stream that gives less at a time; less than that only at the end."""
    pieces, size = [], 0
    while size < BLOCK and (piece := stream.read(BLOCK - size)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _texts(head: bytes, more: bytes, stream: IO[bytes], encoding: str) -> Iterator[str]:
    mark = next((mark for mark, name in _BOMS if name == encoding and head.startswith(mark)), b"")
    decoder = codecs.getincrementaldecoder(encoding)("tsumugi-csv")
    blocks = chain((head[len(mark) :], more), iter(lambda: stream.read(BLOCK), b""))
    for block in blocks:
        yield decoder.decode(block)
    yield decoder.decode(b"", True)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines with their ends. A file whose first line ends in a bare CR has CR as its line end, any other LF."""
    rest, end = "", ""
    for text in texts:
        rest += text
        if not end and not (end := _line_end(rest)) and len(rest) <= LONGEST_LINE:
            continue
        *whole, rest = rest.split(end) if end else (rest,)
        for line in whole:
            yield line + end
        if len(rest) > LONGEST_LINE:
            raise Unreadable([say("line-too-long", limit=LONGEST_LINE)])
    rest = rest.rstrip(_DOS_END)
    if rest and not end and "\r" in rest:
        yield from (line + "\r" for line in rest.split("\r") if line)
    elif rest:
        yield rest


def _line_end(text: str) -> str:
    at = min((found for found in (text.find("\r"), text.find("\n")) if found >= 0), default=-1)
    if at < 0 or (text[at] == "\r" and at + 1 == len(text)):
        return ""  # not known yet
    return "\n" if text[at] == "\n" or text[at + 1] == "\n" else "\r"


@cache
def _strict(delimiter: str) -> re.Pattern[str]:
    field = rf'(?:[^"\r\n{re.escape(delimiter)}]*|"(?:[^"]|"")*")'
    return re.compile(rf"{field}(?:{re.escape(delimiter)}{field})*\Z")


def _records(lines: Iterator[str], delimiter: str) -> Iterator[Record | Problem]:
    number, waiting = 0, list[str]()  # lines put back after a record that failed
    while (line := waiting.pop() if waiting else next(lines, None)) is not None:
        number += 1
        if '"' not in line:
            yield from _plain(line, number, delimiter)
            continue
        gathered = [line]
        quotes = line.count('"')
        while quotes % 2 and len(gathered) < MOST_LINES_OF_A_RECORD:
            following = waiting.pop() if waiting else next(lines, None)
            if following is None:
                break
            gathered.append(following)
            quotes += following.count('"')
        found = _quoted(gathered, number, delimiter)
        yield found
        if quotes % 2 or (isinstance(found, Problem) and found.code == "bad-quotes"):
            waiting += reversed(gathered[1:])  # only this line is lost
        else:
            number += len(gathered) - 1


def _plain(line: str, number: int, delimiter: str) -> Iterator[Record | Problem]:
    text = line.rstrip("\r\n")
    if fault := _fault(text, number):
        yield fault
    elif text.strip(_DOS_END):
        yield Record(number, text.split(delimiter))


def _quoted(lines: list[str], number: int, delimiter: str) -> Record | Problem:
    if sum(map(len, lines)) > LONGEST_RECORD:  # before anything looks at it: joining and matching cost many times it
        return say("field-too-long", line=number, limit=LONGEST_FIELD)
    text = "".join(lines).rstrip("\r\n")
    if not _strict(delimiter).match(text):
        return say("bad-quotes", line=number)
    if fault := _fault(text, number):
        return fault
    fields = next(csv.reader([text], delimiter=delimiter, strict=True))
    if any(len(field) > LONGEST_FIELD for field in fields):
        return say("field-too-long", line=number, limit=LONGEST_FIELD)
    return Record(number, fields)


def _fault(text: str, number: int) -> Problem | None:
    if len(text) > LONGEST_FIELD:
        return say("field-too-long", line=number, limit=LONGEST_FIELD)
    found = _FAULT.search(text)
    if found is None or (found[0] == _DOS_END and not text.strip(_DOS_END)):
        return None
    if found[0] == "\ufffd":
        return say("replacement-character", line=number)
    return say("undecodable" if found[0] > "\x7f" else "control-character", line=number)
