"""The R4 definitions as compact tables, read once and only when needed. Pure.

The tables are generated (`python -m phr.records.definitions.generate FOLDER`) and checked in.
Source: HL7 FHIR R4 (4.0.1), CC0; JP Core 1.2.0 for the eight search parameters it adds.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent


def table(name: str) -> Any:
    """One generated table (`elements`, `search`, `codes`), decoded."""
    return msgspec.json.decode(gzip.decompress((HERE / f"{name}.json.gz").read_bytes()))


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type. `types`: (type name, reference targets); `max` None = many.

    `codes`: index into the table `codes` if a required binding can be enumerated, else None.
    """

    name: str  # as in the definition: "value[x]"
    types: tuple[tuple[str, tuple[str, ...]], ...]
    min: int
    max: int | None
    summary: bool
    modifier: bool
    codes: int | None

    @property
    def choice(self) -> bool:
        return self.name.endswith("[x]")


@cache
def elements_table() -> dict[str, Any]:
    """`resources` and `types` (see generate.py)."""
    return table("elements")  # type: ignore[no-any-return]


# Never stored, whoever brings them: made from what the server keeps otherwise.
PROJECTED = frozenset({"AuditEvent"})


@cache
def concrete_types() -> frozenset[str]:
    """The concrete R4 resource types."""
    return frozenset(elements_table()["resources"])


def is_known(type_name: str) -> bool:
    """Whether a resource type, a data type or a backbone path ("Observation.component") is defined."""
    return type_name in elements_table()["types"]


@cache
def fields(type_name: str) -> Mapping[str, Element]:
    """Elements of a type by definition name ("value[x]"). Raises KeyError for an unknown type."""
    return {name: _element(name, row) for name, row in elements_table()["types"][type_name].items()}


def _element(name: str, row: list[Any]) -> Element:
    types, low, high, flags, codes = row
    pairs = []
    for entry in types:
        kind, _, targets = entry.partition(">")
        pairs.append((kind, tuple(targets.split(",")) if targets else ()))
    return Element(name, tuple(pairs), low, high or None, bool(flags & 1), bool(flags & 2), codes)


def choice_key(name: str, type_name: str) -> str:
    """The JSON key of a choice element: ("value[x]", "Quantity") -> "valueQuantity"."""
    return name[:-3] + type_name[0].upper() + type_name[1:]


@cache
def codes(index: int) -> Mapping[str, frozenset[str]]:
    """Allowed codes of one required binding: system -> codes."""
    return {system: frozenset(values) for system, values in _codes()[index].items()}


@cache
def _codes() -> list[dict[str, list[str]]]:
    return table("codes")  # type: ignore[no-any-return]


@cache
def search_table() -> dict[str, Any]:
    """`ids`: parameter name -> stable small int; `types`: type -> name -> row (see generate.py)."""
    return table("search")  # type: ignore[no-any-return]


@cache
def compartments() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Compartment (Patient, Encounter, RelatedPerson, Practitioner, Device) -> type -> search parameters.

    The parameters of a type put a resource into the compartment; "{def}" is the resource it is named after.
    """
    found: dict[str, dict[str, list[str]]] = search_table()["compartments"]
    return {code: {kind: tuple(names) for kind, names in types.items()} for code, types in found.items()}


def patient_compartment() -> Mapping[str, tuple[str, ...]]:
    """Type -> search parameters that put a resource into a patient's compartment."""
    return compartments()["Patient"]
