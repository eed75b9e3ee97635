"""Update and delete by condition: none, one, several (R4 http.html §3.1.0.4.3, §3.1.0.7.1)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from phr.populate.cast import YUKI
from tests.family import (
    KAI,
    OTSU,
    Answer,
    App,
    Neighbourhood,
    audit_lines,
    encoded,
    entry,
    organization,
    post,
    pressure,
    rows,
    secret,
    weight,
)
from tests.fhir.test_update_as_create import prefix

CONDITION = "identifier=urn:x|1"
PLACES = [f"Observation?{CONDITION}", f"Observation/?{CONDITION}", f"Observation?{CONDITION}&patient={YUKI}",
          "Observation?identifier=urn%3Ax%7C1&_format=json"]  # fmt: skip
NO_CRITERIA = ["", "?", "?_count=1", "?_sort=date", "?nonsense=1", "?_include=*", "?_id=", "?date=zzz", "?code=%00",
               "?_summary=count", "?code:nonsense=x", "?_page=x&code=x",
               f"?{CONDITION}&_include=Observation:subject"]  # fmt: skip


def named(**more: Any) -> dict[str, Any]:
    return weight(identifier=[{"system": "urn:x", "value": "1"}], **more)


def put(app: App, resource: dict[str, Any], place: str = PLACES[0], **headers: str) -> Answer:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.ask("PUT", place, encoded(resource), headers=told)


# -- update ----------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.0.4.3", "conditional update: none and no id: created; one: updated; several: 412")
@pytest.mark.parametrize("place", PLACES)
def test_none_one_several(family: Neighbourhood, place: str) -> None:
    mother = family.mother
    first = put(mother, named(), place)
    assert (first.status, first.headers["ETag"]) == (201, 'W/"1"'), first
    assert first.headers["Location"] == f"http://127.0.0.1:8000/fhir/Observation/{first.id}/_history/1"
    second = put(mother, named(status="amended"), place)
    assert (second.status, second.id, second.headers["ETag"]) == (200, first.id, 'W/"2"')
    assert second.headers["Location"].endswith(f"{first.id}/_history/2")
    assert second.headers["Last-Modified"]
    idle = put(mother, named(status="amended"), place)
    assert (idle.status, idle.headers["ETag"]) == (200, 'W/"2"')
    mother.made(named())
    before = rows()
    several = put(mother, named(status="corrected"), place)
    assert (several.status, several.issue["code"]) == (412, "multiple-matches")
    assert rows() == before


@pytest.mark.spec("FHIR R4", "3.1.0.4.3", "one match, and an id in the body: the same one, or 400")
def test_one_match_and_an_id(family: Neighbourhood) -> None:
    mother = family.mother
    made = mother.made(named())
    assert put(mother, named(status="amended") | {"id": made["id"]}).headers["ETag"] == 'W/"2"'
    other = mother.made(weight())
    before = rows()
    for id in (other["id"], str(uuid4()), prefix(mother) + "1", "x"):
        answer = put(mother, named() | {"id": id})
        assert (answer.status, answer.issue["expression"]) == (400, ["Observation.id"]), answer
    assert put(mother, named() | {"id": 1}).status == 400
    assert rows() == before


@pytest.mark.spec("FHIR R4", "3.1.0.4.3", "no match, and an id in the body: update as create, or refused")
def test_no_match_and_an_id(family: Neighbourhood) -> None:
    mother = family.mother
    other = mother.made(weight())
    hidden = family.stranger.made(weight(of=OTSU))["id"]
    before = rows()
    assert put(mother, named() | {"id": other["id"]}).status == 409  # it is there, and is not what was asked for
    told = [put(mother, named() | {"id": id}).told() for id in (hidden, str(uuid4()), "x")]
    assert told[0] == told[1] == told[2]
    assert told[0][0] == 405
    assert put(mother, named() | {"id": 1}).status in (400, 405)
    assert rows() == before
    id = prefix(mother) + "1"
    answer = put(mother, named() | {"id": id})
    assert (answer.status, answer.id) == (201, id)


def test_if_match_by_condition(family: Neighbourhood) -> None:
    mother = family.mother
    before = rows()
    for etag in ("*", 'W/"1"'):
        assert put(mother, named(), if_match=etag).status == 412
        assert mother.delete(PLACES[0], if_match=etag).status == 412
    assert rows() == before
    made = mother.made(named())
    before = rows()
    assert put(mother, named(status="amended"), if_match='W/"2"').status == 412
    assert mother.delete(PLACES[0], if_match='W/"2"').status == 412
    assert rows() == before
    assert put(mother, named(status="amended"), if_match='W/"1"').status == 200
    assert put(mother, named(status="corrected"), if_match='W/"1", W/"2"').status == 200
    assert mother.delete(PLACES[0], if_match='W/"3"').headers["ETag"] == 'W/"4"'
    assert mother.get(f"Observation/{made['id']}").status == 410


def test_only_where_nothing_matches(family: Neighbourhood) -> None:
    """If-None-Match: * with a condition: the one match is left alone."""
    assert put(family.mother, named(), if_none_match="*").status == 201
    before = rows()
    assert put(family.mother, named(status="amended"), if_none_match="*").status == 412
    again = entry("PUT", PLACES[0], named(status="amended"), ifNoneMatch="*")
    assert family.mother.bundle("transaction", again).status == 412
    assert family.mother.bundle("batch", again).json["entry"][0]["response"]["status"] == "412"
    assert rows() == before


@pytest.mark.spec("FHIR R4", "3.1.0.1.9", "Prefer holds for every write")
def test_prefer(family: Neighbourhood) -> None:
    mother = family.mother
    assert put(mother, named(), prefer="return=minimal").content == b""
    told = put(mother, named(status="amended"), prefer="return=OperationOutcome")
    assert (told.status, told.json["issue"][0]["severity"]) == (200, "information")
    assert put(mother, named(), prefer="return=representation").json["status"] == "final"
    gone = mother.delete(PLACES[0], prefer="return=OperationOutcome")
    assert (gone.status, gone.json["resourceType"], gone.headers["ETag"]) == (200, "OperationOutcome", 'W/"4"')
    outcome = {"prefer": "return=OperationOutcome"}
    for kind in ("batch", "transaction"):
        [entry] = mother.bundle(kind, post(weight()), **outcome).json["entry"]
        assert entry["response"]["outcome"]["resourceType"] == "OperationOutcome"
        assert "resource" not in entry


def test_what_the_caller_may_not_see_does_not_match(family: Neighbourhood) -> None:
    hidden = family.mother.made(secret(identifier=[{"system": "urn:x", "value": "1"}]))
    mine = pressure(identifier=[{"system": "urn:x", "value": "1"}])
    assert family.clinic.delete(PLACES[0]).status == 204
    first = put(family.clinic, mine)
    assert (first.status, first.id != hidden["id"]) == (201, True)
    assert put(family.clinic, mine | {"status": "amended"}).id == first.id
    assert family.clinic.delete(PLACES[0]).status == 204
    assert family.clinic.get(f"Observation/{first.id}").status == 410
    assert family.mother.get(f"Observation/{hidden['id']}").status == 200


def test_what_the_caller_may_see_but_not_change(family: Neighbourhood) -> None:
    made = family.clinic.made(pressure(identifier=[{"system": "urn:x", "value": "1"}]))
    before = rows()
    assert put(family.mother, named()).status == 403
    assert family.mother.delete(PLACES[0]).status == 403
    assert rows() == before
    assert family.clinic.get(f"Observation/{made['id']}").status == 200


@pytest.mark.parametrize("letters", ["cru", "crs", "rus"])
def test_a_condition_needs_the_right_to_search_and_to_write(family: Neighbourhood, letters: str) -> None:
    writer = family.app("mother", scope=f"launch/patient patient/Observation.{letters}")
    before = rows()
    answer = put(writer, named())
    assert answer.status == 403, answer
    assert writer.delete(PLACES[0]).status == 403
    assert rows() == before


@pytest.mark.parametrize("query", NO_CRITERIA)
def test_criteria_that_are_none(family: Neighbourhood, query: str) -> None:
    family.mother.made(named())
    before = rows()
    for answer in (
        put(family.mother, named(status="amended"), f"Observation{query}"), family.mother.delete(f"Observation{query}"),
        *(family.mother.bundle("transaction", e) for e in (
            entry("PUT", f"Observation{query}", named()), entry("DELETE", f"Observation{query}"))),
    ):  # fmt: skip
        assert answer.status == 400, answer
        assert answer.issue["severity"] == "error"
    assert rows() == before


def test_the_body_is_checked_like_any_other(family: Neighbourhood) -> None:
    before = rows()
    assert put(family.mother, named(status="zzz")).status == 400
    assert put(family.mother, named(subject={"reference": f"Patient/{KAI}"})).status == 422
    assert put(family.mother, organization()).status == 400
    assert family.mother.ask("PUT", PLACES[0], b"{").status == 400
    assert put(family.mother, named(), "Condition?code=x").status == 400
    assert rows() == before


def test_several_deleted_ones_are_none(family: Neighbourhood) -> None:
    for _ in range(2):
        made = family.mother.made(named())
        family.mother.delete(f"Observation/{made['id']}")
    assert put(family.mother, named()).status == 201
    assert family.mother.delete(PLACES[0]).status == 204


def test_what_a_condition_finds_is_on_the_log(family: Neighbourhood) -> None:
    made = family.mother.made(named())
    for deed, event in (
        (lambda: put(family.mother, named(status="amended")), "record:updated"),
        (lambda: family.mother.delete(PLACES[0]), "record:deleted"),
    ):
        searched = len(audit_lines("record:searched"))
        deed()
        assert audit_lines("record:searched")[searched][-1]["params"] == ["identifier"]
        assert audit_lines(event)[-1][-1]["resources"][0].startswith(f"Observation/{made['id']}/")


@pytest.mark.parametrize("inside", [None, "batch", "transaction"])
def test_a_condition_that_finds_several_is_on_the_log(family: Neighbourhood, inside: str | None) -> None:
    """412 tells that there are several: that they were found is kept, though nothing was written."""
    for _ in range(2):
        family.mother.made(named())
    before = len(audit_lines("record:searched"))
    for count, change in enumerate((entry("PUT", PLACES[0], named()), entry("DELETE", PLACES[0])), start=1):
        if inside is not None:
            family.mother.bundle(inside, change)
        elif "resource" in change:
            assert put(family.mother, change["resource"]).status == 412
        else:
            assert family.mother.delete(PLACES[0]).status == 412
        lines = audit_lines("record:searched")[before:]
        assert [(subject, detail["count"]) for subject, *_, detail in lines] == [(YUKI, 2)] * count


# -- delete ----------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.0.7.1", "conditional delete: none or one as an ordinary delete, several 412")
@pytest.mark.parametrize("place", PLACES)
def test_delete_none_one_several(family: Neighbourhood, place: str) -> None:
    mother = family.mother
    nothing = mother.delete(place)
    assert (nothing.status, nothing.content) == (204, b"")
    made = mother.made(named())
    gone = mother.delete(place)
    assert (gone.status, gone.headers["ETag"]) == (204, 'W/"2"')
    assert mother.get(f"Observation/{made['id']}").status == 410
    assert mother.delete(place).status == 204
    kept = [mother.made(named())["id"] for _ in range(2)]
    before = rows()
    several = mother.delete(place)
    assert (several.status, several.issue["code"]) == (412, "multiple-matches")
    assert rows() == before
    assert all(mother.get(f"Observation/{id}").status == 200 for id in kept)


# -- inside Bundles --------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.0.11", "conditional writes inside batches and transactions")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_inside_a_bundle(family: Neighbourhood, kind: str) -> None:
    mother = family.mother

    def asked(*entries: dict[str, Any]) -> list[str]:
        answer = mother.bundle(kind, *entries)
        assert answer.status == 200, answer
        return [e["response"]["status"] for e in answer.json["entry"]]

    change = entry("PUT", PLACES[0], named(status="amended"))
    assert asked(entry("PUT", PLACES[0], named())) == ["201"]
    assert asked(change) == ["200"]
    assert asked(post(named(), ifNoneExist=CONDITION)) == ["200"]
    assert asked(entry("DELETE", PLACES[0], ifMatch='W/"2"')) == ["204"]
    assert asked(entry("DELETE", PLACES[0])) == ["204"]
    for _ in range(2):
        mother.made(named())
    before = rows()
    for several in (change, entry("DELETE", PLACES[0])):
        answer = mother.bundle(kind, several)
        status = answer.json["entry"][0]["response"]["status"] if kind == "batch" else str(answer.status)
        assert status == "412"
    assert rows() == before
