"""Logical ids that follow from content, so that bringing the same thing in twice meets what is already there."""

from __future__ import annotations

import hashlib
from uuid import UUID


def digest(*parts: str) -> str:
    """SHA-256 (hex) of the parts joined with `|` as UTF-8; a `|` or `\\` inside a part is escaped."""
    joined = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()


def resource_id(type_: str, *parts: str) -> str:
    """A UUID from the digest of type and parts, with the version (8: own scheme) and variant bits of RFC 9562."""
    return str(UUID(hex=_shaped(digest(type_, *parts))))


def _shaped(hexadecimal: str) -> str:
    variant = "89ab"[int(hexadecimal[16], 16) & 3]
    return f"{hexadecimal[:12]}8{hexadecimal[13:16]}{variant}{hexadecimal[17:32]}"
