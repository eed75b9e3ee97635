"""Compartments: what belongs to a person, a visit, a device by its references (FHIR R4 compartmentdefinition.html).

Pure. The tables are HL7's five CompartmentDefinitions of R4 (4.0.1), CC0 (definitions/generate.py).
"""

from __future__ import annotations

from phr.records import definitions
from phr.records.search.params import SearchParam, params_for


def types(compartment: str) -> tuple[str, ...]:
    """The types that can belong to a compartment. Raises KeyError for a type that owns none."""
    return tuple(sorted(definitions.compartments()[compartment]))


def links(compartment: str, type: str) -> tuple[SearchParam, ...]:
    """The parameters by which resources of a type belong to a compartment; none: the type never does."""
    known = params_for(type)
    names = definitions.compartments()[compartment].get(type, ())
    return tuple(known[name] for name in names if name in known)  # "{def}" is the owner itself
