"""What our mappings make is asked about by its shape: that must let nothing in which asking each time would refuse."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.depositing import Depositing, Filing
from phr.records import second_opinion, validate
from phr.records.gateway import Records
from phr.records.second_opinion import Sampled, shape_of
from tests.records.random_resources import DATE, DECIMAL, INSTANT, TEXT

READ = msgspec.json.Decoder(float_hook=Decimal)
GOLDEN = Path(__file__).parents[1] / "golden"
Resource = dict[str, Any]
# Other values of the same JSON kind, most of them wrong somewhere
TEXTS = (
    "", " ", "x", "見本", "a b", "a\tb", "-", "0", "007", "1.0", "x" * 300, "2024", "2024-02", "2024-02-29",
    "2023-02-29", "2024-13-01", "0000-01-01", "2024-01-01T24:00:00Z", "2024-01-01T10:00:00+09:00",
    "2024-01-01T10:00:00", "2024-01-01T10:00:60Z", "2024-01-01T10:00:00+15:00", "2024-01-01T10:00:00.123456789Z",
    "10:00:00", "10:00",
    "urn:", "urn:oid:1.2.3", "urn:oid:3.2.3", "http://", "http://x y", "Patient/1", "final", "entered-in-error", "#x",
    "aGVsbG8=", "aGVsbG8", "true", "null", "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>", "<div>",
    "\u3000", "\u2028",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31 - 1, 2**31, -(2**31) - 1, 10**18)
DECIMALS = tuple(Decimal(text) for text in ("0", "-0.0", "1.50", "1E+3", "1e-9", "0." + "1" * 30, "9" * 40))


@cache
def shapes() -> dict[Any, Resource]:
    """One golden resource of each shape that the mappings make."""
    found: dict[Any, Resource] = {}
    for file in sorted(GOLDEN.rglob("*.json")):
        for resource in _resources(READ.decode(file.read_bytes())):
            found.setdefault(shape_of(resource), resource)
    return found


def _resources(node: Any) -> Iterator[Resource]:
    if isinstance(node, dict) and node.get("resourceType") not in (None, "Bundle", "Parameters"):
        yield node
    elif isinstance(node, (dict, list)):
        for one in node.values() if isinstance(node, dict) else node:
            yield from _resources(one)


def _leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, (dict, list)):
            yield from _leaves(value, (*path, key))
        elif key != "resourceType":
            yield (*path, key), value


def _with(resource: Resource, path: tuple[Any, ...], value: Any) -> Resource:
    changed = node = copy.deepcopy(resource)
    for key in path[:-1]:
        node = node[key]  # type: ignore[assignment]
    node[path[-1]] = value
    return changed


def _sound(resource: Resource) -> bool:
    return not [p for p in validate.check(resource) if p.severity in ("fatal", "error")]


def others(value: Any) -> tuple[Any, ...]:
    return {str: TEXTS, int: NUMBERS, Decimal: DECIMALS, bool: (True, False)}.get(type(value), ())


def test_every_golden_resource_passes_both() -> None:
    assert len(shapes()) > 100
    for resource in shapes().values():
        assert _sound(resource)
        assert second_opinion.check(resource) == []


def _variants(every: int) -> Iterator[tuple[Resource, Resource]]:
    """Each golden resource with one value changed at a time, every so-manieth of them."""
    number = 0
    for resource in shapes().values():
        for path, value in _leaves(resource):
            for other in others(value):
                number += 1
                if number % every == 0:
                    yield resource, _with(resource, path, other)


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.long)])
def test_what_the_walker_passes_in_a_shape_that_was_approved_passes_the_library(every: int) -> None:
    asked = 0
    for golden, changed in _variants(every):
        if shape_of(changed) == shape_of(golden) and _sound(changed):
            asked += 1
            assert second_opinion.check(changed) == [], changed
    assert asked > 20_000 / every


@given(st.data())
@settings(max_examples=400)
def test_any_value_the_walker_passes_in_an_approved_shape_passes_the_library(data: st.DataObject) -> None:
    resource = data.draw(st.sampled_from(list(shapes().values())))
    texts = st.text(max_size=20) | TEXT | DATE | INSTANT
    drawn = {str: texts, int: st.integers(), Decimal: DECIMAL.filter(lambda n: type(n) is Decimal), bool: st.booleans()}
    changed = resource
    for path, value in data.draw(st.lists(st.sampled_from(list(_leaves(resource))), max_size=4)):
        changed = _with(changed, path, data.draw(drawn.get(type(value), st.just(value))))
    if shape_of(changed) == shape_of(resource) and _sound(changed):
        assert second_opinion.check(changed) == []


def test_what_changes_the_answer_changes_the_shape() -> None:
    shape = shape_of({"resourceType": "Basic", "code": {"text": "x"}, "contained": [{"resourceType": "Patient"}]})
    for other in (
        {"resourceType": "Basic", "code": {"text": "x"}, "contained": [{"resourceType": "Person"}]},
        {"resourceType": "Basic", "code": {"text": 1}, "contained": [{"resourceType": "Patient"}]},
        {"resourceType": "Basic", "code": {"text": "\u3000"}, "contained": [{"resourceType": "Patient"}]},
        {"resourceType": "Basic", "code": {"text": None}, "contained": [{"resourceType": "Patient"}]},
        {"resourceType": "Basic", "code": {"texts": "x"}, "contained": [{"resourceType": "Patient"}]},
        {"resourceType": "Basic", "code": [{"text": "x"}], "contained": [{"resourceType": "Patient"}]},
        {"resourceType": "Basic", "code": {"text": "x"}, "contained": [{"resourceType": "Patient"}, 1]},
    ):
        assert shape_of(other) != shape
    assert shape_of({"a": [1, 2, 3]}) == shape_of({"a": [4]})


def test_a_shape_is_asked_about_at_first_and_then_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    answers: list[Any] = []
    monkeypatch.setattr(second_opinion, "check", lambda resource: asked.append(resource) or answers)
    sampled = Sampled()
    for n in range(1, 101):
        assert sampled.check({"resourceType": "Basic", "id": str(n)}) == []
    assert [one["id"] for one in asked] == ["1", "2", "3", "51"]
    answers.append("refused")
    assert sampled.check({"resourceType": "Basic", "id": "101"}) == ["refused"]
    answers.clear()
    for n in range(10):
        sampled.check({"resourceType": "Basic", "id": f"again-{n}"})
    assert len(asked) == 5 + 3, "what was refused once is new again"
    for n in range(6000):
        sampled.check({"resourceType": "Basic", str(n): 1})
    assert len(sampled._met) <= Sampled.MOST_SHAPES


def test_only_what_our_mappings_make_is_asked_by_shape() -> None:
    assert Records._second_opinion is Depositing._second_opinion is second_opinion.check
    assert isinstance(Filing._second_opinion.__self__, Sampled)  # type: ignore[attr-defined]
