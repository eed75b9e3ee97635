"""Conditional create: If-None-Exist finds none, one, several (R4 http.html §3.1.0.8.2)."""

from __future__ import annotations

from typing import Any

import pytest

from phr.populate.cast import YUKI
from tests.family import Neighbourhood, audit_lines, pressure, rows, secret, weight


def named(**more: Any) -> dict[str, Any]:
    return weight(identifier=[{"system": "urn:x", "value": "1"}], **more)


CONDITION = "identifier=urn:x|1"


@pytest.mark.spec("FHIR R4", "3.1.0.8.2", "no match: created; one match: 200 and nothing is written; several: 412")
@pytest.mark.parametrize(
    "condition",
    [CONDITION, f"Observation?{CONDITION}", f"http://127.0.0.1:8000/fhir/Observation?{CONDITION}",
     "identifier=urn%3Ax%7C1",
     f"patient={YUKI}&{CONDITION}", f"?{CONDITION}"],
)  # fmt: skip
def test_none_one_several(family: Neighbourhood, condition: str) -> None:
    first = family.mother.create(named(), if_none_exist=condition)
    assert first.status == 201
    before = rows()
    again = family.mother.create(named(status="amended"), if_none_exist=condition)
    assert (again.status, again.json, again.headers["ETag"]) == (200, first.json, 'W/"1"')
    assert rows() == before
    family.mother.made(named())
    several = family.mother.create(named(), if_none_exist=condition)
    assert (several.status, several.issue["code"]) == (412, "multiple-matches")


@pytest.mark.parametrize(
    "condition",
    ["", "?", "_count=1", "_sort=date", "nonsense=1", "code:nonsense=1", "Patient?_id=x", "Observation", "date=zzz",
     "code=%00", "code=%ff", f"{CONDITION}&_page=x", "_include=*", "&".join(["code=a"] * 101)],
)  # fmt: skip
def test_conditions_that_are_none(family: Neighbourhood, condition: str) -> None:
    before = rows()
    answer = family.mother.create(named(), if_none_exist=condition)
    assert (answer.status, answer.issue["severity"]) == (400, "error"), answer
    assert rows() == before


def test_a_deleted_resource_matches_nothing(family: Neighbourhood) -> None:
    first = family.mother.create(named(), if_none_exist=CONDITION)
    family.mother.delete(f"Observation/{first.id}")
    second = family.mother.create(named(), if_none_exist=CONDITION)
    assert (second.status, second.id != first.id) == (201, True)


def test_what_the_caller_may_not_see_matches_nothing(family: Neighbourhood) -> None:
    family.mother.made(secret(identifier=[{"system": "urn:x", "value": "1"}]))
    body = pressure(identifier=[{"system": "urn:x", "value": "1"}])
    assert family.clinic.create(body, if_none_exist=CONDITION).status == 201
    assert family.clinic.create(body, if_none_exist=CONDITION).status == 200
    assert family.mother.create(body, if_none_exist=CONDITION).status == 412


def test_a_condition_needs_the_right_to_search(family: Neighbourhood) -> None:
    writer = family.app("mother", scope="launch/patient patient/Observation.cru")
    assert writer.create(named()).status == 201
    assert writer.create(named(), if_none_exist=CONDITION).status == 403


def test_the_body_is_checked_even_when_it_is_not_needed(family: Neighbourhood) -> None:
    """Whatever comes is answered alike, whether the condition matches or not: malformed JSON never passes."""
    family.mother.create(named(), if_none_exist=CONDITION)
    spoilt = family.mother.ask("POST", "Observation", b"{", headers={"If-None-Exist": CONDITION})
    assert spoilt.status == 400


def test_what_a_condition_finds_is_on_the_log(family: Neighbourhood) -> None:
    """The one match leaves in the answer, so it is an access like any other."""
    family.mother.made(named())
    before = len(audit_lines("record:searched"))
    assert family.mother.create(named(), if_none_exist=CONDITION).status == 200
    subject, *_, detail = audit_lines("record:searched")[before]
    assert (subject, detail["type"], detail["params"], detail["count"]) == (YUKI, "Observation", ["identifier"], 1)


def test_an_update_that_changes_nothing_is_on_the_log(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    before = len(audit_lines("record:read"))
    assert family.mother.put(made).headers["ETag"] == 'W/"1"'
    assert audit_lines("record:read")[before][-1]["id"] == made["id"]
