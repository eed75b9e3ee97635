"""Definitions kept in the record, as far as the caller may see them, as a source of terminology.

They stand after what is bundled or loaded, and are used only where they are named: nobody's record changes what a
code means for others. Where several organisations keep one URL, the caller's own counts; else its id must be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from phr.fhir import wire
from phr.records import body
from phr.records.gateway import Records, Stored
from phr.records.terminology.errors import BadFilter
from phr.records.terminology.sources import Kind, Resource

MOST = 50  # resources of one URL that are looked at
_MEANT = re.compile(r"([\\,$|])")


@dataclass
class Kept:
    """See `phr.records.terminology.sources.Source`. Every look-up is a search of this caller, logged as one."""

    records: Records
    _found: dict[tuple[str, str], list[Stored]] = field(default_factory=dict)

    def find(self, kind: Kind | Literal["Questionnaire"], url: str, version: str | None) -> Resource | None:
        """The newest version. Raises BadFilter where strangers keep the same URL."""
        found = [(stored, resource(stored.body)) for stored in self._named(kind, url)]
        found = [pair for pair in found if version is None or pair[1].get("version") == version]
        own = [pair for pair in found if pair[0].facts.author == self.records.author]
        if not own and len({stored.facts.author for stored, _ in found}) > 1:
            text = f"{url[:200]} は複数あります。Several keep this {kind}: name it by its id."
            raise BadFilter(text)
        newest = max(own or found, key=lambda p: (str(p[1].get("version", "")), p[0].updated_at), default=None)
        return newest[1] if newest else None

    def maps(self, system: str) -> Iterator[Resource]:
        return iter(())

    def supplements(self, system: str) -> Iterator[Resource]:
        return iter(())

    def code_systems(self) -> Iterator[tuple[str, str]]:
        return iter(())

    def mark(self) -> object:
        return object()

    def _named(self, kind: Kind | Literal["Questionnaire"], url: str) -> list[Stored]:
        if (kind, url) not in self._found:
            asked = [("url", _MEANT.sub(r"\\\1", url)), ("_count", str(MOST))]
            query = wire.query(kind, asked, now=self.records.now, strict=True)
            self._found[kind, url] = self.records.search(query).entries
        return self._found[kind, url]


def resource(content: bytes | None) -> dict[str, Any]:
    """A stored body as JSON."""
    return body.parse(content or b"{}")
