"""The record as growth, pregnancy and checkups ask about it: measurements, dates and visits this caller may see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from consent import silence
from phr.care.gestation import TERM, Expected, Method, reckoned
from phr.records import body, endings
from phr.records.caring import day_of
from phr.records.endings import Episode
from phr.records.gateway import Records, Stored
from phr.records.systems import LOINC, OWN_VISIT, UCUM

MOST = 5000  # Observations of one person that are looked through; newest first
# LOINC -> what is measured
MEASURES = {
    "29463-7": "weight", "8339-4": "weight", "8302-2": "height", "8306-3": "height", "89269-5": "height",
    "9843-4": "head", "8287-5": "head",
}  # fmt: skip
UNITS = {"kg": 1.0, "g": 0.001, "cm": 1.0, "mm": 0.1, "m": 100.0}  # UCUM -> kg or cm
OF = {"weight": ("kg", "g"), "height": ("cm", "mm", "m"), "head": ("cm", "mm", "m")}
GESTATION = "11884-4"  # days at birth, in the child's own record; in the mother's, of a delivery
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
    told_of, _ = records.newest(subject, ("Condition", "EpisodeOfCare"), most=MOST)  # no mass of Observations hides it
    entries = [*told_of, *records.newest(subject, ("Observation",), most=MOST)[0]]
    dates: list[tuple[date, Expected]] = []
    says: list[Stored] = []
    ended: list[date] = []
    episodes: dict[str, Episode] = {}
    for found, resource in _read(entries, subject):
        on = endings.day(resource)
        codes = _codes(resource.get("code"), LOINC)
        if found.type == "EpisodeOfCare":
            episodes |= {found.id: one} if (one := endings.episode(resource)) else {}
        elif endings.is_loss(resource):
            ended.append(on or timezone.localdate(found.updated_at))  # at the latest when it was told
        elif on and GESTATION in codes:
            ended.append(on)
        elif on:
            told = day_of(str(resource.get("valueDateTime", "")))
            named = [Expected(told[0], EXPECTED[code]) for code in codes if code in EXPECTED and told and told[1]]
            dates += [(on, one) for one in named]
            says += [found] if named else []
    silences = {about: timezone.localdate(since) for about, since in silence.all_of(subject).items()}
    going = (one for _, one in sorted(dates, key=lambda pair: pair[0]) if _is_now(one, ended, day))
    expected = reckoned(one for one in going if not endings.is_over(_span(one), episodes, silences))
    if expected is None:
        return None
    begin, _ = _span(expected)
    since = tuple(sorted(on for on in visits if begin <= on <= day))
    return Pregnancy(expected, since, tuple(says))


def _span(expected: Expected) -> tuple[date, date]:
    """From the last menstrual period to the day until which a pregnancy is believed to go on."""
    return expected.on - timedelta(days=TERM), expected.on + timedelta(days=21)


def _is_now(expected: Expected, ended: Iterable[date], day: date) -> bool:
    """Whether a date is of a pregnancy that goes on: not long past, and no birth or loss on record since it began."""
    begin, last = _span(expected)
    return begin <= day <= last and not any(on > begin for on in ended)


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
