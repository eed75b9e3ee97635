"""Conditions on what stands in sealed bodies only, judged once a body is open. Pure.

What a clinician or a family wrote is not in the index (decisions/what-stands-in-clear.md): strings of clinical
types, the text behind a code (`:text`), narrative (`_text`) and everything said (`_content`). The comparison is
that of the index: folded by `search/normal.py`, at the beginning of a value, or anywhere in it.
Source: FHIR R4 search.html §3.1.1.4.8 (string), §3.1.1.4.10 (:text), §3.1.1.5.10 (_text, _content).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from phr.records.index import Walk, walker
from phr.records.said import everything, narrative
from phr.records.search.conditions import FULL_TEXT
from phr.records.search.normal import normal_identifier, whole
from phr.records.search.params import SearchParam, params_for
from phr.records.search.paths import resolve
from phr.records.search.query import Condition, Paired, Text, Token, Value
from phr.records.systems import preferred

_WORD, _LATIN = re.compile(r"\w"), re.compile(r"[a-z0-9]")
# Parts of a HumanName or an Address that are not its text
_APART = frozenset({"use", "type", "period", "extension", "id"})


def holds(resource: Mapping[str, Any], condition: Condition) -> bool:
    """Whether an opened resource answers a condition: any of its values."""
    name = condition.param.name
    if name in FULL_TEXT:
        return _full_text([narrative(resource)] if name == "_text" else everything(resource), condition.values)
    if condition.param.type == "composite":
        pairs = [value for value in condition.values if isinstance(value, Paired)]
        return any(_together(resource, condition.param, pair) for pair in pairs)
    nodes = _nodes(resource, condition.param.base, condition.param.expression)
    texts = _behind if condition.modifier == "text" else _written
    return _any_of((t for node in nodes for t in texts(node)), condition.values, condition.modifier)


def _full_text(told: Iterable[str], values: Iterable[Value]) -> bool:
    """As the full text of types without a person (`search/words.py`): each piece of what is asked stands in one text,
    a Latin word by its beginning, Japanese anywhere."""
    folded = [whole(text) for text in told]
    return any(
        bool(pieces) and all(any(_stands(piece, text) for text in folded) for piece in pieces)
        for pieces in (_pieces(value.exact) for value in values if isinstance(value, Text))
    )


def _pieces(asked: str) -> list[str]:
    return [piece for part in asked.split() if _WORD.search(piece := whole(part))]


def _stands(piece: str, text: str) -> bool:
    if not _LATIN.match(piece):
        return piece in text
    at = text.find(piece)
    while at > 0 and _LATIN.match(text[at - 1]):
        at = text.find(piece, at + 1)
    return at >= 0


def _any_of(told: Iterable[str], values: Iterable[Value], modifier: str | None) -> bool:
    asked = [value for value in values if isinstance(value, Text)]
    return any(_matches(text, asked, modifier) for text in told)


def _matches(text: str, asked: Iterable[Text], modifier: str | None) -> bool:
    folded = whole(text)
    test: Callable[[Text], bool]
    match modifier:
        case None | "text":
            test = lambda value: folded.startswith(value.folded)  # noqa: E731 - one line for each modifier
        case "exact":
            test = lambda value: text == value.exact  # noqa: E731
        case "contains":
            test = lambda value: value.folded in folded  # noqa: E731
        case "eq":
            test = lambda value: folded == value.folded  # noqa: E731
        case "ends":
            test = lambda value: folded.endswith(value.folded)  # noqa: E731
        case _:
            raise TypeError(f"no comparison of text for :{modifier}")
    return any(test(value) for value in asked)


# -- what is said ------------------------------------------------------------------------------------


def _written(node: Any) -> Iterator[str]:
    """The texts of a string, a name or an address."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            if key not in _APART:
                yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


def _behind(node: Any) -> Iterator[str]:
    """The text that goes with a code: CodeableConcept.text, Coding.display, Identifier.type.text."""
    if not isinstance(node, dict):
        return
    found = [node.get("text"), node.get("display")]
    found += [coding.get("display") for coding in _dicts(node.get("coding"))]
    if isinstance(kind := node.get("type"), dict):
        found.append(kind.get("text"))
    yield from (text for text in found if isinstance(text, str))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# -- pairs -------------------------------------------------------------------------------------------


def _together(resource: Mapping[str, Any], param: SearchParam, pair: Paired) -> bool:
    """A composite of the resource itself: all of its components hold."""
    each = zip(param.components, pair.values, strict=True)
    return all(_component(resource, param.base, name, inner, value) for (name, inner), value in each)


def _component(resource: Mapping[str, Any], kind: str, name: str, inner: str, value: Value) -> bool:
    nodes = _nodes(resource, kind, f"{kind}.{inner}")
    if isinstance(value, Token):
        bare = params_for(kind)[name].bare
        return any(_is_code(coding, value, bare=bare) for node in nodes for coding in _codings(node))
    return _any_of((text for node in nodes for text in _written(node)), [value], None)


def _codings(node: Any) -> list[tuple[str, str]]:
    if isinstance(node, str):
        return [("", node)]
    if not isinstance(node, dict):
        return []
    if "value" in node:
        return [(str(node.get("system") or ""), normal_identifier(str(node["value"])))]
    return [
        (str(coding.get("system") or ""), str(coding.get("code") or ""))
        for coding in (_dicts(node["coding"]) if "coding" in node else [node])
    ]


def _is_code(coding: tuple[str, str], asked: Token, *, bare: bool) -> bool:
    system, code = coding
    if asked.code is not None and asked.code != code:
        return False
    return bare or asked.system is None or preferred(asked.system) == preferred(system)


def _nodes(resource: Mapping[str, Any], kind: str, expression: str) -> Iterator[Any]:
    for key, walk in _ways(kind, expression):
        if (value := resource.get(key)) is not None:
            yield from walk(value)


@lru_cache(maxsize=1024)
def _ways(kind: str, expression: str) -> tuple[tuple[str, Walk], ...]:
    return tuple((leaf.steps[0].key, walker(leaf.steps)) for leaf in resolve(kind, expression))
