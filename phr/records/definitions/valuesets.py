"""Which codes a ValueSet holds, where that can be said from the definitions alone. Pure.

`expand(url)` gives {system: codes}, or None when it cannot be enumerated: an external or
incomplete CodeSystem, a filter other than a hierarchy, a missing ValueSet. None means
"not checkable", never "empty". SNOMED CT is left out on purpose (licence).
"""

from __future__ import annotations

from typing import Any

SNOMED = "http://snomed.info/sct"
Expansion = dict[str, set[str]]


class Terminology:
    """ValueSets and CodeSystems by canonical URL."""

    def __init__(self, resources: list[Any]) -> None:
        self.valuesets = {r["url"]: r for r in resources if r["resourceType"] == "ValueSet"}
        self.codesystems = {r["url"]: r for r in resources if r["resourceType"] == "CodeSystem"}

    def expand(self, url: str) -> Expansion | None:
        """{system: codes} of a ValueSet, or None if not enumerable."""
        valueset = self.valuesets.get(url.partition("|")[0])
        if valueset is None or "compose" not in valueset:
            return None
        found: Expansion = {}
        for include in valueset["compose"].get("include", []):
            part = self._part(include)
            if part is None:
                return None
            for system, codes in part.items():
                found.setdefault(system, set()).update(codes)
        for exclude in valueset["compose"].get("exclude", []):
            part = self._part(exclude)
            if part is None:
                return None
            for system, codes in part.items():
                found.get(system, set()).difference_update(codes)
        return found or None

    def _part(self, include: Any) -> Expansion | None:
        parts: list[Expansion] = []
        if "system" in include:
            codes = self._codes(include)
            if codes is None:
                return None
            parts.append({include["system"]: codes})
        for url in include.get("valueSet", []):
            nested = self.expand(url)
            if nested is None:
                return None
            parts.append(nested)
        if not parts:
            return None
        first, *rest = parts  # several conditions in one include: all must hold
        for other in rest:
            first = {system: codes & other.get(system, set()) for system, codes in first.items()}
        return first

    def _codes(self, include: Any) -> set[str] | None:
        system = include["system"]
        if system == SNOMED:
            return None
        if "concept" in include:
            return {concept["code"] for concept in include["concept"]}
        codesystem = self.codesystems.get(system)
        if codesystem is None or codesystem.get("content") != "complete" or "concept" not in codesystem:
            return None
        children = _hierarchy(codesystem)
        codes = set(children)
        for condition in include.get("filter", []):
            if condition["property"] != "concept" or condition["op"] not in ("is-a", "descendent-of"):
                return None
            below = _below(condition["value"], children)
            codes &= below if condition["op"] == "is-a" else below - {condition["value"]}
        return codes


def _hierarchy(codesystem: Any) -> dict[str, set[str]]:
    """code -> its direct children, by nesting and by the properties that v3 code systems use."""
    children: dict[str, set[str]] = {}

    def walk(concepts: list[Any]) -> None:
        for concept in concepts:
            inner = children.setdefault(concept["code"], set())
            inner.update(c["code"] for c in concept.get("concept", []))
            walk(concept.get("concept", []))
            for prop in concept.get("property", []):
                if prop["code"] in ("subsumedBy", "parent"):
                    children.setdefault(str(prop.get("valueCode")), set()).add(concept["code"])

    walk(codesystem["concept"])
    return children


def _below(code: str, children: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    queue = [code]
    while queue:
        current = queue.pop()
        if current not in found:
            found.add(current)
            queue.extend(children.get(current, ()))
    return found
