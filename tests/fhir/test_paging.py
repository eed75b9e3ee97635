"""Keyset pages to the end while other rows arrive: no row twice, none lost; a cursor is its caller's own."""

from __future__ import annotations

from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from phr.populate.cast import YUKI
from tests.family import Neighbourhood, pressure, weight

DAYS = ["2026-03-01", None, "2026-02-01", "2026-03-01", None, "2026-01-01", "2026-03-01", "2026-02-01"]
SORTS = ["", "date", "-date", "_id", "-_id", "_lastUpdated", "-_lastUpdated", "date,-_id", "-date,_lastUpdated"]


@pytest.fixture
def stored(family: Neighbourhood) -> set[str]:
    return {family.mother.made(weight(effectiveDateTime=day))["id"] for day in DAYS}


@pytest.mark.spec("FHIR R4", "3.1.1.5.4", "paging: following `next` to the end gives every match once")
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("count", ["1", "3", "8"])
def test_pages_to_the_end(family: Neighbourhood, stored: set[str], sort: str, count: str) -> None:
    params = {"_count": count} | ({"_sort": sort} if sort else {})
    pages = family.mother.pages("Observation", **params)
    whole = family.mother.search("Observation", **(params | {"_count": "100"})).ids
    assert list(chain(*pages)) == whole
    assert set(whole) == stored
    assert all(len(page) == int(count) for page in pages[:-1])


@pytest.mark.parametrize("sort", ["", "date", "-date", "_id"])
def test_pages_stay_stable_while_rows_arrive(family: Neighbourhood, stored: set[str], sort: str) -> None:
    mother = family.mother
    answer = mother.search("Observation", _count="2", **({"_sort": sort} if sort else {}))
    seen = answer.ids
    while answer.next:
        mother.made(weight(on="2026-02-15"))
        mother.made(weight(effectiveDateTime=None))
        answer = mother.get(answer.next)
        seen += answer.ids
    assert len(seen) == len(set(seen))
    assert set(seen) == stored


def test_pages_go_on_when_a_row_is_deleted(family: Neighbourhood, stored: set[str]) -> None:
    mother = family.mother
    answer = mother.search("Observation", _count="3")
    mother.delete(f"Observation/{answer.ids[-1]}")  # the very row the cursor stands on
    rest = list(chain(answer.ids, *_follow(mother, answer)))
    assert set(rest) == stored
    assert len(rest) == len(stored)


def _follow(app: Any, answer: Any) -> Any:
    while answer.next:
        answer = app.get(answer.next)
        yield answer.ids


def cursor_of(answer: Any) -> str:
    return dict(parse_qsl(urlsplit(answer.next).query))["_page"]


def test_a_cursor_is_its_callers_and_its_searchs_own(family: Neighbourhood) -> None:
    for _ in range(3):
        family.clinic.made(pressure())
    first = family.mother.search("Observation", _count="1", patient=str(YUKI))
    page = cursor_of(first)
    assert family.mother.search("Observation", _count="1", patient=str(YUKI), _page=page).status == 200
    assert family.mother.search("Observation", _count="2", patient=str(YUKI), _page=page).status == 200
    refused = [
        family.clinic.search("Observation", _count="1", patient=str(YUKI), _page=page),
        family.stranger.search("Observation", _count="1", patient=str(YUKI), _page=page),
        family.app("mother", patient="hana").search("Observation", _count="1", patient=str(YUKI), _page=page),
        family.mother.search("Observation", _count="1", _page=page),
        family.mother.search("Observation", _count="1", patient=str(YUKI), code="x", _page=page),
        family.mother.search("Observation", _count="1", patient=str(YUKI), _sort="date", _page=page),
        family.mother.search("Condition", _count="1", patient=str(YUKI), _page=page),
    ]
    for answer in refused:
        assert (answer.status, answer.issue["expression"]) == (400, ["http._page"]), answer


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda c: c[:-1], lambda c: c[1:], lambda c: c + "A", lambda c: c.swapcase(), lambda c: "A" * len(c),
        lambda c: "", lambda c: "あ", lambda c: "%", lambda c: "=" * 5, lambda c: c * 20, lambda c: "AAAA",
        lambda c: "a",
        lambda c: c[:20] + ("A" if c[20] != "A" else "B") + c[21:],
    ],
)  # fmt: skip
def test_a_spoilt_cursor_is_refused(family: Neighbourhood, spoilt: Any) -> None:
    for _ in range(2):
        family.mother.made(weight())
    page = cursor_of(family.mother.search("Observation", _count="1"))
    answer = family.mother.search("Observation", _count="1", _page=spoilt(page))
    if spoilt(page) == "":
        assert answer.status == 200  # no cursor is the first page
    else:
        assert (answer.status, answer.issue["code"]) == (400, "invalid")


def test_a_cursor_tells_nothing(family: Neighbourhood) -> None:
    for _ in range(3):
        family.mother.made(weight())
    answers = [family.mother.search("Observation", _count="1", _sort=s) for s in ("_id", "date", "-date")]
    assert len({len(cursor_of(answer)) for answer in answers}) == 1


def test_the_last_page_has_no_next(family: Neighbourhood, stored: set[str]) -> None:
    assert family.mother.search("Observation", _count=str(len(stored))).next is None
    assert family.mother.search("Observation", _count=str(len(stored) - 1)).next is not None
    assert family.mother.search("Observation", _count="0").next is None
