"""The canonical resources the project brings along: R4's own structures (compact) and its draft profiles. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec
import zstandard

HERE = Path(__file__).parent
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def canonical(url: str, version: str | None = None) -> dict[str, Any] | None:
    """A bundled canonical resource by url, or None. `version`: as far as it is told ("4", "4.0", "4.0.1")."""
    found = own().get(url) or _structure(url)
    if found is None or version is None:
        return found
    full = str(found.get("version", ""))
    return found if full == version or full.startswith(version + ".") else None


@cache
def own() -> dict[str, dict[str, Any]]:
    """The project's own draft profiles and what they need, by url."""
    found = [_decoder.decode(file.read_bytes()) for file in sorted((HERE / "own").glob("*.json"))]
    return {resource["url"]: resource for resource in found}


@cache
def _lines() -> dict[str, bytes]:
    """R4's structures by url, each as the JSON of its line: decoded only when asked for."""
    text = zstandard.ZstdDecompressor().decompress((HERE / "r4.jsonl.zst").read_bytes())
    head, *lines = text.split(b"\n")
    return dict(zip(msgspec.json.decode(head, type=list[str]), lines, strict=True))


def _structure(url: str) -> dict[str, Any] | None:
    return _decoded(url) if url in _lines() else None  # what strangers make up does not get into the cache


@lru_cache(maxsize=256)
def _decoded(url: str) -> dict[str, Any]:
    return _decoder.decode(_lines()[url])
