"""Ages by the Japanese rule (年齢計算ニ関スル法律, Civil Code 143) and the guardian's age table."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import rules, wording
from consent.scope import Purpose


@pytest.mark.parametrize(
    ("birth_on", "day", "age"),
    [
        (date(2008, 4, 1), date(2026, 3, 31), 17),
        (date(2008, 4, 1), date(2026, 4, 1), 18),
        (date(2008, 2, 29), date(2026, 2, 28), 17),  # a common year: completed when 28 February ends
        (date(2008, 2, 29), date(2026, 3, 1), 18),
        (date(2008, 2, 29), date(2024, 2, 28), 15),  # a leap year: likewise when 28 February ends
        (date(2008, 2, 29), date(2024, 2, 29), 16),
        (date(2026, 4, 1), date(2026, 4, 1), 0),
        (date(2026, 4, 2), date(2026, 4, 1), -1),
    ],
)
def test_age_on(birth_on: date, day: date, age: int) -> None:
    assert rules.age_on(birth_on, day) == age


@pytest.mark.parametrize(
    ("birth_on", "age", "reached", "first"),
    [
        (date(2020, 4, 1), 6, date(2026, 3, 31), date(2026, 4, 1)),  # 早生まれ: the school year before
        (date(2020, 4, 2), 6, date(2026, 4, 1), date(2026, 4, 2)),
        (date(2008, 2, 29), 18, date(2026, 2, 28), date(2026, 3, 1)),
        (date(2008, 2, 29), 16, date(2024, 2, 28), date(2024, 2, 29)),
        (date(2008, 1, 1), 18, date(2025, 12, 31), date(2026, 1, 1)),
    ],
)
def test_an_age_is_reached_on_the_day_before(birth_on: date, age: int, reached: date, first: date) -> None:
    assert rules.first_day_of(birth_on, age) == first == reached + timedelta(days=1)


@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)), st.integers(0, 110))
def test_the_boundary_is_where_the_age_changes(birth_on: date, age: int) -> None:
    first = rules.first_day_of(birth_on, age)
    assert rules.age_on(birth_on, first) == age
    assert rules.age_on(birth_on, first - timedelta(days=1)) == age - 1


def test_the_day_is_the_day_in_japan() -> None:
    assert rules.today_in_japan(datetime(2026, 3, 31, 14, 59, 59, tzinfo=UTC)) == date(2026, 3, 31)
    assert rules.today_in_japan(datetime(2026, 3, 31, 15, 0, tzinfo=UTC)) == date(2026, 4, 1)


@pytest.mark.parametrize(
    ("age", "name"),
    [(-1, None), (0, "full"), (11, "full"), (12, "full"), (14, "full"), (15, "standard set"), (17, "standard set"),
     (18, None), (40, None)],
)  # fmt: skip
@pytest.mark.G("10")
def test_the_age_table(age: int, name: str | None) -> None:
    ceiling = rules.guardian_ceiling(age)
    assert (ceiling and ceiling.name) == name


@pytest.mark.G("10")
def test_a_guardian_keeps_everything_to_the_last_day_of_fourteen() -> None:
    birth_on = date(2011, 6, 1)
    fourteen, fifteen = (rules.age_on(birth_on, date(2026, *day)) for day in ((5, 31), (6, 1)))
    assert (fourteen, fifteen) == (14, 15)
    assert (rules.guardian_ceiling(fourteen), rules.guardian_ceiling(fifteen)) == (rules.FULL, rules.STANDARD)


@pytest.mark.G("10")
def test_the_ages_that_are_told_twice_agree() -> None:
    """Where a young person signs in, her guardian's view narrows; where she is of age, it ends."""
    starts = [start for start, _ in rules.AGE_TABLE]
    assert starts == sorted(set(starts)) and starts[0] == 0
    assert [start for start, ceiling in rules.AGE_TABLE if ceiling == rules.STANDARD] == [rules.OWN_LOGIN_AGE]
    assert [start for start, ceiling in rules.AGE_TABLE if ceiling is None] == [rules.ADULT_AGE]
    assert rules.OWN_LOGIN_AGE <= rules.OWN_CONSENT_AGE < rules.ADULT_AGE


def test_every_purpose_has_words_and_is_of_one_kind() -> None:
    purposes = {str(purpose) for purpose in Purpose}
    assert set(wording.PURPOSES) == purposes
    assert all(ja and en for ja, en in wording.PURPOSES.values())
    assert not purposes & rules.PROHIBITED_PURPOSES
    by_provision_only = purposes - {str(purpose) for purpose in rules.CARE_PURPOSES}
    assert by_provision_only == {"HRESCH"}, "a purpose outside care is answered by a provision (IT-07)"


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2026, 4, 1), 24, date(2028, 4, 1)),
        (date(2026, 12, 15), 18, date(2028, 6, 15)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
    ],
)
def test_months_after(day: date, months: int, later: date) -> None:
    assert rules.months_after(day, months) == later
