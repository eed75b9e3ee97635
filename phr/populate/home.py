"""What a family writes itself: home vitals, allergies."""

from __future__ import annotations

from datetime import date, timedelta

from phr.care.dates import months_old
from phr.populate.dice import decimal
from phr.populate.growth import Track
from phr.populate.pregnancy import Pregnancy
from phr.populate.sheet import Sheet

HL7 = "http://terminology.hl7.org/CodeSystem/"
# (text, category of AllergyIntolerance, what happens)
CHILD_ALLERGIES = (("鶏卵", "food", "じん麻疹"), ("牛乳", "food", "口周囲の発赤"), ("小麦", "food", "じん麻疹"))
MOTHER_ALLERGIES = (
    ("見本系抗菌薬", "medication", "発疹"),
    ("スギ花粉", "environment", "鼻炎"),
    ("えび", "food", "かゆみ"),
)


def write_home_vitals(sheet: Sheet, pregnancy: Pregnancy, entries: int) -> None:
    """Mornings at home in the last months before and the first after birth: pressure, now and then weight."""
    dice = sheet.dice
    first = pregnancy.lmp + timedelta(days=196)
    for n in range(entries):
        day = first + timedelta(days=3 * n + dice.whole(0, 2))
        if day >= pregnancy.last_on:
            return
        at = f"{day.isoformat()}T{dice.whole(6, 8):02d}:{dice.whole(0, 59):02d}:00+09:00"
        born = pregnancy.birth_on is not None and day >= pregnancy.birth_on
        ga = min((day - pregnancy.lmp).days, 280)
        systolic, diastolic = pregnancy.pressure_at(140 if born else ga, dice)
        sheet.pressure(at, systolic - 4, diastolic - 3)
        if n % 3 == 0:
            kg = pregnancy.weight_at(ga) - (6.5 if born else 0)
            sheet.observe("wt", at, decimal(dice.near(kg, 0.3), 1))


def write_child_at_home(sheet: Sheet, birth: date, track: Track, last_on: date) -> None:
    """Weights of the first year, temperatures of feverish evenings."""
    dice = sheet.dice
    for week in (2, 6, 10, 16, 22, 30, 38, 46):
        day = birth + timedelta(weeks=week, days=dice.whole(0, 6))
        if day < last_on and dice.chance(0.55):
            at = f"{day.isoformat()}T19:{dice.whole(0, 59):02d}:00+09:00"
            sheet.observe("ant.weight", at, decimal(track.weight(months_old(birth, day), dice), 2))
    days = (last_on - birth).days
    for _ in range(dice.whole(0, 2 + days // 400)):
        day = birth + timedelta(days=dice.whole(20, max(21, days - 1)))
        if day < last_on:
            at = f"{day.isoformat()}T20:{dice.whole(0, 59):02d}:00+09:00"
            sheet.observe("home.temperature", at, decimal(dice.near(38.2, 0.6), 1))


def write_allergy(sheet: Sheet, substance: tuple[str, str, str], since: date) -> None:
    """An allergy as the family states it: unconfirmed."""
    text, category, reaction = substance
    sheet.add(
        "AllergyIntolerance",
        "JP_AllergyIntolerance",
        clinicalStatus={"coding": [{"system": f"{HL7}allergyintolerance-clinical", "code": "active"}]},
        verificationStatus={"coding": [{"system": f"{HL7}allergyintolerance-verification", "code": "unconfirmed"}]},
        type="allergy",
        category=[category],
        criticality="low",
        code={"text": text},
        patient=sheet.patient,
        recordedDate=since.isoformat(),
        reaction=[{"manifestation": [{"text": reaction}], "severity": "mild"}],
    )
