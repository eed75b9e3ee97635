"""No dose before its time. The rules are read afresh here, straight from the table."""

import calendar
import itertools
from collections import defaultdict
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from phr.populate import REFERENCE_ON
from phr.populate.dice import Dice
from phr.populate.tables import immunization_rules
from phr.populate.vaccination import Dose, _due, _free, course, doses

births = st.dates(date(2013, 1, 1), REFERENCE_ON - timedelta(days=1))


def add_months(day: date, months: int) -> date:
    """The day itself, `months` later, or the first of the next month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if day.day <= calendar.monthrange(year, month + 1)[1]:
        return date(year, month + 1, day.day)
    return add_months(day.replace(day=1), months + 1)


def months(period: str) -> int:
    return int(period[1:-1]) * {"M": 1, "Y": 12, "D": 0}[period[-1]]


def given_to(birth: date, sex: str, seed: int) -> dict[str, list[Dose]]:
    found = defaultdict(list)
    for dose in doses(birth, sex, REFERENCE_ON, Dice(seed, 0)):
        found[dose.vaccine].append(dose)
    return found


@settings(max_examples=300, deadline=None)
@given(births, st.sampled_from(["female", "male"]), st.integers(0, 10**6))
def test_gaps_of_the_table_are_kept(birth: date, sex: str, seed: int) -> None:
    for vaccine, series in given_to(birth, sex, seed).items():
        rule, days = immunization_rules()[vaccine], [d.on for d in series]
        assert [d.number for d in series] == list(range(1, len(days) + 1))
        assert days == sorted(set(days))
        steps = rule.get("series", [])
        if "by_start_age" in rule:
            steps = next(
                track["series"]
                for track in rule["by_start_age"]
                if track["start"][1] == "window" or days[0] < add_months(birth, months(track["start"][1]))
            )
        for step in steps:
            if step["n"] > len(days) or step["n"] == 1:
                continue
            day = days[step["n"] - 1]
            if gap := step.get("min_gap_days"):
                before = days[gap["from"] - 1] if isinstance(gap["from"], int) else days[step["n"] - 2]
                assert (day - before).days > gap["days"], (vaccine, step["n"])
            if gap := step.get("min_gap_months"):
                assert day >= add_months(days[gap["from"] - 1], gap["months"]), (vaccine, step["n"])
            if "min_age" in step:
                assert day >= add_months(birth, months(step["min_age"])) - timedelta(days=1)


@settings(max_examples=300, deadline=None)
@given(births, st.sampled_from(["female", "male"]), st.integers(0, 10**6))
def test_every_dose_lies_inside_the_legal_age(birth: date, sex: str, seed: int) -> None:
    for vaccine, series in given_to(birth, sex, seed).items():
        rule = immunization_rules()[vaccine]
        for dose in series:
            age = (dose.on - birth).days
            assert dose.on < REFERENCE_ON
            if "age_from" in rule:
                assert dose.on >= add_months(birth, months(rule["age_from"])) - timedelta(days=1), vaccine
            if "age_until" in rule:
                assert dose.on < add_months(birth, months(rule["age_until"])), vaccine
            if "age_from_days" in rule:
                assert rule["age_from_days"] <= age <= rule["age_until_days"], vaccine
        first = rule.get("first_dose_not_recommended_from_day")
        assert first is None or (series[0].on - birth).days < first
        assert rule.get("sex") != "F" or sex == "female"


@settings(max_examples=300, deadline=None)
@given(births, st.integers(0, 10**6))
def test_injectable_live_vaccines_leave_27_days_between(birth: date, seed: int) -> None:
    live = sorted(
        dose.on
        for vaccine, series in given_to(birth, "female", seed).items()
        if immunization_rules()[vaccine]["type"] == "live-injectable"
        for dose in series
    )
    for before, after in itertools.pairwise(live):
        assert before == after or (after - before).days > 27


def test_one_rotavirus_product_and_one_kind_of_combination_for_the_whole_series() -> None:
    for seed in range(400):
        found = given_to(date(2024, 1, 20), "male", seed)
        assert not {"ROTA1", "ROTA5"} <= set(found)
        assert not {"DPTIPVHIB", "DPTIPV"} <= set(found)


def test_most_children_are_on_time_and_some_are_late() -> None:
    """Of children two years old most have had their four doses of the combination; nobody exactly on the day always."""
    birth, complete, waits = date(2024, 6, 3), 0, []
    for seed in range(300):
        series = given_to(birth, "male", seed)["DPTIPVHIB"]
        complete += len(series) == 4
        if series:
            waits.append((series[0].on - birth).days)
    assert complete > 255
    assert len(set(waits)) > 20


def test_a_live_vaccine_waits_for_the_one_before() -> None:
    birth, bcg = date(2024, 6, 3), date(2025, 5, 28)
    assert _due([course("MR1", birth)], bcg) == date(2025, 6, 25)
    assert _due([course("PCV", birth)], bcg) < bcg
    assert (_free(bcg, date(2025, 6, 24)), _free(bcg, date(2025, 6, 25))) == (False, True)
