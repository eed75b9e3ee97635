"""The keys by which the same dispensing is known again when another channel tells of it. Pure.

Exact key: the same words about the same thing (person, day, pharmacy, place in the prescription, drug, dose, number).
Loose keys: what channels have in common that number drugs differently (person, day, pharmacy, drug, whole amount).
An exact key is proof; a loose key is a proposal that the owner may undo (`dispensed.py`).
Both are SHA-256 over the words. They stand as identifiers on MedicationDispense; loose ones stand on a
MedicationStatement, too, that tells of a clinic's own dispensing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from integrations.ids import digest
from integrations.medicines import shortened
from phr.records import systems


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispensed:
    """One drug handed over, in a source's own words; "" = not said.

    `day`: ISO date. `pharmacy`: 10 digits. `rp`, `order`: place in the prescription. `code`: as the source codes it,
    `codes`: (system, code) as far as a system is known. `dose`, `number`: 用量 and 調剤数量 as written.
    `total`: the whole amount; None = not known.
    """

    person: str
    day: str
    pharmacy: str
    rp: str
    order: int
    name: str
    code: str
    dose: str
    number: str
    total: Decimal | None
    codes: tuple[tuple[str, str], ...] = ()


def exact_key(told: Dispensed) -> str:
    """The key two tellings share that say the same in the same words."""
    return digest(
        told.person, told.day, told.pharmacy, _number(told.rp), str(told.order), told.code or told.name,
        _number(told.dose), _number(told.number),
    )  # fmt: skip


def loose_keys(told: Dispensed) -> list[str]:
    """One key for each way the drug is named: YJ or 薬価基準 (the same digits for a branded drug), レセプト電算, name.

    None where day, pharmacy or whole amount is not known: too much would look alike.
    """
    if not (told.pharmacy and told.day) or told.total is None:
        return []
    known = dict(told.codes)
    drugs = (known.get(systems.YJ) or known.get(systems.MHLW_DRUG), known.get(systems.RECEIPT_DRUG), _name(told.name))
    total = str(shortened(told.total))
    return [digest(told.person, told.day, told.pharmacy, drug, total) for drug in dict.fromkeys(drugs) if drug]


def identifiers(told: Dispensed) -> list[dict[str, str]]:
    """Both kinds of keys as FHIR Identifiers."""
    loose = [{"system": systems.DISPENSE_LOOSE_KEY, "value": key} for key in loose_keys(told)]
    return [{"system": systems.DISPENSE_KEY, "value": exact_key(told)}, *loose]


def keys_of(identifiers: Iterable[object], system: str) -> list[str]:
    """The keys of one kind among the identifiers of a resource."""
    found = (i.get("value") for i in identifiers if isinstance(i, dict) and i.get("system") == system)
    return [value for value in found if isinstance(value, str)]


def _number(text: str) -> str:
    """A number without leading and trailing zeros, so that `01` and `1`, `1.50` and `1.5` are one; other text as is."""
    try:
        value = Decimal(text) if text.isascii() else None
    except InvalidOperation:
        value = None
    return str(shortened(value)) if value is not None and value.is_finite() and abs(value.adjusted()) < 20 else text


def _name(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


# What the formats say and FHIR has no element for, so that a notebook can be written again in the same words.

WORDS = f"{systems.OWN}/StructureDefinition/dispense-words"
WORD = (
    "form", "dose", "unit", "number", "number-unit", "code-kind", "code", "usage-kind", "usage",
    "clinic", "clinic-code", "department", "doctor",
)  # fmt: skip


def words(**said: str) -> list[dict[str, object]]:
    """The extension of a MedicationDispense, for those of WORD (`number_unit` for number-unit) that are not empty."""
    named = [(name, said.get(name.replace("-", "_"), "")) for name in WORD]
    inner = [{"url": name, "valueString": text} for name, text in named if text]
    return [{"url": WORDS, "extension": inner}] if inner else []


def words_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """Of a MedicationDispense, what `words` put there; empty where it was written by others."""
    for extension in resource.get("extension", ()):
        if extension.get("url") == WORDS:
            inner = extension.get("extension", ())
            return {i["url"]: i["valueString"] for i in inner if i.get("url") in WORD and "valueString" in i}
    return {}
