"""RFC 6962 trees: the published shape, and proofs that hold for exactly one leaf at one place."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import merkle

leaves = st.lists(st.binary(max_size=8).map(merkle.leaf), min_size=1, max_size=70)


def by_definition(row: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word: split at the largest power of two smaller than n."""
    if len(row) == 1:
        return row[0]
    k = 1
    while k * 2 < len(row):
        k *= 2
    return merkle.node(by_definition(row[:k]), by_definition(row[k:]))


@pytest.mark.spec("RFC 6962", "2.1", "the hash of an empty list is the hash of an empty string")
def test_no_leaves() -> None:
    assert merkle.root([]) == sha256(b"").digest()


@pytest.mark.spec("RFC 6962", "2.1", "a leaf is SHA-256(0x00 || d)")
def test_known_leaf() -> None:
    assert merkle.leaf(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@given(leaves)
def test_the_root_is_that_of_the_definition(row: list[bytes]) -> None:
    assert merkle.root(row) == by_definition(row)


@given(leaves, st.data())
def test_an_inclusion_proof_holds_for_its_leaf_at_its_place_only(row: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(row) - 1))
    path, head = merkle.proof(row, place), merkle.root(row)
    assert merkle.included(row[place], place, len(row), path, head)
    assert not merkle.included(merkle.leaf(b"another one"), place, len(row), path, head)
    other = data.draw(st.integers(0, len(row) - 1))
    if row[other] != row[place]:
        assert not merkle.included(row[other], place, len(row), path, head)
    assert not merkle.included(row[place], len(row), len(row), path, head)
    if path:
        assert not merkle.included(row[place], place, len(row), path[:-1], head)
    assert not merkle.included(row[place], place, len(row), [*path, head], head)


@given(leaves, st.data())
def test_any_change_changes_the_root(row: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(row) - 1))
    changed = [*row[:place], merkle.leaf(b"another one"), *row[place + 1 :]]
    assert merkle.root(changed) != merkle.root(row)
    assert merkle.root(row[:-1]) != merkle.root(row)
