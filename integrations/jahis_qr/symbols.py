"""A notebook's text → QR symbols. Pure.

Two ways, both of which readers know: `911` splits between records, each part with header and a last line 911 (the
standard's own way); `append` is Structured Append (ISO/IEC 18004), which cuts anywhere and holds 16 symbols at most.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

import segno

from integrations.ids import digest
from integrations.jahis_qr.rows import lines_of

Split = Literal["911", "append"]
PART_BYTES = 900  # a symbol of version 25, error correction M, holds 997: small enough to be read from a screen
MOST_APPENDED = 16
MOST_PARTS = 99  # as many as are read back
ERROR = "m"


class TooMuch(Exception):
    """The notebook does not fit into so many symbols."""


def split_911(text: bytes) -> list[bytes]:
    """Parts of up to PART_BYTES (a longer line stands alone); the whole where it fits into one. Raises TooMuch."""
    header, *lines = [raw for _, raw in lines_of(text)]
    whole = _joined([header, *lines])
    if len(whole) <= PART_BYTES:
        return [whole]
    room = PART_BYTES - len(header) - len(_mark("0" * 14, 99, 99)) - 4
    parts: list[list[bytes]] = [[]]
    for line in lines:
        if parts[-1] and sum(len(one) + 2 for one in parts[-1]) + len(line) + 2 > room:
            parts.append([])
        parts[-1].append(line)
    if len(parts) > MOST_PARTS:
        raise TooMuch
    set_id = str(int(digest(text.hex())[:15], 16) % 10**14).zfill(14)
    return [
        _joined([header, *part, _mark(set_id, len(parts), number)]) for number, part in enumerate(parts, start=1)
    ]  # fmt: skip


def _mark(set_id: str, total: int, number: int) -> bytes:
    return f"911,{set_id},{total},{number}".encode()


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in lines)


def symbols(text: bytes, *, split: Split) -> list[segno.QRCode]:
    """The symbols, in order. Raises TooMuch."""
    count = -(-len(text) // PART_BYTES)
    try:
        if split == "911" or count == 1:
            return [segno.make(part, error=ERROR, mode="byte", micro=False) for part in split_911(text)]
        if count <= MOST_APPENDED:
            return list(segno.make_sequence(text, error=ERROR, mode="byte", symbol_count=count))
    except segno.DataOverflowError:  # a line of more than 2,331 bytes
        pass
    raise TooMuch


def image(symbol: segno.QRCode, kind: Literal["png", "svg"]) -> bytes:
    """The symbol as a picture, with the white border it needs."""
    out = io.BytesIO()
    symbol.save(out, kind=kind, scale=4, border=4)
    return out.getvalue()
