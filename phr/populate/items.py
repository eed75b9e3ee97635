"""Form of each observed item: code, category, profile and unit, ready to be put into a resource.

The parts are shared between resources and must not be changed after they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from phr.populate import tables
from phr.populate.systems import ANSWER, JP_PROFILE
from phr.records.systems import (
    BODY_MEASUREMENT,
    JLAC10,
    JP_OBSERVATION_CATEGORY,
    LOINC,
    OBSERVATION_CATEGORY,
    OWN_ITEM,
    UCUM,
)

# kind -> (JP Core profile, JP Core category)
KINDS = {
    "body": ("JP_Observation_BodyMeasurement", "body-measurement"),
    "vital": ("JP_Observation_VitalSigns", "vital-signs"),
    "lab": ("JP_Observation_LabResult", "laboratory"),
    "exam": ("JP_Observation_Common", "exam"),
    "social": ("JP_Observation_SocialHistory", "social-history"),
    "survey": ("JP_Observation_Common", "survey"),
}
# FHIR R4 vital signs: these also bear HL7's own category
BASE_VITAL = {"29463-7", "8302-2", "9843-4", "85354-9", "8310-5"}
CODE_SYSTEM_OF = {"body": BODY_MEASUREMENT, "lab": JLAC10}


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    profile: str
    category: list[dict[str, Any]]
    code: dict[str, Any]
    unit: tuple[str, str] | None  # (text, UCUM)
    lab: bool


@cache
def items() -> dict[str, Item]:
    """All items by id."""
    return {row["item_id"]: _item(row) for row in tables.rows("items")}


def _item(row: dict[str, str]) -> Item:
    profile, category = KINDS[row["kind"]]
    loinc = row["loinc"].split()
    coding = [{"system": LOINC, "code": code} for code in loinc]
    if row["code"]:
        coding.append({"system": CODE_SYSTEM_OF[row["kind"]], "code": row["code"]})
    coding.append({"system": OWN_ITEM, "code": row["item_id"]})
    categories = [_category(JP_OBSERVATION_CATEGORY, category)]
    if BASE_VITAL & set(loinc):
        categories.append(_category(OBSERVATION_CATEGORY, "vital-signs"))
    return Item(
        id=row["item_id"],
        profile=JP_PROFILE + profile,
        category=categories,
        code={"coding": coding, "text": row["name_ja"]},
        unit=(row["unit"], row["ucum"]) if row["ucum"] else None,
        lab=row["kind"] == "lab",
    )


def _category(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@cache
def answer(text: str) -> dict[str, Any]:
    """A coded answer whose code is its own text: 異常なし, −, 1＋, はい."""
    return {"coding": [{"system": ANSWER, "code": text}], "text": text}


@cache
def quantity_unit(text: str, ucum: str) -> dict[str, Any]:
    return {"unit": text, "system": UCUM, "code": ucum}
