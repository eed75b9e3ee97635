"""How one value becomes terms, ranges and texts, by parameter type and data type. Pure.

`writer(param, data_type)` gives the function that index.py calls for every value it finds,
or None where that data type says nothing to that kind of search (SampledData to a quantity).
Source: FHIR R4 3.1.1.4.6 to 3.1.1.4.13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from phr.records import index_spans
from phr.records.search import terms
from phr.records.search.normal import normal, normal_contact, normal_identifier
from phr.records.search.params import LEGIBLE, SearchParam
from phr.records.search.quantities import Measured, measured
from phr.records.search.sounds import fold_of
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
            return _range(param.id, index_spans.dates(data_type))
        case "string":
            return _string(param, data_type)
        case "uri":
            return _uri(param)
        case "quantity" | "number":
            return _quantity(param, data_type)
        case "special":
            return _range(param.id, index_spans.place)
    return None


# Tokens


class _Tokens:
    """Writes the tokens of one parameter."""

    __slots__ = ("any", "coded", "id", "legible", "none", "of_system", "of_type")

    def __init__(self, param: SearchParam) -> None:
        heads = (terms.head(param.base, param.name, kind) for kind in "ancst")
        self.any, self.none, self.coded, self.of_system, self.of_type = heads
        self.id, self.legible = param.id, param.base in LEGIBLE

    def put(self, system: Any, code: str, sink: Sink) -> None:
        found = sink.terms
        found.add(self.any + code)
        if isinstance(system, str) and system:
            found.add(self.coded + terms.joined(system, code))
            found.add(self.of_system + preferred(system))
        else:
            found.add(self.none + code)

    def coding(self, node: Any, sink: Sink) -> None:
        if isinstance(node, dict):
            if isinstance(code := node.get("code"), str):
                self.put(node.get("system"), code, sink)
            self.text(node.get("display"), sink)

    def concept(self, node: Any, sink: Sink) -> None:
        if isinstance(node, dict):
            for entry in _listed(node.get("coding")):
                self.coding(entry, sink)
            self.text(node.get("text"), sink)

    def identifier(self, node: Any, sink: Sink) -> None:
        if not isinstance(node, dict):
            return
        kind = node.get("type")
        if isinstance(value := node.get("value"), str):
            value = normal_identifier(value)
            self.put(node.get("system"), value, sink)
            for system, code in tokens_of(kind, "CodeableConcept"):
                sink.terms.add(self.of_type + terms.joined(system or "", code) + "\x1f" + value)
        self.text(kind.get("text") if isinstance(kind, dict) else None, sink)

    def text(self, text: Any, sink: Sink) -> None:
        """What `:text` finds (R4 3.1.1.4.10), where strings may stand legibly."""
        if self.legible and isinstance(text, str) and (folded := normal(text)):
            sink.texts.append((self.id, folded))

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


def tokens_of(node: Any, kind: str) -> Iterator[tuple[str | None, str]]:
    """(system, code) of a Coding, a CodeableConcept, a code or a boolean."""
    if isinstance(node, bool):
        yield None, "true" if node else "false"
    elif isinstance(node, str):
        yield None, node
    elif isinstance(node, dict):
        for coding in _listed(node.get("coding")) if kind == "CodeableConcept" else [node]:
            if isinstance(coding, dict) and isinstance(code := coding.get("code"), str):
                system = coding.get("system")
                yield (system if isinstance(system, str) and system else None), code


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
    head, below = (terms.head(param.base, param.name, kind) for kind in "ub")

    def uri(node: Any, sink: Sink) -> None:
        if isinstance(node, str):
            bare = node.partition("|")[0]  # a canonical is found without its version too
            sink.terms.update((head + node, head + bare))
            if "://" in bare:
                sink.terms.update(below + above for above in terms.ancestors(bare))

    return uri


# Ranges and quantities


def _range(param_id: int, read: index_spans.Read | None) -> Write | None:
    if read is None:
        return None

    def write(node: Any, sink: Sink) -> None:
        if (found := read(node)) is not None:
            sink.ranges.append((param_id, *found))

    return write


def _quantity(param: SearchParam, data_type: str) -> Write:
    head = terms.head(param.base, param.name, "q")

    def quantity(node: Any, sink: Sink) -> None:
        if (value := measured(node, data_type)) is not None:
            sink.quantities.setdefault(head, {})[value] = None

    return quantity


# Texts


def _string(param: SearchParam, data_type: str) -> Write | None:
    exact = terms.head(param.base, param.name, "x")

    legible, fold = param.base in LEGIBLE, fold_of(param)

    def put(text: str, sink: Sink) -> None:
        sink.terms.add(exact + text)
        if legible and (folded := fold(text)):
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
    return [text for text in _listed(value) if isinstance(text, str)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
