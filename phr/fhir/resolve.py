"""What entries of a transaction call each other, and what that becomes (R4 http.html §3.1.0.11.2, bundle.html §2.36.4).

Replaced are `Reference.reference`, elements of type uri and url, and links of narratives; elements of type
canonical are not. (Those of type oid and uuid, which R4 names too, could not hold a URL.) A reference to a
version stays one. A condition in a reference is resolved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape, unescape
from typing import Any

from phr.fhir.outcome import Problem
from phr.records import definitions, validate

_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]{1,63})\?.+", re.ASCII | re.DOTALL)
_RESTFUL = re.compile(r"(?P<base>https?://\S+?/)(?P<name>[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64})", re.ASCII)
_RELATIVE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64}", re.ASCII)
_LINK = re.compile(r"""(?P<head>\b(?:href|src)\s*=\s*)(?P<mark>["'])(?P<url>.*?)(?P=mark)""", re.DOTALL)
_URIS = frozenset({"uri", "url"})
BORN = 1  # the version of what a transaction creates
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


class Names:
    """What the entries of one transaction are called: fullUrl -> `Type/id` here."""

    def __init__(self) -> None:
        self.full: dict[str, str] = {}
        self.short: dict[str, str | None] = {}  # `Type/id` as another server has it; None where two have
        self.born: set[str] = set()

    def give(self, full_url: str | None, reference: str, *, born: bool = False) -> None:
        """An entry is `reference` here. `born`: this transaction creates it."""
        if born:
            self.born.add(reference)
        if full_url is None:
            return
        self.full[full_url] = reference
        if found := _RESTFUL.fullmatch(full_url):
            short = found["name"]
            self.short[short] = reference if self.short.get(short, reference) == reference else None

    def called(self, text: str, base: str | None = None) -> str | None:
        """What a link becomes; None where it names no entry. `base`: of the fullUrl of the entry it stands in."""
        bare, _, version = text.partition("/_history/")
        bare, mark, fragment = (bare, "", "") if version else bare.partition("#")
        found = self.full.get(bare)
        if found is None and _RELATIVE.fullmatch(bare):
            found = self.full.get(base + bare) if base else self.short.get(bare)
        if found is None:
            return None
        if version:
            return f"{found}/_history/{BORN if found in self.born else version}"
        return f"{found}{mark}{fragment}"


def base_of(full_url: str | None) -> str | None:
    """Against what relative references of an entry are resolved: the base of its fullUrl, if that is RESTful."""
    found = _RESTFUL.fullmatch(full_url or "")
    return found["base"] if found else None


def rewritten(resource: Mapping[str, Any], names: Names, find: Find, *, base: str | None = None) -> dict[str, Any]:
    """The same resource with what its entries are called replaced by what they became.

    `find`: type and condition -> reference. Raises Problem for a `urn:` reference that no entry bears.
    """
    changed = {key: _value(key, value, names, find, base) for key, value in resource.items()}
    if names.full:
        _links(changed, str(changed.get("resourceType")), names)
    return changed


def _value(key: str, value: Any, names: Names, find: Find, base: str | None) -> Any:
    if isinstance(value, str):
        return _reference(value, names, find, base) if key == "reference" else value
    if isinstance(value, dict):
        return {k: _value(k, v, names, find, base) for k, v in value.items()}
    if isinstance(value, list):
        return [_value(key, v, names, find, base) for v in value]
    return value


def _reference(text: str, names: Names, find: Find, base: str | None) -> str:
    if (found := names.called(text, base)) is not None:
        return found
    if text.startswith(("urn:uuid:", "urn:oid:")):
        raise Problem(400, "not-found", f"{text[:60]} はこの Bundle にありません。No entry of this Bundle bears it.")
    if match := _CONDITIONAL.fullmatch(text):
        return find(match["type"], text)
    return text


# -- links that are no references: known by their type ----------------------------------------------


def _links(node: dict[str, Any], kind: str, names: Names) -> None:
    """Replace in place. The resource is not checked yet: what does not fit its type is left as it is."""
    if not definitions.is_known(kind):
        return
    fields = validate.shape_of(kind).fields
    for key, value in node.items():
        spec = fields.get(key)
        if spec is None:
            continue
        if isinstance(value, list):
            node[key] = [_link(spec.type, entry, names) for entry in value]
        else:
            node[key] = _link(spec.type, value, names)


def _link(kind: str, value: Any, names: Names) -> Any:
    if isinstance(value, dict):
        _links(value, str(value.get("resourceType")) if kind == "Resource" else kind, names)
    elif isinstance(value, str):
        if kind in _URIS:
            return names.called(value) or value
        if kind == "xhtml":
            return _narrative(value, names)
    return value


def _narrative(text: str, names: Names) -> str:
    def link(found: re.Match[str]) -> str:
        called = names.called(unescape(found["url"]))
        return found[0] if called is None else f"{found['head']}{found['mark']}{escape(called)}{found['mark']}"

    return _LINK.sub(link, text)
