"""StructureDefinition (snapshot) -> a tree of specs, as the walker wants it. Pure.

A slice stands below the element it slices. What cannot be walked (a differential only, re-slicing, ids that do not
fit together) is refused by name: `Unwalkable`. Source: FHIR R4 structuredefinition.html, elementdefinition.html,
profiling.html §5.1.0.14 (slicing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from phr.records import definitions

BASE: Final = "http://hl7.org/fhir/StructureDefinition/"
MOST_ELEMENTS: Final = 20_000
TYPE_EXTENSION: Final = BASE + "structuredefinition-fhir-type"


class Unwalkable(Exception):
    """A profile that cannot be checked, and why (Japanese, then English)."""


@dataclass(frozen=True, slots=True)
class TypeRule:
    """One allowed type: its code, profiles it must meet one of, profiles of what it refers to, aggregation."""

    code: str
    profiles: tuple[str, ...]
    targets: tuple[str, ...]
    aggregation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Invariant:
    """A constraint. `severity`: error or warning."""

    key: str
    severity: str
    human: str
    expression: str


@dataclass(frozen=True, slots=True)
class Binding:
    strength: str
    value_set: str


@dataclass(frozen=True, slots=True)
class Constant:
    """fixed[x] (`exact`) or pattern[x]."""

    value: Any
    exact: bool


@dataclass(frozen=True, slots=True)
class Slicing:
    """`discriminators`: (type, path) pairs; `rules`: open, closed or openAtEnd."""

    discriminators: tuple[tuple[str, str], ...]
    ordered: bool
    rules: str


@dataclass(frozen=True, slots=True)
class Limits:
    """maxLength, minValue[x], maxValue[x]; None = not told."""

    length: int | None
    low: Any
    high: Any


@dataclass(slots=True, eq=False)
class Spec:
    """One element of a profile. `name` without "[x]"; `max` None = many; `refers`: id of the element it repeats."""

    id: str
    name: str
    min: int
    max: int | None
    types: tuple[TypeRule, ...]
    constant: Constant | None
    binding: Binding | None
    rules: tuple[Invariant, ...]
    refers: str | None
    slice_name: str
    slicing: Slicing | None
    limits: Limits | None = None
    children: dict[str, Spec] = field(default_factory=dict)
    slices: list[Spec] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Profile:
    """A compiled StructureDefinition. `contexts`: where an extension may stand, as (type, expression)."""

    url: str
    name: str
    type: str
    is_base: bool
    modifier: bool
    contexts: tuple[tuple[str, str], ...]
    root: Spec
    by_id: Mapping[str, Spec]

    def children(self, spec: Spec) -> Mapping[str, Spec]:
        """What is said of the children of an element: its own rules, or in R4's own definitions those it repeats.

        The rules of a profile for an element do not fall on its repetitions (Consent.provision.provision).
        """
        if spec.children or spec.refers is None or not self.is_base:
            return spec.children
        target = self.by_id.get(spec.refers)
        return target.children if target is not None else spec.children


def compiled(structure: Mapping[str, Any]) -> Profile:
    """A StructureDefinition, compiled. Raises Unwalkable; never anything else, whatever the JSON."""
    url = str(structure.get("url", "?"))
    try:
        return _compiled(url, structure)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        text = f"{url}: 定義が R4 の形ではありません。Not a StructureDefinition as R4 has it ({type(error).__name__})."
        raise Unwalkable(text) from None


def _compiled(url: str, structure: Mapping[str, Any]) -> Profile:
    elements = structure.get("snapshot", {}).get("element", [])
    if not elements:
        raise Unwalkable(f"{url}: snapshot がありません。It has no snapshot.")
    if len(elements) > MOST_ELEMENTS:
        raise Unwalkable(f"{url}: 要素が多すぎます。More than {MOST_ELEMENTS} elements.")
    by_id: dict[str, Spec] = {}
    for element in elements:
        _place(url, element, by_id)
    kind = structure["type"]
    if not definitions.is_known(kind):
        raise Unwalkable(f"{url}: {kind[:64]} は R4 の型ではありません。Not a type of R4.")
    return Profile(
        url=url,
        name=str(structure.get("name", url)),
        type=kind,
        is_base=structure.get("derivation") != "constraint",
        modifier=elements[0].get("isModifier") is True,
        contexts=tuple((c["type"], c["expression"]) for c in structure.get("context", [])),
        root=by_id[elements[0]["id"]],
        by_id=by_id,
    )


def _place(url: str, element: Mapping[str, Any], by_id: dict[str, Spec]) -> None:
    """Compile one element, and hang it where its id says."""
    own = element.get("id")
    if not isinstance(own, str):
        raise Unwalkable(
            f"{url}: id のない要素があります。An element of the snapshot has no id: {element.get('path')}."
        )
    above, _, last = own.rpartition(".")
    stem, _, slice_name = last.partition(":")
    if "/" in slice_name:
        raise Unwalkable(f"{url}: 再スライスは扱えません。Re-slicing is not supported: {own}.")
    spec = _spec(element, own, stem, slice_name)
    by_id[own] = spec
    # a slice name where nothing is sliced is no more than a name (so in two of R4's own profiles)
    base = by_id.get(f"{above}.{stem}" if above else stem) if slice_name else None
    if base is not None:
        if base.slicing is None:
            base.slicing = _implied(url, stem, own)
        base.slices.append(spec)
    elif above:
        if above not in by_id:
            raise Unwalkable(f"{url}: 親の要素がありません。The parent element is missing: {own}.")
        by_id[above].children[spec.name] = spec


def _implied(url: str, stem: str, own: str) -> Slicing:
    """Slicing that R4 lets a profile leave unsaid: extensions by url, choices by type."""
    if stem in ("extension", "modifierExtension"):
        return Slicing((("value", "url"),), False, "open")
    if stem.endswith("[x]"):
        return Slicing((("type", "$this"),), False, "open")
    raise Unwalkable(f"{url}: スライスの決め方がありません。Nothing says how it is sliced: {own}.")


def _spec(element: Mapping[str, Any], own: str, stem: str, slice_name: str) -> Spec:
    most = str(element.get("max", "*"))
    constant = next(
        (Constant(v, k.startswith("fixed")) for k, v in element.items() if k.startswith(("fixed", "pattern"))), None
    )
    refers = element.get("contentReference")
    return Spec(
        id=own,
        name=stem.removesuffix("[x]"),
        min=int(element.get("min", 0)),
        max=None if most == "*" else int(most),
        types=tuple(_type_rule(t) for t in element.get("type", [])),
        constant=constant,
        binding=_binding(element.get("binding", {})),
        rules=tuple(
            Invariant(c["key"], c["severity"], c.get("human", ""), c["expression"])
            for c in element.get("constraint", [])
            if "expression" in c
        ),
        refers=refers.partition("#")[2] if refers else None,
        slice_name=slice_name,
        slicing=_slicing(element["slicing"]) if "slicing" in element else None,
        limits=_limits(element),
    )


def _limits(element: Mapping[str, Any]) -> Limits | None:
    found = [next((v for k, v in element.items() if k.startswith(stem)), None) for stem in ("minValue", "maxValue")]
    length = element.get("maxLength")
    return Limits(length, *found) if length is not None or found != [None, None] else None


def _binding(binding: Mapping[str, Any]) -> Binding | None:
    if "valueSet" not in binding or binding.get("strength") not in ("required", "extensible"):
        return None
    return Binding(binding["strength"], str(binding["valueSet"]))


def _slicing(slicing: Mapping[str, Any]) -> Slicing:
    pairs = tuple((d["type"], d["path"]) for d in slicing.get("discriminator", []))
    return Slicing(pairs, slicing.get("ordered") is True, slicing.get("rules", "open"))


def _type_rule(entry: Mapping[str, Any]) -> TypeRule:
    code = entry["code"]
    for extension in entry.get("extension", []):
        if extension.get("url") == TYPE_EXTENSION:
            code = extension.get("valueUrl", code)
    if code.startswith("http://hl7.org/fhirpath/System."):
        code = code.rpartition(".")[2].lower()
    return TypeRule(
        code,
        tuple(entry.get("profile", ())),
        tuple(entry.get("targetProfile", ())),
        tuple(entry.get("aggregation", ())),
    )
