"""Every line of the table of test vectors."""

import csv
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from phr.care.courses import Course, Given
from phr.care.dates import attained, days_between, school_entry
from phr.care.immunizations import Person, maternal, plan
from phr.care.rules import rules_at
from phr.care.windows import legal, windows

DAY = date.fromisoformat
VECTORS = list(csv.DictReader((Path(__file__).parent / "immunization_testvectors.csv").open(encoding="utf-8")))
RULES = rules_at(date(2026, 4, 1))


def window(vaccine: str, edge: int) -> Callable[[date], date]:
    return lambda birth: legal(RULES.vaccines[vaccine], birth)[edge]


def last_advised_start(birth: date) -> date:
    """The last day on which the plan still advises to begin."""

    def advised(day: date) -> bool:
        lines = plan(Person(birth, "male"), day=day, rules=RULES).lines
        return bool(next(line for line in lines if line.vaccine == "ROTA1").vaccines)

    days = [birth + timedelta(days=n) for n in range(95, 115)]
    assert advised(days[0])
    assert not advised(days[-1])
    return max(day for day in days if advised(day))


def last_two_dose_start(birth: date) -> date:
    course = Course(RULES, RULES.vaccines["HPV9"], birth, windows(RULES, RULES.vaccines["HPV9"], birth))
    around = [attained(birth, 180) + timedelta(days=n) for n in range(-3, 4)]
    return max(day for day in around if len(course.track(day)) == 2)


BY_BIRTH: dict[str, Callable[[date], date]] = {
    "first_birthday_last_day_of_until_1y": window("BCG", 1),
    "rota_first_day_6w0d": window("ROTA1", 0),
    "rota1_last_day_24w0d": window("ROTA1", 1),
    "rota5_last_day_32w0d": window("ROTA5", 1),
    "rota_first_dose_recommended_last_day_14w6d": last_advised_start,
    "age_attained_2mo_first_day": window("DPTIPVHIB", 0),
    "90mo_last_day": window("DPTIPVHIB", 1),
    "MR2_first_day": window("MR2", 0),
    "MR2_last_day": window("MR2", 1),
    "school_entry": school_entry,
    "HPV_window_first_day": window("HPV9", 0),
    "HPV_window_last_day": window("HPV9", 1),
    "HPV9_two_dose_first_dose_last_day": last_two_dose_start,
}


def earliest(vaccine: str, birth: date, *given: Given) -> date:
    """The earliest day of the next dose of a vaccine, as the plan tells it the day after the last dose."""
    told = plan(Person(birth, "female", given), day=given[-1].on + timedelta(days=1), rules=RULES)
    line = next(line for line in told.lines if line.vaccine == vaccine)
    assert line.next is not None
    return line.next.earliest


def booster(third: date) -> date:
    doses = [Given("DPTIPVHIB", third - timedelta(days=days)) for days in (60, 30, 0)]
    return earliest("DPTIPVHIB", third - timedelta(days=150), *doses)


def last_of_pregnancy(expected: date) -> date:
    coming = maternal(expected, (), day=expected - timedelta(days=90), rules=RULES)[0].next
    assert coming is not None
    return coming.last


BY_DOSE: dict[str, Callable[[date], date]] = {
    "HEPB_dose3_earliest": lambda first: earliest(
        "HEPB", first - timedelta(days=60), Given("HEPB", first), Given("HEPB", first + timedelta(days=28))
    ),
    "DPTIPVHIB_booster_earliest": booster,
    "JE1_dose2_earliest": lambda first: earliest("JE1", first - timedelta(days=1200), Given("JE1", first)),
    "live_injectable_to_live_injectable_earliest": lambda first: earliest(
        "VAR", first - timedelta(days=400), Given("MR1", first)
    ),
    "RSVM_last_day": lambda expected: (
        maternal(expected, (), day=expected - timedelta(days=90), rules=RULES)[0].next.last
    ),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("row", VECTORS, ids=lambda r: f"{r['case']}-{r['birth'] or r['given']}")
def test_vector(row: dict[str, str]) -> None:
    if row["birth"]:
        found = BY_BIRTH[row["case"]](DAY(row["birth"]))
    else:
        found = BY_DOSE[row["case"]](DAY(row["given"].split("=")[1]))
    assert found == DAY(row["expected"])


def test_there_are_as_many_as_the_table_has() -> None:
    assert len(VECTORS) == 45
    assert {row["case"] for row in VECTORS} == {*BY_BIRTH, *BY_DOSE}


@pytest.mark.parametrize(("gap", "days"), [(27, 28), (20, 21), (6, 7), (60, 61), (139, 140)])
def test_full_days_in_between(gap: int, days: int) -> None:
    assert days_between(date(2026, 4, 1), gap) == date(2026, 4, 1) + timedelta(days=days)
