"""Calendar rules, against the project's test vectors."""

from datetime import date

import pytest

from phr.care.dates import attained, days_between, months_after, school_entry
from phr.populate.vaccination import course

DAY = date.fromisoformat


@pytest.mark.parametrize(
    ("birth", "months", "expected"),
    [
        ("2025-12-31", 12, "2026-12-30"),
        ("2026-01-01", 2, "2026-02-28"),
        ("2026-01-01", 90, "2033-06-30"),
        ("2024-02-29", 2, "2024-04-28"),
        ("2024-02-29", 90, "2031-08-28"),
        ("2026-04-02", 90, "2033-10-01"),
        ("2026-08-31", 2, "2026-10-30"),
        ("2026-08-31", 90, "2034-02-28"),
        ("2025-10-31", 4, "2026-02-28"),
    ],
)
def test_an_age_is_attained_the_day_before(birth: str, months: int, expected: str) -> None:
    assert attained(DAY(birth), months) == DAY(expected)


def test_gaps() -> None:
    assert days_between(DAY("2026-04-01"), 139) == DAY("2026-08-19")
    assert days_between(DAY("2026-04-01"), 6) == DAY("2026-04-08")
    assert days_between(DAY("2026-04-01"), 27) == DAY("2026-04-29")
    assert months_after(DAY("2026-08-31"), 6) == DAY("2027-03-01")


@pytest.mark.parametrize(
    ("vaccine", "birth", "first", "last"),
    [
        ("MR2", "2020-03-31", "2025-04-01", "2026-03-31"),
        ("MR2", "2020-04-01", "2025-04-01", "2026-03-31"),
        ("MR2", "2020-04-02", "2026-04-01", "2027-03-31"),
        ("MR2", "2021-01-15", "2026-04-01", "2027-03-31"),
        ("HPV9", "2014-04-01", "2025-04-01", "2030-03-31"),
        ("HPV9", "2014-04-02", "2026-04-01", "2031-03-31"),
        ("ROTA1", "2026-04-02", "2026-05-14", "2026-09-17"),
        ("ROTA5", "2024-02-29", "2024-04-11", "2024-10-10"),
        ("BCG", "2026-04-01", "2026-04-01", "2027-03-31"),
        ("DPTIPVHIB", "2026-01-01", "2026-02-28", "2033-06-30"),
    ],
)
def test_windows(vaccine: str, birth: str, first: str, last: str) -> None:
    one = course(vaccine, DAY(birth))
    assert (one.first, one.last) == (DAY(first), DAY(last))


def test_school_begins_earlier_for_who_is_born_on_1_april() -> None:
    assert school_entry(DAY("2020-04-01")) == DAY("2026-04-01")
    assert school_entry(DAY("2020-04-02")) == DAY("2027-04-01")
