"""R4's own terminology stands: no package gives one of its definitions another meaning. Pure.

What a package brings goes before what is bundled (phr/records/terminology/library.py), so that an operator can load a
newer terminology.hl7.org. R4's own (http://hl7.org/fhir/…) is part of the version of FHIR that is served: bindings of
its resources rest on it. A package may bring the same again, or the whole of what is bundled in part only.
StructureDefinitions need no check: there the bundled one always goes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from phr.records.profiles.archive import Found, Unloadable
from phr.records.terminology.sources import Bundled, Kind, dicts

R4: Final = "http://hl7.org/fhir/"
# What each means is said by these; the rest describes it.
MEANING: Final[Mapping[Kind, tuple[str, ...]]] = {
    "CodeSystem": ("content", "supplements", "caseSensitive", "property", "filter", "concept"),
    "ValueSet": ("compose",),
    "ConceptMap": ("sourceUri", "sourceCanonical", "targetUri", "targetCanonical", "group"),
}


def check(found: Iterable[Found]) -> None:
    """Raises Unloadable, naming the file and the url, where one gives a definition of R4's another meaning."""
    bundled = Bundled()
    for each in found:
        kind: Kind | None = next((kind for kind in MEANING if kind == each.type), None)
        if kind is None or not each.url.startswith(R4):
            continue
        own = bundled.find(kind, each.url, None)
        if own is None or _in_part(own):
            continue
        given = _plain(msgspec.json.decode(each.content, type=dict[str, Any]))
        if any(_told(given, key, own) != own.get(key) for key in MEANING[kind]):
            english = f"{each.url} is R4's own and cannot be replaced."
            raise Unloadable(each.file, f"{each.url} は R4 の定義で、置き換えられません。", english)


def _told(given: Mapping[str, Any], key: str, own: Mapping[str, Any]) -> Any:
    """What a package says; of a map, as far as the bundled one goes (it has no groups of other publishers' codes)."""
    if key != "group":
        return given.get(key)
    ends = {(group.get("source"), group.get("target")) for group in own.get("group", ())}
    return [group for group in dicts(given.get("group")) if (group.get("source"), group.get("target")) in ends]


def _plain(node: Any) -> Any:
    """Without extensions, as what is bundled."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != "extension" and key[:1] != "_"}
    return node


def _in_part(own: Mapping[str, Any]) -> bool:
    """Whether codes of others were left out of it."""
    parts = [*own.get("compose", {}).get("include", ()), *own.get("compose", {}).get("exclude", ())]
    return own.get("content", "complete") != "complete" or any(part.get("leftOut") for part in parts)
