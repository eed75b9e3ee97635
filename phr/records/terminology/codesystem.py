"""One code system as a graph of concepts: what is below what, and what each concept says of itself. Pure.

Source: R4 codesystem.html (hierarchy 4.8.8, concept properties 4.8.10). The hierarchy comes from nesting and from
the properties `parent`, `child` and `subsumedBy`; a `hierarchyMeaning` other than is-a is no subsumption.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phr.records.terminology.errors import TooLarge, Unknown
from phr.records.terminology.sources import dicts

MOST_CONCEPTS = 500_000
_UP, _DOWN = ("parent", "subsumedBy"), "child"
_INACTIVE = {"retired", "inactive"}


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept. `told`: its JSON without nested concepts."""

    code: str
    told: Mapping[str, Any]

    @property
    def display(self) -> str | None:
        return _text(self.told.get("display"))

    @property
    def definition(self) -> str | None:
        return _text(self.told.get("definition"))

    @property
    def designations(self) -> list[Any]:
        return dicts(self.told.get("designation"))

    def properties(self) -> Iterator[tuple[str, Any]]:
        """(code, value) pairs in order; a value is text, a boolean, a number or a Coding."""
        for row in dicts(self.told.get("property")):
            value = next((v for k, v in row.items() if k.startswith("value")), None)
            if value is not None and isinstance(row.get("code"), str):
                yield row["code"], value

    @property
    def abstract(self) -> bool:
        """Not to be chosen (R4 concept property notSelectable)."""
        return any(name in ("notSelectable", "abstract") and value is True for name, value in self.properties())

    @property
    def inactive(self) -> bool:
        return any(
            (name == "inactive" and value is True) or (name == "status" and value in _INACTIVE)
            for name, value in self.properties()
        )


class CodeSystem:
    """A code system that is loaded, whole (`complete`) or in parts (`fragment`, `example`)."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        """Raises TooLarge."""
        self.url = _text(resource.get("url")) or ""
        self.version = _text(resource.get("version"))
        self.name = _text(resource.get("title")) or _text(resource.get("name")) or self.url
        self.content = resource.get("content")
        self.valueset = resource.get("valueSet")
        self.is_a = resource.get("hierarchyMeaning", "is-a") == "is-a"
        self._folded: dict[str, str] | None = {} if resource.get("caseSensitive") is False else None
        # A filter that is declared without a property means what only its owner knows.
        self.declared = frozenset(p["code"] for p in dicts(resource.get("property")) if isinstance(p.get("code"), str))
        self.concepts: dict[str, Concept] = {}
        self.children: dict[str, list[str]] = {}
        self.parents: dict[str, list[str]] = {}
        self._take(dicts(resource.get("concept")))

    def _take(self, roots: list[Any]) -> None:
        waiting: list[tuple[str | None, Any]] = [(None, concept) for concept in reversed(roots)]
        while waiting:
            parent, told = waiting.pop()
            code = told.get("code")
            if not isinstance(code, str):
                continue
            self._add(Concept(code, {k: v for k, v in told.items() if k != "concept"}))
            if parent is not None:
                self._link(parent, code)
            waiting.extend((code, inner) for inner in reversed(dicts(told.get("concept"))))

    def _add(self, concept: Concept) -> None:
        if len(self.concepts) >= MOST_CONCEPTS:
            raise TooLarge(
                f"{self.url}: 概念は {MOST_CONCEPTS} までです。A code system may hold {MOST_CONCEPTS} concepts."
            )
        self.concepts.setdefault(concept.code, concept)
        if self._folded is not None:
            self._folded.setdefault(concept.code.casefold(), concept.code)
        for name, value in concept.properties():
            if name in _UP and isinstance(value, str):
                self._link(value, concept.code)
            elif name == _DOWN and isinstance(value, str):
                self._link(concept.code, value)

    def _link(self, parent: str, child: str) -> None:
        if child not in (known := self.children.setdefault(parent, [])):
            known.append(child)
            self.parents.setdefault(child, []).append(parent)

    @property
    def enumerable(self) -> bool:
        """Whether all its codes are here; R4 has some said to be complete without a code."""
        return self.content == "complete" and bool(self.concepts)

    def find(self, code: str) -> Concept | None:
        """The concept; letter case counts unless the code system says otherwise."""
        if self._folded is not None:
            code = self._folded.get(code.casefold(), code)
        return self.concepts.get(code)

    def concept(self, code: str) -> Concept:
        """Raises Unknown."""
        if (found := self.find(code)) is None:
            text = f"{code[:100]} は {self.url} にありません。No such code in {self.url}."
            raise Unknown(text)
        return found

    def below(self, code: str) -> frozenset[str]:
        """The concept and all its descendants. Raises Unknown."""
        return self._reach(self.concept(code).code, self.children)

    def above(self, code: str) -> frozenset[str]:
        """The concept and all its ancestors. Raises Unknown."""
        return self._reach(self.concept(code).code, self.parents)

    def _reach(self, start: str, edges: Mapping[str, list[str]]) -> frozenset[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            code = waiting.pop()
            if code not in found and code in self.concepts:
                found.add(code)
                waiting.extend(edges.get(code, ()) if self.is_a else ())
        return frozenset(found)

    def supplemented(self, supplements: Iterable[Mapping[str, Any]]) -> CodeSystem:
        """This code system with the designations and properties of its supplements (R4 codesystem.html 4.8.13)."""
        more = [CodeSystem(resource) for resource in supplements]
        if not more:
            return self
        made = object.__new__(CodeSystem)
        made.__dict__.update(self.__dict__)
        made.concepts = dict(self.concepts)
        for extra in more:
            made.declared |= extra.declared
            for code, concept in extra.concepts.items():
                if (base := made.concepts.get(code)) is not None:
                    made.concepts[code] = Concept(code, _joined(base.told, concept.told))
        return made


def _joined(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(base)
    for key in ("designation", "property"):
        if rows := [*dicts(base.get(key)), *dicts(more.get(key))]:
            joined[key] = rows
    return joined


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
