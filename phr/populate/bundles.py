"""The demo family's records as transaction Bundles, one file per author: `demo/*.json`.

`python -m phr.populate.bundles` writes the files anew; a test holds them to this code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from phr.populate import checkups, home
from phr.populate.birth import moment_of_birth, write_birth, write_newborn, write_postpartum
from phr.populate.cast import BABY, CITY_A, DAUGHTER, MOTHER, OBSTETRIC, PAEDIATRIC, SCHOOL
from phr.populate.dice import Dice
from phr.populate.facilities import Facility
from phr.populate.family import REFERENCE_ON
from phr.populate.growth import Track
from phr.populate.immunizations import write_dose
from phr.populate.people import Human
from phr.populate.pregnancy import Pregnancy, write_pregnancy
from phr.populate.sheet import Resource, Sheet
from phr.populate.vaccination import doses

FOLDER = Path(__file__).parent / "demo"
MEDICATION_NOTEBOOK = FOLDER / "okusuri-yuki.jahis"  # JAHIS TC08, CP932
SEED = 20260401
GESTATION_DAYS = 277
TRACKS = {DAUGHTER.id: Track("female", 0.3, 0.1, 0.0), BABY.id: Track("male", -0.2, 0.2, 0.4)}


@dataclass(frozen=True, slots=True)
class Import:
    """One file: about whom, and by whom it is brought in (None: by the family itself)."""

    name: str
    subject: str
    author: str | None  # code of a facility

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def bundle(self) -> Resource:
        """The Bundle as a plain dict, decimals as Decimal."""
        return dict(msgspec.json.Decoder(float_hook=Decimal).decode(self.path.read_bytes()))


def _pregnancy() -> Pregnancy:
    return Pregnancy(
        lmp=BABY.birth_on - timedelta(days=GESTATION_DAYS), birth_on=BABY.birth_on, last_on=REFERENCE_ON, parity=1,
        losses=1, height_cm=159.0, weight_kg=52.5, systolic=108, hdp=False, gdm=False, fetal_z=-0.2,
    )  # fmt: skip


def _yuki_pregnancy(sheet: Sheet) -> None:
    pregnancy = _pregnancy()
    write_pregnancy(sheet, pregnancy, sheet.dice)
    write_birth(sheet, moment_of_birth(BABY.birth_on, sheet.dice), GESTATION_DAYS, first=False)
    write_postpartum(sheet, BABY.birth_on, pregnancy.weight_kg, pregnancy.systolic, REFERENCE_ON)


def _yuki_city(sheet: Sheet) -> None:
    at = f"{_pregnancy().lmp + timedelta(days=66)}T10:20:00+09:00"
    sheet.observe("lifestyle.smoke", at, "なし")
    sheet.observe("lifestyle.alcohol", at, "なし")


def _yuki_home(sheet: Sheet) -> None:
    home.write_home_vitals(sheet, _pregnancy(), 24)
    home.write_allergy(sheet, home.MOTHER_ALLERGIES[0], date(2025, 6, 20))


def _newborn(child: Human, gestation_days: int, sheet: Sheet) -> None:
    at = moment_of_birth(child.birth_on, sheet.dice)
    write_newborn(sheet, at, TRACKS[child.id], child.birth_on, gestation_days)


def _paediatric(child: Human, sheet: Sheet) -> None:
    for dose in doses(child.birth_on, child.sex, REFERENCE_ON, sheet.dice):
        write_dose(sheet, dose)
    _checkups(child, "clinic", sheet)


def _checkups(child: Human, held_by: str, sheet: Sheet) -> None:
    dice = Dice(SEED, child.birth_on.toordinal())  # the same days for clinic and city
    for stage, day in checkups.kept(child.birth_on, REFERENCE_ON, dice):
        if checkups.HELD_BY[stage.id] == held_by:
            checkups.write_checkup(sheet, stage, day, child.birth_on, TRACKS[child.id])


def _school(child: Human, sheet: Sheet) -> None:
    for day in checkups.school_days(child.birth_on, REFERENCE_ON, sheet.dice):
        checkups.write_school_checkup(sheet, day, child.birth_on, TRACKS[child.id])


def _child_home(child: Human, sheet: Sheet) -> None:
    home.write_child_at_home(sheet, child.birth_on, TRACKS[child.id], REFERENCE_ON)
    if child is DAUGHTER:
        home.write_allergy(sheet, home.CHILD_ALLERGIES[0], date(2019, 9, 2))


def _sheets() -> Iterator[tuple[str, Sheet]]:
    numbers = iter(range(100))

    def sheet(about: Human, by: Facility | None) -> Sheet:
        return Sheet(Dice(SEED, next(numbers)), about.id, by, child=about is not MOTHER)

    plans: tuple[tuple[str, Human, Facility | None, Any], ...] = (
        ("yuki-pregnancy", MOTHER, OBSTETRIC, _yuki_pregnancy),
        ("yuki-city", MOTHER, CITY_A, _yuki_city),
        ("yuki-home", MOTHER, None, _yuki_home),
        ("hana-birth", DAUGHTER, OBSTETRIC, lambda s: _newborn(DAUGHTER, 274, s)),
        ("hana", DAUGHTER, PAEDIATRIC, lambda s: _paediatric(DAUGHTER, s)),
        ("hana-city", DAUGHTER, CITY_A, lambda s: _checkups(DAUGHTER, "municipality", s)),
        ("hana-school", DAUGHTER, SCHOOL, lambda s: _school(DAUGHTER, s)),
        ("hana-home", DAUGHTER, None, lambda s: _child_home(DAUGHTER, s)),
        ("ren-birth", BABY, OBSTETRIC, lambda s: _newborn(BABY, GESTATION_DAYS, s)),
        ("ren", BABY, PAEDIATRIC, lambda s: _paediatric(BABY, s)),
        ("ren-home", BABY, None, lambda s: _child_home(BABY, s)),
    )
    for name, about, by, write in plans:
        one = sheet(about, by)
        write(one)
        yield name, one


def imports() -> list[Import]:
    """The files in the order to be brought in."""
    return [Import(name, s.subject, s.facility.code if s.facility else None) for name, s in _sheets()]


def bundle(sheet: Sheet) -> Resource:
    """A transaction of POSTs; resources refer to each other by urn:uuid."""
    entries = []
    for resource in sheet.resources:
        content = {k: v for k, v in resource.items() if k != "id"}
        entries.append(
            {
                "fullUrl": f"urn:uuid:{resource['id']}",
                "resource": content,
                "request": {"method": "POST", "url": resource["resourceType"]},
            }
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def text(sheet: Sheet) -> bytes:
    """The Bundle's JSON, indented."""
    compact = msgspec.json.Encoder(decimal_format="number").encode(bundle(sheet))
    linked = re.sub(rb'"reference":"Encounter/', b'"reference":"urn:uuid:', compact)
    return msgspec.json.format(linked, indent=1) + b"\n"


def files() -> dict[Path, bytes]:
    """Every file of the demo's records and its content."""
    return {FOLDER / f"{name}.json": text(sheet) for name, sheet in _sheets()}


if __name__ == "__main__":
    for path, content in files().items():
        path.write_bytes(content)
