"""Merkle trees as in RFC 6962, section 2.1: a leaf is H(0x00 || data), a node H(0x01 || left || right). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()


def leaf(data: bytes) -> bytes:
    """The 32-byte leaf of one entry."""
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The head of a tree of leaves (already hashed); of no leaves, the hash of nothing."""
    if not leaves:
        return EMPTY
    row = list(leaves)
    while len(row) > 1:  # an odd one out rises unhashed: the same tree as the recursive definition
        paired = [node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        row = paired + row[len(paired) * 2 :]
    return row[0]


def proof(leaves: Sequence[bytes], place: int) -> list[bytes]:
    """The audit path of the leaf at `place` (section 2.1.1), from the bottom up. IndexError if there is none."""
    if not 0 <= place < len(leaves):
        raise IndexError(place)
    path: list[bytes] = []
    row = list(leaves)
    while len(row) > 1:
        sibling = place ^ 1
        if sibling < len(row):
            path.append(row[sibling])
        paired = [node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        row = paired + row[len(paired) * 2 :]
        place //= 2
    return path


def included(one: bytes, place: int, size: int, path: Sequence[bytes], head: bytes) -> bool:
    """Whether `path` proves that the leaf `one` stands at `place` of `size` under `head` (RFC 9162, 2.1.3.2)."""
    if not 0 <= place < size:
        return False
    last, found = size - 1, one
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == head
