"""Children grow along the published percentiles."""

import csv
import itertools
from datetime import timedelta
from decimal import Decimal
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.care.dates import months_old
from phr.care.growth import PERCENTILES, SEX, Z, curve, value_at
from phr.care.tables import DATA
from phr.populate import families
from phr.populate.growth import obesity_degree

ROWS = list(csv.DictReader((DATA / "growth_percentiles.csv").open(encoding="utf-8")))
NAME = {"M": "male", "F": "female"}


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['measure']}-{r['sex']}-{r['band']}")
def test_every_published_percentile_comes_back(row: dict[str, str]) -> None:
    for percentile, z in zip(PERCENTILES, Z, strict=True):
        value = value_at(row["measure"], NAME[row["sex"]], float(row["age_months_mid"]), z)
        assert value == pytest.approx(float(row[percentile]), abs=1e-9)


def test_anchor_values_of_the_survey() -> None:
    medians = [curve(measure, sex) for measure in ("weight", "height") for sex in "MF"]
    assert [values[ages.index(15.0)][3] for ages, values in medians] == [9.66, 9.12, 76.5, 75.3]


@given(st.sampled_from(["weight", "height"]), st.sampled_from(list(SEX)), st.floats(0, 75), st.floats(-1.88, 1.88))
def test_more_is_more(measure: str, sex: str, months: float, z: float) -> None:
    assert value_at(measure, sex, months, z) <= value_at(measure, sex, months, z + 0.1)
    assert value_at(measure, sex, months, z) < value_at(measure, sex, months + 1, z) or months > 74


def test_the_degree_of_obesity_of_the_example() -> None:
    assert obesity_degree("female", 48, 92.0, 13.0) == pytest.approx(0.41, abs=0.01)


def test_the_generated_median_is_the_published_median() -> None:
    """Weight at checkups, as a share of the median of that age and sex: around one; tails inside 3-97 and noise."""
    shares, outside = [], 0
    for family in families(11, 250):
        for child in family.children:
            for r in family.of(child.id):
                if r["resourceType"] == "Observation" and r["code"]["text"] == "体重":
                    day = type(child.birth_on).fromisoformat(r["effectiveDateTime"][:10])
                    months = months_old(child.birth_on, day)
                    if months <= 75:
                        kg = float(r["valueQuantity"]["value"])
                        shares.append(kg / value_at("weight", child.sex, months, 0))
                        low, high = (value_at("weight", child.sex, months, z) for z in (-2.3, 2.3))
                        outside += not low - 0.06 <= kg <= high + 0.06
    assert len(shares) > 1000
    assert median(shares) == pytest.approx(1.0, abs=0.01)
    assert outside == 0


def test_a_child_keeps_its_track() -> None:
    """Between two checkups of the first two years a child gains, and does not jump across the chart."""
    for family in families(12, 60):
        for child in family.children:
            weights = [
                (r["effectiveDateTime"], r["valueQuantity"]["value"])
                for r in family.of(child.id)
                if r["resourceType"] == "Observation" and r["code"]["text"] == "体重"
            ]
            early = [(at, kg) for at, kg in sorted(weights) if at[:10] < str(child.birth_on + timedelta(days=730))]
            for (first, before), (second, after) in itertools.pairwise(early):
                assert isinstance(after, Decimal)
                assert after > before * Decimal("0.9"), (family.number, first, second)
