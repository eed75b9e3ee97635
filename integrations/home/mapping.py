"""Samples -> Observations: the family's own measurements, in the units this record uses. Pure.

Converted by UCUM with exact fractions. What no decimal can say (a third of a degree) is rounded at the fourth place;
wherever the unit changed, the value as it was measured stands beside it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from integrations.home.samples import Reading, Sample
from integrations.ids import resource_id
from phr.records import plausibility, systems
from phr.records.plausibility import Hint
from phr.records.systems import OBSERVATION_CATEGORY, OWN, OWN_ITEM, OWN_ORIGIN, SELF_MEASURED, UCUM

SAMPLE_ID = f"{OWN}/IdSystem/home-sample"
MEASURED_AS = f"{OWN}/StructureDefinition/measured-as"
PLACES = 4  # of a decimal that has no end
LONGEST = 9  # places of one that has
Resource = dict[str, Any]


class WrongUnit(ValueError):
    """The unit does not measure this."""


@dataclass(frozen=True, slots=True)
class Measure:
    code: Mapping[str, Any]
    category: tuple[Mapping[str, Any], ...]
    ucum: str
    unit: str


@dataclass(frozen=True, slots=True)
class Mapped:
    resource: Resource
    hints: tuple[Hint, ...]


@cache
def measures() -> Mapping[str, Measure]:
    with (Path(__file__).parent / "measures.csv").open(encoding="utf-8", newline="") as file:
        return {row["measure"]: _measure(row) for row in csv.DictReader(file)}


def _measure(row: Mapping[str, str]) -> Measure:
    named = ((systems.LOINC, "loinc"), (systems.BODY_MEASUREMENT, "jp"), (OWN_ITEM, "item"))
    coding = [{"system": system, "code": row[column]} for system, column in named if row[column]]
    categories = [{"system": systems.JP_OBSERVATION_CATEGORY, "code": row["category"]},
                  {"system": OBSERVATION_CATEGORY, "code": "vital-signs"}]  # fmt: skip
    category = tuple({"coding": [one]} for one in categories)
    return Measure({"coding": coding, "text": row["name_ja"]}, category, row["ucum"], row["unit"])


def observation_id(subject: UUID, source: str, uid: str) -> str:
    """The same sample of the same person is the same Observation, whoever of the family sends it."""
    return resource_id("Observation", str(subject), "home", source, uid.lower())


def observation(sample: Sample, *, subject: UUID, by_herself: bool, born: date | None) -> Mapped:
    """Raises WrongUnit."""
    patient = {"reference": f"Patient/{subject}"}
    named = "pressure" if len(sample.readings) == 2 else _kind(sample.readings[0])
    measure = measures()[named]
    made: Resource = {
        "resourceType": "Observation",
        "id": observation_id(subject, sample.source, sample.uid),
        "meta": {"tag": [{"system": OWN_ORIGIN, "code": SELF_MEASURED}]},
        "identifier": [{"system": SAMPLE_ID, "value": f"{sample.source}:{sample.uid}"}],
        "status": "final",
        "category": list(measure.category),
        "code": measure.code,
        "subject": patient,
        **_when(sample),
        "performer": [patient if by_herself else {"type": "RelatedPerson", "display": "保護者"}],
    }
    if sample.said_at:
        made["issued"] = _instant(sample.said_at)
    if len(sample.readings) == 2:
        made["component"] = [
            {"code": measures()[r.measure].code, "valueQuantity": _quantity(r, r.measure)} for r in sample.readings
        ]
    else:
        made["valueQuantity"] = _quantity(sample.readings[0], named)
    if sample.device:
        made["device"] = {"display": sample.device}
    hints = plausibility.hints(made, born=born)
    return Mapped(plausibility.tagged(made, hints), tuple(hints))


def _kind(reading: Reading) -> str:
    """Glucose by mass and by amount are two measures: UCUM alone does not convert between them."""
    return "glucose-amount" if reading.measure == "glucose" and reading.unit == "mmol/L" else reading.measure


def _quantity(reading: Reading, named: str) -> dict[str, Any]:
    measure = measures()[named]
    given = {"value": reading.value, "system": UCUM, "code": reading.unit}
    told = {"unit": measure.unit, "system": UCUM, "code": measure.ucum}
    if reading.unit == measure.ucum:
        return {"value": reading.value, **told}
    exact = plausibility.converted(given, measure.ucum)
    if exact is None:
        raise WrongUnit(reading.unit)
    return {"extension": [{"url": MEASURED_AS, "valueQuantity": given}], "value": decimal(exact), **told}


def decimal(value: Fraction) -> Decimal:
    """The decimal that is this fraction, or the nearest of four places where none of nine is."""
    with localcontext(prec=40):
        for places in range(LONGEST + 1):
            scaled = value * 10**places
            if scaled.denominator == 1:
                return Decimal(scaled.numerator).scaleb(-places)
        return Decimal(round(value * 10**PLACES)).scaleb(-PLACES)


def _when(sample: Sample) -> dict[str, Any]:
    if sample.end is None:
        return {"effectiveDateTime": _instant(sample.start)}
    return {"effectivePeriod": {"start": _instant(sample.start), "end": _instant(sample.end)}}


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")
