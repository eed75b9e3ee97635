"""One pregnancy: the funded visits by the schedule, kept with human delays, and what each finds.

Everything about the unborn child is the mother's record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from phr.populate import tables
from phr.populate.dice import Dice, decimal, opening_hours, weekday
from phr.populate.prenatal_tests import tests_at
from phr.populate.sheet import Resource, Sheet
from phr.populate.systems import PREGNANCY_EPISODE, VISIT
from phr.records.systems import DISEASE_RECEIPT, LOINC

TERM_DAYS = 280
# weight gain to aim at, by BMI before pregnancy (CFA / JSOG 2021): (BMI below, kg)
GAIN = ((18.5, 13.5), (25.0, 11.5), (30.0, 8.5), (99.0, 4.5))
FETAL_WEIGHT = ((20, 310), (26, 900), (32, 1800), (36, 2540))  # (completed week, g): round medians


@dataclass(frozen=True, slots=True)
class Pregnancy:
    """What is given beforehand. `birth_on` None: not born by the reference date."""

    lmp: date
    birth_on: date | None
    last_on: date  # nothing is recorded after this day
    parity: int  # births before
    losses: int
    height_cm: float
    weight_kg: float  # before pregnancy
    systolic: int  # at rest, before pregnancy
    hdp: bool
    gdm: bool
    fetal_z: float

    @property
    def due_on(self) -> date:
        return self.lmp + timedelta(days=TERM_DAYS)

    @property
    def ends_on(self) -> date:
        return min(self.birth_on or self.last_on, self.last_on)

    def weight_at(self, days: int) -> float:
        """kg on that day of pregnancy: little gained to week 12, then evenly to the target at term."""
        bmi = self.weight_kg / (self.height_cm / 100) ** 2
        target = next(kg for below, kg in GAIN if bmi < below)
        early, late = min(days, 84) / 84, max(days - 84, 0) / 196
        return self.weight_kg + target * (0.1 * early + 0.9 * late)

    def pressure_at(self, days: int, dice: Dice) -> tuple[int, int]:
        """Systolic and diastolic: a dip in the middle, a rise at the end; with HDP from week 32 on ≥ 140."""
        systolic = dice.near(self.systolic - (4 if 98 <= days < 210 else 0) + (4 if days > 250 else 0), 6)
        if self.hdp and days >= 224:
            systolic = max(systolic + 28, 140 + dice.whole(0, 12))
        diastolic = systolic * 0.6 + dice.near(2, 4)
        return int(systolic), int(diastolic)


@cache
def schedule() -> tuple[tuple[int, int], ...]:
    """(number of the visit, planned completed week) of the 14 funded visits."""
    return tuple(
        (int(row["visit_no"]), int(row["weeks_from"]))
        for row in tables.rows("prenatal_visit_schedule")
        if row["visit_no"].isdigit()
    )


def visit_days(pregnancy: Pregnancy, dice: Dice) -> list[tuple[int, date]]:
    """(number, day) of the visits that took place: early or late by days, now and then missed."""
    kept: list[tuple[int, date]] = []
    for number, week in schedule():
        mean = 5.0 if number == 1 else 1.2
        day = weekday(pregnancy.lmp + timedelta(weeks=week, days=dice.whole(0, 2)) + dice.delay(mean))
        if number > 1 and dice.chance(0.02):
            continue
        if day < pregnancy.ends_on and (not kept or day > kept[-1][1] + timedelta(days=3)):
            kept.append((number, day))
    return kept


def write_pregnancy(sheet: Sheet, pregnancy: Pregnancy, dice: Dice) -> None:
    """The clinic's record of the pregnancy: episode, visits, measurements, laboratory, diagnoses."""
    days = visit_days(pregnancy, dice)
    if not days:
        return
    _episode(sheet, pregnancy, days[0][1])
    for number, day in days:
        at = opening_hours(dice, day)
        encounter = sheet.visit("prenatal", f"妊婦健診 第{number}回", at)
        _measure(sheet, pregnancy, encounter, number, day, at)
        for item, value in tests_at(number, pregnancy, dice):
            sheet.observe(item, at, value, encounter=encounter)
    _diagnoses(sheet, pregnancy, days[-1][1])


def _episode(sheet: Sheet, pregnancy: Pregnancy, first: date) -> None:
    assert sheet.facility is not None
    period = {"start": first.isoformat()}
    if pregnancy.birth_on:
        period["end"] = pregnancy.birth_on.isoformat()
    sheet.add(
        "EpisodeOfCare",
        meta={"profile": [PREGNANCY_EPISODE]},
        status="finished" if pregnancy.birth_on else "active",
        type=[{"coding": [{"system": VISIT, "code": "prenatal"}], "text": "妊娠・出産"}],
        patient=sheet.patient,
        managingOrganization=sheet.facility.performer,
        period=period,
    )
    at = opening_hours(sheet.dice, first)
    if not pregnancy.birth_on:
        status = sheet.observe("preg.status", at, 0)
        del status["valueInteger"]
        pregnant = {"system": LOINC, "code": "LA15173-0", "display": "Pregnant"}
        status["valueCodeableConcept"] = {"coding": [pregnant], "text": "妊娠中"}
    sheet.observe("preg.edd", at, pregnancy.due_on)
    sheet.observe("preg.lmp", at, pregnancy.lmp)
    sheet.observe("preg.gravida", at, pregnancy.parity + pregnancy.losses + 1)
    sheet.observe("preg.parity", at, pregnancy.parity)
    sheet.observe("preg.multiple", at, 1)
    sheet.observe("ht", at, decimal(pregnancy.height_cm, 1))
    sheet.observe("wt.prepreg", at, decimal(pregnancy.weight_kg, 1))


def _measure(sheet: Sheet, pregnancy: Pregnancy, encounter: Resource, number: int, day: date, at: str) -> None:
    dice, ga = sheet.dice, (day - pregnancy.lmp).days
    late = pregnancy.hdp and ga >= 224
    sheet.observe("visit.ga", at, ga, encounter=encounter)
    sheet.observe("wt", at, decimal(dice.near(pregnancy.weight_at(ga), 0.4), 1), encounter=encounter)
    sheet.pressure(at, *pregnancy.pressure_at(ga, dice), encounter=encounter)
    protein = dice.weighted(("−", "±", "1＋", "2＋"), (5, 30, 45, 20) if late else (88, 8, 4, 0))
    glucose = dice.weighted(("−", "±", "1＋", "2＋"), (60, 20, 15, 5) if pregnancy.gdm else (93, 4, 3, 0))
    sheet.observe("urine.protein", at, protein, encounter=encounter)
    sheet.observe("urine.glucose", at, glucose, encounter=encounter)
    edema = dice.weighted(("−", "±", "＋"), (50, 30, 20) if ga > 224 else (95, 4, 1))
    sheet.observe("edema", at, edema, encounter=encounter)
    if number >= 2:
        sheet.observe("fhr", at, int(dice.near(145, 7)), encounter=encounter)
    week = ga // 7
    if week >= 16:
        sheet.observe("fundal", at, decimal(dice.near(12.5 + 0.9 * (ga / 7 - 16), 0.8), 1), encounter=encounter)
    for known, grams in FETAL_WEIGHT:
        if week == known:
            weight = grams * (1 + 0.1 * pregnancy.fetal_z) * dice.near(1, 0.03)
            sheet.observe("us.efw", at, int(weight), encounter=encounter)
    if number >= 11:
        sheet.observe("presentation", at, dice.weighted(("頭位", "骨盤位"), (96, 4)), encounter=encounter)


def _diagnoses(sheet: Sheet, pregnancy: Pregnancy, last: date) -> None:
    found = (
        (pregnancy.hdp, 230, "8842827", "妊娠高血圧症候群"),
        (pregnancy.gdm, 190, "6489003", "妊娠糖尿病"),
    )
    for has, days, code, text in found:
        since = pregnancy.lmp + timedelta(days=days)
        if has and since <= last:
            sheet.add("Condition", "JP_Condition", **_condition(sheet, code, text, since))


def _condition(sheet: Sheet, code: str, text: str, since: date) -> dict[str, Any]:
    hl7 = "http://terminology.hl7.org/CodeSystem/"
    return {
        "clinicalStatus": {"coding": [{"system": f"{hl7}condition-clinical", "code": "active"}]},
        "verificationStatus": {"coding": [{"system": f"{hl7}condition-ver-status", "code": "confirmed"}]},
        "category": [{"coding": [{"system": f"{hl7}condition-category", "code": "encounter-diagnosis"}]}],
        "code": {"coding": [{"system": DISEASE_RECEIPT, "code": code, "display": text}], "text": text},
        "subject": sheet.patient,
        "onsetDateTime": since.isoformat(),
        "recordedDate": since.isoformat(),
    }
