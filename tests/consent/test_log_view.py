"""What one reader is told of one line, rule by rule; and what a line says of many finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from consent import log_view
from consent.asking import Capacity
from consent.grounds import MOST_KINDS, Tally, grounds
from consent.log_view import Line, Reader, shown
from consent.scope import Basis, Category, Door, Facts, GrantRow, Mark, Scope

SUBJECT = uuid4()
GUARDIAN = Reader(person=7, capacity=Capacity.GUARDIAN, adult=False)
YOUNG = Reader(person=9, capacity=Capacity.SELF, adult=False)
GROWN = replace(YOUNG, adult=True)
OFFICE = Reader(person=None, capacity=Capacity.SYSTEM, organization=3)


def line(now: datetime, event: str = "record:read", **more: Any) -> Line:
    told: dict[str, Any] = {
        "id": "1", "at": now, "event": event, "subject": SUBJECT, "person": None, "organization": 3, "client": "app",
        "capacity": "system", "purpose": "TREAT", "request": "r",
        "detail": {"type": "Observation", "id": "a", "because": ["L3.permitted", "grant:5"]},
    }  # fmt: skip
    return Line(**(told | more))


def told(one: Line, reader: Reader, *, seen: bool = True) -> log_view.Shown | None:
    facts = Facts("Observation", "a", (SUBJECT,), int(Category.VITAL), 2)
    known = {"Observation/a": facts} if seen else {}
    return shown(one, reader, known=known, sees=lambda f: not f.marks and f.level < 3)


@pytest.mark.IT("10")
def test_a_line_says_under_which_consent(now: datetime) -> None:
    found = told(line(now), GUARDIAN)
    assert found is not None
    assert (found.consents, found.rules, found.categories) == ((5,), ("L3.permitted",), ("VITAL",))


@pytest.mark.G("12", "13")
@pytest.mark.parametrize("reader", [GUARDIAN, YOUNG, GROWN])
def test_a_line_about_what_the_reader_cannot_see_is_not_there(now: datetime, reader: Reader) -> None:
    assert told(line(now), reader, seen=False) is None


def test_an_office_keeps_the_account_of_what_it_did(now: datetime) -> None:
    found = told(line(now), OFFICE, seen=False)
    assert found is not None
    assert (found.types, found.references, found.organization) == (("Observation",), (), 3)
    assert told(line(now, organization=4), OFFICE) is None


@pytest.mark.G("07")
@pytest.mark.parametrize("event", ["guardianship:frozen", "location:hidden", "protection:asked", "proxies:suspended"])
def test_a_freeze_stays_silent(now: datetime, event: str) -> None:
    silent = line(now, event, person=4, capacity="", detail={})
    assert told(silent, GUARDIAN) is None
    assert told(replace(silent, person=7), GUARDIAN) is None
    assert told(silent, GROWN) is not None


@pytest.mark.G("13")
def test_child_protection_is_not_told_to_the_young_person(now: datetime) -> None:
    mark = line(now, "mark:set", person=4, capacity="", detail={"mark": "child-protection"})
    assert (told(mark, YOUNG), told(mark, GUARDIAN)) == (None, None)
    assert told(mark, GROWN) is not None


@pytest.mark.G("07")
def test_a_refusal_in_the_family_is_not_told_to_another_guardian(now: datetime) -> None:
    refused = line(now, "record:refused", person=8, capacity="guardian", organization=None,
                   detail={"because": "L1.guardianship-frozen guardianship:2"})  # fmt: skip
    assert told(refused, GUARDIAN) is None
    by_a_clinic = line(now, "record:refused", detail={"because": "L3.no-consent"})
    found = told(by_a_clinic, GUARDIAN)
    assert found is not None
    assert (found.decision, found.rules) == ("deny", ("L3.no-consent",))


@pytest.mark.G("05", "16")
def test_who_acted_for_a_child_is_told_to_the_grown_up_alone(now: datetime) -> None:
    others = line(now, person=8, capacity="guardian", organization=None)
    for reader, person in ((GUARDIAN, None), (YOUNG, None), (GROWN, 8)):
        found = told(others, reader)
        assert found is not None
        assert (found.person, found.client, found.request) == (person, "", "")
    assert told(line(now, "token:issued", person=8, capacity="guardian"), GUARDIAN) is None


@pytest.mark.G("08")
def test_the_source_is_hidden_where_the_place_is(now: datetime) -> None:
    found = told(line(now), replace(GUARDIAN, place_hidden=True))
    assert found is not None
    assert (found.organization, found.client) == (None, "")
    own = told(line(now), replace(GROWN, place_hidden=True))
    assert own is not None
    assert own.organization == 3


def test_a_line_without_its_key_is_shown_to_herself_only(now: datetime) -> None:
    gone = line(now, detail=None)
    assert told(gone, GUARDIAN) is None
    found = told(gone, GROWN)
    assert found is not None
    assert not found.readable


@pytest.mark.G("13")
def test_a_search_counts_only_what_may_be_known(now: datetime) -> None:
    kinds = [f"{int(Category.VITAL)}:2:0:3", f"{int(Category.VITAL)}:2:4:5", f"{int(Category.PSY)}:3:0:2"]
    search = line(now, "record:searched", detail={"type": "Observation", "count": 10, "kinds": kinds})
    found = told(search, GUARDIAN)
    assert found is not None
    assert (found.count, found.categories) == (3, ("VITAL",))
    assert told(replace(search, detail={"type": "Observation", "count": 7, "kinds": kinds[1:]}), GUARDIAN) is None


def test_many_kinds_become_one_as_protected_as_the_most_protected() -> None:
    tally = Tally()
    for n in range(MOST_KINDS + 1):
        marks = int(Mark.CHILD_PROTECTION) if n == 5 else 0
        tally.add(Facts("Observation", "a", (SUBJECT,), 1 << n % 19, 2 + n % 2, marks=marks), ["x"])
        tally.add(Facts("Observation", "b", (SUBJECT,), 3 << n, 2), ["x"])
    [kind] = tally.kinds
    assert kind == f"{tally.categories}:3:{int(Mark.CHILD_PROTECTION)}:{2 * (MOST_KINDS + 1)}"
    assert tally.because == ["x"]


def test_the_grounds_of_a_read_name_the_basis_or_the_consents(now: datetime) -> None:
    facts = Facts("Observation", "a", (SUBJECT,), int(Category.VITAL), 2)
    basis = Basis("L2.own-record", SUBJECT)  # type: ignore[arg-type]
    scope = Scope((Door("*", "r"),), (basis,), frozenset({"org:3"}), "TREAT", now, grants=True)
    row = GrantRow(5, "0", True, SUBJECT, ("org:3",), "TREAT", None, (), (), 3)
    assert grounds(scope, facts, letter="r", rows=[row]) == ("L2.own-record",)
    granted = replace(scope, bases=())
    others = [row, replace(row, grant=6, permit=False), replace(row, grant=7, grantees=("org:4",))]
    assert grounds(granted, facts, letter="r", rows=others) == ("L3.permitted", "grant:5")
    assert grounds(granted, replace(facts, subjects=()), letter="r") == ("L2.open-to-all",)
