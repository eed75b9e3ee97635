"""Child checkups by stage: who holds them, when they are kept, what they find; school checkups each spring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from phr.care.dates import attained, fiscal_start, months_old, school_entry
from phr.populate import tables
from phr.populate.dice import Dice, decimal, opening_hours, weekday
from phr.populate.growth import Track, obesity_degree
from phr.populate.sheet import Resource, Sheet
from phr.populate.systems import CHECKUP_JUDGEMENT, JUDGEMENT

# stage -> who holds it; the others of the table are not generated
HELD_BY = {"m1": "clinic", "m3_4": "municipality", "m6_7": "clinic", "m9_10": "clinic",
           "y1_6": "municipality", "y3": "municipality", "y5": "municipality"}  # fmt: skip
KEPT = {"m1": 0.98, "m3_4": 0.96, "m6_7": 0.9, "m9_10": 0.9, "y1_6": 0.95, "y3": 0.95, "y5": 0.55}
HEAD_UNTIL = 35.0  # months; the reference ends at 2 years 11 months
# the common judgement list and how often each is given
JUDGED = (("ok", "異常なし"), ("needs-guidance", "要指導"), ("observe", "要経過観察"), ("needs-detail", "要精密検査"))
JUDGED_WEIGHTS = (86, 5, 7, 2)


@dataclass(frozen=True, slots=True)
class Stage:
    id: str
    name: str
    age_from: str
    age_until: str
    answers: tuple[tuple[str, tuple[str, ...], tuple[float, ...]], ...]

    def window(self, birth: date) -> tuple[date, date]:
        """First and last day. Day windows include the end; month windows end before it."""
        if self.age_from.endswith("D"):
            return birth + timedelta(days=int(self.age_from[1:-1])), birth + timedelta(days=int(self.age_until[1:-1]))
        return attained(birth, int(self.age_from[1:-1])), attained(birth, int(self.age_until[1:-1]))


@cache
def stages() -> tuple[Stage, ...]:
    return tuple(
        Stage(row["stage_id"], row["name_ja"], row["age_from"], row["age_until"], answers_of(row["stage_id"]))
        for row in tables.rows("infant_checkup_stages")
        if row["stage_id"] in HELD_BY
    )


@cache
def answers_of(stage: str) -> tuple[tuple[str, tuple[str, ...], tuple[float, ...]], ...]:
    """(item, answers, weights) asked at that stage."""
    return tuple(
        (row["item_id"], tuple(row["answers"].split("|")), tuple(float(w) for w in row["weights"].split("|")))
        for row in tables.rows("checkup_answers")
        if stage in row["stages"].split()
    )


def kept(birth: date, last_on: date, dice: Dice) -> Iterator[tuple[Stage, date]]:
    """The stages that took place and their days, inside their windows and before `last_on`."""
    for stage in stages():
        first, last = stage.window(birth)
        day = weekday(first + timedelta(days=dice.whole(1, 6)) + dice.delay((last - first).days / 6))
        if day <= last and day < last_on and dice.chance(KEPT[stage.id]):
            yield stage, day


def write_checkup(sheet: Sheet, stage: Stage, day: date, birth: date, track: Track) -> None:
    """One checkup: visit, measures, answers, findings, judgement."""
    at = opening_hours(sheet.dice, day)
    encounter = sheet.visit(stage.id, stage.name, at, minutes=45)
    _measure(sheet, track, birth, day, at, encounter)
    for item, answers, weights in stage.answers:
        sheet.observe(item, at, sheet.dice.weighted(answers, weights), encounter=encounter)
    sheet.observe("org.general", at, sheet.dice.weighted(("所見なし", "所見あり"), (93, 7)), encounter=encounter)
    if stage.id != "m1":
        judged = sheet.observe("judge", at, "", encounter=encounter)
        code, text = sheet.dice.weighted(JUDGED, JUDGED_WEIGHTS)
        judged["meta"]["profile"].append(CHECKUP_JUDGEMENT)
        judged["valueCodeableConcept"] = {"coding": [{"system": JUDGEMENT, "code": code}], "text": text}


def _measure(sheet: Sheet, track: Track, birth: date, day: date, at: str, encounter: Resource) -> None:
    dice, months = sheet.dice, months_old(birth, day)
    weight, height = track.weight(months, dice), track.height(months, dice)
    sheet.observe("ant.weight", at, decimal(weight, 2 if months < 12 else 1), encounter=encounter)
    sheet.observe("ant.length" if months < 24 else "ant.height", at, decimal(height, 1), encounter=encounter)
    if months < HEAD_UNTIL:
        sheet.observe("ant.head", at, decimal(track.head(months, dice), 1), encounter=encounter)
    if 12 <= months < 72 and 70 <= height < 120:
        degree = decimal(obesity_degree(track.sex, months, height, weight), 1)
        derived = sheet.observe("ant.obesity", at, degree, encounter=encounter)
        derived["method"] = {"text": "村田式 令和5年版 (幼児)"}


def school_days(birth: date, last_on: date, dice: Dice) -> list[date]:
    """One day of each spring at school (April to June, the legal term 30 June)."""
    first = school_entry(birth)
    years = range(first.year, fiscal_start(last_on).year + 1)
    return [day for y in years if (day := weekday(date(y, 4, 8) + timedelta(days=dice.whole(0, 70)))) < last_on]


def write_school_checkup(sheet: Sheet, day: date, birth: date, track: Track) -> None:
    """One school checkup (児童生徒健康診断票)."""
    dice, months = sheet.dice, months_old(birth, day)
    at = opening_hours(dice, day, last=13)
    encounter = sheet.visit("school", "学校健康診断", at)
    sheet.observe("ant.weight", at, decimal(track.weight(months, dice), 1), encounter=encounter)
    sheet.observe("ant.height", at, decimal(track.height(months, dice), 1), encounter=encounter)
    for item, answers, weights in answers_of("school_year"):
        sheet.observe(item, at, dice.weighted(answers, weights), encounter=encounter)
