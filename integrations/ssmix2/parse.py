"""Bytes of one HL7 v2.5 message → its segments. Pure.

Strict where a loose reading would import half of something: a message is taken whole, or refused with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from integrations.problems import Problem, Unreadable
from integrations.ssmix2.message import Delimiters, Segment, segment_of
from integrations.ssmix2.text import to_text
from integrations.ssmix2.wording import say

MAX_BYTES = 1 << 20  # of one message
MAX_SEGMENTS = 5_000
MAX_FIELDS = 200
END = b"\x1c"  # the guideline ends every file with it
_TRAILING = b"\x1c\x1a \r\n\t\x00"
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DELIMITER = re.compile(r"[!-/:-@\[-`{-~]{5}\Z")


@dataclass(frozen=True, slots=True)
class Message:
    """A message: MSH first, then the rest in order. `problems`: what was noticed and does not stop it."""

    segments: Sequence[Segment]
    by: Delimiters
    problems: tuple[Problem, ...] = ()

    @property
    def header(self) -> Segment:
        return self.segments[0]

    @property
    def event(self) -> str:
        """MSH-9 as `ADT^A08`."""
        return f"{self.header[9](1)}^{self.header[9](2)}"

    def first(self, name: str) -> Segment | None:
        """The first segment of this name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        return (segment for segment in self.segments if segment.name == name)


def parse(data: bytes, *, ended: bool = False) -> Message:
    """Read one message. `ended`: the end mark 0x1C must be there (a file that lacks it was cut off).

    Raises Unreadable: empty, too large, no header, not v2, several messages in one, cut off, or broken.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable([say("too-large", limit=MAX_BYTES)])
    body = data.rstrip(_TRAILING)
    if not body:
        raise Unreadable([say("empty")])
    if not body.startswith(b"MSH"):
        raise Unreadable([say("no-header")])
    if ended and END not in data[len(body) :]:
        raise Unreadable([say("cut-off")])
    read = to_text(body.replace(b"\r\n", b"\r").replace(b"\n", b"\r"))
    by = _delimiters(read.text)
    segments = list(_segments(read.text, by))
    _sound(segments)
    return Message(segments, by, tuple(say("undecodable", line=line) for line in read.broken))


def _delimiters(text: str) -> Delimiters:
    marks = text[3:8]
    if not _DELIMITER.match(marks) or len(set(marks)) != 5 or text[8:9] not in (marks[0], "#"):
        raise Unreadable([say("bad-delimiters")])
    return Delimiters(*marks)


def _segments(text: str, by: Delimiters) -> Iterator[Segment]:
    lines = text.split("\r")
    if len(lines) > MAX_SEGMENTS:
        raise Unreadable([say("too-many-segments", limit=MAX_SEGMENTS)])
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        segment = segment_of(line, number, by)
        if not _NAME.match(segment.name):
            raise Unreadable([say("broken-segment", line=number)])
        if len(segment.fields) > MAX_FIELDS:
            raise Unreadable([say("too-many-fields", line=number, limit=MAX_FIELDS)])
        if _CONTROL.search(line):
            raise Unreadable([say("control-character", line=number)])
        yield segment


def _sound(segments: Sequence[Segment]) -> None:
    headers = [s for s in segments if s.name == "MSH"]
    people = {s.name: s for s in segments if s.name == "PID"}
    if len([h for h in headers if len(h.fields) > 2]) > 1:
        raise Unreadable([say("several-messages", line=headers[1].line)])
    header = segments[0]
    if not header[12](1).startswith("2."):
        raise Unreadable([say("not-v2", line=1, field=12)])
    if header[11](1) not in ("P", ""):
        raise Unreadable([say("not-production", line=1, field=11)])
    if not people:
        raise Unreadable([say("no-patient")])
