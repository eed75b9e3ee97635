"""The record as growth, pregnancy and checkups ask about it: measurements, dates and visits this caller may see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from consent import silence
from phr.care.gestation import TERM, Expected, Method, reckoned
from phr.records import body
from phr.records.caring import day_of
from phr.records.gateway import Records, Stored
from phr.records.systems import LOINC, OWN_ITEM, OWN_VISIT, UCUM

MOST = 5000  # Observations of one person that are looked through; newest first
# LOINC -> what is measured
MEASURES = {
    "29463-7": "weight", "8339-4": "weight", "8302-2": "height", "8306-3": "height", "89269-5": "height",
    "9843-4": "head", "8287-5": "head",
}  # fmt: skip
UNITS = {"kg": 1.0, "g": 0.001, "cm": 1.0, "mm": 0.1, "m": 100.0}  # UCUM -> kg or cm
OF = {"weight": ("kg", "g"), "height": ("cm", "mm", "m"), "head": ("cm", "mm", "m")}
GESTATION = "11884-4"  # days at birth, in the child's own record; in the mother's, of a delivery
LOST = "loss"  # own item: miscarriage, stillbirth, termination
EXPECTED: Mapping[str, Method] = {"11778-8": "unknown", "11779-6": "lmp", "11780-4": "ultrasound"}
WRONG = frozenset({"entered-in-error", "cancelled"})
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement. `value` in kg or cm. `found`: for the log."""

    measure: str
    on: date
    value: float
    found: Stored


@dataclass(frozen=True, slots=True)
class Body:
    """`gestation`: days at birth, None = not on record. `more`: there are older ones that were not looked at."""

    measured: tuple[Measured, ...]
    gestation: int | None
    more: bool


@dataclass(frozen=True, slots=True)
class Pregnancy:
    """One that goes on. `visits`: days of prenatal visits. `found`: what says so, for the log."""

    expected: Expected
    visits: tuple[date, ...]
    found: tuple[Stored, ...]


def growth(records: Records, subject: UUID) -> Body:
    """Weights, heights and head circumferences, oldest first. The reader writes the log of them."""
    entries, more = records.newest(subject, ("Observation",), most=MOST)
    measured, gestation = [], None
    for found, resource in _read(entries, subject):
        codes = _codes(resource.get("code"), LOINC)
        on, value = day_of(str(resource.get("effectiveDateTime", ""))), _quantity(resource)
        if GESTATION in codes and value and value[1] == "d" and gestation is None:
            gestation = int(value[0])
        measure = next((MEASURES[code] for code in codes if code in MEASURES), None)
        if measure and on and on[1] and value and value[1] in OF[measure]:
            measured.append(Measured(measure, on[0], value[0] * UNITS[value[1]], found))
    return Body(tuple(sorted(measured, key=lambda m: (m.on, m.measure, m.found.id))), gestation, more)


def stages_seen(records: Records, subject: UUID) -> tuple[dict[str, list[date]], list[Stored]]:
    """Kind of visit (own codes: m1, y1_6, prenatal …) -> its days; and the Encounters that say so."""
    entries, _ = records.newest(subject, ("Encounter",), most=MOST)
    days: dict[str, list[date]] = {}
    told = []
    for found, resource in _read(entries, subject):
        on = day_of(str(resource.get("period", {}).get("start", "")))
        kinds = [code for concept in resource.get("type", ()) for code in _codes(concept, OWN_VISIT)]
        if on and kinds and resource.get("status") == "finished":
            told.append(found)
            for kind in kinds:
                days.setdefault(kind, []).append(on[0])
    return days, told


def pregnancy(records: Records, subject: UUID, *, visits: Iterable[date], day: date) -> Pregnancy | None:
    """The pregnancy that goes on, as far as it may be seen. None as well where nothing is to be told of it any more."""
    entries, _ = records.newest(subject, ("Observation", "EpisodeOfCare"), most=MOST)
    dates: list[tuple[date, Expected]] = []
    says: list[Stored] = []
    born: list[date] = []
    episode = ""
    for found, resource in _read(entries, subject):
        on = day_of(str(resource.get("effectiveDateTime", "")))
        codes = _codes(resource.get("code"), LOINC)
        if found.type == "EpisodeOfCare" and not episode and _is_pregnancy(resource):
            episode = found.id
        elif on and (GESTATION in codes or LOST in _codes(resource.get("code"), OWN_ITEM)):
            born.append(on[0])  # a birth, or a loss that a register or clinic told of
        elif on:
            told = day_of(str(resource.get("valueDateTime", "")))
            named = [Expected(told[0], EXPECTED[code]) for code in codes if code in EXPECTED and told and told[1]]
            dates += [(on[0], one) for one in named]
            says += [found] if named else []
    expected = reckoned(one for _, one in sorted(dates, key=lambda pair: pair[0]) if _is_now(one, born, day))
    if expected is None or silence.kept(subject, episode):
        return None
    begin = expected.on.toordinal() - TERM
    since = tuple(sorted(on for on in visits if begin <= on.toordinal() and on <= day))
    return Pregnancy(expected, since, tuple(says))


def _is_pregnancy(resource: Resource) -> bool:
    kinds = [code for concept in resource.get("type", ()) for code in _codes(concept, OWN_VISIT)]
    return "prenatal" in kinds and resource.get("status") == "active"


def _is_now(expected: Expected, born: Iterable[date], day: date) -> bool:
    """Whether a date is of a pregnancy that goes on: not long past, and no birth on record since it began."""
    begin = expected.on.toordinal() - TERM
    return begin <= day.toordinal() <= expected.on.toordinal() + 21 and not any(b.toordinal() > begin for b in born)


def _read(entries: Iterable[Stored], subject: UUID) -> Iterator[tuple[Stored, Resource]]:
    """What is this person's own and not wrong."""
    for found in entries:
        if found.facts.subjects[0] == subject:
            resource = body.parse(found.body or b"{}")
            if resource.get("status") not in WRONG:
                yield found, resource


def _codes(concept: Any, system: str) -> list[str]:
    codings = (concept or {}).get("coding", ())
    return [str(c["code"]) for c in codings if c.get("system") == system and "code" in c]


def _quantity(resource: Resource) -> tuple[float, str] | None:
    found = resource.get("valueQuantity", {})
    if found.get("system") != UCUM or "value" not in found or found.get("comparator"):
        return None
    value = float(found["value"])
    return (value, str(found.get("code", ""))) if 0 < value < 1e6 else None
