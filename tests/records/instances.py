"""Instances of every R4 type, made from the definitions alone: every element, every type of a choice, two of a list.

No two strings in an instance are equal, so that a value tells which element it came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

from phr.records import definitions
from phr.records.definitions import Element, choice_key

LEAST_VARIANTS, MOST_VARIANTS = 8, 12  # no choice that a search parameter reads has more types
DEPTH = 5
_LEFT_OUT = {"contained", "modifierExtension", "extension", "implicitRules"}
_PLAIN = {
    "boolean": lambda n: n % 2 == 0, "integer": int, "unsignedInt": int, "positiveInt": int,
    "decimal": lambda n: n + 0.5, "date": lambda n: f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}",
    "dateTime": lambda n: f"2026-04-{n % 28 + 1:02}T10:{n % 60:02}:00+09:00",
    "instant": lambda n: f"2026-04-{n % 28 + 1:02}T10:{n % 60:02}:00.000+09:00", "time": lambda n: f"10:{n % 60:02}:00",
    "base64Binary": lambda n: "44GC", "xhtml": lambda n: f'<div xmlns="http://www.w3.org/1999/xhtml">文{n}</div>',
    "uri": lambda n: f"urn:x:{n}", "url": lambda n: f"https://example.org/a/{n}",
    "oid": lambda n: f"urn:oid:1.2.{n + 1}",
    "canonical": lambda n: f"https://example.org/c/{n}", "uuid": lambda n: f"urn:uuid:c757873d-ec9a-4326-a141-{n:012}",
}  # fmt: skip


def variants(type_name: str) -> Iterator[dict[str, Any]]:
    """As many instances as the widest choice of the type has types: each type of each choice stands in one."""
    widest = max(len(element.types) for element in definitions.fields(type_name).values())
    for variant in range(max(LEAST_VARIANTS, min(widest, MOST_VARIANTS))):
        yield _Maker(variant).made(type_name, DEPTH)


class _Maker:
    def __init__(self, variant: int) -> None:
        self.variant = variant
        self.numbers = count()
        self.turns: Counter[object] = Counter()

    def turn(self, choice: list[str]) -> str:
        """Each of a choice in its turn, here and from variant to variant."""
        self.turns[key := tuple(choice)] += 1
        return choice[(self.turns[key] + self.variant) % len(choice)]

    def made(self, type_name: str, depth: int) -> dict[str, Any]:
        resource = type_name in definitions.concrete_types()
        found: dict[str, Any] = {"resourceType": type_name, "id": f"x{self.variant}"} if resource else {}
        for name, element in definitions.fields(type_name).items():
            if name in _LEFT_OUT or (name == "id" and not resource) or name == "id":
                continue
            if (value := self._element(element, depth)) is not None:
                kind = self._kind(element)[0]
                found[choice_key(name, kind) if element.choice else name] = value
        return found

    def _kind(self, element: Element) -> tuple[str, tuple[str, ...]]:
        return element.types[self.variant % len(element.types)]

    def _element(self, element: Element, depth: int) -> Any:
        kind, targets = self._kind(element)
        many = element.max is None or element.max > 1
        values = [v for _ in range(2 if many else 1) if (v := self._value(element, kind, targets, depth)) is not None]
        return None if not values else values if many else values[0]

    def _value(self, element: Element, kind: str, targets: tuple[str, ...], depth: int) -> Any:
        n = next(self.numbers)
        if kind in _PLAIN:
            return _PLAIN[kind](n)
        if kind[:1].islower():
            return self._text(element, kind, n)
        if kind == "Reference":
            return self._reference(targets, n)
        if kind == "Resource":
            return {"resourceType": "Basic", "id": f"b{n}"}
        return (self.made(kind, depth - 1) or None) if depth > 0 else None

    def _text(self, element: Element, kind: str, n: int) -> str:
        if kind == "code" and element.codes is not None:
            codes = sorted(code for all_codes in definitions.codes(element.codes).values() for code in all_codes)
            return self.turn(codes) if codes else f"c{n}"
        return f"t{n}"

    def _reference(self, targets: tuple[str, ...], n: int) -> dict[str, Any]:
        known = sorted(target for target in targets if target in definitions.concrete_types()) or ["Patient", "Group"]
        target = self.turn(known)
        base = "https://elsewhere.example/fhir/" if n % 5 == 0 else ""
        return {"reference": f"{base}{target}/r{n}", "display": f"t{n}"}
