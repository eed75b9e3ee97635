"""What belongs to nobody is open to all, so it may tell of nobody: the check of OPEN_TYPES at every write. Pure.

Refused, by its place: a reference to a Patient of ours anywhere; anything contained that would need a person on its
own; a confidentiality or a mark that nobody could keep; a code that carries a label. A definition may hold such codes
in its own elements (a questionnaire asks about depression, a ValueSet lists diseases, a Medication is a medicine):
it tells of no one who has them. In extensions it may not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from consent.scope import LABELS, OPEN_TYPES
from phr.records import classes, systems
from phr.records.search.terms import literal

_MEDICINES = frozenset({"Medication", "MedicationKnowledge", "Substance"})
_ABOUT_PLACES = frozenset({"Organization", "OrganizationAffiliation", "Practitioner", "PractitionerRole", "Location",
                           "HealthcareService", "Endpoint"})  # fmt: skip
_DEFINITIONS = OPEN_TYPES - _ABOUT_PLACES - _MEDICINES


def person_in(text: str) -> UUID | None:
    """The person a text is a reference to: `Patient/<uuid>`, with a version or without; None: it is none."""
    parts = literal(text)
    if parts is None or parts[0] is not None or parts[1] != "Patient":
        return None
    try:
        found = UUID(parts[2])
    except ValueError:
        return None
    return found if str(found) == parts[2] else None


def fault_of(resource: Mapping[str, Any]) -> str | None:
    """The first place of a resource of OPEN_TYPES that tells of a person, as FHIRPath; None: there is none."""
    for place, node, kind in _nodes(resource, resource["resourceType"], None):
        if told := _told(node, kind, place):
            return told
    return None


def _nodes(value: Any, place: str, kind: Any) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every object, in the order of the text, with its place and the type of the resource it is part of."""
    if isinstance(value, dict):
        kind = value.get("resourceType", kind)
        yield place, value, kind
        for key, inner in value.items():
            yield from _nodes(inner, f"{place}.{key}", kind)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _nodes(inner, f"{place}[{at}]", kind)


def _told(node: dict[str, Any], kind: Any, place: str) -> str | None:
    if isinstance(inner := node.get("resourceType"), str) and inner not in OPEN_TYPES:
        return place
    for key, value in node.items():
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str) and text.startswith("Patient/") and person_in(text):
                return f"{place}.{key}"
    system, code = node.get("system"), node.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return None
    if system == systems.OWN_MARK or (system == systems.CONFIDENTIALITY and code in ("R", "V")):
        return place if ".meta.security[" in place else None
    if classes.of_code(system, code) & LABELS and not _defines(kind, system, place):
        return place
    return None


def _defines(kind: Any, system: str, place: str) -> bool:
    """Whether a coding stands where its type says what things are, not who has them."""
    if "xtension[" in place or ".meta." in place:  # extension, modifierExtension
        return False
    return kind in _DEFINITIONS or (kind in _MEDICINES and systems.preferred(system) == systems.YJ)
