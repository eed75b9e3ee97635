"""DocumentReference `$docref` over HTTP: stored documents, and the summary made now (IPA 1.1)."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import msgspec
import pytest

from phr.populate.cast import YUKI
from phr.records import validate
from tests.family import CONFIDENTIALITY, KAI, LOINC, Answer, App, Neighbourhood, audit_lines, encoded, pressure

SPEC = pytest.mark.spec
DOCREF = "OperationDefinition/docref"
IPS = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"


def document(day: str, code: str = "34133-9", of: UUID = YUKI, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference", "status": "current", "subject": {"reference": f"Patient/{of}"},
        "type": {"coding": [{"system": LOINC, "code": code}]}, "date": f"{day}T09:00:00+09:00",
        "content": [{"attachment": {"contentType": "text/plain", "data": "44GC"}}],
    } | more  # fmt: skip


def ask(app: App, query: str = "", patient: object = YUKI) -> Answer:
    answer = app.get(f"DocumentReference/$docref?patient={patient}{query}")
    assert answer.status == 200, answer
    assert answer.json["type"] == "searchset"
    assert answer.json["total"] == len(answer.json.get("entry", []))
    return answer


def made(answer: Answer) -> list[dict[str, Any]]:
    return [e["resource"] for e in answer.json.get("entry", []) if e["fullUrl"].startswith("urn:uuid:")]


def kept(answer: Answer) -> list[str]:
    return [e["resource"]["id"] for e in answer.json.get("entry", []) if not e["fullUrl"].startswith("urn:uuid:")]


@pytest.fixture
def stored(family: Neighbourhood) -> dict[str, str]:
    """Day -> id; the one of February is of another type."""
    codes = {"2026-01-10": "34133-9", "2026-02-10": "11488-4", "2026-03-10": "34133-9"}
    return {day: family.mother.made(document(day, code))["id"] for day, code in codes.items()}


@SPEC("IPA 1.1", DOCREF, "the stored documents, newest first, and the one that can be made")
def test_all_documents(family: Neighbourhood, stored: dict[str, str]) -> None:
    answer = ask(family.mother)
    assert kept(answer) == [stored[day] for day in sorted(stored, reverse=True)]
    [summary] = made(answer)
    assert not [p for p in validate.check(summary) if p.severity == "error"]
    [content] = summary["content"]
    assert content["format"]["code"] == IPS
    fetched = family.mother.get(content["attachment"]["url"])
    assert fetched.json["type"] == "document"


@SPEC("IPA 1.1", DOCREF, "start and end are care dates; type is a code; profile is the form of the content")
@pytest.mark.parametrize(
    ("query", "days", "summaries"),
    [
        ("&start=2026-02-01", ["2026-03-10", "2026-02-10"], 1),
        ("&end=2026-02", ["2026-02-10", "2026-01-10"], 0),
        ("&start=2026-02-10&end=2026-02-10", ["2026-02-10"], 0),
        (f"&type={LOINC}|34133-9", ["2026-03-10", "2026-01-10"], 0),
        ("&type=11488-4", ["2026-02-10"], 0),
        (f"&type={LOINC}|60591-5", [], 1),
        (f"&type={LOINC}|60591-5&type=11488-4", ["2026-02-10"], 1),
        (f"&profile={IPS}", [], 1),
        ("&profile=urn:other", [], 0),
        ("&on-demand=true", [], 1),
        ("&on-demand=false", ["2026-03-10", "2026-02-10", "2026-01-10"], 1),
        ("&on-demand=true&type=11488-4", [], 0),
    ],
)
def test_what_is_asked_for(
    family: Neighbourhood, stored: dict[str, str], query: str, days: list[str], summaries: int
) -> None:
    answer = ask(family.mother, query)
    assert kept(answer) == [stored[day] for day in days]
    assert len(made(answer)) == summaries


@SPEC("IPA 1.1", DOCREF, "on-demand: the document is made now")
def test_on_demand_it_is_made_now(family: Neighbourhood) -> None:
    mine = family.mother.made(pressure())
    [summary] = made(ask(family.mother, "&on-demand=true"))
    attachment = summary["content"][0]["attachment"]
    content = base64.b64decode(attachment["data"])
    assert len(content) == attachment["size"]
    assert "url" not in attachment
    bundle = msgspec.json.decode(content)
    assert bundle["type"] == "document"
    assert mine["id"] in content.decode()


def test_a_code_in_a_body(family: Neighbourhood, stored: dict[str, str]) -> None:
    def asked(value: dict[str, Any]) -> Answer:
        body = {"resourceType": "Parameters", "parameter": [
            {"name": "patient", "valueId": str(YUKI)}, {"name": "type"} | value]}  # fmt: skip
        return family.mother.ask("POST", "DocumentReference/$docref", encoded(body))

    coding = {"system": LOINC, "code": "11488-4"}
    for value in ({"valueCodeableConcept": {"coding": [coding]}}, {"valueCoding": coding}, {"valueString": "11488-4"}):
        assert kept(asked(value)) == [stored["2026-02-10"]]
    assert asked({"valueCodeableConcept": {"text": "?"}}).status == 400


@SPEC("IPA 1.1", DOCREF, "where the patient is not found the Bundle is empty")
@pytest.mark.parametrize("patient", [KAI, "0f0f0f0f-0000-4000-8000-000000000000", "nobody"])
def test_strangers_and_nobody_look_alike(family: Neighbourhood, patient: object) -> None:
    family.stranger_of(KAI).made(document("2026-01-01", of=KAI))
    answer = ask(family.mother, patient=patient)
    assert "entry" not in answer.json
    assert answer.content.replace(str(patient).encode(), b"") == ask(family.mother, patient="nix").content.replace(
        b"nix", b""
    )


def test_hidden_and_wrong_documents_are_not_there(family: Neighbourhood) -> None:
    meta = {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}
    hidden = family.mother.made(document("2026-01-01", meta=meta))
    family.mother.made(document("2026-01-02", status="entered-in-error"))
    assert kept(ask(family.clinic)) == []
    assert kept(ask(family.mother)) == [hidden["id"]]


@pytest.mark.parametrize(
    "query", ["", "patient=", "patient=a&patient=b", f"patient={YUKI}&on-demand=maybe", f"patient={YUKI}&start=soon",
              f"patient={YUKI}&end=2025&start=2026", f"patient={YUKI}&colour=red"],
)  # fmt: skip
def test_what_cannot_be_asked(family: Neighbourhood, query: str) -> None:
    answer = family.mother.get(f"DocumentReference/$docref?{query}")
    assert answer.status == 400, answer


def test_it_is_logged(family: Neighbourhood, stored: dict[str, str]) -> None:
    before = len(audit_lines("record:searched"))
    ask(family.mother)
    [line] = audit_lines("record:searched")[before:]
    assert (str(line[0]), line[4]["method"], line[4]["count"]) == (str(YUKI), "$docref", 3)
