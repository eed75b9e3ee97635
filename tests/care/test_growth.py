"""Percentiles, SDS and the degree of obesity, against the survey's own figures."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.care.growth import (
    EDITION,
    PERCENTILES,
    SEX,
    Z,
    corrected_age,
    curve,
    degree,
    lying,
    position,
    value_at,
)
from phr.care.tables import rows

ROWS = rows("growth_percentiles")
NAME = {"M": "male", "F": "female"}


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['measure']}-{r['sex']}-{r['band']}")
def test_every_published_percentile_is_told_as_itself(row: dict[str, str]) -> None:
    """The figure of the survey at the midpoint of its band is its percentile, within half a point; the fit agrees."""
    for name, z in zip(PERCENTILES, Z, strict=True):
        found = position(row["measure"], NAME[row["sex"]], float(row["age_months_mid"]), float(row[name]))
        assert found is not None
        assert found.percentile == pytest.approx(float(name[1:]), abs=0.5)
        assert found.edition == "R5-2023"
        assert found.sds == pytest.approx(z, abs=0.12)


def test_the_anchors_of_the_survey() -> None:
    medians = [curve(measure, sex) for measure in ("weight", "height") for sex in "MF"]
    assert [values[ages.index(15.0)][3] for ages, values in medians] == [9.66, 9.12, 76.5, 75.3]


def test_between_midpoints_the_values_are_interpolated_not_the_bands_looked_up() -> None:
    """1.243 months lies half way between the bands of 30 days and of one to two months."""
    at = position("weight", "male", (0.986 + 1.5) / 2, (4.15 + 4.79) / 2)
    assert at is not None
    assert at.percentile == pytest.approx(50, abs=0.5)
    exact = value_at("weight", "male", (0.986 + 1.5) / 2, 0)
    assert exact == pytest.approx((value_at("weight", "male", 0.986, 0) + value_at("weight", "male", 1.5, 0)) / 2)


@given(
    st.sampled_from(["weight", "height", "head"]), st.sampled_from(list(SEX)), st.floats(0, 35.9), st.floats(0.5, 150)
)
def test_more_is_never_a_lower_position(measure: str, sex: str, months: float, value: float) -> None:
    less, more = position(measure, sex, months, value), position(measure, sex, months, value * 1.01)
    assert less is not None
    assert more is not None
    assert more.sds > less.sds or more.sds == pytest.approx(less.sds, abs=0.011)
    ranks = [0.0 if p.text == "<3" else 100.0 if p.text == ">97" else p.percentile or 0 for p in (less, more)]
    assert ranks[0] <= ranks[1]


@given(st.sampled_from(["weight", "height", "head"]), st.sampled_from(list(SEX)), st.floats(0, 35.9))
def test_beyond_3_and_97_no_number_is_told(measure: str, sex: str, months: float) -> None:
    low = position(measure, sex, months, value_at(measure, sex, months, Z[0]) * 0.99)
    high = position(measure, sex, months, value_at(measure, sex, months, Z[-1]) * 1.01)
    assert low is not None
    assert high is not None
    assert [(p.percentile, p.text) for p in (low, high)] == [(None, "<3"), (None, ">97")]


@pytest.mark.parametrize(
    ("measure", "months", "known"),
    [
        ("weight", 77.9, True),
        ("weight", 78.0, False),
        ("height", 78.0, False),
        ("head", 35.9, True),
        ("head", 36.0, False),
    ],
)
def test_after_the_last_midpoint_it_is_held_to_the_end_of_the_band(measure: str, months: float, known: bool) -> None:
    assert (position(measure, "female", months, 20.0) is not None) == known


def test_no_reference_without_a_sex_or_a_sound_value() -> None:
    for sex in ("", "unknown", "other"):
        assert position("weight", sex, 12, 9.0) is None
    assert position("weight", "male", -0.1, 3.0) is None
    assert position("weight", "male", 12, 0.0) is None


def test_corrected_age_counts_from_term_to_two_years() -> None:
    birth = date(2026, 1, 1)
    assert corrected_age(birth, date(2026, 4, 1), 210) == pytest.approx((90 - 70) / 30.4375)
    assert corrected_age(birth, date(2026, 2, 1), 210) == pytest.approx((31 - 70) / 30.4375)
    assert corrected_age(birth, date(2026, 4, 1), 259) is None
    assert corrected_age(birth, date(2027, 12, 31), 210) is not None
    assert corrected_age(birth, date(2028, 1, 1), 210) is None


def test_lying_below_two_years() -> None:
    assert lying(date(2024, 5, 10), date(2026, 5, 8))
    assert not lying(date(2024, 5, 10), date(2026, 5, 9))


@pytest.mark.parametrize(("edition", "percent"), [("", 0.41), ("R5-2023", 0.41), ("H22-2010", -0.14)])
def test_the_degree_of_obesity_names_its_edition(edition: str, percent: float) -> None:
    found = degree("female", 4, 92.0, 13.0, edition=edition)
    assert found is not None
    assert (found.percent, found.edition, found.name) == (percent, edition or EDITION, "ふつう")


@pytest.mark.parametrize(
    ("years", "weight", "edition", "name"),
    [
        (4, 16.9, "", "ふとりすぎ"), (4, 15.6, "", "ややふとりすぎ"), (4, 15.0, "", "ふとりぎみ"),
        (4, 11.0, "", "やせ"), (4, 10.3, "", "やせすぎ"), (5, 16.0, "school-2000", "中等度肥満"),
        (5, 15.6, "R5-2023", "ややふとりすぎ"),
    ],
)  # fmt: skip
def test_classes_of_infants_and_of_school(years: int, weight: float, edition: str, name: str) -> None:
    """At five both hold: the form it came on decides."""
    found = degree("female", years, 92.0, weight, edition=edition)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("years", "height", "sex"), [(0, 70, "male"), (4, 69.9, "male"), (4, 120, "male"), (18, 160, "male"), (9, 130, "")]
)
def test_no_degree_outside_the_edition(years: int, height: float, sex: str) -> None:
    assert degree(sex, years, height, 15.0) is None
