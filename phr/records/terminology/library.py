"""The definitions at hand, found by canonical URL over several sources. Pure.

The first source that has a resource gives it: what an operator loaded stands before what is bundled.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from phr.records import systems
from phr.records.terminology.codesystem import CodeSystem
from phr.records.terminology.errors import unknown
from phr.records.terminology.sources import Kind, Resource, Source

_MOST_PARSED = 512


@dataclass(frozen=True, slots=True)
class Library:
    """Sources, in order of precedence."""

    sources: tuple[Source, ...]

    def and_last(self, source: Source) -> Library:
        """The same with one more source after the others: it never takes the place of what is there."""
        return Library((*self.sources, source))

    def resource(self, kind: Kind, canonical: str, version: str | None = None) -> Resource:
        """`canonical` may carry its version after `|`; `version` wins. Raises Unknown."""
        url, _, told = canonical.partition("|")
        wanted = version or told or None
        for spelled in dict.fromkeys((url, systems.preferred(url))):
            for source in self.sources:
                if (found := source.find(kind, spelled, wanted)) is not None:
                    return found
        raise unknown(kind, f"{url}|{wanted}" if wanted else url)

    def code_system(self, canonical: str, version: str | None = None) -> CodeSystem:
        """A code system; a supplement is none. Raises Unknown, TooLarge."""
        found = self.resource("CodeSystem", canonical, version)
        if found.get("content") == "supplement":
            raise unknown("CodeSystem", canonical)
        return parsed(found)

    def supplemented(self, system: CodeSystem) -> CodeSystem:
        """The code system with every supplement at hand."""
        return system.supplemented(more for source in self.sources for more in source.supplements(system.url))

    def value_set(self, canonical: str, version: str | None = None) -> Resource:
        """Raises Unknown."""
        return self.resource("ValueSet", canonical, version)

    def code_systems(self) -> dict[str, list[str]]:
        """url -> versions of every code system at hand, by url; what is found without a version comes last."""
        found: dict[str, list[str]] = {}
        for source in reversed(self.sources):
            for url, version in source.code_systems():
                kept = found.setdefault(url, [])
                found[url] = [*(v for v in kept if v != version), version]
        return dict(sorted(found.items()))

    def concept_maps(self, system: str) -> Iterator[Resource]:
        """Every ConceptMap that may speak of a code system, each URL once."""
        seen = set()
        for source in self.sources:
            for found in source.maps(system):
                if (url := found.get("url")) not in seen:
                    seen.add(url)
                    yield found


_parsed: dict[int, tuple[Resource, CodeSystem]] = {}
_lock = threading.Lock()


def parsed(resource: Resource) -> CodeSystem:
    """A CodeSystem resource as a graph, kept as long as there is room; the same object is parsed once."""
    kept = _parsed.get(id(resource))
    if kept is not None and kept[0] is resource:
        return kept[1]
    made = CodeSystem(resource)
    with _lock:
        while len(_parsed) >= _MOST_PARSED:
            _parsed.pop(next(iter(_parsed)))
        _parsed[id(resource)] = (resource, made)
    return made
