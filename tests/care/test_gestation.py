"""Gestational age, expected dates, and which checkups are due."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.care import checkups, gestation
from phr.care.checkups import State
from phr.care.gestation import Expected

DUE = date(2026, 12, 1)


def test_the_expected_date_is_280_days_after_the_last_period() -> None:
    lmp = DUE - timedelta(days=280)
    assert gestation.on_day(DUE, 0) == lmp
    assert (gestation.days(DUE, lmp), gestation.days(DUE, DUE)) == (0, 280)
    assert (gestation.days(DUE, lmp - timedelta(days=1)), gestation.days(DUE, DUE + timedelta(days=29))) == (None, None)


@given(st.integers(0, 308))
def test_days_and_dates_are_inverse(count: int) -> None:
    assert gestation.days(DUE, gestation.on_day(DUE, count)) == count
    weeks, days = gestation.told(count).removesuffix("日").split("週")
    assert int(weeks) * 7 + int(days) == count


@pytest.mark.parametrize(("count", "name"), [(97, "初期"), (98, "中期"), (195, "中期"), (196, "後期")])
def test_trimesters(count: int, name: str) -> None:
    assert gestation.trimester(count) == name


def test_a_correction_by_ultrasound_is_reckoned_with_and_the_later_of_two() -> None:
    lmp, first, later = Expected(DUE, "lmp"), Expected(DUE + timedelta(3), "ultrasound"), Expected(DUE, "ultrasound")
    assert gestation.reckoned([first, lmp]) == first
    assert gestation.reckoned([first, later, lmp]) == later
    assert gestation.reckoned([]) is None


@pytest.mark.parametrize(("bmi", "target"), [(18.4, (12, 15)), (18.5, (10, 13)), (25, (7, 10)), (30, (None, 5))])
def test_the_target_of_weight_gain(bmi: float, target: tuple[int | None, int]) -> None:
    assert gestation.weight_gain(bmi) == target


def child(birth: date, day: date, *done: str) -> dict[str, checkups.Due]:
    return {due.id: due for due in checkups.of_child(birth, done=done, day=day)}


@pytest.mark.parametrize(
    ("stage", "first", "last"),
    [
        ("m1", "2026-05-07", "2026-05-21"),  # days 27 to 41, both inside
        ("m3_4", "2026-07-09", "2026-09-09"),
        ("y1_6", "2027-10-09", "2028-04-09"),
        ("y3", "2029-04-09", "2030-04-09"),
        ("school", "2032-04-01", "2032-11-30"),
    ],
)
def test_windows_of_the_stages(stage: str, first: str, last: str) -> None:
    one = child(date(2026, 4, 10), date(2026, 4, 10))[stage]
    assert (one.first.isoformat(), one.last.isoformat()) == (first, last)
    assert one.by_law == (stage in ("y1_6", "y3"))


@given(st.dates(date(2015, 1, 1), date(2030, 1, 1)), st.integers(0, 3000))
def test_a_stage_is_due_inside_its_window_and_done_when_done(birth: date, days: int) -> None:
    day = birth + timedelta(days=days)
    for one in child(birth, day).values():
        assert one.first <= one.last
        assert (one.state == State.DUE) == (one.first <= day <= one.last)
        assert child(birth, day, one.id)[one.id].state == State.DONE


@pytest.mark.parametrize(
    ("seen", "next_"),
    [(8 * 7, 12 * 7), (23 * 7 + 6, 27 * 7 + 6), (24 * 7, 26 * 7), (35 * 7, 37 * 7), (36 * 7, 37 * 7), (40 * 7, 41 * 7)],
)
def test_prenatal_visits_every_four_two_and_one_weeks(seen: int, next_: int) -> None:
    last = gestation.on_day(DUE, seen)
    due = checkups.next_visit(DUE, last, day=last)
    assert due is not None
    assert due.first == gestation.on_day(DUE, next_)
    assert due.state == State.NOT_YET


def test_without_a_visit_the_table_says_which_is_next_and_after_term_none() -> None:
    at_once = checkups.next_visit(DUE, None, day=gestation.on_day(DUE, 5 * 7))
    assert at_once is not None
    assert (at_once.id, at_once.first) == ("prenatal-1", gestation.on_day(DUE, 56))
    middle = checkups.next_visit(DUE, None, day=gestation.on_day(DUE, 25 * 7))
    assert middle is not None
    assert (middle.id, middle.state) == ("prenatal-6", State.NOT_YET)
    assert checkups.next_visit(DUE, None, day=DUE + timedelta(days=60)) is None


def test_the_visits_of_a_mother_after_birth() -> None:
    born = date(2026, 4, 10)
    two, month = checkups.after_birth(born, done=["postpartum-2w"], day=born + timedelta(days=22))
    assert (two.state, month.state) == (State.DONE, State.DUE)
    assert (two.first, two.last, month.last) == (date(2026, 4, 15), date(2026, 5, 1), date(2026, 6, 5))
