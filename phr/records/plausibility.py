"""Whether a measured value can well be: hints for whoever typed it, never a refusal and no medical judgement. Pure.

`plausible_ranges.csv`: per measure and age in days (half-open), `low` to `high` is what is usually seen, `least` to
`most` what a form takes at all; each row names its source. A value outside the first is unusual ("information"),
outside the second hardly possible ("warning"): a slip of the finger, the wrong unit, the wrong person.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from phr.records.search.units import canonical
from phr.records.systems import LOINC, OWN, OWN_ITEM, UCUM, preferred

TAG_SYSTEM: Final = f"{OWN}/CodeSystem/plausibility"  # meta.tag of what bears a hint: unusual, unlikely
Severity = Literal["information", "warning"]
CODES: Final[Mapping[Severity, str]] = {"information": "unusual", "warning": "unlikely"}
SYSTOLIC, DIASTOLIC = "systolic", "diastolic"
_ENDLESS = 10**6


@dataclass(frozen=True, slots=True)
class Range:
    measure: str
    unit: str
    days: range
    low: Fraction
    high: Fraction
    least: Fraction
    most: Fraction
    ja: str
    en: str
    source: str


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing to look at again. `expression`: FHIRPath in the Observation; the words hold no value of it."""

    severity: Severity
    ja: str
    en: str
    expression: str

    @property
    def code(self) -> str:
        """In meta.tag, under `TAG_SYSTEM`."""
        return CODES[self.severity]

    @property
    def text(self) -> str:
        return f"{self.ja} {self.en}"


@cache
def ranges() -> Mapping[tuple[str, str], tuple[Range, ...]]:
    """(system, code) of what is measured -> its ranges by age."""
    found: dict[tuple[str, str], list[Range]] = {}
    with (Path(__file__).parent / "plausible_ranges.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            low, high, least, most = (Fraction(row[name]) for name in ("low", "high", "least", "most"))
            days = range(int(row["age_from_days"]), int(row["age_until_days"] or _ENDLESS))
            made = Range(
                row["measure"], row["unit"], days, low, high, least, most, row["name_ja"], row["name_en"], row["source"]
            )  # fmt: skip
            for system, column in ((LOINC, "loinc"), (OWN_ITEM, "item")):
                for code in row[column].split():
                    found.setdefault((system, code), []).append(made)
    return {key: tuple(rows) for key, rows in found.items()}


def concerned(observation: Mapping[str, Any]) -> bool:
    """Whether anything in an Observation (sound R4) has a range, or bears the tag of a hint."""
    tags = observation.get("meta", {}).get("tag", ())
    return any(_rows(node) for _, node in _measured(observation)) or any(t.get("system") == TAG_SYSTEM for t in tags)


def hints(observation: Mapping[str, Any], *, born: date | None) -> list[Hint]:
    """What to look at again in an Observation (sound R4). `born`: of the person it is about; None = not known."""
    if observation.get("resourceType") != "Observation" or observation.get("status") == "entered-in-error":
        return []
    days = _age(observation, born)
    measured = list(_measured(observation))
    found = [hint for place, node in measured for hint in _of(node, place, days)]
    return found + list(_crossed(measured))


def tagged(observation: dict[str, Any], found: list[Hint]) -> dict[str, Any]:
    """The Observation with the tags of its hints, and without those of earlier ones."""
    meta = observation.get("meta", {})
    tags = [t for t in meta.get("tag", ()) if not isinstance(t, dict) or t.get("system") != TAG_SYSTEM]
    tags += [{"system": TAG_SYSTEM, "code": code} for code in sorted({hint.code for hint in found})]
    if tags == meta.get("tag", []):
        return observation
    rest = {name: value for name, value in meta.items() if name != "tag"}
    meta = {**rest, "tag": tags} if tags else rest
    plain = {name: value for name, value in observation.items() if name != "meta"}
    return {"resourceType": plain.pop("resourceType"), **({"meta": meta} if meta else {}), **plain}


# -- one value -----------------------------------------------------------------------------------------


def _measured(observation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "Observation", observation
    for at, component in enumerate(observation.get("component", ())):
        yield f"Observation.component[{at}]", component


def _of(node: Mapping[str, Any], place: str, days: int | None) -> Iterator[Hint]:
    quantity = node.get("valueQuantity")
    rows = _rows(node)
    if not rows or not isinstance(quantity, Mapping) or "value" not in quantity:
        return
    row = next((r for r in rows if days is not None and days in r.days), None)
    value = converted(quantity, rows[0].unit)
    where = f"{place}.value"
    if value is None:
        yield Hint(
            "information", f"{rows[0].ja}の単位ではないようです。入力を確かめてください。",
            f"This seems to be no unit of {rows[0].en}: please check.", where,
        )  # fmt: skip
        return
    # Without an age: only what is beyond every age.
    least, most = (row.least, row.most) if row else (min(r.least for r in rows), max(r.most for r in rows))
    low, high = (row.low, row.high) if row else (least, most)
    if not least <= value <= most:
        yield _hint("warning", rows[0], where)
    elif not low <= value <= high:
        yield _hint("information", rows[0], where)


def _hint(severity: Severity, row: Range, where: str) -> Hint:
    if severity == "warning":
        ja, en = f"{row.ja}としては考えにくい値です。", f"Hardly possible as {row.en}"
    else:
        ja, en = f"{row.ja}としてはふだん見られない値です。", f"Unusual as {row.en}"
    return Hint(severity, f"{ja}入力を確かめてください。", f"{en} at this age: please check.", where)


def _rows(node: Mapping[str, Any]) -> tuple[Range, ...]:
    table = ranges()
    for coding in node.get("code", {}).get("coding", ()):
        found = table.get((preferred(coding.get("system", "")), coding.get("code", "")))
        if found:
            return found
    return ()


def converted(quantity: Mapping[str, Any], unit: str) -> Fraction | None:
    """The value in this unit of UCUM, exactly; None where the quantity is none of the kind, or in no unit."""
    given, wanted = quantity.get("code"), canonical(unit)
    if not given or preferred(quantity.get("system", UCUM)) != UCUM or wanted is None:
        return None
    source = canonical(str(given))
    if source is None or source.measure != wanted.measure:
        return None
    try:
        value = Fraction(Decimal(str(quantity["value"])))
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return (value * source.factor + source.offset - wanted.offset) / wanted.factor


def _crossed(measured: list[tuple[str, Mapping[str, Any]]]) -> Iterator[Hint]:
    """A systolic pressure that is not above the diastolic one."""
    told = {}
    for place, node in measured:
        for row in _rows(node)[:1]:
            value = converted(node.get("valueQuantity", {}), row.unit)
            if value is not None:
                told[row.measure] = (value, place)
    if SYSTOLIC in told and DIASTOLIC in told and told[SYSTOLIC][0] <= told[DIASTOLIC][0]:
        yield Hint(
            "warning", "収縮期血圧が拡張期血圧より高くありません。入れ替わっていないか確かめてください。",
            "The systolic pressure is not above the diastolic one: please check whether they are swapped.",
            told[SYSTOLIC][1],
        )  # fmt: skip


def _age(observation: Mapping[str, Any], born: date | None) -> int | None:
    """Days of life when it was measured; None where that is not known to the day."""
    period = observation.get("effectivePeriod")
    start = period.get("start", "") if isinstance(period, Mapping) else ""
    at = observation.get("effectiveDateTime") or observation.get("effectiveInstant") or start
    if born is None or not isinstance(at, str) or len(at) < 10:
        return None
    try:
        days = (date.fromisoformat(at[:10]) - born).days
    except ValueError:
        return None
    return days if days >= 0 else None
