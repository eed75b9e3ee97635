"""A resource as JSON text: read and written so that decimals keep every digit (1.00 stays 1.00)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

MAX_DEPTH = 64

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Malformed(Exception):
    """The text is not JSON, not UTF-8, not an object, or nested too deeply."""


def parse(text: bytes) -> dict[str, Any]:
    """Read one JSON object. Raises Malformed, naming the byte where the reader can tell."""
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise Malformed(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed("a JSON object is expected")
    if depth(value) > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
    return value


def write(resource: dict[str, Any]) -> bytes:
    return _encoder.encode(resource)


def depth(value: Any) -> int:
    """Levels of nesting, counted without recursion and only as far as it matters."""
    level, layer = 0, [value]
    while layer and level <= MAX_DEPTH:
        level += 1
        layer = [
            child
            for item in layer
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
    return level
