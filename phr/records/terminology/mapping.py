"""What a concept becomes in another code system: ConceptMap (R4 conceptmap.html 4.10, $translate). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phr.records.systems import preferred
from phr.records.terminology.errors import TooLarge, Unknown
from phr.records.terminology.library import Library
from phr.records.terminology.sources import Resource, dicts

MOST_MATCHES = 1_000
DEEPEST = 5  # maps that send on to another map
NO_MATCH = ("unmatched", "disjoint")
_TURNED = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}


@dataclass(frozen=True, slots=True)
class Match:
    """One translation. `concept`: a Coding; `products`: (element, Coding); `source`: the map's URL."""

    equivalence: str
    concept: Mapping[str, Any] | None
    products: tuple[tuple[str, Mapping[str, Any]], ...]
    source: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be translated. `dependencies`: property -> value (as text)."""

    system: str
    code: str
    target_system: str | None = None
    reverse: bool = False
    dependencies: Mapping[str, str] | None = None


def suited(maps: Iterable[Resource], *, source: str | None, target: str | None) -> list[Resource]:
    """The maps between these value sets, as far as they are named."""
    return [m for m in maps if _is(m, "source", source) and _is(m, "target", target)]


def translations(library: Library, maps: Sequence[Resource], question: Question) -> list[Match]:
    """Every match in these maps, in order. Raises TooLarge."""
    found: list[Match] = []
    for one in maps:
        for match in _in_map(library, one, question, depth=0):
            if len(found) >= MOST_MATCHES:
                raise TooLarge(f"対応は {MOST_MATCHES} までです。At most {MOST_MATCHES} matches are given.")
            found.append(match)
    return found


def _is(map: Resource, end: str, wanted: str | None) -> bool:
    told = map.get(f"{end}Canonical") or map.get(f"{end}Uri") or ""
    return wanted is None or str(told).partition("|")[0] == wanted.partition("|")[0]


def _in_map(library: Library, map: Resource, question: Question, *, depth: int) -> Iterator[Match]:
    for group in dicts(map.get("group")):
        ends = (str(group.get("source", "")), str(group.get("target", "")))
        here, there = ends[::-1] if question.reverse else ends
        if preferred(here) != preferred(question.system):
            continue
        if question.target_system and preferred(there) != preferred(question.target_system):
            continue
        url = map.get("url")
        if question.reverse:
            yield from _backward(group, question, there, url)
        else:
            matches = list(_forward(group, question, there, url))
            yield from matches or _unmapped(library, group, question, there, url, depth)


def _forward(group: Mapping[str, Any], question: Question, system: str, url: Any) -> Iterator[Match]:
    for element in dicts(group.get("element")):
        if element.get("code") == question.code:
            for target in dicts(element.get("target")):
                if _depends(target, question):
                    yield _match(target, system, url)


def _backward(group: Mapping[str, Any], question: Question, system: str, url: Any) -> Iterator[Match]:
    for element in dicts(group.get("element")):
        for target in dicts(element.get("target")):
            if target.get("code") == question.code and _depends(target, question):
                told = str(target.get("equivalence", "equivalent"))
                yield Match(_TURNED.get(told, told), _coding(system, element), (), url)


def _unmapped(
    library: Library, group: Mapping[str, Any], question: Question, system: str, url: Any, depth: int
) -> Iterator[Match]:
    """What happens to codes the group does not name (R4 ConceptMap.group.unmapped)."""
    rule = group.get("unmapped")
    if not isinstance(rule, dict) or any(e.get("code") == question.code for e in dicts(group.get("element"))):
        return
    match rule.get("mode"):
        case "provided":
            yield Match("equal", {"system": system, "code": question.code}, (), url)
        case "fixed":
            yield Match("inexact", _coding(system, rule), (), url)
        case "other-map":
            if depth >= DEEPEST:
                raise TooLarge(f"対応表の参照は {DEEPEST} 段までです。Maps may send on {DEEPEST} times.")
            try:
                other = library.resource("ConceptMap", str(rule.get("url", "")))
            except Unknown:
                return
            yield from _in_map(library, other, question, depth=depth + 1)


def _match(target: Mapping[str, Any], system: str, url: Any) -> Match:
    equivalence = str(target.get("equivalence", "equivalent"))
    concept = _coding(system, target) if "code" in target else None
    products = tuple(
        (str(row.get("property", "")), _coding(str(row.get("system", "")), {"code": row.get("value", "")} | row))
        for row in dicts(target.get("product"))
    )
    return Match(equivalence, concept, products, url)


def _depends(target: Mapping[str, Any], question: Question) -> bool:
    """Whether what a target depends on was said with the question."""
    said = question.dependencies or {}
    return all(said.get(str(row.get("property"))) == str(row.get("value")) for row in dicts(target.get("dependsOn")))


def _coding(system: str, row: Mapping[str, Any]) -> dict[str, Any]:
    coding = {"system": system, "code": row.get("code"), "display": row.get("display")}
    return {name: value for name, value in coding.items() if value}
