"""Ages by the Japanese rule (年齢計算ニ関スル法律, Civil Code 143) and the guardian's age table."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import rules


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
