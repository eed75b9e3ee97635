"""The filters of ValueSet.compose as predicates over concepts (R4 valueset-filter-operator). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import re2

from phr.records.terminology.codesystem import CodeSystem, Concept
from phr.records.terminology.errors import BadFilter, NotExpandable, TooLarge

Test = Callable[[Concept], bool]
LONGEST_REGEX = 500  # characters
LARGEST_REGEX = 1 << 20  # bytes of memory for a compiled expression
_HIERARCHY = ("concept", "code")
_OWN = frozenset({"concept", "code", "display", "definition", "parent", "child", "inactive", "notSelectable", "status"})
_FALSE_UNLESS_SAID = ("inactive", "notSelectable")  # R4 codesystem.html, concept properties: default false


def test_of(system: CodeSystem, told: Mapping[str, Any]) -> Test:
    """The predicate of one `filter`. Raises BadFilter, NotExpandable, TooLarge, Unknown."""
    name, op, value = told.get("property"), told.get("op"), told.get("value")
    if not (isinstance(name, str) and isinstance(op, str) and isinstance(value, str)):
        raise BadFilter("filter には property, op, value が要ります。A filter needs property, op and value.")
    if op in _BY_PLACE:
        if name not in _HIERARCHY:
            raise NotExpandable(f"{op} は concept だけに使えます。{op} is supported on the property concept only.")
        return _BY_PLACE[op](system, value)
    if op not in _BY_VALUE:
        text = f"filter の op {op[:40]} は使えません。The filter operator {op[:40]} is not supported."
        raise NotExpandable(text)
    if name not in _OWN and name not in system.declared:
        text = f"{name[:60]} という性質は定義されていません。{system.url} does not define the property {name[:60]}."
        raise NotExpandable(text)
    default = ["false"] if name in _FALSE_UNLESS_SAID and op != "exists" else []
    judge = _BY_VALUE[op](value)
    return lambda concept: judge(list(values(system, concept, name)) or default)


def expression(text: str) -> Callable[[str], bool]:
    """A regular expression as a test of whole texts, in linear time. Raises BadFilter, TooLarge."""
    if len(text) > LONGEST_REGEX:
        raise TooLarge(
            f"正規表現は {LONGEST_REGEX} 文字までです。A regular expression has at most {LONGEST_REGEX} characters."
        )
    options = re2.Options()
    options.max_mem, options.log_errors = LARGEST_REGEX, False
    try:
        compiled = re2.compile(text, options)
    except re2.error:
        raise BadFilter("正規表現を読めません。The regular expression cannot be read (RE2 syntax).") from None
    return lambda value: compiled.fullmatch(value) is not None


def values(system: CodeSystem, concept: Concept, name: str) -> Iterator[str]:
    """What a concept says under a property, as text; a Coding as its code."""
    match name:
        case "concept" | "code":
            yield concept.code
        case "display" | "definition":
            if text := concept.told.get(name):
                yield str(text)
        case "parent":
            yield from system.parents.get(concept.code, ())
        case "child":
            yield from system.children.get(concept.code, ())
        case _:
            for own, value in concept.properties():
                if own == name:
                    yield _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)


def _equals(value: str) -> Callable[[list[str]], bool]:
    return lambda told: value in told


def _in(value: str) -> Callable[[list[str]], bool]:
    wanted = {part.strip() for part in value.split(",")}
    return lambda told: bool(wanted.intersection(told))


def _not_in(value: str) -> Callable[[list[str]], bool]:
    within = _in(value)
    return lambda told: not within(told)


def _exists(value: str) -> Callable[[list[str]], bool]:
    if value not in ("true", "false"):
        raise BadFilter("exists の値は true か false です。The value of exists is true or false.")
    return lambda told: bool(told) == (value == "true")


def _regex(value: str) -> Callable[[list[str]], bool]:
    matches = expression(value)
    return lambda told: any(matches(text) for text in told)


def _is_a(system: CodeSystem, value: str) -> Test:
    codes = system.below(value)
    return lambda concept: concept.code in codes


def _descendent_of(system: CodeSystem, value: str) -> Test:
    codes = system.below(value) - {system.concept(value).code}
    return lambda concept: concept.code in codes


def _is_not_a(system: CodeSystem, value: str) -> Test:
    codes = system.below(value)
    return lambda concept: concept.code not in codes


def _generalizes(system: CodeSystem, value: str) -> Test:
    codes = system.above(value)
    return lambda concept: concept.code in codes


_BY_PLACE: Mapping[str, Callable[[CodeSystem, str], Test]] = {
    "is-a": _is_a, "descendent-of": _descendent_of, "is-not-a": _is_not_a, "generalizes": _generalizes,
}  # fmt: skip
_BY_VALUE: Mapping[str, Callable[[str], Callable[[list[str]], bool]]] = {
    "=": _equals, "in": _in, "not-in": _not_in, "exists": _exists, "regex": _regex,
}  # fmt: skip
