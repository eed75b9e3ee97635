"""What happens to a family, written down by those who were there."""

from __future__ import annotations

from datetime import date, timedelta

from phr.care.dates import months_after
from phr.populate import checkups, home
from phr.populate.birth import moment_of_birth, write_birth, write_newborn, write_postpartum
from phr.populate.dice import Dice, opening_hours, weekday
from phr.populate.facilities import Facility
from phr.populate.family import REFERENCE_ON, Family
from phr.populate.growth import Track
from phr.populate.immunizations import write_dose
from phr.populate.medicines import write_dispensing
from phr.populate.people import Human, patient
from phr.populate.pregnancy import TERM_DAYS, Pregnancy, write_pregnancy
from phr.populate.sheet import Sheet
from phr.populate.vaccination import Dose, doses

RSV_FROM = date(2026, 4, 1)  # the maternal vaccine joins the routine programme
RSV_DAYS = (196, 258)  # 28w0d to 36w6d


def write_life(family: Family, dice: Dice) -> None:
    """Fill the family's sheets."""
    pregnancy = _pregnancy(family, dice)
    _mother(family, pregnancy, dice)
    if family.father:
        _identity(family, family.father, None, dice)
    for child in family.children:
        youngest = child is family.children[-1] and pregnancy.birth_on is not None
        _child(family, child, (child.birth_on - pregnancy.lmp).days if youngest else TERM_DAYS - 2, dice)


def _sheet(family: Family, dice: Dice, subject: str, facility: Facility | None) -> Sheet:
    sheet = Sheet(dice, subject, facility, child=any(subject == child.id for child in family.children))
    family.sheets.append(sheet)
    return sheet


def _identity(family: Family, human: Human, clinic: Facility | None, dice: Dice) -> Sheet:
    """The family's own sheet about a person begins with the Patient."""
    sheet = _sheet(family, dice, human.id, None)
    sheet.resources.append(patient(human, clinic, city=family.town.municipality.city))
    return sheet


def _pregnancy(family: Family, dice: Dice) -> Pregnancy:
    """The recorded pregnancy: the one going on, else the youngest child's."""
    born = None if family.due_on else family.children[-1].birth_on
    gestation = max(252, min(292, int(dice.near(277, 8)))) if born else TERM_DAYS
    height = dice.near(158.5, 5.0)
    return Pregnancy(
        lmp=(born or family.due_on or REFERENCE_ON) - timedelta(days=gestation),
        birth_on=born,
        last_on=REFERENCE_ON,
        parity=len(family.children) - (born is not None),
        losses=int(dice.chance(0.1)),
        height_cm=height,
        weight_kg=max(40.0, dice.near(21.2, 2.2) * (height / 100) ** 2),
        systolic=int(dice.near(108, 7)),
        hdp=dice.chance(0.05),
        gdm=dice.chance(0.08),
        fetal_z=dice.gauss() * 0.8,
    )


def _mother(family: Family, pregnancy: Pregnancy, dice: Dice) -> None:
    mother = family.mother
    own = _identity(family, mother, family.clinic, dice)
    clinic = _sheet(family, dice, mother.id, family.clinic)
    write_pregnancy(clinic, pregnancy, dice)
    _maternal_rsv(clinic, pregnancy)
    if pregnancy.birth_on:
        at = moment_of_birth(pregnancy.birth_on, dice)
        write_birth(clinic, at, (pregnancy.birth_on - pregnancy.lmp).days, first=pregnancy.parity == 0)
        write_postpartum(clinic, pregnancy.birth_on, pregnancy.weight_kg, pregnancy.systolic, REFERENCE_ON)
    _notified(_sheet(family, dice, mother.id, family.town.municipality), pregnancy)
    known_from = pregnancy.lmp + timedelta(days=60)
    _dispensed(family, mother.id, "mother", known_from, pregnancy.ends_on, dice.whole(1, 4), dice)
    if dice.chance(0.5):
        home.write_home_vitals(own, pregnancy, dice.whole(8, 30))
    if dice.chance(0.25):
        home.write_allergy(own, dice.pick(home.MOTHER_ALLERGIES), known_from)


def _notified(sheet: Sheet, pregnancy: Pregnancy) -> None:
    """妊娠届: what the municipality asks when the handbook is handed out. Hidden from others by default."""
    day = weekday(pregnancy.lmp + timedelta(days=65) + sheet.dice.delay(6))
    if day < pregnancy.ends_on:
        at = opening_hours(sheet.dice, day)
        sheet.observe("lifestyle.smoke", at, "なし" if sheet.dice.chance(0.97) else "あり")
        sheet.observe("lifestyle.alcohol", at, "なし" if sheet.dice.chance(0.98) else "あり")


def _maternal_rsv(sheet: Sheet, pregnancy: Pregnancy) -> None:
    first, last = (pregnancy.lmp + timedelta(days=days) for days in RSV_DAYS)
    day = weekday(max(first, RSV_FROM) + sheet.dice.delay(9))
    if sheet.dice.chance(0.6) and day <= last and day < pregnancy.ends_on:
        write_dose(sheet, Dose("RSVM", 1, day))


def _child(family: Family, child: Human, gestation_days: int, dice: Dice) -> None:
    own = _identity(family, child, None, dice)
    track = Track.thrown(dice, child.sex)
    paediatric = dice.pick(family.town.paediatric)
    birthplace = _sheet(family, dice, child.id, family.clinic)
    write_newborn(birthplace, moment_of_birth(child.birth_on, dice), track, child.birth_on, gestation_days)
    clinic = _sheet(family, dice, child.id, paediatric)
    for dose in doses(child.birth_on, child.sex, REFERENCE_ON, dice):
        write_dose(clinic, dose)
    city = _sheet(family, dice, child.id, family.town.municipality)
    for stage, day in checkups.kept(child.birth_on, REFERENCE_ON, dice):
        held_by = city if checkups.HELD_BY[stage.id] == "municipality" else clinic
        checkups.write_checkup(held_by, stage, day, child.birth_on, track)
    school = _sheet(family, dice, child.id, family.town.school)
    for day in checkups.school_days(child.birth_on, REFERENCE_ON, dice):
        checkups.write_school_checkup(school, day, child.birth_on, track)
    ill_from = months_after(child.birth_on, 7)
    years = (REFERENCE_ON - child.birth_on).days / 365
    _dispensed(family, child.id, "child", ill_from, REFERENCE_ON, dice.whole(0, 1 + int(years)), dice)
    home.write_child_at_home(own, child.birth_on, track, REFERENCE_ON)
    if dice.chance(0.12):
        home.write_allergy(own, dice.pick(home.CHILD_ALLERGIES), ill_from)


def _dispensed(family: Family, subject: str, wanted: str, first: date, last: date, times: int, dice: Dice) -> None:
    """`times` visits at one pharmacy between two days, one to three drugs each."""
    sheet = _sheet(family, dice, subject, dice.pick(family.town.pharmacies))
    for _ in range(times):
        day = weekday(first + timedelta(days=dice.whole(0, max(0, (last - first).days - 2))))
        if day < last:
            write_dispensing(sheet, day, wanted, dice.whole(1, 3))
