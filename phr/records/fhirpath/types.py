"""Which value is of which type (FHIR R4 fhirpath.html §"Types"; FHIRPath N1 §6.3). Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from phr.records import definitions
from phr.records.fhirpath.nodes import Node
from phr.records.fhirpath.values import Amount, Moment, system

# specialisation -> what it specialises; all others specialise Element, or DomainResource
PARENTS: Final = {
    "code": "string", "id": "string", "markdown": "string", "url": "uri", "canonical": "uri", "oid": "uri",
    "uuid": "uri", "unsignedInt": "integer", "positiveInt": "integer", "Age": "Quantity", "Count": "Quantity",
    "Distance": "Quantity", "Duration": "Quantity", "MoneyQuantity": "Quantity", "SimpleQuantity": "Quantity",
    "Timing": "BackboneElement", "Dosage": "BackboneElement", "ElementDefinition": "BackboneElement",
    "Bundle": "Resource", "Binary": "Resource", "Parameters": "Resource", "DomainResource": "Resource",
    "BackboneElement": "Element",
}  # fmt: skip


def parent(type: str) -> str | None:
    """The type that this one specialises, or None for Element and Resource."""
    if type in ("Element", "Resource"):
        return None
    if known := PARENTS.get(type):
        return known
    if "." in type:
        return "BackboneElement"
    return "DomainResource" if type in definitions.concrete_types() else "Element"


def lineage(type: str) -> list[str]:
    """A type and all it specialises, itself first."""
    found = [type]
    while (above := parent(found[-1])) is not None:
        found.append(above)
    return found


def is_of(item: Any, type: str) -> bool:
    """Whether a value is of a type, named with or without its model (FHIR., System.)."""
    model, _, name = type.rpartition(".")
    if isinstance(item, Node):
        if model != "System" and name in lineage(item.type):
            return True
        # a FHIR boolean is a System.Boolean too (R4 relies on it: que-7)
        return item.is_primitive and model != "FHIR" and name == system_type(system(item))
    return model != "FHIR" and name == system_type(item)


def system_type(value: Any) -> str:
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, Moment):
        return value.kind
    found = {str: "String", int: "Integer", Decimal: "Decimal", Amount: "Quantity"}
    return found.get(type(value), "")
