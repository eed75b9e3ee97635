"""Measured values as hashed intervals: what is covered is what the prefix means, whatever the unit."""

from __future__ import annotations

from decimal import Decimal
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.index import index_of
from phr.records.search import quantities, ranges
from phr.records.search.params import params_for
from phr.records.search.query import Amount
from phr.records.search.trie import EVER, FOREVER, WRITTEN, Cut, cover, nodes, rounded
from phr.records.search.units import UCUM, canonical
from tests.records.samples import observation

KEY = b"an index key of thirty-two bytes"
DECIMALS = (
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=3)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-9, max_value=9, places=1)
    | st.sampled_from([Decimal(t) for t in ("0", "1", "-1", "14", "140", "0.001", "99.9", "1e20", "-1e20", "1e-20")])
)
CUTS = st.tuples(DECIMALS, st.sampled_from([0, 1])) | st.sampled_from([EVER, FOREVER])
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


@given(CUTS, CUTS, DECIMALS)
def test_a_cover_is_exactly_the_interval(low: Cut, high: Cut, value: Decimal) -> None:
    hit = bool(set(cover(low, high, WRITTEN)) & set(nodes(value)))
    assert hit == (low <= (value, 0) and (value, 1) <= high)


@given(CUTS, CUTS, CUTS)
def test_a_cover_of_cuts_is_exactly_what_lies_between(low: Cut, high: Cut, cut: Cut) -> None:
    hit = bool(set(cover(low, high, WRITTEN, cuts=True)) & set(nodes(*cut)))
    assert hit == (low <= cut <= high)


@given(DECIMALS, DECIMALS)
def test_covers_are_small(low: Decimal, high: Decimal) -> None:
    assert len(cover((low, 0), (high, 1), WRITTEN)) <= 300
    assert len(nodes(rounded(low, WRITTEN))) <= WRITTEN + 3


def amount(text: str) -> Amount:
    """`[prefix]number[|system|code]` as the parser reads it."""
    written, *unit = text.split("|")
    prefix, number = (written[:2], written[2:]) if written[:1].isalpha() else ("eq", written)
    value, (low, high) = ranges.number(number)
    if prefix == "ap":
        low, high = min(low, value - abs(value) / 10), max(high, value + abs(value) / 10)
    system, code = unit or (None, None)
    return Amount(prefix, low, high, value, system or None, code or None)


def meets(cover: quantities.Cover, kept: set[int]) -> bool:
    return any(all(kept.intersection(terms) for terms in way) for way in cover)


def finds(resource: dict[str, Any], name: str, text: str) -> bool:
    param = params_for(resource["resourceType"])[name]
    return meets(quantities.asked(param, amount(text), KEY), set(index_of(resource, KEY).terms))


def quantity(value: str, unit: str = "", system: str = UCUM, **more: Any) -> dict[str, Any]:
    coded = {"system": system, "code": unit} if system and unit else {}
    return {"value": Decimal(value), **({"unit": unit} if unit else {}), **coded, **more}


@given(st.sampled_from(PREFIXES), DECIMALS, DECIMALS)
def test_prefixes_mean_what_they_mean_for_ranges(prefix: str, kept: Decimal, number: Decimal) -> None:
    """Against `ranges.holds` on floats (R4 3.1.1.4.5)."""
    search = amount(f"{prefix}{number:f}")
    low, high = (search.low, search.high) if prefix in ("eq", "ne", "ap") else ranges.point(search.number)
    expected = ranges.holds(prefix, (low, high), ranges.point(float(kept)))
    if prefix == "eq":  # the upper half belongs to the next number
        expected = low <= float(kept) < high
    if prefix == "ne":
        expected = not low <= float(kept) < high
    weighed = observation(valueQuantity=quantity(str(kept), "kg"))
    assert finds(weighed, "value-quantity", f"{prefix}{number:f}") == expected
    assert finds(weighed, "value-quantity", f"{prefix}{number:f}|{UCUM}|kg") == expected
    assert finds(weighed, "value-quantity", f"{prefix}{number:f}||kg") == expected


@pytest.mark.spec("FHIR R4", "3.1.1.4.13", "a quantity is found in other units of the same measure")
@pytest.mark.parametrize(
    ("kept", "unit", "asked"),
    [
        ("60", "kg", "60000|g"), ("60000", "g", "60|kg"), ("36.5", "Cel", "309.65|K"), ("98.6", "[degF]", "37.0|Cel"),
        ("120", "mm[Hg]", "15.999|kPa"), ("72", "/min", "1.2|/s"), ("72", "{beats}/min", "72|/min"),
        ("1", "h", "60|min"), ("100", "[iU]", "100|[IU]"), ("4.5", "10*3/uL", "4.5|10*9/L"),
        ("12.5", "g/dL", "125|g/L"), ("5", "%", "0.05|1"), ("5", "mmol/L", "5000|umol/L"),
        ("150", "[lb_av]", "68.0|kg"), ("1", "U", "1|umol/min"),
        ("2", "wk", "14|d"),
        ("-1", "m", "-100|cm"), ("0", "kg", "0|g"),
    ],
)  # fmt: skip
def test_units_meet(kept: str, unit: str, asked: str) -> None:
    number, _, code = asked.partition("|")
    made = observation(valueQuantity=quantity(kept, unit))
    assert finds(made, "value-quantity", f"{number}|{UCUM}|{code}")
    assert finds(made, "combo-value-quantity", f"{number}|{UCUM}|{code}")
    assert not finds(made, "value-quantity", f"sa{number}|{UCUM}|cd")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5.4", True), ("5.40", True), ("5", True), ("5.5", False), (f"5.4|{UCUM}|mg", True), (f"5400|{UCUM}|ug", True),
        (f"5.4|{UCUM}|g", False), ("5.4||mg", True), ("5.4||g", False), ("5400||ug", False),
        ("5.4|urn:other|mg", False),
        ("gt5.3||mg", True), ("gt5.4||mg", False), (f"ap5|{UCUM}|mg", True), (f"lt0.0055|{UCUM}|g", True),
        ("ne5.4", False), ("ne5.6", True),
    ],
)  # fmt: skip
@pytest.mark.spec("FHIR R4", "3.1.1.4.13", "number; number|system|code; number||code")
def test_the_forms_of_a_quantity(text: str, found: bool) -> None:
    assert finds(observation(valueQuantity=quantity("5.4", "mg")), "value-quantity", text) is found


def test_units_that_are_none_of_ucum_stay_as_written() -> None:
    tablets = observation(valueQuantity=quantity("3", "錠", system="urn:oid:1.2.392.100495.20.2.101"))
    assert finds(tablets, "value-quantity", "3|urn:oid:1.2.392.100495.20.2.101|錠")
    assert finds(tablets, "value-quantity", "3||錠")
    assert not finds(tablets, "value-quantity", f"3|{UCUM}|錠")
    odd = observation(valueQuantity=quantity("3", "no-unit"))
    assert finds(odd, "value-quantity", f"3|{UCUM}|no-unit")
    printed = observation(valueQuantity={"value": 3, "unit": "kg"})
    assert finds(printed, "value-quantity", "3||kg")
    assert not finds(printed, "value-quantity", f"3|{UCUM}|kg")


def test_the_printed_unit_belongs_to_its_own_value() -> None:
    """Two values in two units: 1 kg and 2 g hold no 2 kg."""
    parts = [{"code": {"text": "a"}, "valueQuantity": quantity(v, u)} for v, u in (("1", "kg"), ("2", "g"))]
    both = observation(valueQuantity=None, component=parts)
    assert finds(both, "component-value-quantity", "1||kg")
    assert finds(both, "component-value-quantity", "2||g")
    assert not finds(both, "component-value-quantity", "2||kg")


@pytest.mark.parametrize(
    ("comparator", "text", "found"),
    [
        ("<", "lt5", True), ("<", "eb5", True), ("<", "gt5", False), ("<", "ge5", False), ("<", "5", False),
        ("<=", "eb5", False), ("<=", "lt5", True), ("<=", "gt5", False), ("<", "gt4", True), ("<", "ap5", True),
        (">", "gt5", True), (">", "sa5", True), (">=", "sa5", False), (">", "lt5", False), (">", "lt6", True),
        (">", "ne5", True), (">", "ap1", False),
    ],
)  # fmt: skip
@pytest.mark.spec("FHIR R4", "3.1.1.4.5", "a value with a comparator is compared as the range it stands for")
def test_comparators(comparator: str, text: str, found: bool) -> None:
    below = observation(valueQuantity=quantity("5", "mg", comparator=comparator))
    assert finds(below, "value-quantity", text) is found


@pytest.mark.parametrize(("text", "found"), [("20", False), ("gt20", True), ("lt20", False), ("lt21", True),
                                             ("sa19", True), ("ge31", False), ("eb31", True),
                                             ("eb30", False), ("ap25", True),
                                             ("ap35", False), ("ne20", True)])  # fmt: skip
def test_an_age_that_is_a_range(text: str, found: bool) -> None:
    since = {"resourceType": "Condition", "onsetRange": {"low": quantity("20", "a"), "high": quantity("30", "a")}}
    assert finds(since, "onset-age", f"{text}|{UCUM}|a") is found
    assert finds({"resourceType": "Condition", "onsetRange": {"low": quantity("20", "a")}}, "onset-age", "gt90")


@pytest.mark.spec("FHIR R4", "3.1.1.4.7", "number: a value or a range, by prefix and written precision")
@pytest.mark.parametrize(("text", "found"), [("0.2", True), ("0.20", False), ("gt0.1", True), ("le0.25", True),
                                             ("lt0.249", False), ("2.5e-1", True), ("ne0.3", True)])  # fmt: skip
def test_numbers(text: str, found: bool) -> None:
    risk = {"resourceType": "RiskAssessment", "prediction": [{"probabilityDecimal": Decimal("0.249")}]}
    assert finds(risk, "probability", text) is found
    assert index_of(risk, KEY).ranges == []


def test_samples_are_found_by_their_bounds() -> None:
    data = {"origin": quantity("10", "mV"), "period": 10, "factor": Decimal("0.5"), "dimensions": 1, "data": "-2 4 E 6"}
    ecg = observation(valueQuantity=None, valueSampledData=data)
    for text, found in (("lt10", True), ("gt12", True), ("gt13", False), ("lt9", False)):
        assert finds(ecg, "value-quantity", f"{text}|{UCUM}|mV") is found
    limits = {"origin": quantity("0", "mV"), "period": 10, "lowerLimit": -3, "dimensions": 1, "data": "L 1 U X"}
    assert finds(observation(valueQuantity=None, valueSampledData=limits), "value-quantity", f"lt-2.5|{UCUM}|mV")


def test_money_is_found_by_its_currency() -> None:
    bill = {"resourceType": "Invoice", "totalGross": {"value": 1200, "currency": "JPY"}}
    assert finds(bill, "totalgross", "gt1000|urn:iso:std:iso:4217|JPY")
    assert finds(bill, "totalgross", "1200||JPY")
    assert not finds(bill, "totalgross", "1200||USD")


@pytest.mark.parametrize("code", ["", "nonsense", "kg/", "m99", "((m)", "1/0", "{", "}", "[", "kg kg", "キロ", "x" * 99,
                                  "(" * 50 + "m" + ")" * 50])  # fmt: skip
def test_what_is_no_unit(code: str) -> None:
    assert canonical(code) is None


@given(st.text("kgmsL/.*()[]{}0123456789-+ux%'\" ", max_size=30))
def test_no_unit_text_raises(code: str) -> None:
    canonical(code)


def test_odd_values_are_left_out() -> None:
    for odd in (
        {"value": "5"},
        {"value": True},
        {"value": Decimal("NaN")},
        {},
        [],
        None,
        {"value": Decimal("Infinity")},
    ):
        assert quantities.measured(odd, "Quantity") is None
        assert quantities.measured(odd, "SampledData") is None
    assert quantities.measured({"low": {"value": "x"}}, "Range") is None
    for huge in ("9" * 500, "1e9999999", "9.99999999999999999e30"):
        assert finds(observation(valueQuantity=quantity(huge, "kg")), "value-quantity", "gt5")
    assert finds(observation(valueQuantity={"value": 10**5000}), "value-quantity", "gt5")
    assert finds(observation(valueQuantity=quantity("-1e-9999999", "kg")), "value-quantity", "lt0")
    wild = {"origin": {"value": Decimal("1e999")}, "factor": Decimal("1e999"), "data": "1e999999999 NaN -inf x 2"}
    assert finds(observation(valueQuantity=None, valueSampledData=wild), "value-quantity", "gt5")


FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 1e308, 5e-324])


@given(st.sampled_from(PREFIXES), FLOATS, FLOATS, FLOATS, st.sampled_from([None, "kg", "K", "[degF]", "x"]))
def test_no_number_asked_for_raises(prefix: str, low: float, high: float, at: float, unit: str | None) -> None:
    if not any(map(isnan, (low, high, at))):
        asked = Amount(prefix, low, high, at, UCUM if unit else None, unit)
        quantities.asked(params_for("Observation")["value-quantity"], asked, KEY)


def test_what_was_measured_costs_few_terms() -> None:
    measured, bare = index_of(observation(), KEY), index_of(observation(valueQuantity=None), KEY)
    assert len(measured.terms) - len(bare.terms) <= 14
