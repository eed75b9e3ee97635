"""References between the entries of a transaction, and conditional ones (R4 http.html §3.1.0.11.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from phr.fhir.outcome import Problem

_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]{1,63})\?.+", re.ASCII | re.DOTALL)
Find = Callable[[str, str], str]


def relative(content: dict[str, Any], base: str) -> dict[str, Any]:
    """The same content, changed in place: references below our own `base` as `Type/id` (R4 references.html §2.3.0.1).

    Whom a resource speaks of decides who may see it, so nobody may be named in a second way.
    """
    own = re.compile(re.escape(base) + "/+", re.IGNORECASE)
    rest: list[Any] = [content]
    while rest:
        node = rest.pop()
        if isinstance(node, dict):
            if isinstance(text := node.get("reference"), str) and (found := own.match(text)):
                node["reference"] = text[found.end() :]
            node = list(node.values())
        rest += [value for value in node if isinstance(value, (dict, list))]
    return content


def rewritten(resource: Mapping[str, Any], named: Mapping[str, str], find: Find) -> dict[str, Any]:
    """The same resource with what its entries are called replaced by what they became.

    `named`: fullUrl (and relative `Type/id`) -> reference. `find`: type and condition -> reference.
    Raises Problem for a `urn:uuid` that no entry bears.
    """
    return {key: _value(key, value, named, find) for key, value in resource.items()}


def _value(key: str, value: Any, named: Mapping[str, str], find: Find) -> Any:
    if isinstance(value, str):
        return _text(key, value, named, find)
    if isinstance(value, dict):
        return {k: _value(k, v, named, find) for k, v in value.items()}
    if isinstance(value, list):
        return [_value(key, v, named, find) for v in value]
    return value


def _text(key: str, text: str, named: Mapping[str, str], find: Find) -> str:
    if key != "reference":
        # uri, url, canonical … may name an entry as well; `value` is an identifier's, which stays what it is.
        return named.get(text, text) if key != "value" and ":" in text else text
    if text in named:
        return named[text]
    if text.startswith("urn:uuid:"):
        raise Problem(400, "not-found", f"{text[:60]} はこの Bundle にありません。No entry of this Bundle bears it.")
    if match := _CONDITIONAL.fullmatch(text):
        return find(match["type"], text)
    return text
