"""The items of the 児童生徒健康診断票 (`items.csv`): what each is called, measured in, and allows. Pure.

Source: 児童生徒健康診断票 (学校保健安全法施行規則), 日本学校歯科医会 for teeth. No layout of data is published. LOINC
57751-4 (urine blood) fails its check digit and is not given.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from phr.records import systems

JP = "http://jpfhir.jp/fhir/core/StructureDefinition/"
# kind -> (JP Core profile, JP Core category)
KINDS = {
    "body": ("JP_Observation_BodyMeasurement", "body-measurement"),
    "exam": ("JP_Observation_Common", "exam"),
    "lab": ("JP_Observation_LabResult", "laboratory"),
}
CODES = {"vision": systems.OWN_VISION, "dental": systems.OWN_SCHOOL_DENTAL, "code": systems.OWN_ANSWER,
         "ordinal": systems.OWN_ANSWER}  # fmt: skip
DENTAL = {"0": "異常なし", "1": "要観察", "2": "要精密検査"}


@dataclass(frozen=True, slots=True)
class Shape:
    """One item. `value`: decimal, code, ordinal, vision, dental, text; `allowed`: its codes, which are words."""

    id: str
    name: str
    kind: str
    value: str
    code: Mapping[str, Any]
    ucum: str
    unit: str
    low: Decimal | None
    high: Decimal | None
    allowed: tuple[str, ...]


@cache
def items() -> Mapping[str, Shape]:
    with (Path(__file__).parent / "items.csv").open(encoding="utf-8", newline="") as file:
        return {row["item_id"]: _shape(row) for row in csv.DictReader(file)}


def _shape(row: Mapping[str, str]) -> Shape:
    named = ((systems.LOINC, "loinc"), (systems.BODY_MEASUREMENT, "jp"), (systems.OWN_ITEM, "item_id"))
    coding = [{"system": system, "code": row[column]} for system, column in named if row[column]]
    low, high = (Decimal(row[name]) if row[name] else None for name in ("low", "high"))
    allowed = tuple(row["answers"].split("|")) if row["answers"] else ()
    code = {"coding": coding, "text": row["name_ja"]}
    return Shape(
        row["item_id"], row["name_ja"], row["kind"], row["value"], code, row["ucum"], row["unit"], low, high, allowed
    )  # fmt: skip


def plain(text: str) -> str:
    """For comparing headers and words: NFKC, without any space."""
    return "".join(unicodedata.normalize("NFKC", text).split())
