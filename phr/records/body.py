"""A resource as JSON text: read and written so that decimals keep every digit (1.00 stays 1.00)."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_DEPTH = 64

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class Written(Decimal):
    """A number that Python would write otherwise (1e3, 1.0E5): it keeps the text it came as."""

    __slots__ = ("text",)
    text: str


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if str(value) == text:
        return value
    kept = Written(text)
    kept.text = text
    return kept


def _as_written(value: Any) -> msgspec.Raw:
    if isinstance(value, Written):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} is no JSON")


_decoder = msgspec.json.Decoder(float_hook=_number)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_as_written)
_sorting = msgspec.json.Encoder(decimal_format="number", enc_hook=_as_written, order="sorted")


class Malformed(Exception):
    """The text is not JSON, not UTF-8, not an object, or nested too deeply."""


def parse(text: bytes) -> dict[str, Any]:
    """Read one JSON object. Raises Malformed, naming the byte where the reader can tell."""
    value = _parsed(text)
    if not isinstance(value, dict):
        raise Malformed("a JSON object is expected")
    return value


def _parsed(text: bytes) -> Any:
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, InvalidOperation) as error:
        raise Malformed(f"not valid JSON: {error}") from None
    if depth(value) > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH} levels")
    return value


def received(text: bytes) -> dict[str, Any]:
    """Read one JSON object from outside: as `parse`, and no key may stand twice (RFC 8259 §4: ambiguous)."""
    value = parse(text)
    _no_key_twice(text, value)
    return value


def received_list(text: bytes) -> list[Any]:
    """Read one JSON array from outside (a JSON Patch, RFC 6902). As `received`."""
    value = _parsed(text)
    if not isinstance(value, list):
        raise Malformed("a JSON array is expected")
    _no_key_twice(text, value)
    return value


def _no_key_twice(text: bytes, value: Any) -> None:
    # A colon outside strings follows each key; strings are cut out whole, escapes and all.
    if _STRING.sub(b"", text).count(b":") != _keys(value):
        raise Malformed("a key stands twice in one object")


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


def canonical(resource: dict[str, Any]) -> bytes:
    """The same text for the same content, whatever the order of its keys; 1.0 and 1.00 are not the same."""
    return _sorting.encode(resource)


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
