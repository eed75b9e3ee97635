"""Search expressions -> leaves: the FHIRPath subset that R4 search parameters use. Pure.

A leaf is one way from a resource to a value: JSON keys, filters on the way, and the
value's data type. `resolve("Observation", "(Observation.value as Quantity)")` gives the
one leaf `valueQuantity: Quantity`; an element with a choice of types gives one leaf per type.

Source: FHIR R4 3.1.1 (search), FHIRPath 2.0 (N1). Understood: `|`, `as`, `.as()`, `.ofType()`,
`.where(resolve() is X)`, `.where(path = 'literal' and …)`, `.extension('url')`, `[n]`, and the
truth form `X.exists() and X != false` (Patient.deceased).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from phr.records.definitions import choice_key, fields, is_known

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|'(?P<text>[^']*)'|(?P<number>\d+)|(?P<mark>!=|[.()|=\[\]]))")
_TRUTH = re.compile(r"^([\w.]+)\.exists\(\) and \1 != false$")
TRUTH = "Truth"  # pseudo type: present and not false


class BadExpression(ValueError):
    """A search expression outside the subset, or naming an element that does not exist."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Keep a node if some value at one of `paths` (JSON keys from the node) equals `value`."""

    paths: tuple[tuple[Step, ...], ...]
    value: str


@dataclass(frozen=True, slots=True)
class Step:
    """Go to a JSON key; keep the n-th entry or those that pass all filters."""

    key: str
    where: tuple[Filter, ...] = ()
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where values of `type` lie; `only`: keep references that resolve to this resource type."""

    steps: tuple[Step, ...]
    type: str
    only: str | None = None


def split_by_base(expression: str) -> dict[str, str]:
    """Split a `|` expression over several types by the type each part starts with."""
    parts: dict[str, list[str]] = {}
    depth, start = 0, 0
    for at, char in enumerate(expression + "|"):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            part = expression[start:at].strip()
            start = at + 1
            root = re.search(r"[A-Za-z]\w*", part)
            if root is None:
                raise BadExpression(f"empty part in {expression!r}")
            parts.setdefault(root.group(), []).append(part)
    return {root: " | ".join(texts) for root, texts in parts.items()}


def resolve(type_name: str, expression: str) -> tuple[Leaf, ...]:
    """Leaves of an expression on a resource type. Raises BadExpression."""
    if truth := _TRUTH.match(expression):
        inner = resolve(type_name, truth.group(1))
        return tuple(replace(leaf, type=TRUTH) for leaf in inner)
    return _Reader(type_name, expression).read()


class _Reader:
    """Recursive descent over the tokens; every rule takes and gives a focus (tuple of leaves)."""

    def __init__(self, type_name: str, expression: str) -> None:
        self.root = (Leaf((), type_name),)
        self.expression = expression
        self.tokens: list[tuple[str, str]] = []
        at, end = 0, len(expression.rstrip())
        while at < end:
            match = _TOKEN.match(expression, at)
            if match is None or match.lastgroup is None:
                raise BadExpression(f"cannot read {expression!r} at {at}")
            self.tokens.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()
        self.at = 0

    def read(self) -> tuple[Leaf, ...]:
        leaves = self._union(self.root)
        if self.at != len(self.tokens):
            raise BadExpression(f"unexpected {self._peek()!r} in {self.expression!r}")
        return tuple(dict.fromkeys(leaves))

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _take(self, expected: str | None = None) -> str:
        got = self._peek()
        if not got or (expected is not None and got != expected):
            raise BadExpression(f"expected {expected or 'more'!r}, got {got!r} in {self.expression!r}")
        self.at += 1
        return got

    def _union(self, focus: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
        leaves = self._operand(focus)
        while self._peek() == "|":
            self._take()
            leaves += self._operand(focus)
        return leaves

    def _operand(self, focus: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
        leaves = self._path(focus)
        if self._peek() == "as":
            self._take()
            leaves = _typed(leaves, self._take())
        return leaves

    def _path(self, focus: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
        if self._peek() == "(":
            self._take()
            leaves = self._union(focus)
            self._take(")")
        else:
            leaves = self._named(focus, first=True)
        while self._peek() in (".", "["):
            if self._take() == ".":
                leaves = self._named(leaves, first=False)
            else:
                index = int(self._take())
                self._take("]")
                leaves = tuple(_last(leaf, index=index) for leaf in leaves)
        return leaves

    def _named(self, focus: tuple[Leaf, ...], *, first: bool) -> tuple[Leaf, ...]:
        name = self._take()
        if self._peek() == "(":
            return self._call(name, focus)
        if first and focus == self.root and name in (self.root[0].type, "Resource", "DomainResource"):
            return focus
        found = tuple(leaf for start in focus for leaf in _member(start, name))
        if not found:
            raise BadExpression(f"no element {name!r} in {self.expression!r}")
        return found

    def _call(self, name: str, focus: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
        self._take("(")
        if name in ("as", "ofType"):
            leaves = _typed(focus, self._take())
        elif name == "extension":
            leaves = tuple(
                _last(leaf, where=_equals((Step("url"),), self._peek()))
                for start in focus
                for leaf in _member(start, "extension")
            )
            self._take()
        elif name == "where":
            leaves = self._where(focus)
        else:
            raise BadExpression(f"function {name}() is not understood in {self.expression!r}")
        self._take(")")
        return leaves

    def _where(self, focus: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
        if self._peek() == "resolve":
            for expected in ("resolve", "(", ")", "is"):
                self._take(expected)
            only = self._take()
            return tuple(replace(leaf, only=only) for leaf in focus)
        while True:
            inside = tuple(dict.fromkeys(Leaf((), leaf.type) for leaf in focus))
            paths = tuple(leaf.steps for leaf in self._path(inside))
            self._take("=")
            condition = Filter(paths, self._take())
            focus = tuple(_last(leaf, where=condition) for leaf in focus)
            if self._peek() != "and":
                return focus
            self._take()


def _equals(path: tuple[Step, ...], value: str) -> Filter:
    return Filter((path,), value)


def _last(leaf: Leaf, *, where: Filter | None = None, index: int | None = None) -> Leaf:
    """The leaf with a filter or an index put on its last step."""
    if not leaf.steps:
        raise BadExpression("a filter needs an element before it")
    step = leaf.steps[-1]
    step = replace(step, where=(*step.where, where)) if where else replace(step, index=index)
    return replace(leaf, steps=(*leaf.steps[:-1], step))


def _typed(leaves: tuple[Leaf, ...], type_name: str) -> tuple[Leaf, ...]:
    # "DateTime" stands in two R4 parameters for dateTime
    return tuple(leaf for leaf in leaves if leaf.type.casefold() == type_name.casefold())


def _member(leaf: Leaf, name: str) -> list[Leaf]:
    if not is_known(leaf.type):
        return []
    elements = fields(leaf.type)
    if element := elements.get(name):
        return [Leaf((*leaf.steps, Step(name)), kind) for kind, _ in element.types]
    if element := elements.get(name + "[x]"):
        return [Leaf((*leaf.steps, Step(choice_key(element.name, kind))), kind) for kind, _ in element.types]
    return []
