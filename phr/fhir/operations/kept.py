"""Definitions kept in the record, as far as the caller may see them, as a source of terminology.

They stand after what is bundled or loaded: nobody's record changes what a code means for others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from phr.fhir import wire
from phr.records import body
from phr.records.gateway import Records
from phr.records.terminology.sources import Kind, Resource

MOST = 50  # resources of one URL, or maps of one code system, that are looked at
_MEANT = re.compile(r"([\\,$|])")


@dataclass
class Kept:
    """See `phr.records.terminology.sources.Source`. Every look-up is a search of this caller, logged as one."""

    records: Records
    _found: dict[tuple[str, ...], list[Resource]] = field(default_factory=dict)

    def find(self, kind: Kind, url: str, version: str | None) -> Resource | None:
        found = [r for r in self._search(kind, "url", url) if version is None or r.get("version") == version]
        return max(found, key=lambda r: (str(r.get("version", "")), str(r["meta"]["lastUpdated"])), default=None)

    def maps(self, system: str) -> Iterator[Resource]:
        yield from self._search("ConceptMap", "source-system", system)
        yield from self._search("ConceptMap", "target-system", system)

    def supplements(self, system: str) -> Iterator[Resource]:
        return iter(())

    def code_systems(self) -> Iterator[tuple[str, str]]:
        return iter(())

    def mark(self) -> object:
        return object()

    def _search(self, kind: Kind, name: str, value: str) -> list[Resource]:
        if (kind, name, value) not in self._found:
            asked = [(name, _MEANT.sub(r"\\\1", value)), ("_count", str(MOST))]
            query = wire.query(kind, asked, now=self.records.now, strict=True)
            page = self.records.search(query)
            self._found[kind, name, value] = [resource(entry.body) for entry in page.entries]
        return self._found[kind, name, value]


def resource(content: bytes | None) -> dict[str, Any]:
    """A stored body as JSON."""
    return body.parse(content or b"{}")
