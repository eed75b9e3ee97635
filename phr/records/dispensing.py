"""What a resource itself says was handed over: two tell of one dispensing only where this agrees. Pure.

The keys by which channels find each other are identifiers, and anybody who writes may write them: they are proof of
nothing by themselves.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """Day (ISO), whole amount (None: not said), the drug by each code and name it is given."""

    day: str
    amount: object
    drugs: frozenset[tuple[str, str]]


def said(resource: Resource) -> Said:
    """Of a MedicationDispense, or of a MedicationStatement that tells of a dispensing."""
    period = resource.get("effectivePeriod", {})
    days = (resource.get(name) for name in ("whenHandedOver", "whenPrepared", "effectiveDateTime"))
    on = next((day for day in days if day), period.get("start", ""))
    amount = resource.get("quantity", {}).get("value")
    drugs = frozenset(_drugs(resource.get("medicationCodeableConcept", {})))
    return Said(str(on)[:10], amount, drugs)


def alike(one: Said, other: Said) -> bool:
    """Whether they agree in day and drug, and do not contradict each other in the amount."""
    silent = one.amount is None or other.amount is None
    return one.day == other.day and bool(one.drugs & other.drugs) and (silent or one.amount == other.amount)


def _drugs(concept: Resource) -> Iterator[tuple[str, str]]:
    for coding in concept.get("coding", ()):
        if "code" in coding:
            yield str(coding.get("system", "")), str(coding["code"])
        if "display" in coding:
            yield "name", _name(coding["display"])
    if concept.get("text"):
        yield "name", _name(concept["text"])


def _name(text: object) -> str:
    return "".join(unicodedata.normalize("NFKC", str(text)).split())
