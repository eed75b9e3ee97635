"""Single HL7 v2.5 messages, as they come over MLLP and HTTP, as a feed (`integrations.items.Feed`).

They are read and mapped as the files of the storage are, and known by the same keys: a message that comes both ways is
one fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from integrations.items import Item, Piece
from integrations.problems import Problem
from integrations.ssmix2 import connector as storage
from integrations.ssmix2 import parse, reading
from integrations.ssmix2.connector import NEEDS, SENDERS, WAITS, profiles, resources

__all__ = [
    "FACTS", "KEEPS_ORIGINAL", "KIND", "MAX_BYTES", "NEEDS", "SENDERS", "WAITS", "items", "profiles", "resources",
]  # fmt: skip

KIND = "hl7"
FACTS = storage.KIND  # under which kind the Items are known
MAX_BYTES = parse.MAX_BYTES
KEEPS_ORIGINAL = False  # the sender has it, and is answered at once


def items(pieces: Iterable[Piece], *, profile: str, code: str) -> Iterator[Item | Problem]:
    """One Item of each piece. Raises Unreadable for one of which nothing can be used."""
    source = reading.Source(code)
    for piece in pieces:
        yield reading.of_message(piece.stream.read(MAX_BYTES + 1), source)
