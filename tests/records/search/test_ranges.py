"""Dates and numbers as half-open ranges, and what each prefix means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.search import ranges
from phr.records.search.ranges import JAPAN, date_range, holds, micros, moment, number, point


def span(text: str) -> tuple[datetime, datetime]:
    low, high = date_range(text)
    return moment(low), moment(high)


@pytest.mark.spec("FHIR R4", "3.1.1.4.8", "a partial date is its whole span; no zone = the server's, here Japan")
@pytest.mark.parametrize(
    ("text", "low", "length"),
    [
        ("2026", datetime(2026, 1, 1, tzinfo=JAPAN), timedelta(days=365)),
        ("2024", datetime(2024, 1, 1, tzinfo=JAPAN), timedelta(days=366)),
        ("2024-02", datetime(2024, 2, 1, tzinfo=JAPAN), timedelta(days=29)),
        ("1900-02", datetime(1900, 2, 1, tzinfo=JAPAN), timedelta(days=28)),
        ("2026-04-01", datetime(2026, 4, 1, tzinfo=JAPAN), timedelta(days=1)),
        ("2026-04-01T10:00:00+09:00", datetime(2026, 4, 1, 1, tzinfo=UTC), timedelta(seconds=1)),
        ("2026-04-01T10:00:00Z", datetime(2026, 4, 1, 10, tzinfo=UTC), timedelta(seconds=1)),
        ("2026-04-01T10:00", datetime(2026, 4, 1, 1, tzinfo=UTC), timedelta(minutes=1)),
        ("2026-04-01T10:00:00.25Z", datetime(2026, 4, 1, 10, 0, 0, 250000, tzinfo=UTC), timedelta(milliseconds=10)),
    ],
)
def test_spans(text: Any, low: Any, length: Any) -> None:
    assert span(text) == (low, low + length)


NAIVE_LIMITS = (datetime(1, 1, 3), datetime(9998, 1, 1))  # noqa: DTZ001  # hypothesis wants them so


@pytest.mark.parametrize("text", ["", "26", "2026-13", "2026-02-30", "2026-4-1", "2026-04-01T25:00:00Z", "２０２６",
                                  "2026-04-01T10", "2026-04-01 10:00", "x", "0000"])  # fmt: skip
def test_what_is_no_date(text: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        date_range(text)


def test_the_last_year_does_not_overflow() -> None:
    low, high = date_range("9999")
    assert low < high


@given(st.datetimes(*NAIVE_LIMITS, timezones=st.just(UTC)))
def test_a_moment_lies_in_its_day_month_and_year(at: Any) -> None:
    day = at.astimezone(JAPAN).date().isoformat()
    for text in (day, day[:7], day[:4]):
        low, high = date_range(text)
        assert low <= micros(at) < high


@pytest.mark.spec("FHIR R4", "3.1.1.4.7", "the precision of a number in a search is the precision it was written with")
@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("100", (99.5, 100, 100.49), (99.49, 100.5)),
        ("100.00", (99.995, 100, 100.0049), (99.99, 100.005)),
        ("1e2", (95, 100, 149), (151, 49)),
        ("-1", (-1.5, -1, -0.51), (-0.5, -1.51)),
    ],
)
def test_number_precision(text: Any, inside: Any, outside: Any) -> None:
    _, asked = number(text)
    assert all(holds("eq", asked, point(float(v))) for v in inside)
    assert not any(holds("eq", asked, point(float(v))) for v in outside)


@pytest.mark.parametrize("text", ["", "x", "1e9999", "--1", "1.", "NaN", "inf", "1" * 400, "１"])
def test_what_is_no_number(text: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        number(text)


@given(
    st.decimals(min_value=-(10**9), max_value=10**9, places=2),
    st.decimals(min_value=-(10**9), max_value=10**9, places=2),
)
def test_prefixes_on_points_are_comparisons(asked: Any, kept: Any) -> None:
    exact, other = point(float(asked)), point(float(kept))
    a, k = Decimal(str(float(asked))), Decimal(str(float(kept)))
    assert holds("gt", exact, other) == (k > a)
    assert holds("lt", exact, other) == (k < a)
    assert holds("ge", exact, other) == (k >= a)
    assert holds("le", exact, other) == (k <= a)
    assert holds("sa", exact, other) == (k > a)
    assert holds("eb", exact, other) == (k < a)
    assert holds("eq", exact, other) == (k == a) != holds("ne", exact, other)


@pytest.mark.spec("FHIR R4", "3.1.1.4.5", "prefixes on periods")
def test_prefixes_on_periods() -> None:
    april = date_range("2026-04")
    for prefix, expected in {"eq": False, "ne": True, "gt": True, "ge": True, "lt": True, "le": True, "sa": False,
                             "eb": False, "ap": True}.items():  # fmt: skip
        year = date_range("2026")
        assert holds(prefix, april, year) is expected, prefix
    assert holds("eq", date_range("2026"), april)
    assert holds("sa", april, date_range("2026-05-01"))
    assert holds("eb", april, date_range("2026-03-31"))


@pytest.mark.spec("FHIR R4", "3.1.1.4.8", "a date without a zone is in the zone of the server")
def test_another_zone_may_be_in_use() -> None:
    try:
        ranges.use_zone("Europe/Berlin")
        assert span("2026-03-29") == (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
        assert span("2026-07-01T10:00") == (datetime(2026, 7, 1, 8, tzinfo=UTC), datetime(2026, 7, 1, 8, 1, tzinfo=UTC))
        assert span("2026-07-01T10:00Z")[0] == datetime(2026, 7, 1, 10, tzinfo=UTC)
        for name in ("Nowhere/Land", "../etc/passwd", ""):
            with pytest.raises(ValueError, match="no time zone"):
                ranges.use_zone(name)
    finally:
        ranges.use_zone("Asia/Tokyo")
    assert span("2026-03-29")[0] == datetime(2026, 3, 29, tzinfo=JAPAN)
