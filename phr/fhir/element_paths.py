"""FHIRPath as far as a patch needs it: from a path to places in a resource that can be changed. Pure.

An engine gives values, a patch needs to know where they stand. Taken are: element names (a choice by its plain
name, `value`), `[n]`, `first()`, `last()`, `where(…)` with `=`, `!=`, `and`, `exists()`, `not()`, `ofType(T)`,
`as(T)`, `extension('url')`; the id and the extensions of primitives. Anything else is refused by name.
Source: FHIRPath N1 §3, §5; R4 fhirpath.html §2.9.1.3 (choices), json.html §2.6.2.3 (primitives).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from phr.records import definitions
from phr.records.validate_values import FORMATS

LONGEST, MOST_STEPS = 1000, 40


class BadPath(Exception):
    """A path that is not understood (`unknown` False) or names what R4 has not (`unknown` True)."""


@dataclass(slots=True)
class Place:
    """One element: `owner[key]`, or one entry of that list. `kind`: its type. The root has no owner."""

    parent: Place | None
    owner: dict[str, Any]
    key: str
    index: int | None
    kind: str

    @property
    def value(self) -> Any:
        if self.parent is None:
            return self.owner
        found = self.owner.get(self.key)
        if self.index is None:
            return found
        return found[self.index] if isinstance(found, list) and self.index < len(found) else None

    @property
    def primitive(self) -> bool:
        return self.kind in FORMATS

    def node(self, *, make: bool = False) -> dict[str, Any] | None:
        """The object whose elements are this one's: of a primitive what stands in `_key`."""
        if not self.primitive:
            value = self.value
            return value if isinstance(value, dict) else None
        if self.index is None:
            beside = self.owner.setdefault("_" + self.key, {}) if make else self.owner.get("_" + self.key)
            return beside if isinstance(beside, dict) else None
        return self._beside_entry(self.index, make=make)

    def _beside_entry(self, index: int, *, make: bool) -> dict[str, Any] | None:
        length = len(self.owner.get(self.key) or ())
        shadows = self.owner.get("_" + self.key)
        if not isinstance(shadows, list):
            if not make:
                return None
            shadows = self.owner["_" + self.key] = [None] * length
        if index < len(shadows) and shadows[index] is None and make:
            shadows[index] = {}
        found = shadows[index] if index < len(shadows) else None
        return found if isinstance(found, dict) else None

    def fields(self) -> Any:
        """The elements this one may have, by definition name."""
        if self.primitive:
            return definitions.fields("Element")
        value = self.value
        kind = value.get("resourceType") if self.kind == "Resource" and isinstance(value, dict) else self.kind
        return definitions.fields(str(kind)) if definitions.is_known(str(kind)) else {}

    def element(self, name: str) -> definitions.Element:
        """The definition of a child. Raises BadPath."""
        fields = self.fields()
        found = fields.get(name) or fields.get(f"{name}[x]")
        if found is None:
            raise BadPath(f"{self.kind} has no element {name[:40]}")
        return found  # type: ignore[no-any-return]

    def key_of(self, name: str) -> tuple[str, str]:
        """JSON key and type of a child; of a choice the one that is there, else its plain name and no type."""
        element = self.element(name)
        if not element.choice:
            return name, element.types[0][0]
        node = self.node() or {}
        for kind, _ in element.types:
            key = definitions.choice_key(element.name, kind)
            if key in node or "_" + key in node:
                return key, kind
        return name, ""


Step = Callable[[list[Place]], list[Place]]


@dataclass(frozen=True, slots=True)
class Path:
    """A path in steps. `name`: the last step, where it is a plain element name."""

    steps: tuple[Step, ...]
    name: str | None

    def places(self, resource: dict[str, Any]) -> list[Place]:
        return _walk(self.steps, resource)

    def around(self, resource: dict[str, Any]) -> list[Place]:
        """What the last step starts from: the elements that have, or may have, the list."""
        return _walk(self.steps[:-1], resource)


def _walk(steps: tuple[Step, ...], resource: dict[str, Any]) -> list[Place]:
    found = [Place(None, resource, "", None, str(resource.get("resourceType")))]
    for step in steps:
        found = step(found)
    return found


# -- steps -----------------------------------------------------------------------------------------


def child(name: str) -> Step:
    return lambda places: [found for place in places for found in _children(place, name)]


def _children(place: Place, name: str) -> Iterator[Place]:
    key, kind = place.key_of(name)
    node = place.node()
    if node is None or not kind:
        return
    value, beside = node.get(key), node.get("_" + key) if kind in FORMATS else None
    if isinstance(value, list) or isinstance(beside, list):
        for index in range(max(len(value or ()), len(beside or ()))):
            yield Place(place, node, key, index, kind)
    elif value is not None or beside is not None:
        yield Place(place, node, key, None, kind)


def _at(index: int) -> Step:
    return lambda places: places[index : index + 1]


def _of_type(kind: str) -> Step:
    return lambda places: [p for p in places if _is(p, kind)]


def _is(place: Place, kind: str) -> bool:
    value = place.value
    actual = value.get("resourceType") if place.kind == "Resource" and isinstance(value, dict) else place.kind
    return kind in (actual, f"FHIR.{actual}")


def _where(holds: Callable[[Place], bool]) -> Step:
    return lambda places: [place for place in places if holds(place)]


# -- reading ---------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\s*(?:(?P<name>\$this|[A-Za-z_][A-Za-z0-9_]*|`[^`\\]+`)|(?P<text>'(?:[^'\\]|\\.)*')|(?P<day>@[0-9T:.+\-Z]+)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<mark>!=|[.\[\]()=]))",
    re.ASCII | re.DOTALL,
)
_ESCAPES = {"'": "'", '"': '"', "`": "`", "\\": "\\", "/": "/", "n": "\n", "r": "\r", "t": "\t", "f": "\f"}


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise BadPath(f"not understood at character {at}")
            self.tokens.append((str(found.lastgroup), str(found[str(found.lastgroup)])))
            at = found.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> tuple[str, str]:
        if self.at >= len(self.tokens) or (expected is not None and self.tokens[self.at][1] != expected):
            raise BadPath(f"expected {expected}" if expected else "ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def taken(self, mark: str) -> bool:
        if self.peek() != mark:
            return False
        self.at += 1
        return True


def read(text: str, type: str) -> Path:
    """A path for resources of a type. Raises BadPath."""
    if len(text) > LONGEST:
        raise BadPath(f"longer than {LONGEST} characters")
    reader = _Reader(text)
    if reader.peek() in (type, "Resource", "DomainResource", "$this"):
        reader.take()
        if reader.peek() not in (".", ""):
            raise BadPath(f"expected . after {type}")
        steps, name = _steps(reader) if reader.taken(".") else ((), None)
    else:
        steps, name = _steps(reader)
    if reader.peek():
        raise BadPath(f"{reader.peek()[:20]} is not expected here")
    return Path(steps, name)


def _steps(reader: _Reader) -> tuple[tuple[Step, ...], str | None]:
    """`name`, `[n]` and functions, up to what is none of them."""
    steps: list[Step] = []
    name: str | None = None
    while True:
        kind, word = reader.take()
        if kind != "name" or word == "$this":
            raise BadPath(f"{word[:20]} is not expected here")
        if reader.taken("("):
            steps.append(_function(reader, word))
            name = None
        else:
            name = word.strip("`")
            steps.append(child(name))
        while reader.taken("["):
            kind, number = reader.take()
            if kind != "number" or not number.isdigit() or len(number) > 9:
                raise BadPath("an index is a whole number from 0 on")
            reader.take("]")
            steps.append(_at(int(number)))
            name = None
        if len(steps) > MOST_STEPS:
            raise BadPath(f"more than {MOST_STEPS} steps")
        if _ends(reader) or not reader.taken("."):
            return tuple(steps), name


def _ends(reader: _Reader) -> bool:
    """Whether what follows is `.exists()` or `.not()`, which end the path of a condition."""
    after = [token for _, token in reader.tokens[reader.at : reader.at + 3]]
    return after[:1] == ["."] and after[1:2] in (["exists"], ["empty"]) and after[2:3] == ["("]


def _function(reader: _Reader, name: str) -> Step:
    match name:
        case "first" | "last":
            reader.take(")")
            return (lambda places: places[:1]) if name == "first" else (lambda places: places[-1:])
        case "ofType" | "as":
            word = reader.take()[1]
            if reader.taken("."):
                word += "." + reader.take()[1]
            reader.take(")")
            return _of_type(word)
        case "extension":
            kind, url = reader.take()
            if kind != "text":
                raise BadPath("extension() takes a text")
            reader.take(")")
            wanted = _text(url)
            named = _where(lambda place: isinstance(place.value, dict) and place.value.get("url") == wanted)
            return lambda places: named(child("extension")(places))
        case "where":
            holds = _condition(reader)
            reader.take(")")
            return _where(holds)
    raise BadPath(f"{name[:40]}() is not supported here")


def _condition(reader: _Reader) -> Callable[[Place], bool]:
    terms = [_term(reader)]
    while reader.taken("and"):
        terms.append(_term(reader))
    if reader.peek() == "or":
        raise BadPath("or is not supported here")
    return lambda place: all(term(place) for term in terms)


def _term(reader: _Reader) -> Callable[[Place], bool]:
    steps: tuple[Step, ...] = ()
    if reader.taken("$this"):
        if reader.peek() == "." and not _ends(reader):
            reader.take(".")
            steps = _steps(reader)[0]
    else:
        steps = _steps(reader)[0]

    def found(place: Place) -> list[Place]:
        places = [place]
        for step in steps:
            places = step(places)
        return places

    if reader.taken("."):
        wanted = reader.take()[1] == "exists"
        reader.take("(")
        reader.take(")")
        while reader.taken("."):
            reader.take("not")
            reader.take("(")
            reader.take(")")
            wanted = not wanted
        return lambda place: bool(found(place)) == wanted
    mark = reader.take()[1]
    if mark not in ("=", "!="):
        raise BadPath(f"{mark[:20]} is not supported in where()")
    literal = _literal(*reader.take())
    return lambda place: _compares([p.value for p in found(place)], literal, equal=mark == "=")


def _compares(values: list[Any], literal: Any, *, equal: bool) -> bool:
    """An empty or longer collection compares with nothing (FHIRPath §6.1)."""
    if len(values) != 1 or values[0] is None:
        return False
    truth = isinstance(values[0], bool) == isinstance(literal, bool) and values[0] == literal
    return bool(truth) == equal


def _literal(kind: str, word: str) -> Any:
    if kind == "text":
        return _text(word)
    if kind == "number":
        return Decimal(word)
    if kind == "day":
        return word[1:].removesuffix("T")
    if word in ("true", "false"):
        return word == "true"
    raise BadPath(f"{word[:20]} is no literal")


def _text(quoted: str) -> str:
    def plain(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 16))
        if found[2] not in _ESCAPES:
            raise BadPath("has an unknown escape")
        return _ESCAPES[found[2]]

    return re.sub(r"\\(?:u([0-9A-Fa-f]{4})|(.))", plain, quoted[1:-1], flags=re.DOTALL)
