"""Where a measurement lies among children of the same age and sex, and the degree of obesity. Each with its edition.

Reference: 令和5年 (2023) 乳幼児身体発育調査, percentiles 3 to 97; weight and height to 6 years 6 months, head to 2
years 11 months. The *percentile values* are interpolated between the midpoints of the bands, at the child's own age;
bands are never looked up (the one of 30 days has no width). Beyond 3 and 97 no number is told. Nothing here diagnoses.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from statistics import NormalDist

from phr.care.dates import attained, months_old
from phr.care.tables import rows

EDITION = "R5-2023"
PERCENTILES = ("p3", "p10", "p25", "p50", "p75", "p90", "p97")
Z = (-1.8808, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.8808)  # standard normal at these percentiles
SEX = {"male": "M", "female": "F"}  # FHIR administrative gender -> the tables'
STANDING = 24  # months of age from which height is taken standing
TERM, PRETERM = 280, 259  # days of gestation at term; before 37 weeks a birth is preterm
CORRECTED_UNTIL = 24  # months (verify)
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Position:
    """`percentile`: 3 to 97, None beyond; `text`: "<3", "41", ">97". `sds`: from our own LMS fit (not official)."""

    edition: str
    percentile: float | None
    text: str
    sds: float
    median: float


@cache
def curve(measure: str, sex: str) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    """(ages in months, for each age the seven percentile values); `sex` is M or F."""
    found = sorted(
        (float(row["age_months_mid"]), tuple(float(row[p]) for p in PERCENTILES))
        for row in rows("growth_percentiles")
        if row["measure"] == measure and row["sex"] == sex
    )
    return tuple(age for age, _ in found), tuple(values for _, values in found)


@cache
def _ends(measure: str, sex: str) -> float:
    """The end of the last band, in months."""
    return max(
        float(row["age_months_max"])
        for row in rows("growth_percentiles")
        if row["measure"] == measure and row["sex"] == sex
    )


@cache
def _lms(measure: str, sex: str) -> tuple[tuple[float, float, float], ...]:
    """(L, M, S) at each midpoint, in order of age."""
    found = sorted(
        (float(row["age_months_mid"]), float(row["L"]), float(row["M"]), float(row["S"]))
        for row in rows("growth_lms_fit")
        if row["measure"] == measure and row["sex"] == sex
    )
    return tuple((skew, mean, spread) for _, skew, mean, spread in found)


def value_at(measure: str, sex: str, months: float, z: float) -> float:
    """The value (kg or cm) at an age and a position `z`, held at the ends of the table. `sex`: a FHIR gender."""
    ages, values = curve(measure, SEX[sex])
    i, share = _between(ages, months)
    low, high = _at_z(values[i - 1], z), _at_z(values[i], z)
    return low + (high - low) * share


def _between(ages: tuple[float, ...], months: float) -> tuple[int, float]:
    """The upper of the two midpoints around an age, and how far on the way to it the age is."""
    i = min(max(bisect_right(ages, months), 1), len(ages) - 1)
    return i, min(max((months - ages[i - 1]) / (ages[i] - ages[i - 1]), 0.0), 1.0)


def _at_z(values: tuple[float, ...], z: float) -> float:
    k = min(max(bisect_right(Z, z), 1), len(Z) - 1)
    return values[k - 1] + (values[k] - values[k - 1]) * (z - Z[k - 1]) / (Z[k] - Z[k - 1])


def position(measure: str, sex: str, months: float, value: float) -> Position | None:
    """Where `value` (kg, cm) lies. `measure`: weight, height or head. None: no reference for this age or sex."""
    if sex not in SEX or months < 0 or months >= _ends(measure, SEX[sex]) or value <= 0:
        return None
    ages, table = curve(measure, SEX[sex])
    i, share = _between(ages, months)
    values = tuple(low + (high - low) * share for low, high in zip(table[i - 1], table[i], strict=True))
    sds = round(_sds(measure, SEX[sex], i, share, value), 2)
    median = round(values[PERCENTILES.index("p50")], 2)
    if value < values[0]:
        return Position(EDITION, None, "<3", sds, median)
    if value > values[-1]:
        return Position(EDITION, None, ">97", sds, median)
    k = min(max(bisect_right(values, value), 1), len(values) - 1)
    z = Z[k - 1] + (Z[k] - Z[k - 1]) * (value - values[k - 1]) / (values[k] - values[k - 1])
    percentile = round(_NORMAL.cdf(z) * 100, 1)
    return Position(EDITION, percentile, f"{percentile:.0f}", sds, median)


def _sds(measure: str, sex: str, i: int, share: float, value: float) -> float:
    """By LMS: M at the child's age, L and S of the nearer midpoint, since L is noisy and is never interpolated."""
    fit = _lms(measure, sex)
    m = fit[i - 1][1] + (fit[i][1] - fit[i - 1][1]) * share
    skew, _, spread = fit[i] if share > 0.5 else fit[i - 1]
    return float(((value / m) ** skew - 1) / (skew * spread))


def age(birth: date, day: date) -> float:
    """Age in months of 30.4375 days, the scale of the tables."""
    return months_old(birth, day)


def corrected_age(birth: date, day: date, gestation: int) -> float | None:
    """The age (months) of a child born before 37 weeks, counted from term, to two years; None where it is not used.

    For display only; the chronological age is kept. `gestation`: days at birth.
    """
    if gestation >= PRETERM or day > attained(birth, CORRECTED_UNTIL):
        return None
    return months_old(birth + timedelta(days=TERM - gestation), day)


def lying(birth: date, day: date) -> bool:
    """Whether length is taken lying at this age."""
    return day < attained(birth, STANDING)


# -- degree of obesity (肥満度) --------------------------------------------------------------------------

CLASSES = {
    "infant": ((30.0, "ふとりすぎ"), (20.0, "ややふとりすぎ"), (15.0, "ふとりぎみ")),
    "school": ((50.0, "高度肥満"), (30.0, "中等度肥満"), (20.0, "軽度肥満")),
}
THIN = {"infant": ((-20.0, "やせすぎ"), (-15.0, "やせ")), "school": ((-20.0, "やせ"),)}
NORMAL = "ふつう"
FORM_OF = {"R5-2023": "infant", "H22-2010": "infant", "school-2000": "school"}


@dataclass(frozen=True, slots=True)
class Degree:
    """肥満度 in percent, its class, and the edition of the standard weight it was reckoned with."""

    percent: float
    name: str
    edition: str


def degree(sex: str, years: int, height_cm: float, weight_kg: float, *, edition: str = "") -> Degree | None:
    """(weight − standard) / standard × 100. None outside the ages and heights of the edition.

    `edition`: R5-2023, H22-2010 or school-2000, as the form it came on says; "": R5 to five years, school from six.
    """
    chosen = edition or (EDITION if years < 6 else "school-2000")
    found = _coefficients(chosen).get((SEX.get(sex, ""), years))
    if found is None or weight_kg <= 0:
        return None
    c2, c1, c0, low, high = found
    standard = c2 * height_cm**2 + c1 * height_cm + c0
    if not low <= height_cm < high or standard <= 0:
        return None
    percent = (weight_kg - standard) / standard * 100
    return Degree(round(percent, 2), _class(percent, FORM_OF[chosen]), chosen)


def _class(percent: float, form: str) -> str:
    for least, name in CLASSES[form]:
        if percent >= least:
            return name
    return next((name for most, name in THIN[form] if percent <= most), NORMAL)


@cache
def _coefficients(edition: str) -> dict[tuple[str, int], tuple[float, float, float, float, float]]:
    """(sex, completed years) -> (c2, c1, c0, least height, height it ends at)."""
    found = {}
    for row in rows("obesity_degree"):
        if row["edition"] == edition:
            low, high = (float(part) for part in (row["height_cm_range"] or "0-300").split("-"))
            formula = (float(row["c2"]), float(row["c1"]), float(row["c0"]), low, high)
            for years in range(int(row["age_from_y"]), int(row["age_until_y"])):
                found[row["sex"], years] = formula
    return found


def standard_weight(sex: str, years: float, height_cm: float) -> float:
    """kg; R5-2023 to five years, school-2000 from six to seventeen; heights are not bounded here."""
    whole = min(int(years), 17)
    edition = EDITION if whole < 6 else "school-2000"
    c2, c1, c0, _, _ = _coefficients(edition)[SEX[sex], whole]
    return c2 * height_cm**2 + c1 * height_cm + c0
