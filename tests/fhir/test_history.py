"""Histories of a resource, a type and everything: order, deletions, `_since`, `_at`, pages, consent, the log."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from phr.populate.cast import HANA, YUKI
from phr.records import histories, reading
from tests.family import (
    KAI,
    Answer,
    App,
    Neighbourhood,
    audit_lines,
    organization,
    pressure,
    secret,
    weight,
)
from tests.fhir.test_update_as_create import prefix


def versions(answer: Answer) -> list[str]:
    """`id/version` of every entry, in their order."""
    assert answer.status == 200, answer
    told = answer.json
    assert (told["resourceType"], told["type"]) == ("Bundle", "history")
    return [f"{e['fullUrl'].rsplit('/', 1)[1]}/{e['response']['etag'][3:-1]}" for e in told.get("entry", [])]


def all_pages(app: App, path: str) -> list[list[str]]:
    pages, url = [], path
    while url:
        answer = app.get(url)
        pages.append(versions(answer))
        url = answer.next or ""
        assert len(pages) < 100
    return pages


def at(id: str, *times: str) -> None:
    """Set when the versions of a resource were stored, first to last."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, version FROM phr_resource WHERE fhir_id = %s", [id])
        pk, newest = cursor.fetchone()
        for version, time in enumerate(times, start=1):
            table, column = ("phr_resource", "id") if version == newest else ("phr_version", "resource_id")
            cursor.execute(
                f"UPDATE {table} SET updated_at = %s WHERE {column} = %s AND version = %s", [time, pk, version]
            )


@pytest.fixture
def past(family: Neighbourhood) -> dict[str, str]:
    """a: three versions, the last a deletion; b: one version. Stored 2026-01-01, 02-01, 03-01; b on 2026-02-15."""
    mother = family.mother
    a, b = mother.made(weight(value="50.0")), mother.made(pressure())
    mother.put(weight(value="51.0") | {"id": a["id"]})
    mother.delete(f"Observation/{a['id']}")
    at(a["id"], "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    at(b["id"], "2026-02-15T00:00:00Z")
    return {"a": a["id"], "b": b["id"]}


def spelled(past: dict[str, str], names: str) -> list[str]:
    return [f"{past[name[0]]}/{name[1:]}" for name in names.split()]


@pytest.mark.spec(
    "FHIR R4", "3.1.0.9", "history of a type and of the system: newest first, deletions without a resource"
)
@pytest.mark.parametrize("path", ["Observation/_history", "_history"])
def test_newest_first_with_deletions(family: Neighbourhood, past: dict[str, str], path: str) -> None:
    answer = family.mother.get(path)
    told = [x for x in versions(answer) if x.split("/")[0] in past.values()]
    assert told == spelled(past, "a3 b1 a2 a1")
    entries = {f"{e['fullUrl'].rsplit('/', 1)[1]}/{e['response']['etag'][3:-1]}": e for e in answer.json["entry"]}
    gone, changed, made = (entries[x] for x in spelled(past, "a3 a2 a1"))
    assert "resource" not in gone
    assert gone["request"] == {"method": "DELETE", "url": f"Observation/{past['a']}"}
    assert gone["response"]["status"] == "204"
    assert changed["request"] == {"method": "PUT", "url": f"Observation/{past['a']}"}
    assert (changed["resource"]["meta"]["versionId"], str(changed["resource"]["valueQuantity"]["value"])) == (
        "2",
        "51.0",
    )
    assert made["request"] == {"method": "POST", "url": "Observation"}
    assert made["response"]["lastModified"] == "2026-01-01T00:00:00.000+00:00"
    assert answer.headers["Last-Modified"].endswith("GMT")


def test_a_type_shows_its_own_only(family: Neighbourhood, past: dict[str, str]) -> None:
    assert {e["fullUrl"].split("/")[-2] for e in family.mother.get("Observation/_history").json["entry"]} == {
        "Observation"
    }
    kinds = {e["fullUrl"].split("/")[-2] for e in family.mother.get("_history").json["entry"]}
    assert kinds >= {"Observation", "Patient"}
    assert versions(family.mother.get("Condition/_history")) == []
    assert "entry" not in family.mother.get("Condition/_history").json
    assert "Last-Modified" not in family.mother.get("Condition/_history").headers


@pytest.mark.spec("FHIR R4", "3.1.0.9", "_since: versions stored at or after the instant")
@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("2026-02-01T00:00:00Z", "a3 b1 a2"), ("2026-02-01T00:00:00.001Z", "a3 b1"),
        ("2026-03-01T09:00:00%2B09:00", "a3"),
        ("2026-03-01T09:00:00+09:00", "a3"), ("2026-02", "a3 b1 a2"), ("2026", "a3 b1 a2 a1"), ("2026-03-02", ""),
        ("2026-03-01", "a3"),  # a day is Japan's, and begins nine hours before that of UTC
    ],
)  # fmt: skip
@pytest.mark.parametrize("level", ["instance", "type", "system"])
def test_since(family: Neighbourhood, past: dict[str, str], since: str, expected: str, level: str) -> None:
    wanted = [x for x in expected.split() if level != "instance" or x[0] == "a"]
    told = versions(family.mother.get(f"{place(level, past)}_history?_since={since}"))
    assert [x for x in told if x.split("/")[0] in past.values()] == spelled(past, " ".join(wanted))


def place(level: str, past: dict[str, str]) -> str:
    return {"instance": f"Observation/{past['a']}/", "type": "Observation/", "system": ""}[level]


@pytest.mark.spec("FHIR R4", "3.1.0.9", "_at: versions that were current at some point within the time given")
@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2025-12-31T23:59:59Z", ""), ("2026-01-01T00:00:00Z", "a1"), ("2026-01-15", "a1"), ("2026-01", "a1"),
        ("2026-02", "b1 a2 a1"), ("2026-02-20T00:00:00Z", "b1 a2"),
        ("2026-02-01T00:00:00Z", "a2"), ("2026-04", "a3 b1"),
        ("2026", "a3 b1 a2 a1"), ("2025", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("level", ["instance", "type", "system"])
def test_at(family: Neighbourhood, past: dict[str, str], moment: str, expected: str, level: str) -> None:
    wanted = [x for x in expected.split() if level != "instance" or x[0] == "a"]
    told = versions(family.mother.get(f"{place(level, past)}_history?_at={moment}"))
    assert [x for x in told if x.split("/")[0] in past.values()] == spelled(past, " ".join(wanted))


@pytest.mark.spec("FHIR R4", "3.1.0.9", "_count and paging of a history")
@pytest.mark.parametrize("path", ["Observation/_history", "_history", "Observation/{a}/_history"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_pages_to_the_end(family: Neighbourhood, past: dict[str, str], path: str, count: int) -> None:
    path = path.format(**past)
    whole = versions(family.mother.get(path))
    pages = all_pages(family.mother, f"{path}?_count={count}")
    assert [x for page in pages for x in page] == whole
    assert len(whole) == len(set(whole)) >= 3
    assert all(len(page) == count for page in pages[:-1])


def test_pages_stay_stable_while_versions_arrive(family: Neighbourhood, past: dict[str, str]) -> None:
    mother = family.mother
    whole = versions(mother.get("Observation/_history"))
    answer, seen = mother.get("Observation/_history?_count=1"), []
    while True:
        seen += versions(answer)
        mother.made(weight())
        mother.put(pressure(status="amended", note=[{"text": str(len(seen))}]) | {"id": past["b"]})
        if not answer.next:
            break
        answer = mother.get(answer.next)
    assert seen == whole


def test_a_page_link_is_its_callers_and_its_questions_own(family: Neighbourhood, past: dict[str, str]) -> None:
    family.clinic.made(pressure())
    url = family.mother.get("Observation/_history?_count=1").next or ""
    page = url.partition("_page=")[2]
    assert family.mother.get(url).status == 200
    for app, path in (
        (family.clinic, "Observation/_history"), (family.stranger, "Observation/_history"),
        (family.mother, "_history"), (family.mother, f"Observation/{past['a']}/_history"),
        (family.mother, "Observation/_history?_since=2026"), (family.mother, "Observation/_history?_at=2026"),
        (family.mother, "Observation"),
    ):  # fmt: skip
        answer = app.get(f"{path}{'&' if '?' in path else '?'}_page={page}")
        assert (answer.status, answer.issue["expression"]) == (400, ["http._page"]), path


@pytest.mark.parametrize(
    "bad",
    ["_since=soon", "_at=2026-13", "_at=", "_since=2026&_since=2026", "_count=0", "_sort=date", "code=x", "_list=x",
     "_page=x", "_at=0000", "_since=%00", "_summary=count", "_summary=x", "_since=99999-01-01"],
)  # fmt: skip
@pytest.mark.parametrize("level", ["instance", "type", "system"])
def test_bad_questions_are_refused_with_their_place(
    family: Neighbourhood, past: dict[str, str], bad: str, level: str
) -> None:
    answer = family.mother.get(f"{place(level, past)}_history?{bad}", prefer="handling=strict")
    assert answer.status == 400, answer
    assert answer.issue["expression"] == [f"http.{bad.partition('=')[0]}"]


def test_what_is_no_type_is_nowhere(family: Neighbourhood) -> None:
    assert family.mother.get("Nothing/_history").status == 404
    assert family.anonymous.get("_history").status == 401
    assert family.anonymous.get("Observation/_history").status == 401


def test_the_token_must_cover_searching(family: Neighbourhood, past: dict[str, str]) -> None:
    """SMART 2: `s` covers the histories of types and of the system, `r` that of an instance."""
    reader = family.app("mother", scope="patient/*.r")
    assert reader.get(f"Observation/{past['a']}/_history").status == 200
    assert reader.get("Observation/_history").status == 403
    assert reader.get("_history").status == 403
    finder = family.app("mother", scope="patient/Observation.s")
    assert set(versions(finder.get("_history"))) == set(versions(family.mother.get("Observation/_history")))
    assert finder.get("Patient/_history").status == 403


# -- consent -----------------------------------------------------------------------------------------


def test_each_sees_their_own(family: Neighbourhood, past: dict[str, str]) -> None:
    family.app("mother", patient="hana").made(weight(HANA))
    family.stranger_of(KAI).made(pressure(KAI))
    for path in ("Observation/_history", "_history"):
        for person in {
            e.get("resource", {}).get("subject", {}).get("reference") for e in family.mother.get(path).json["entry"]
        }:
            assert person in (None, f"Patient/{YUKI}")
    assert versions(family.father.get("Observation/_history")) != []
    assert set(past.values()).isdisjoint(x.split("/")[0] for x in versions(family.father.get("_history")))
    assert versions(family.officer.get("Observation/_history")) == []


def test_neither_a_hidden_version_nor_what_is_hidden_now(family: Neighbourhood) -> None:
    """The clinic sees a version only if that version and the current one are open to it."""
    mother, clinic = family.mother, family.clinic
    unclassified = pressure(code={"coding": [{"system": "urn:nobody", "code": "?"}]})
    now_hidden, was_hidden = mother.made(pressure()), mother.made(unclassified)
    mother.put(secret() | {"id": now_hidden["id"]})
    mother.put(pressure() | {"id": was_hidden["id"]})
    for path in ("Observation/_history", "_history"):
        told = [x for x in versions(clinic.get(path)) if x.split("/")[0] in (now_hidden["id"], was_hidden["id"])]
        own = [x for x in versions(mother.get(path)) if x.split("/")[0] in (now_hidden["id"], was_hidden["id"])]
        assert f"{now_hidden['id']}/1" not in told
        assert f"{was_hidden['id']}/1" not in told
        assert len(own) == 4


def test_security_labels_leave_only_to_their_writer(family: Neighbourhood) -> None:
    label = {"system": "urn:x", "code": "mine"}
    made = family.clinic.made(pressure(meta={"security": [label]}))
    assert family.clinic.get("Observation/_history").json["entry"][0]["resource"]["meta"]["security"] == [label]
    mothers = family.mother.get("Observation/_history").json["entry"]
    shown = next(e["resource"] for e in mothers if e["resource"]["id"] == made["id"])
    assert "security" not in shown["meta"]


def test_histories_are_logged(family: Neighbourhood, past: dict[str, str]) -> None:
    before = len(audit_lines("record:history"))
    family.mother.get("Observation/_history")
    family.mother.get("_history?_since=2026-03-01")
    family.mother.get(f"Observation/{past['a']}/_history")
    family.mother.get("Condition/_history")
    typed, everything, instance, nothing = audit_lines("record:history")[before:]
    assert (typed[0], typed[4]["type"], typed[4]["count"]) == (YUKI, "Observation", 4)
    assert (everything[0], everything[4]["type"]) == (YUKI, "*")
    assert (instance[0], instance[4]["id"]) == (YUKI, past["a"])
    assert (nothing[0], nothing[4]) == (YUKI, {"type": "Condition", "count": 0})


def test_the_second_look_guards_histories(family: Neighbourhood, past: dict[str, str], monkeypatch: Any) -> None:
    """Were the SQL form wrong, the Python form would still withhold the rows."""
    monkeypatch.setattr(histories, "scope_sql", lambda *_args, **_named: "TRUE")
    for path in ("Observation/_history", "_history"):
        told = {x.split("/")[0] for x in versions(family.father.get(path))}
        assert told.isdisjoint(past.values())
    assert audit_lines("record:disagreed")


# -- cost --------------------------------------------------------------------------------------------


def test_one_statement_finds_a_page(family: Neighbourhood, past: dict[str, str]) -> None:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert family.mother.get("Observation/_history?_count=2").status == 200
    touching = [q["sql"] for q in captured.captured_queries if "phr_version" in q["sql"]]
    assert len(touching) == 1


def test_a_page_of_big_bodies_ends_early(family: Neighbourhood, monkeypatch: Any) -> None:
    mother = family.clinic
    ids = [mother.made(organization("x" * 3000))["id"] for _ in range(4)]
    monkeypatch.setattr(reading, "PAGE_BYTES", 6500)
    for path in ("Organization/_history", "Organization?_sort=_id", "Organization?_count=4"):
        pages, url = [], path
        while url:
            answer = mother.get(url)
            pages.append([e["fullUrl"].rsplit("/", 1)[1] for e in answer.json["entry"]])
            url = answer.next or ""
        told = [x for page in pages for x in page if x in ids]
        assert sorted(told) == sorted(ids), path
        assert max(map(len, pages)) <= 3
        assert len(pages) >= 2


def test_organisations_have_a_history_too(family: Neighbourhood) -> None:
    made = family.clinic.made(organization())
    assert f"{made['id']}/1" in versions(family.mother.get("Organization/_history"))


@pytest.mark.spec("FHIR R4", "3.1.0.9", "history says how each version came to be: POST, PUT or DELETE")
def test_what_an_update_created_says_so(family: Neighbourhood) -> None:
    id = f"{prefix(family.mother)}walk"
    assert family.mother.put(weight() | {"id": id}).status == 201
    assert family.mother.put(weight(value="51.0") | {"id": id}).status == 200
    told = [
        (e["request"], e["response"]["status"]) for e in family.mother.get(f"Observation/{id}/_history").json["entry"]
    ]
    asked = {"method": "PUT", "url": f"Observation/{id}"}
    assert told == [(asked, "200"), (asked, "201")]
