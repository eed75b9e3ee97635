"""Hints at unlikely measurements: by age, exact in units, never a refusal (phr/records/plausibility.py)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.plausibility import TAG_SYSTEM, converted, hints, ranges, tagged
from phr.records.systems import LOINC, OWN_ITEM, UCUM

BORN = date(2026, 1, 1)


def measured(code: str, value: str, unit: str, *, days: int = 10, system: str = LOINC) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "code": {"coding": [{"system": system, "code": code}]},
        "effectiveDateTime": f"{(BORN + timedelta(days=days)).isoformat()}T09:00:00+09:00",
        "valueQuantity": {"value": Decimal(value), "system": UCUM, "code": unit},
    }  # fmt: skip


def severities(observation: dict[str, Any], born: date | None = BORN) -> list[str]:
    return [hint.severity for hint in hints(observation, born=born)]


@pytest.mark.parametrize(
    ("code", "value", "unit", "days", "told"),
    [
        ("29463-7", "3.2", "kg", 3, []),
        ("29463-7", "3200", "g", 3, []),  # the same in grams
        ("29463-7", "3200", "kg", 3, ["warning"]),  # grams typed as kilograms
        ("29463-7", "25", "kg", 3, ["information"]),
        ("29463-7", "25", "kg", 7 * 366, []),
        ("29463-7", "55", "kg", 30 * 366, []),
        ("29463-7", "121.25", "[lb_av]", 30 * 366, []),
        ("29463-7", "55", "cm", 30 * 366, ["information"]),
        ("8310-5", "36.8", "Cel", 400, []),
        ("8310-5", "98.2", "[degF]", 400, []),
        ("8310-5", "98.2", "Cel", 400, ["warning"]),
        ("8310-5", "33.9", "Cel", 400, ["information"]),
        ("9843-4", "34", "cm", 1, []),
        ("9843-4", "0.34", "m", 1, []),
        ("2345-7", "95", "mg/dL", 30 * 366, []),
        ("15074-8", "5.3", "mmol/L", 30 * 366, []),
        ("15074-8", "95", "mmol/L", 30 * 366, ["warning"]),
    ],
)
def test_by_age_and_in_any_unit(code: str, value: str, unit: str, days: int, told: list[str]) -> None:
    assert severities(measured(code, value, unit, days=days)) == told


def test_the_edges_belong_to_what_is_usual() -> None:
    for rows in ranges().values():
        for row in rows:
            assert row.least <= row.low < row.high <= row.most, row
            assert row.source


def test_ages_of_one_measure_do_not_overlap() -> None:
    for key, rows in ranges().items():
        spans = sorted((r.days.start, r.days.stop) for r in rows)
        assert all(a[1] <= b[0] for a, b in pairwise(spans)), key


def test_without_a_birth_date_only_what_no_age_has_is_told() -> None:
    assert severities(measured("29463-7", "100", "kg"), born=None) == []
    assert severities(measured("29463-7", "400", "kg"), born=None) == ["warning"]
    year = measured("29463-7", "100", "kg") | {"effectiveDateTime": "2026"}
    assert severities(year) == []


def pressure(systolic: str, diastolic: str) -> dict[str, Any]:
    def part(code: str, value: str) -> dict[str, Any]:
        return {k: v for k, v in measured(code, value, "mm[Hg]").items() if k in ("code", "valueQuantity")}

    panel = measured("85354-9", "0", "mm[Hg]", days=30 * 366)
    del panel["valueQuantity"]
    return panel | {"component": [part("8480-6", systolic), part("8462-4", diastolic)]}


def test_components_and_pressures_the_wrong_way_round() -> None:
    assert severities(pressure("118", "74")) == []
    assert severities(pressure("74", "118")) == ["information", "warning"]
    places = [h.expression for h in hints(pressure("118", "250"), born=BORN)]
    assert places == ["Observation.component[1].value", "Observation.component[0]"]


def test_counts_of_fetal_movements() -> None:
    def count(n: str) -> dict[str, Any]:
        return measured("home.fetal-movements", n, "{count}", days=30 * 366, system=OWN_ITEM)

    assert severities(count("10")) == []
    assert severities(count("0")) == ["information"]
    assert severities(count("5000")) == ["warning"]


def test_tags_follow_the_hints() -> None:
    odd = measured("29463-7", "3200", "kg") | {"meta": {"tag": [{"system": "urn:x", "code": "y"}], "profile": ["p"]}}
    with_hint = tagged(odd, hints(odd, born=BORN))
    assert with_hint["meta"]["tag"] == [{"system": "urn:x", "code": "y"}, {"system": TAG_SYSTEM, "code": "unlikely"}]
    assert with_hint["meta"]["profile"] == ["p"]
    assert tagged(with_hint, hints(odd, born=BORN)) is with_hint
    assert tagged(with_hint, [])["meta"] == odd["meta"]
    plain = measured("29463-7", "3.2", "kg")
    assert tagged(plain, []) is plain
    assert list(tagged(plain, hints(odd, born=BORN)))[:2] == ["resourceType", "meta"]


def test_the_words_hold_no_value() -> None:
    [hint] = hints(measured("29463-7", "3217", "kg"), born=BORN)
    assert "3217" not in hint.text and "体重" in hint.ja and "weight" in hint.en


@given(st.decimals(min_value=-(10**6), max_value=10**6, allow_nan=False, places=4))
def test_units_are_converted_exactly(value: Decimal) -> None:
    def quantity(code: str) -> dict[str, Any]:
        return {"value": value, "system": UCUM, "code": code}

    assert converted(quantity("[lb_av]"), "kg") == Fraction(value) * Fraction("0.45359237")
    assert converted(quantity("[degF]"), "Cel") == (Fraction(value) - 32) * Fraction(5, 9)
    assert converted(quantity("g"), "kg") == Fraction(value) / 1000
    assert converted(quantity("cm"), "kg") is None
    assert converted({"value": value}, "kg") is None
