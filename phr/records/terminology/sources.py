"""Where definitions come from: what is bundled, and whatever else is put beside it. Pure.

A source answers by canonical URL. The bundled one is `r4.json.zst` (see generate.py), decoded row by row when asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import zstandard

Kind = Literal["CodeSystem", "ValueSet", "ConceptMap"]
Resource = Mapping[str, Any]


class Source(Protocol):
    """Definitions by canonical URL. The same resource should be the same object each time: it is parsed once."""

    def find(self, kind: Kind, url: str, version: str | None) -> Resource | None:
        """The resource with this URL, of this version if one is given, else the newest."""

    def maps(self, system: str) -> Iterable[Resource]:
        """Its ConceptMaps; those that say nothing of this code system may be left out."""

    def supplements(self, system: str) -> Iterable[Resource]:
        """Its CodeSystems that supplement this one."""

    def code_systems(self) -> Iterable[tuple[str, str]]:
        """(url, version) of every code system it has."""

    def mark(self) -> object:
        """A value that changes whenever the source does."""


class Row(msgspec.Struct):
    """What is read of a bundled resource before it is asked for."""

    url: str
    version: str = ""
    supplements: str = ""


class Bundled:
    """R4's own CodeSystems, ValueSets and ConceptMaps."""

    def find(self, kind: Kind, url: str, version: str | None) -> Resource | None:
        rows = _index()[kind].get(url, {})
        if version is None:
            return _decoded(kind, url, max(rows)) if rows else None
        return _decoded(kind, url, version) if version in rows else None

    def maps(self, system: str) -> Iterator[Resource]:
        for url, rows in _index()["ConceptMap"].items():
            yield _decoded("ConceptMap", url, max(rows))

    def supplements(self, system: str) -> Iterator[Resource]:
        for url, version in _supplements().get(system, ()):
            yield _decoded("CodeSystem", url, version)

    def code_systems(self) -> Iterator[tuple[str, str]]:
        supplements = {pair for pairs in _supplements().values() for pair in pairs}
        for url, rows in _index()["CodeSystem"].items():
            yield from ((url, version) for version in sorted(rows) if (url, version) not in supplements)

    def mark(self) -> object:
        return None


@cache
def _index() -> dict[str, dict[str, dict[str, msgspec.Raw]]]:
    """kind -> url -> version -> resource, still as bytes."""
    packed = (Path(__file__).parent / "r4.json.zst").read_bytes()
    text = zstandard.ZstdDecompressor().decompress(packed)
    index: dict[str, dict[str, dict[str, msgspec.Raw]]] = {}
    for kind, rows in msgspec.json.decode(text, type=dict[str, list[msgspec.Raw]]).items():
        of_kind = index.setdefault(kind, {})
        for raw in rows:
            row = msgspec.json.decode(raw, type=Row)
            of_kind.setdefault(row.url, {})[row.version] = raw
    return index


@cache
def _decoded(kind: Kind, url: str, version: str) -> Resource:
    return msgspec.json.decode(_index()[kind][url][version], type=dict[str, Any])


@cache
def _supplements() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for url, rows in _index()["CodeSystem"].items():
        for version, raw in rows.items():
            if target := msgspec.json.decode(raw, type=Row).supplements:
                found.setdefault(target.partition("|")[0], []).append((url, version))
    return found


def dicts(value: Any) -> list[Any]:
    """The objects of a JSON array; anything else holds none. What comes from packages may be anything."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
