"""Loaded packages as a source of code systems, value sets and concept maps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from phr.records.profiles import packages
from phr.records.terminology.sources import Kind, Resource


class Packages:
    """What operators loaded (`manage.py load_ig`); see `phr.records.terminology.sources.Source`."""

    def find(self, kind: Kind, url: str, version: str | None) -> Resource | None:
        return packages.canonical(url, version, type=kind)

    def maps(self, system: str) -> Iterator[Resource]:
        yield from filter(None, (packages.canonical(url, type="ConceptMap") for url in packages.urls("ConceptMap")))

    def supplements(self, system: str) -> Iterator[Resource]:
        for url, of in _supplements(packages.generation()):
            if of == system and (found := packages.canonical(url, type="CodeSystem")):
                yield found

    def code_systems(self) -> Iterator[tuple[str, str]]:
        for url in packages.urls("CodeSystem"):
            resource = packages.canonical(url, type="CodeSystem") or {}
            if resource.get("content") != "supplement":
                yield url, str(resource.get("version", ""))

    def mark(self) -> object:
        return packages.generation()


@lru_cache(maxsize=1)
def _supplements(generation: object) -> tuple[tuple[str, str], ...]:
    """(url of the supplement, url of what it supplements), looked up once for each state of the packages."""
    found = []
    for url in packages.urls("CodeSystem"):
        resource = packages.canonical(url, type="CodeSystem") or {}
        if resource.get("content") == "supplement" and isinstance(of := resource.get("supplements"), str):
            found.append((url, of.partition("|")[0]))
    return tuple(found)
