"""Entries that ask: every reading interaction inside batches and transactions (R4 http.html §3.1.0.11)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from phr.populate.cast import YUKI
from tests.family import Answer, Neighbourhood, audit_lines, entry, post, pressure, rows, secret, weight

OWN = "http://127.0.0.1:8000/fhir"
KINDS = pytest.mark.parametrize("kind", ["batch", "transaction"])


def entries(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer
    return list(answer.json["entry"])


def status(answer: Answer) -> list[str]:
    return [e["response"]["status"] for e in entries(answer)]


@pytest.mark.spec("FHIR R4", "3.1.0.11", "read, vread, search and history at every level, HEAD, metadata")
@KINDS
def test_an_entry_answers_as_the_same_question_alone(family: Neighbourhood, kind: str) -> None:
    mother = family.mother
    made = mother.made(pressure(value="118.0"))
    mother.put(made | {"status": "amended"})
    path = f"Observation/{made['id']}"
    asked = [
        path, f"/{path}", f"{OWN}/{path}", f"{path}/_history/1", f"{path}/_history", "Observation/_history", "_history",
        "Observation?code=8480-6", "Observation?code=8480-6&_count=1&_total=accurate", f"{path}?_elements=status",
        f"?_type=Observation&_id={made['id']}", f"Patient/{YUKI}/Observation?code=8480-6", "metadata",
        f"Observation?subject=Patient/{YUKI}&code=http://loinc.org%7C8480-6", f"Observation/{made['id']}?_summary=true",
    ]  # fmt: skip
    told = entries(mother.bundle(kind, *(entry("GET", url) for url in asked)))
    for url, one in zip(asked, told, strict=True):
        alone = mother.get(url.removeprefix(OWN).removeprefix("/"))
        assert one["response"]["status"] == str(alone.status) == "200", (url, one)
        assert one["response"].get("etag") == alone.headers.get("ETag"), url
        cursors = str(alone.json) if "_page" not in str(alone.json) else ""
        assert not cursors or one["resource"] == alone.json, url
        assert ("lastModified" in one["response"]) == ("Last-Modified" in alone.headers)
    heads = entries(mother.bundle(kind, *(entry("HEAD", url) for url in asked)))
    assert all("resource" not in head for head in heads)
    assert [h["response"]["status"] for h in heads] == ["200"] * len(asked)


@pytest.mark.spec("FHIR R4", "3.1.0.1.7", "a conditional read inside a Bundle: 304 is no failure")
@KINDS
def test_conditional_reads(family: Neighbourhood, kind: str) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}"
    changed = made["meta"]["lastUpdated"]
    answer = family.mother.bundle(
        kind, entry("GET", path, ifNoneMatch='W/"1"'), entry("GET", path, ifNoneMatch='W/"2"'),
        entry("GET", path, ifModifiedSince=changed), entry("GET", path, ifModifiedSince="2020-01-01T00:00:00Z"),
        post(weight()),
    )  # fmt: skip
    assert status(answer) == ["304", "200", "304", "200", "201"]
    assert ["resource" in e for e in entries(answer)] == [False, True, False, True, False]


@KINDS
def test_post_search(family: Neighbourhood, kind: str) -> None:
    made = family.mother.made(weight())
    [told] = entries(family.mother.bundle(kind, entry("POST", f"Observation/_search?_id={made['id']}")))
    assert [e["resource"]["id"] for e in told["resource"]["entry"]] == [made["id"]]


@pytest.mark.spec("FHIR R4", "3.1.0.11", "operations inside a Bundle")
@KINDS
def test_operations(family: Neighbourhood, kind: str) -> None:
    everything = f"Patient/{YUKI}/$everything"
    checks = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": weight()}]}
    asked = [entry("GET", everything), entry("POST", "Observation/$validate", checks)]
    answer = family.mother.bundle(kind, *asked)
    assert status(answer) == ["200", "200"], answer
    kinds = [e["resource"]["resourceType"] for e in entries(answer)]
    assert kinds == ["Bundle", "OperationOutcome"]


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "what is read comes last, whatever the order of the entries")
def test_reading_comes_last(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    gone = family.mother.made(weight())
    answer = family.mother.bundle(
        "batch", entry("GET", f"Observation/{made['id']}"), entry("GET", f"Observation/{gone['id']}"),
        entry("PUT", f"Observation/{made['id']}", made | {"status": "amended"}),
        entry("DELETE", f"Observation/{gone['id']}"),
    )  # fmt: skip
    assert status(answer) == ["200", "410", "200", "204"]
    assert entries(answer)[0]["resource"]["status"] == "amended"


@pytest.mark.parametrize(
    ("asked", "code", "place"),
    [
        (entry("GET", f"Observation/{uuid4()}"), 404, "Bundle.entry[1]"),
        (entry("HEAD", f"Observation/{uuid4()}"), 404, "Bundle.entry[1]"),
        (entry("GET", "Observation?date=zzz"), 400, "Bundle.entry[1].request"),
        (entry("GET", "Observation/x/_history?_since=nonsense"), 400, "Bundle.entry[1].request"),
        (entry("GET", "Observation?_format=xml"), 406, "Bundle.entry[1].request"),
        (entry("GET", "nothing"), 404, "Bundle.entry[1]"), (entry("GET", "Observation/x/y/z"), 404, "Bundle.entry[1]"),
        (entry("GET", "Nothing/x"), 400, "Bundle.entry[1].request.url"),
        (entry("GET", "https://other.example/Observation/1"), 400, "Bundle.entry[1].request.url"),
        (entry("GET", "//other.example/Observation/1"), 404, "Bundle.entry[1]"),
        (entry("POST", "Observation/$nothing"), 404, "Bundle.entry[1]"),
        (entry("GET", "Observation/_search"), 405, "Bundle.entry[1]"),
        (entry("GET", "Observation", weight()), 400, "Bundle.entry[1].resource"),
        (entry("HEAD", "Observation", weight()), 400, "Bundle.entry[1].resource"),
        (entry("PUT", "Observation/x/_history/1", weight() | {"id": "x"}), 400, "Bundle.entry[1].request.url"),
        (entry("DELETE", "Observation/x/_history/1"), 400, "Bundle.entry[1].request.url"),
        (entry("PUT", "Observation/x?code=y", weight() | {"id": "x"}), 400, "Bundle.entry[1].request.url"),
        (entry("POST", "Observation?code=y", weight()), 400, "Bundle.entry[1].request.url"),
        (entry("PATCH", "Observation", {"resourceType": "Parameters"}), 400, "Bundle.entry[1].request.url"),
        (entry("PUT", "Observation/x", weight() | {"id": "x"}, ifNoneMatch='W/"1"'), 400,
         "Bundle.entry[1].request.ifNoneMatch"),
        (entry("DELETE", "Observation/x", ifNoneMatch="*"), 400, "Bundle.entry[1].request.ifNoneMatch"),
        (entry("GET", "Observation/x", ifModifiedSince="yesterday"), 400, "Bundle.entry[1].request.ifModifiedSince"),
    ],
)  # fmt: skip
def test_a_question_that_fails_fails_the_transaction(
    family: Neighbourhood, asked: dict[str, Any], code: int, place: str
) -> None:
    before = rows()
    answer = family.mother.bundle("transaction", post(weight()), asked)
    assert (answer.status, answer.issue.get("expression")) == (code, [place]), answer
    assert rows() == before
    alone = family.mother.bundle("batch", post(weight()), asked)
    assert status(alone) == ["201", str(code)]
    [issue, *_] = entries(alone)[1]["response"]["outcome"]["issue"]
    assert issue["expression"] == [place]


def test_the_token_counts_inside_as_outside(family: Neighbourhood) -> None:
    reader = family.app("mother", scope="launch/patient patient/Observation.rs")
    answer = reader.bundle(
        "batch", entry("GET", "Condition"), entry("GET", f"Patient/{YUKI}"), entry("GET", "Observation"),
        entry("PATCH", "Observation/x", {"resourceType": "Parameters"}), entry("DELETE", "Observation?code=x"),
        entry("PUT", "Observation?code=x", weight()), entry("POST", "Condition/_search"),
    )  # fmt: skip
    assert status(answer) == ["403", "403", "200", "403", "403", "403", "403"]
    assert family.anonymous.bundle("batch", entry("GET", "metadata")).status == 401


def test_what_an_entry_reads_is_on_the_log(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    hidden = family.mother.made(secret())
    before = len(audit_lines("record:read"))
    ask = [entry("GET", f"Observation/{x['id']}") for x in (made, hidden)]
    assert status(family.clinic.bundle("batch", *ask)) == ["200", "404"]
    lines = audit_lines("record:read")[before:]
    assert [(subject, detail["id"]) for subject, *_, detail in lines] == [(YUKI, made["id"])]


def test_a_client_may_be_strict_inside(family: Neighbourhood) -> None:
    ask = entry("GET", "Observation?nonsense=1")
    assert status(family.mother.bundle("batch", ask)) == ["200"]
    assert status(family.mother.bundle("batch", ask, prefer="handling=strict")) == ["400"]


@KINDS
def test_too_many_questions(family: Neighbourhood, kind: str) -> None:
    before = rows()
    answer = family.mother.bundle(kind, post(weight()), *[entry("GET", "Observation/x")] * 1001)
    assert (answer.status, answer.issue["code"], "1000" in answer.issue["diagnostics"]) == (413, "too-long", True)
    assert rows() == before
