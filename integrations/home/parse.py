"""An upload of measurements -> samples, whichever form it has. Pure: a stream in, values out; nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

import msgspec

from integrations.home import apple_xml, phone_json
from integrations.home.samples import Gone, Passed, Sample
from integrations.home.wording import say
from integrations.problems import Problem, Unreadable

MOST_JSON = 8 << 20  # bytes
MOST_XML = 4 << 30
_decoder = msgspec.json.Decoder(Any, float_hook=Decimal)
Read = Sample | Gone | Passed | Problem


class Bounded:
    """A stream that ends in Unreadable instead of going on for ever."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self.stream, self.left, self.most = stream, most, most

    def read(self, size: int) -> bytes:
        block = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise Unreadable([say("too-large", limit=self.most)])
        return block


def read(stream: IO[bytes], *, xml: bool) -> Iterator[Read]:
    """Raises Unreadable when nothing of it can be used."""
    if xml:
        yield from apple_xml.read(Bounded(stream, MOST_XML))  # type: ignore[arg-type]
        return
    bounded, blocks = Bounded(stream, MOST_JSON), []
    while block := bounded.read(1 << 16):
        blocks.append(block)
    try:
        content = _decoder.decode(b"".join(blocks))
    except (msgspec.DecodeError, ValueError, RecursionError, ArithmeticError):
        raise Unreadable([say("not-json" if blocks else "empty")]) from None
    yield from phone_json.read(content)
