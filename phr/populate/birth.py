"""Birth and the weeks after it: the mother's part, the child's own minimal copy, postpartum visits."""

from __future__ import annotations

from datetime import date, timedelta

from phr.populate.dice import Dice, decimal, opening_hours, weekday
from phr.populate.growth import Track, value_at
from phr.populate.sheet import Sheet

EPDS = (tuple(range(15)), (10, 12, 14, 13, 11, 9, 8, 6, 5, 3, 3, 2, 2, 1, 1))


def moment_of_birth(birth_on: date, dice: Dice) -> str:
    """Children come at any hour."""
    return f"{birth_on.isoformat()}T{dice.whole(0, 23):02d}:{dice.whole(0, 59):02d}:00+09:00"


def write_birth(sheet: Sheet, at: str, gestation_days: int, *, first: bool) -> None:
    """The delivery, in the mother's record."""
    dice = sheet.dice
    mode = dice.weighted(("経腟", "吸引", "帝王切開"), (74, 7, 19))
    sheet.observe("birth.ga", at, gestation_days)
    sheet.observe("birth.mode", at, mode)
    sheet.observe("birth.blood", at, int(dice.near(900 if mode == "帝王切開" else 420, 120)))
    if mode != "帝王切開":
        sheet.observe("birth.duration", at, int(dice.near(760 if first else 410, 120)))


def write_newborn(sheet: Sheet, at: str, track: Track, birth_on: date, gestation_days: int) -> None:
    """The child's minimal copy: measures, Apgar, screening (no obstetric history, nothing of the mother)."""
    dice, z = sheet.dice, (gestation_days - TYPICAL_DAYS) / 14
    kg = value_at("weight", track.sex, 0, max(-2.0, min(2.0, 0.7 * track.weight_z + 0.5 * z)))
    cm = value_at("height", track.sex, 0, max(-2.0, min(2.0, 0.7 * track.height_z + 0.5 * z)))
    sheet.observe("birth.ga", at, gestation_days)
    sheet.observe("child.weight", at, int(kg * 500) * 2)
    sheet.observe("child.length", at, decimal(cm, 1))
    sheet.observe("child.head", at, decimal(value_at("head", track.sex, 0, track.head_z), 1))
    sheet.observe("child.chest", at, decimal(dice.near(31.8 + (kg - 3) * 2, 0.5), 1))
    sheet.observe("child.apgar1", at, dice.weighted((7, 8, 9), (8, 62, 30)))
    sheet.observe("child.apgar5", at, dice.weighted((8, 9, 10), (8, 72, 20)))
    hearing = opening_hours(dice, birth_on + timedelta(days=2))
    for ear in ("nbh.first.r", "nbh.first.l"):
        sheet.observe(ear, hearing, "パス" if dice.chance(0.99) else "リファー")
    sheet.observe("nbs", opening_hours(dice, birth_on + timedelta(days=5)), "正常" if dice.chance(0.99) else "再採血")


TYPICAL_DAYS = 277


def write_postpartum(sheet: Sheet, birth_on: date, weight_kg: float, systolic: int, last_on: date) -> None:
    """The two postpartum visits, each with an EPDS: for the mother and the maternal service only."""
    dice = sheet.dice
    for number, planned in enumerate((14, 30), start=1):
        day = weekday(birth_on + timedelta(days=planned) + dice.delay(1.5))
        if day >= last_on or dice.chance(0.04):
            continue
        at = opening_hours(dice, day)
        encounter = sheet.visit("postpartum", f"産婦健診 第{number}回", at)
        sheet.observe("wt", at, decimal(dice.near(weight_kg + 6.0 - 2 * number, 0.6), 1), encounter=encounter)
        pressure = dice.near(systolic, 6)
        sheet.pressure(at, int(pressure), int(pressure * 0.62), encounter=encounter)
        sheet.observe("urine.protein", at, "−" if dice.chance(0.92) else "±", encounter=encounter)
        sheet.observe("pp.uterus", at, "良", encounter=encounter)
        sheet.observe("pp.epds", at, dice.weighted(*EPDS), encounter=encounter)
