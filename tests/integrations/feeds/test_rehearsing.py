"""What a dry run remembers: what is said again, as the real run would know it, and in little memory."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from datetime import datetime

from integrations.items import Identity, Item
from integrations.rehearsing import Rehearsal


def item(key: int, lot: str = "", *, said_at: str = "") -> Item:
    return Item(f"k{key}", Identity("s", "1", "見本花子"), {"lot": lot, "more": ["x", None, 1.5]}, key, "p", said_at)


def rehearsed(items: list[Item], *, now: datetime) -> Rehearsal:
    made = Rehearsal()
    for one in items:
        made.look(one)
    made._looked()
    for one in items:
        made._remember([one], now=now)
    return made


def test_only_what_comes_again_is_remembered_and_as_it_stands_last(now: datetime) -> None:
    made = rehearsed([item(1, "a"), item(2, "b"), item(1, "c"), item(3, "d")], now=now)
    assert made._recalled([item(3), item(1), item(1), item(2), item(4)]) == [item(1, "c")]


def test_the_latest_time_that_can_be_believed_counts(now: datetime) -> None:
    said = [("NEW", "2025-02-02"), ("LATER", ""), ("OLDER", "2020-01-01"), ("NEVER", "9999-01-01")]
    for count, lot in ((1, "NEW"), (2, "LATER"), (3, "LATER"), (4, "NEVER")):
        some = [item(1, lot, said_at=at) for lot, at in said[:count]]
        [found] = rehearsed([*some, some[0]] if count == 1 else some, now=now)._recalled([item(1)])
        assert (found.content["lot"], found.said_at) == (lot, "2025-02-02")


def test_memory_holds_hashes_only_and_the_file_tells_nobody(now: datetime) -> None:
    def told() -> Iterator[Item]:
        return (item(n % 3_000, "L" * 2_000) for n in range(6_000))

    made = Rehearsal()
    tracemalloc.start()
    for one in told():
        made.look(one)
    made._looked()
    for one in told():
        made._remember([one], now=now)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 500_000, held
    size = made._file.seek(0, 2)
    assert size > 12_000_000
    assert os.fstat(made._file.fileno()).st_nlink == 0
    made._file.seek(0)
    assert b"LLLL" not in made._file.read()
