"""How one value becomes terms, ranges and texts, by parameter type and data type. Pure.

`writer(param, data_type)` gives the function that index.py calls for every value it finds,
or None where that data type says nothing to that kind of search (SampledData to a quantity).
Source: FHIR R4 3.1.1.4.6 to 3.1.1.4.13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from math import inf, isfinite, nextafter
from typing import Any

from phr.records.search import ranges, terms
from phr.records.search.normal import normal, normal_contact, normal_identifier
from phr.records.search.params import LEGIBLE, SearchParam
from phr.records.search.quantities import Measured, measured
from phr.records.search.ranges import EVER, FOREVER
from phr.records.systems import preferred


class Sink:
    """Collects the texts of terms, references and quantities by the head of their parameter, ranges and texts."""

    __slots__ = ("quantities", "ranges", "references", "terms", "texts")

    def __init__(self) -> None:
        self.terms: set[str] = set()
        self.references: set[tuple[str, str]] = set()
        self.quantities: dict[str, dict[Measured, None]] = {}
        self.ranges: list[tuple[int, float, float]] = []
        self.texts: list[tuple[int, str]] = []


Write = Callable[[Any, Sink], None]
_TIMES = frozenset({"date", "dateTime", "instant"})
_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS = ("line", "city", "district", "state", "country", "postalCode", "text")


def writer(param: SearchParam, data_type: str) -> Write | None:
    """The writer for values of `data_type` found by `param`."""
    match param.type:
        case "token":
            return _token(param, data_type)
        case "reference":
            return _reference(param, data_type)
        case "date":
            return _date(param.id, data_type)
        case "string":
            return _string(param, data_type)
        case "uri":
            return _uri(param)
        case "number":
            return _number(param, data_type)
        case "quantity":
            return _quantity(param, data_type)
    return None


# Tokens


class _Tokens:
    """Writes the tokens of one parameter."""

    __slots__ = ("any", "coded", "none", "of_system")

    def __init__(self, param: SearchParam) -> None:
        self.any, self.none, self.coded, self.of_system = (terms.head(param.base, param.name, k) for k in "ancs")

    def put(self, system: Any, code: str, sink: Sink) -> None:
        found = sink.terms
        found.add(self.any + code)
        if isinstance(system, str) and system:
            found.add(self.coded + terms.joined(system, code))
            found.add(self.of_system + preferred(system))
        else:
            found.add(self.none + code)

    def coding(self, node: Any, sink: Sink) -> None:
        if isinstance(node, dict) and isinstance(code := node.get("code"), str):
            self.put(node.get("system"), code, sink)

    def concept(self, node: Any, sink: Sink) -> None:
        codings = node.get("coding") if isinstance(node, dict) else None
        if isinstance(codings, list):
            for entry in codings:
                self.coding(entry, sink)

    def identifier(self, node: Any, sink: Sink) -> None:
        if isinstance(node, dict) and isinstance(value := node.get("value"), str):
            self.put(node.get("system"), normal_identifier(value), sink)

    def contact(self, node: Any, sink: Sink) -> None:
        if isinstance(node, dict) and isinstance(value := node.get("value"), str):
            self.put(node.get("use"), normal_contact(value), sink)

    def bare(self, node: Any, sink: Sink) -> None:
        if isinstance(node, bool):
            sink.terms.add(self.any + ("true" if node else "false"))
        elif isinstance(node, str):
            sink.terms.add(self.any + node)


def _token(param: SearchParam, data_type: str) -> Write | None:
    tokens = _Tokens(param)
    known: dict[str, Write] = {"Coding": tokens.coding, "CodeableConcept": tokens.concept,
                               "Identifier": tokens.identifier, "ContactPoint": tokens.contact}  # fmt: skip
    return known.get(data_type) if data_type[:1].isupper() else tokens.bare


# References and URIs


class _References:
    """Writes the references of one parameter."""

    __slots__ = ("by_id", "literal", "logical", "versioned", "wide")

    def __init__(self, param: SearchParam) -> None:
        heads = (terms.head(param.base, param.name, kind) for kind in "rvid")
        self.literal, self.versioned, self.by_id, self.logical = heads
        self.wide = not param.targets or len(param.targets) > terms.WIDE

    def reference(self, node: Any, sink: Sink) -> None:
        if not isinstance(node, dict):
            return
        if isinstance(value := node.get("reference"), str) and not value.startswith("#"):
            self.put(value, sink)
        identifier = node.get("identifier")
        if isinstance(identifier, dict) and isinstance(value := identifier.get("value"), str):
            value = normal_identifier(value)
            system = identifier.get("system")
            sink.terms.add(self.logical + terms.joined("*", value))
            sink.terms.add(self.logical + terms.joined(system if isinstance(system, str) else "", value))

    def put(self, reference: str, sink: Sink) -> None:
        current = terms.without_version(reference)
        sink.references.add((self.literal, current))
        if current != reference:
            sink.terms.add(self.versioned + reference)
        if self.wide and (parts := terms.literal(current)):
            sink.terms.add(self.by_id + parts[2])

    def canonical(self, node: Any, sink: Sink) -> None:
        if isinstance(node, str):
            sink.references.add((self.literal, node))
            sink.references.add((self.literal, node.partition("|")[0]))

    def inline(self, node: Any, sink: Sink) -> None:
        if isinstance(node, dict) and isinstance(node.get("id"), str):
            self.put(f"{node.get('resourceType')}/{node['id']}", sink)


def _reference(param: SearchParam, data_type: str) -> Write:
    references = _References(param)
    known: dict[str, Write] = {"Reference": references.reference, "Resource": references.inline}
    return known.get(data_type, references.canonical)


def _uri(param: SearchParam) -> Write:
    head = terms.head(param.base, param.name, "u")

    def uri(node: Any, sink: Sink) -> None:
        if isinstance(node, str):
            sink.terms.add(head + node)

    return uri


# Ranges


def _date(param_id: int, data_type: str) -> Write | None:
    def write(node: Any, sink: Sink) -> None:
        found = span_of(node, data_type)
        if found is not None:
            sink.ranges.append((param_id, *found))

    return write if data_type in _TIMES or data_type in ("Period", "Timing") else None


def span_of(node: Any, data_type: str) -> ranges.Range | None:
    """The half-open span of a date, dateTime, instant, Period or Timing (outer limits), or None."""
    if data_type in _TIMES:
        try:
            return ranges.date_range(node) if isinstance(node, str) else None
        except (ValueError, OverflowError):
            return None
    if not isinstance(node, dict):
        return None
    if data_type == "Period":
        start, end = span_of(node.get("start"), "dateTime"), span_of(node.get("end"), "dateTime")
        if start is None and end is None:
            return None
        return (start[0] if start else EVER), (end[1] if end else FOREVER)
    events = node.get("event")
    spans = [span_of(event, "dateTime") for event in events] if isinstance(events, list) else []
    repeat = node.get("repeat")
    if isinstance(repeat, dict):
        spans.append(span_of(repeat.get("boundsPeriod"), "Period"))
    sound = [span for span in spans if span is not None]
    return (min(s[0] for s in sound), max(s[1] for s in sound)) if sound else None


def _number(param: SearchParam, data_type: str) -> Write | None:
    def plain(node: Any, sink: Sink) -> None:
        if (value := _float(node)) is not None:
            sink.ranges.append((param.id, *ranges.point(value)))

    def span(node: Any, sink: Sink) -> None:
        if isinstance(node, dict):
            low, high = (_float(_inner(node.get(side), "value")) for side in ("low", "high"))
            if low is not None or high is not None:
                ends = EVER if low is None else low, FOREVER if high is None else nextafter(high, inf)
                sink.ranges.append((param.id, *ends))

    if data_type[:1].islower():
        return plain
    return span if data_type == "Range" else None


def _quantity(param: SearchParam, data_type: str) -> Write:
    head = terms.head(param.base, param.name, "q")

    def quantity(node: Any, sink: Sink) -> None:
        if (value := measured(node, data_type)) is not None:
            sink.quantities.setdefault(head, {})[value] = None

    return quantity


def _inner(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, dict) else None


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if isfinite(number) else None


# Texts


def _string(param: SearchParam, data_type: str) -> Write | None:
    exact = terms.head(param.base, param.name, "x")

    legible = param.base in LEGIBLE

    def put(text: str, sink: Sink) -> None:
        sink.terms.add(exact + text)
        if legible and (folded := normal(text)):
            sink.texts.append((param.id, folded))

    def plain(node: Any, sink: Sink) -> None:
        if isinstance(node, str):
            put(node, sink)

    def parts(node: Any, sink: Sink) -> None:
        for text in _parts(node, _NAME_PARTS if data_type == "HumanName" else _ADDRESS_PARTS):
            put(text, sink)

    if data_type[:1].islower():
        return plain
    return parts if data_type in ("HumanName", "Address") else None


def _parts(node: Any, names: tuple[str, ...]) -> Iterator[str]:
    """The parts of a name or an address, and the whole as one would write it."""
    if not isinstance(node, dict):
        return
    yield from (text for name in names for text in _strings(node.get(name)))
    if not isinstance(node.get("text"), str):
        order = ("family", "given") if names is _NAME_PARTS else ("state", "city", "line")
        whole = [text for name in order for text in _strings(node.get(name))]
        if len(whole) > 1:
            yield " ".join(whole)


def _strings(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else (
        [value] if isinstance(value, str) else [])  # fmt: skip
