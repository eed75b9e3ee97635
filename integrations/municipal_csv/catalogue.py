"""The items of all forms (`items.csv`), the stages of checkups and the vaccines (`vaccines.csv`), as values. Pure.

Sources: the national standard records (標準的な電子的記録様式), 母子健康手帳, the vaccination rules of `phr.care`.
Codes are those the rest of the record uses (a test compares). LOINC 22362-4 and 57751-4 fail their check digits and are
never given; CVX is left to exchange abroad.
"""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from phr.care.tables import rows as care_rows
from phr.records import systems

HERE = Path(__file__).parent
JP = "http://jpfhir.jp/fhir/core/StructureDefinition/"
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
BASE_VITAL = frozenset({"29463-7", "8302-2", "9843-4", "85354-9", "8310-5"})
CODE_SYSTEM_OF = {"body": systems.BODY_MEASUREMENT, "lab": systems.JLAC10}
BLOOD = {"type": "Specimen", "display": "血液"}
URINE = {"type": "Specimen", "display": "尿"}
SWAB = {"type": "Specimen", "display": "擦過検体"}
SPECIMENS = (
    dict.fromkeys(("urine.protein", "urine.glucose", "urine.p", "urine.g", "urine.b", "cmv"), URINE)
    | dict.fromkeys(("gbs", "cervix.cyt", "chlamydia"), SWAB)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """One item: what its values are, between which bounds they are likely, and how it is coded."""

    id: str
    name: str
    type: str  # decimal, int, code, ordinal, finding, text, date, datetime, bool, gestation, titre, mark, judgement …
    profile: str
    category: list[dict[str, Any]]
    code: dict[str, Any]
    allowed: tuple[str, ...]
    unit: tuple[str, str] | None  # (text, UCUM)
    low: Decimal | None
    high: Decimal | None
    specimen: dict[str, Any] | None


@cache
def items() -> MappingProxyType[str, Shape]:
    with (HERE / "items.csv").open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["item_id"]: _shape(row) for row in csv.DictReader(file)})


def item(name: str) -> Shape | None:
    """The item of this id; None = unknown."""
    return items().get(name)


PLACES = {
    "person.number": "本人の番号", "person.name": "氏名", "person.birth_date": "生年月日", "person.sex": "性別",
    "person.organization": "団体コード", "event.date": "日付", "event.stage": "健診の種類", "event.said_at": "更新日時",
    "correction": "修正区分", "not_disclosed": "不開示区分", "attended": "受診の有無", "vaccine.vaccine": "ワクチン",
    "vaccine.dose": "回数", "vaccine.given": "接種区分",
}  # fmt: skip


def called(place: str) -> str:
    """A profile's place in words: the item's name, or what the column is; with the place itself for who edits it."""
    bare = place.removeprefix("items.")
    shape = item(bare) or item(bare.removesuffix(".date").removesuffix(".text"))
    name = PLACES.get(place) or (shape.name if shape else "")
    return f"{name} ({place})" if name else place


def _shape(row: dict[str, str]) -> Shape:
    profile, category = KINDS[row["kind"]]
    loinc = row["loinc"].split()
    coding = [{"system": systems.LOINC, "code": code} for code in loinc]
    if row["code"]:
        coding.append({"system": CODE_SYSTEM_OF[row["kind"]], "code": row["code"]})
    coding.append({"system": systems.OWN_ITEM, "code": row["item_id"]})
    categories = [_category(systems.JP_OBSERVATION_CATEGORY, category)]
    if BASE_VITAL & set(loinc):
        categories.append(_category(systems.OBSERVATION_CATEGORY, "vital-signs"))
    return Shape(
        id=row["item_id"],
        name=row["name_ja"],
        type=row["type"],
        profile=JP + profile,
        category=categories,
        code={"coding": coding, "text": row["name_ja"]},
        allowed=tuple(row["allowed"].split("|")) if row["allowed"] else (),
        unit=(row["unit"], row["ucum"]) if row["ucum"] else None,
        low=Decimal(row["low"]) if row["low"] else None,
        high=Decimal(row["high"]) if row["high"] else None,
        specimen=SPECIMENS.get(row["item_id"], BLOOD) if row["kind"] == "lab" else None,
    )


def _category(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@dataclass(frozen=True, slots=True)
class Stage:
    """One checkup of children: its name, and the ages (months or days, as the law counts) it is meant for."""

    id: str
    name: str
    age_from: str
    age_until: str


@cache
def stages() -> MappingProxyType[str, Stage]:
    return MappingProxyType(
        {
            row["stage_id"]: Stage(row["stage_id"], row["name_ja"], row["age_from"], row["age_until"])
            for row in care_rows("infant_checkup_stages")
        }
    )


@dataclass(frozen=True, slots=True)
class Vaccine:
    id: str
    name: str
    diseases: tuple[str, ...]


@cache
def vaccines() -> MappingProxyType[str, Vaccine]:
    return MappingProxyType({row["vaccine_id"]: _vaccine(row) for row in _vaccine_rows()})


@cache
def vaccines_by_name() -> MappingProxyType[str, str]:
    """Spoken names of vaccines, folded, -> ids."""
    return MappingProxyType(
        {
            plain(name): row["vaccine_id"]
            for row in _vaccine_rows()
            for name in (row["vaccine_id"], row["name_ja"], *row["names"].split("|"))
            if name
        }
    )


def plain(word: str) -> str:
    """A word as it is compared: NFKC, no spaces, capitals."""
    return "".join(unicodedata.normalize("NFKC", word).split()).upper()


@cache
def target_diseases(vaccine: str) -> list[dict[str, Any]]:
    """`targetDisease` of a vaccine: own ids, with receipt codes where there are. Shared: not to be changed."""
    known = {row["disease_id"]: row for row in care_rows("immunization_disease_codes")}
    targets = []
    for disease in vaccines()[vaccine].diseases:
        row = known[disease]
        coding = [{"system": systems.OWN_DISEASE, "code": disease, "display": row["ja"]}]
        if row["recept_disease_7"]:
            coding.append({"system": systems.DISEASE_RECEIPT, "code": row["recept_disease_7"]})
        targets.append({"coding": coding, "text": row["ja"]})
    return targets


def _vaccine(row: dict[str, str]) -> Vaccine:
    return Vaccine(row["vaccine_id"], row["name_ja"], tuple(row["diseases"].split()))


@cache
def _vaccine_rows() -> tuple[dict[str, str], ...]:
    with (HERE / "vaccines.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
