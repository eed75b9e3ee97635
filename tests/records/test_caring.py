"""Whatever stands in a record, it is read as doses and dates or named as unread; nothing is raised."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phr.care.immunizations import Person, plan
from phr.care.rules import rules_at
from phr.records import caring
from phr.records.measuring import _quantity
from phr.records.systems import CVX, DISEASE_RECEIPT, OWN_DISEASE, OWN_VACCINE

RULES = rules_at(date(2026, 4, 1))
SYSTEMS = st.sampled_from(
    [OWN_VACCINE, CVX, "urn:oid:2.16.840.1.113883.12.292", DISEASE_RECEIPT, OWN_DISEASE, "urn:x", ""]
)
CODES = st.sampled_from(
    ["BCG", "MR", "MR1", "04", "129", "165", "MEASLES", "RUBELLA", "0559004", "HPV", "RV", "nothing", ""]
)
WHEN = st.sampled_from([
    "2026-04-01", "2026-04", "2026", "2026-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0000", "",
    "2026-04-01T23:59:60Z", "2026-04-01T10:00:00.123456789+09:00", "2026-13", "9999", "9999-12-31", "0001",
])  # fmt: skip
CONCEPTS = st.fixed_dictionaries({}, optional={
    "coding": st.lists(st.fixed_dictionaries({}, optional={"system": SYSTEMS, "code": CODES}), max_size=3),
    "text": st.text(max_size=5),
})  # fmt: skip
DOSES = st.fixed_dictionaries(
    {"status": st.sampled_from(["completed", "not-done", "entered-in-error"])},
    optional={
        "vaccineCode": CONCEPTS, "occurrenceDateTime": WHEN, "isSubpotent": st.booleans(),
        "protocolApplied": st.lists(
            st.fixed_dictionaries({}, optional={"targetDisease": st.lists(CONCEPTS, max_size=3)}), max_size=2
        ),
    },
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(DOSES, max_size=6), st.dates(date(1880, 1, 1), date(2200, 12, 31)), st.integers(0, 40_000))
def test_every_dose_is_read_or_named(found: list[dict[str, Any]], birth: date, days: int) -> None:
    day = date.fromordinal(min(birth.toordinal() + days, date(2200, 12, 31).toordinal()))
    named = [(f"Immunization/{n}", one) for n, one in enumerate(found)]
    given_, unread = caring.doses(named, RULES)
    real = {ref for ref, one in named if one["status"] == "completed" and not one.get("isSubpotent")}
    assert {dose.reference for dose in given_} | set(unread) == real
    assert len(given_) + len(unread) == len(real)
    plan(Person(birth, "female", given_), day=day, rules=RULES)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-04-01", (date(2026, 4, 1), True)),
        ("2026-02", (date(2026, 2, 28), False)),
        ("2025", (date(2025, 12, 31), False)),
        ("2026-03-31T16:00:00Z", (date(2026, 4, 1), True)),  # the next day in Japan
        ("2026-02-30", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_days_are_days_in_japan(text: str, told: tuple[date, bool] | None) -> None:
    assert caring.day_of(text) == told


@pytest.mark.parametrize(
    ("against", "on", "product"),
    [
        ({"MEASLES", "RUBELLA"}, "2026-04-01", "MR"),
        ({"D", "P", "T", "POLIO", "HIB"}, "2026-04-01", "DPTIPVHIB"),
        ({"HPV"}, "2026-05-01", "HPV9"),
        ({"HPV"}, "2024-05-01", None),  # three products were begun with then
        ({"RV"}, "2026-05-01", None),  # two or three doses: the product must be known
        ({"POLIO"}, "2012-11-01", "IPV"),
        (set(), "2026-05-01", None),
    ],
)
def test_a_dose_known_by_its_diseases_is_placed_only_where_one_product_does(
    against: set[str], on: str, product: str | None
) -> None:
    targets = [{"coding": [{"system": OWN_DISEASE, "code": code}]} for code in sorted(against)]
    dose = {"status": "completed", "occurrenceDateTime": on, "protocolApplied": [{"targetDisease": targets}]}
    given_, unread = caring.doses([("Immunization/1", dose)], RULES)
    assert ([one.product for one in given_] or [None]) == [product]
    assert bool(unread) == (product is None)


QUANTITY = {"value": 5, "system": "http://unitsofmeasure.org", "code": "kg"}


@pytest.mark.parametrize(
    "value", [{"value": 1}, QUANTITY | {"value": 0}, QUANTITY | {"comparator": "<"}, QUANTITY | {"value": 10**9}, {}]
)
def test_no_measurement_is_made_of_what_is_none(value: dict[str, Any]) -> None:
    assert _quantity({"valueQuantity": value}) is None
