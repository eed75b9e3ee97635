"""JSON Patch as a pure function, operation by operation (RFC 6902)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phr.fhir import patching
from phr.fhir.outcome import Problem
from phr.fhir.patching import json_patch
from phr.records import body


def op(name: str, path: str, value: Any = None, **more: Any) -> dict[str, Any]:
    made = {"op": name, "path": path, **more}
    return made if name in ("remove", "move", "copy") else made | {"value": value}


def moved(source: str, path: str, name: str = "move") -> dict[str, Any]:
    return {"op": name, "from": source, "path": path}


@pytest.mark.spec("RFC 6902", "4", "add, remove, replace, move, copy and test")
@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        ({"a": 1}, [op("add", "/b", 2)], {"a": 1, "b": 2}),
        ({"a": 1}, [op("add", "/a", 2)], {"a": 2}),
        ({"a": [1, 3]}, [op("add", "/a/1", 2)], {"a": [1, 2, 3]}),
        ({"a": [1]}, [op("add", "/a/-", 2)], {"a": [1, 2]}),
        ({"a": [1]}, [op("add", "/a/1", 2)], {"a": [1, 2]}),
        ({"a": [1]}, [op("add", "/a/0", [2])], {"a": [[2], 1]}),
        ({"a": 1}, [op("add", "", {"b": 2})], {"b": 2}),
        ({"a": 1}, [op("replace", "", {"b": 2})], {"b": 2}),
        ({"a": 1, "b": 2}, [op("remove", "/b")], {"a": 1}),
        ({"a": [1, 2, 3]}, [op("remove", "/a/1")], {"a": [1, 3]}),
        ({"a": {"b": 1}}, [op("replace", "/a/b", None)], {"a": {"b": None}}),
        ({"a": [1, 2]}, [op("replace", "/a/1", 5)], {"a": [1, 5]}),
        ({"a": {"b": 1}, "c": {}}, [moved("/a/b", "/c/d")], {"c": {"d": 1}}),
        ({"a": [1, 2, 3]}, [moved("/a/0", "/a/2")], {"a": [2, 3, 1]}),
        ({"a": 1}, [moved("/a", "/a")], {"a": 1}),
        ({"a": [1]}, [moved("/a", "/b", "copy")], {"a": [1], "b": [1]}),
        ({"a/b": 1, "m~n": 2}, [op("replace", "/a~1b", 3), op("replace", "/m~0n", 4)], {"a/b": 3, "m~n": 4}),
        ({"": 1}, [op("replace", "/", 2)], {"": 2}),
        ({"a": 1}, [op("test", "/a", 1)], {"a": 1}),
        ({"a": Decimal("1.50")}, [op("test", "/a", Decimal("1.5"))], {"a": Decimal("1.50")}),
        ({"a": [1, {"b": "x"}]}, [op("test", "/a", [1, {"b": "x"}])], {"a": [1, {"b": "x"}]}),
        ({"a": 1}, [op("add", "/b", 2, xyz=5)], {"a": 1, "b": 2}),  # what is not known is ignored
        # FHIR has no empty lists and objects: what operations have emptied goes, once all are done.
        ({"a": [1], "b": 2}, [op("remove", "/a/0")], {"b": 2}),
        ({"a": {"b": [{"c": 1}]}, "d": 1}, [op("remove", "/a/b/0/c")], {"d": 1}),
        ({"a": [1]}, [op("remove", "/a/0"), op("add", "/a/-", 2)], {"a": [2]}),
        ({"a": 1}, [], {"a": 1}),
    ],
)
def test_json_patch(before: dict[str, Any], operations: list[Any], after: dict[str, Any]) -> None:
    assert json_patch(operations)(before) == after


@pytest.mark.parametrize(
    "operations",
    [
        [{}], [None], ["x"], [{"op": "eat", "path": "/a"}], [{"op": "add", "path": "/a"}], [{"op": "test",
         "path": "/a"}],
        [{"op": "remove"}], [{"op": "move", "path": "/a"}], [{"op": "remove", "path": "a"}], [{"op": "remove",
         "path": 1}],
        [{"op": "remove", "path": "/~2"}], [{"op": "remove", "path": "/~"}], [{"op": ["add"], "path": "/a",
         "value": 1}],
        [{"op": "copy", "from": None, "path": "/a"}], [op("add", "/a" * 100, 1)],
    ],
)  # fmt: skip
def test_no_json_patch(operations: list[Any]) -> None:
    with pytest.raises(Problem) as refused:
        json_patch([op("add", "/x", 1), *operations])
    assert refused.value.status == 400
    assert refused.value.issues[0].expression == "patch[1]"


@pytest.mark.spec("RFC 6902", "5", "an operation that does not apply fails the whole patch")
@pytest.mark.parametrize(
    "operation",
    [
        op("remove", "/b"), op("replace", "/b", 1), op("add", "/b/c", 1), op("add", "/l/3", 1), op("add", "/l/01", 1),
        op("remove", "/l/-"), op("remove", "/l/2"), op("remove", "/l/x"), op("remove", ""), moved("/b", "/c"),
        moved("/b", "/c", "copy"), moved("/o", "/o/p"), op("add", "/a/b", 1), op("test", "/b", 1),
        op("test", "/a", "1"), op("test", "/a", True), op("test", "/t", 1), op("test", "/a", None), op("test",
        "/l", [1]),
        op("test", "/l", [2, 1]), op("test", "/o", {"p": 1, "q": 2}), op("add", "/l/1e0", 1), op("remove",
        "/l/" + "9" * 400),
    ],
)  # fmt: skip
def test_json_patch_that_does_not_apply(operation: dict[str, Any]) -> None:
    before = {"a": 1, "l": [1, 2], "o": {"p": 1}, "t": True}
    with pytest.raises(Problem) as refused:
        json_patch([op("test", "/a", 1), operation])(before)
    assert refused.value.status == 422
    assert refused.value.issues[0].expression == "patch[1]"
    assert f"1 ({operation['op']})" in refused.value.issues[0].diagnostics


def test_a_result_that_is_no_object() -> None:
    with pytest.raises(Problem) as refused:
        json_patch([op("replace", "", [1])])({"a": 1})
    assert refused.value.status == 422


@pytest.mark.parametrize("text", [b"1.00", b"1e3", b"1E5", b"0.10", b"12345678901234567890.1"])
def test_numbers_keep_their_digits(text: bytes) -> None:
    before = body.parse(b'{"a":{"b":%s},"l":[1]}' % text)
    patch = body.received_list(b'[{"op":"copy","from":"/a","path":"/c"},{"op":"add","path":"/l/0","value":%s}]' % text)
    after = body.write(json_patch(patch)(before))
    assert after == b'{"a":{"b":%s},"l":[%s,1],"c":{"b":%s}}' % (text, text, text)


@pytest.mark.parametrize("again", [12, 40])
def test_a_patch_that_doubles_is_stopped(again: int) -> None:
    bomb = [moved("/a", "/a/-", "copy")] * again
    with pytest.raises(Problem) as refused:
        json_patch(bomb)({"a": ["x" * 1000]})
    assert refused.value.status == 413
    assert str(patching.MOST_BYTES) in str(refused.value) or str(body.MAX_DEPTH) in str(refused.value)


def test_a_patch_that_deepens_is_stopped() -> None:
    with pytest.raises(Problem) as refused:
        json_patch([moved("/a", "/a/a", "copy")] * 80)({"a": {"b": {"c": 1}}})
    assert (refused.value.status, "64" in str(refused.value)) == (413, True)


def test_too_many_operations() -> None:
    with pytest.raises(Problem) as refused:
        json_patch([op("test", "/a", 1)] * (patching.MOST_OPERATIONS + 1))
    assert (refused.value.status, str(patching.MOST_OPERATIONS) in str(refused.value)) == (413, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "/", "~"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab/~-0"), inner, max_size=3),
    max_leaves=8,
)
POINTERS = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~1", "x"]), max_size=3).map(
    lambda parts: "".join("/" + part for part in parts)
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": POINTERS,
        "from": POINTERS,
         "value": JSON},
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from("ab0"), JSON, max_size=3), OPERATIONS)
def test_any_json_patch_applies_or_is_refused(resource: dict[str, Any], operations: list[Any]) -> None:
    sent = patching.copied(operations)
    status = 200
    try:
        assert isinstance(json_patch(operations)(resource), dict)
    except Problem as refused:
        status = refused.status
    assert status in (200, 400, 413, 422)
    assert operations == sent  # a patch is not changed by being applied


@given(JSON, JSON)
def test_sameness(one: Any, other: Any) -> None:
    assert patching.same(one, patching.copied(one))
    assert patching.same(one, other) == (body.canonical({"": one}) == body.canonical({"": other}))
