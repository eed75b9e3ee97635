"""Composition `$document` over HTTP (R4 operation-composition-document)."""

from __future__ import annotations

from typing import Any

import pytest

from phr.populate.cast import YUKI
from phr.records import validate
from tests.family import CONFIDENTIALITY, KAI, LOINC, Neighbourhood, audit_lines, organization, pressure

SPEC = pytest.mark.spec
DOCUMENT = "operation-composition-document"


def composition(*entries: str, author: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Composition", "status": "final", "date": "2026-03-01", "title": "退院サマリー",
        "type": {"coding": [{"system": LOINC, "code": "18842-5"}]}, "subject": {"reference": f"Patient/{YUKI}"},
        "author": [{"reference": author}], "identifier": {"system": "urn:documents", "value": "1"},
        "section": [{"title": "所見", "section": [{"title": "血圧", "entry": [{"reference": e} for e in entries]}]}],
    } | more  # fmt: skip


@pytest.fixture
def author(family: Neighbourhood) -> str:
    return f"Organization/{family.clinic.made(organization())['id']}"


@SPEC("FHIR R4", DOCUMENT, "the Composition, then all it refers to, in a document Bundle")
def test_it_is_whole(family: Neighbourhood, author: str) -> None:
    one, two = (f"Observation/{family.mother.made(pressure())['id']}" for _ in range(2))
    made = family.mother.made(composition(one, two, one, author=author))
    place = f"Composition/{made['id']}"
    answer = family.mother.get(f"{place}/$document")
    assert answer.status == 200, answer
    bundle = answer.json
    assert (bundle["type"], bundle["identifier"]["value"]) == ("document", "1")
    assert [e["fullUrl"].partition("/fhir/")[2] for e in bundle["entry"]] == [
        place, f"Patient/{YUKI}", author, one, two,
    ]  # fmt: skip
    assert not [p for p in validate.check(bundle) if p.severity == "error"]
    for id in (made["id"], f"http://127.0.0.1:8000/fhir/{place}"):
        again = family.mother.get(f"Composition/$document?id={id}")
        assert [e["fullUrl"] for e in again.json["entry"]] == [e["fullUrl"] for e in bundle["entry"]]


def test_what_cannot_be_read_is_missing_all_the_same(family: Neighbourhood, author: str) -> None:
    """Hidden from the clinic, a stranger's, and none at all: one answer."""
    restricted = {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}
    hidden = family.mother.made(pressure(meta=restricted))["id"]
    strange = family.stranger_of(KAI).made(pressure(KAI))["id"]
    told = set()
    for id in (hidden, strange, "0f0f0f0f-0000-4000-8000-000000000000"):
        made = family.clinic.made(composition(f"Observation/{id}", author=author))
        answer = family.clinic.get(f"Composition/{made['id']}/$document")
        assert (answer.status, answer.issue["code"]) == (422, "incomplete")
        told.add(answer.content.replace(id.encode(), b""))
    assert len(told) == 1


@pytest.mark.parametrize(
    "reference", ["https://elsewhere.example/fhir/Observation/1", "urn:uuid:0f0f0f0f-0000-4000-8000-000000000000"]
)
def test_what_is_elsewhere(family: Neighbourhood, author: str, reference: str) -> None:
    made = family.mother.made(composition(reference, author=author))
    assert family.mother.get(f"Composition/{made['id']}/$document").status == 422


def test_what_cannot_be_asked(family: Neighbourhood, author: str) -> None:
    place = (
        f"Composition/{family.mother.made(composition(author=author, section=[{'title': 'x', 'text': NOTE}]))['id']}"
    )
    assert family.mother.get(f"{place}/$document").status == 200
    assert family.mother.get(f"{place}/$document?persist=false").status == 200
    for query in ("persist=true", "graph=urn:x", f"id={place}", "colour=red"):
        assert family.mother.get(f"{place}/$document?{query}").status == 400
    assert family.mother.get("Composition/$document").status == 400
    assert family.father.get(f"{place}/$document").status == 404
    assert family.mother.get("Composition/nobody/$document").status == 404


NOTE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}


def test_it_is_logged(family: Neighbourhood, author: str) -> None:
    made = family.mother.made(composition(author=author, section=[{"title": "x", "text": NOTE}]))
    before = len(audit_lines("record:searched"))
    family.mother.get(f"Composition/{made['id']}/$document")
    lines = {str(line[0]): line[4] for line in audit_lines("record:searched")[before:]}
    assert (lines[str(YUKI)]["method"], lines[str(YUKI)]["count"]) == ("$document", 2)
