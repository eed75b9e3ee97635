"""What a run counts: Items and lines that fell out. A note about the whole file is told, not counted."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import pytest

from integrations import feeding
from integrations.feeding import Entry, _counted, _counts
from integrations.holding import MOST_PROBLEMS
from integrations.items import Identity, Item
from integrations.problems import Problem
from tests.consent.people import People
from tests.integrations.feeds import doses, town


def item(line: int) -> Item:
    return Item(f"k{line}", Identity("s", str(line)), {}, line)


def told(severity: str, line: int | None = None) -> Problem:
    return Problem(severity, "code", "見本", "sample", line)  # type: ignore[arg-type]


NOTE, WHOLE = told("warning"), told("error")
ENTRIES: list[Entry] = [NOTE, NOTE, item(2), NOTE, told("error", 3), item(4), told("warning", 5), WHOLE]


def test_an_item_and_a_spoilt_line_count_as_one_each_and_notes_go_with_them() -> None:
    found = list(_counted(ENTRIES))
    assert [entry for entries in found for entry in entries] == ENTRIES, "in their order, none lost"
    assert [_counts(entries) for entries in found] == [True, True, True]
    assert [len(entries) for entries in found] == [4, 1, 3]
    assert list(islice(_counted(ENTRIES), 2, None)) == found[2:], "a run goes on where it was"


def test_notes_only_count_nothing_and_a_flood_of_them_is_not_held() -> None:
    [alone] = _counted([NOTE, WHOLE])
    assert not _counts(alone)
    assert list(_counted([])) == []
    [flood] = _counted(NOTE for _ in range(100_000))
    assert len(flood) == MOST_PROBLEMS + 1


@pytest.mark.parametrize("dry", [False, True])
def test_a_file_of_two_rows_counts_two(
    family: People, now: datetime, monkeypatch: pytest.MonkeyPatch, dry: bool
) -> None:
    plain = doses.items
    monkeypatch.setattr(doses, "items", lambda *a, **o: iter([NOTE, *plain(*a, **o), NOTE]))
    lines = f"0001,{town.HANA},2019-01-10,L1,,\nwhat\n0001,{town.HANA},2019-01-11,L1,,\n"
    monkeypatch.setattr(feeding, "CHUNK", 2)
    run = town.brought(lines, organization=family.city, now=now, dry=dry)
    assert (run.done, run.total, run.created, run.refused_items, run.chunks) == (3, 3, 2, 1, 2)
    assert [p["code"] for p in run.problems] == ["code", "cells", "code"]
