"""How much of a resource is shown: `_summary` and `_elements`. Pure.

Source: FHIR R4 search.html §3.1.1.5.8 (_summary), §3.1.1.5.9 (_elements). What is filtered is tagged SUBSETTED,
so that nobody takes it for the whole and writes it back. Mandatory and modifier elements always stay: without
them a part could be read as saying something else. For the same reason `id` and `extension` stay inside data
types that are shown (of a Japanese name the extension says which spelling it is).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from phr.records import definitions
from phr.records.definitions import Element
from phr.records.search.query import BadSearch

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
SUMMARIES = frozenset({"true", "text", "data", "count", "false"})
MOST_ELEMENTS = 100
_ALWAYS = frozenset({"resourceType", "id", "meta"})
_INSIDE = frozenset({"id", "extension"})
_WHOLE = frozenset({"Resource", "Extension", "Narrative", "xhtml"})  # kept as they are, if they are kept


@dataclass(frozen=True, slots=True)
class Shape:
    """What to show: `summary` as in R4, or the `elements` named."""

    summary: str | None = None
    elements: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether resources go out as they are stored."""
        return self.summary in (None, "false", "count") and not self.elements

    @property
    def of_included(self) -> Shape:
        """R4 §3.1.1.5.9: `_elements` does not apply to what is included."""
        return Shape(self.summary) if self.elements else self


WHOLE = Shape()


def asked(pairs: Iterable[tuple[str, str]]) -> Shape:
    """The shape that parameters of a read or a history ask for. Raises BadSearch."""
    told: dict[str, str] = {}
    for name, value in pairs:
        if name in ("_summary", "_elements"):
            if name in told:
                raise BadSearch(name, "may stand once only")
            told[name] = value
    if not told:
        return WHOLE
    if told.get("_summary") == "count":
        raise BadSearch("_summary", "count is for searches only")
    names = tuple(name.strip() for name in told.get("_elements", "").split(",") if name.strip())
    return checked(Shape(told.get("_summary"), names))


def checked(shape: Shape) -> Shape:
    """The same shape. Raises BadSearch where it means nothing."""
    if shape.summary is not None and shape.summary not in SUMMARIES:
        raise BadSearch("_summary", "must be one of " + ", ".join(sorted(SUMMARIES)))
    if shape.elements and shape.summary not in (None, "false"):
        raise BadSearch("_elements", "cannot be combined with _summary")
    if len(shape.elements) > MOST_ELEMENTS:
        raise BadSearch("_elements", f"more than {MOST_ELEMENTS} elements")
    return shape


def shaped(resource: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """The part of a resource that a shape shows, tagged; the resource itself where that is all of it."""
    if shape.whole:
        return resource
    kind = resource["resourceType"]
    if shape.summary == "data":
        kept = {key: value for key, value in resource.items() if key != "text"}
    elif shape.summary == "true":
        kept = _summarised(resource, kind)
    else:
        names = _kept_of_text(kind) if shape.summary == "text" else _kept_of(kind, frozenset(shape.elements))
        kept = {k: v for k, v in resource.items() if k in _ALWAYS or k.removeprefix("_") in names}
    return _tagged(kept)


def _tagged(resource: dict[str, Any]) -> dict[str, Any]:
    meta = resource.get("meta", {})
    tags = meta.get("tag", [])
    if not any(t.get("system") == SUBSETTED["system"] and t.get("code") == SUBSETTED["code"] for t in tags):
        meta = {**meta, "tag": [*tags, SUBSETTED]}
    first = {key: resource[key] for key in ("resourceType", "id") if key in resource}
    return first | {"meta": meta} | {key: value for key, value in resource.items() if key not in _ALWAYS}


def _summarised(node: dict[str, Any], kind: str) -> dict[str, Any]:
    """`_summary=true` of a resource or, within one, of a backbone element or data type."""
    inner = _summary_of(kind)
    always = _ALWAYS if "resourceType" in node else _INSIDE
    found = {}
    for key, value in node.items():
        name = key.removeprefix("_")
        if key in always or name in always or key == "meta":
            found[key] = value
        elif name in inner:
            below = inner[name]
            found[key] = value if below is None or name != key else _each(value, below)
    return found


def _each(value: Any, kind: str) -> Any:
    if isinstance(value, list):
        return [_each(item, kind) for item in value]
    return _summarised(value, kind) if isinstance(value, dict) else value


@lru_cache(maxsize=2048)
def _summary_of(kind: str) -> Mapping[str, str | None]:
    """JSON keys of a type that a summary keeps -> the type to look into, or None to keep the value as it is."""
    found: dict[str, str | None] = {}
    for element in definitions.fields(kind).values():
        if element.summary or element.modifier or element.min:
            for key, inner in _spelled(element):
                deeper = definitions.is_known(inner) and inner[:1].isupper() and inner not in _WHOLE
                found[key] = inner if deeper else None
    return found


@lru_cache(maxsize=512)
def _kept_of_text(kind: str) -> frozenset[str]:
    """`_summary=text`: the text, what is mandatory, and what nobody may overlook."""
    own = {"text", "implicitRules", "modifierExtension"}
    elements = definitions.fields(kind).items()
    return frozenset(key for name, e in elements if e.min or name in own for key, _ in _spelled(e))


@lru_cache(maxsize=2048)
def _kept_of(kind: str, names: frozenset[str]) -> frozenset[str]:
    """`_elements`: JSON keys of the elements named (also as `Type.element`), of mandatory and modifier ones."""
    names = frozenset(name.removeprefix(f"{kind}.").removesuffix("[x]") for name in names)
    found: set[str] = set()
    for name, element in definitions.fields(kind).items():
        keys = {key for key, _ in _spelled(element)}
        wanted = name.removesuffix("[x]") in names or keys & names
        if wanted or element.min or element.modifier:
            found |= keys
    return frozenset(found)


def _spelled(element: Element) -> list[tuple[str, str]]:
    """JSON key and type of each form of an element."""
    if element.choice:
        return [(definitions.choice_key(element.name, kind), kind) for kind, _ in element.types]
    return [(element.name, element.types[0][0] if element.types else "")]
