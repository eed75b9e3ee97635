"""A resource as JSON text: read and written so that decimals keep every digit (1.00 stays 1.00)."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_DEPTH = 64

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
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
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, InvalidOperation) as error:
        raise Malformed(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed("a JSON object is expected")
    if depth(value) > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
    return value


def received(text: bytes) -> dict[str, Any]:
    """Read one JSON object from outside: as `parse`, and no key may stand twice (RFC 8259 §4: ambiguous)."""
    value = parse(text)
    # A colon outside strings follows each key; strings are cut out whole, escapes and all.
    if _STRING.sub(b"", text).count(b":") != _keys(value):
        raise Malformed("a key stands twice in one object")
    return value


def _keys(value: Any) -> int:
    """How many keys all objects of a JSON value have together."""
    count, layer = 0, [value]
    while layer:
        item = layer.pop()
        if isinstance(item, dict):
            count += len(item)
            layer += item.values()
        elif isinstance(item, list):
            layer += item
    return count


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
