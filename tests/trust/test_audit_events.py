"""The log at the REST door: AuditEvents in the pattern of BALP, the same for each reader as the person's log."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from consent import audit
from consent.audit import Event
from consent.models import AuditEntry
from phr.populate.cast import HANA, YUKI
from phr.records import validate
from phr.records.models import Resource
from tests.family import App, Neighbourhood, entry, pressure, weight


def events(app: App, query: str = "") -> list[dict[str, Any]]:
    answer = app.get(f"AuditEvent{query}")
    assert answer.status == 200, answer
    return [e["resource"] for e in answer.json.get("entry", []) if e["search"]["mode"] == "match"]


def codes(event: dict[str, Any]) -> set[str]:
    return {coding["code"] for coding in event["subtype"]}


@pytest.fixture
def read(family: Neighbourhood) -> Neighbourhood:
    made = family.mother.made(pressure())
    family.mother.made(weight())
    family.clinic.get(f"Observation/{made['id']}")
    family.clinic.search("Observation", patient=str(YUKI), code="http://loinc.org|8480-6")
    return family


@pytest.mark.IT("10", "13")
def test_each_line_is_a_sound_audit_event(read: Neighbourhood) -> None:
    found = events(read.mother, "?_count=200")
    assert len(found) > 5
    for event in found:
        problems = [p for p in validate.check(event) if p.severity in ("fatal", "error")]
        assert problems == [], (event, problems)
        assert {"reference": f"Patient/{YUKI}"} in [e.get("what") for e in event["entity"]]


def test_a_read_by_the_clinic_in_the_pattern_of_balp(read: Neighbourhood) -> None:
    [event] = events(read.mother, "?subtype=http://hl7.org/fhir/restful-interaction|read&agent-role=system")
    assert (event["type"]["code"], event["action"], event["outcome"]) == ("rest", "R", "0")
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    assert read.demo.clinic.name in {agent["who"].get("display") for agent in event["agent"]}
    data = [e for e in event["entity"] if e.get("role", {}).get("code") == "4"]
    assert data[0]["what"]["reference"].startswith("Observation/")
    assert {d["valueString"] for e in event["entity"] for d in e.get("detail", ())} == {"VITAL"}
    assert read.mother.get(f"AuditEvent/{event['id']}").json == event


def test_a_search_tells_the_names_of_its_parameters_and_no_value(read: Neighbourhood) -> None:
    [event] = events(read.mother, "?subtype=search-type&agent-role=system&type=rest")
    [query] = [e["query"] for e in event["entity"] if "query" in e]
    assert base64.b64decode(query).decode() == "Observation?code=&patient="
    assert "8480-6" not in str(event)


def test_who_may_read_whose(read: Neighbourhood) -> None:
    assert events(read.father, f"?patient={YUKI}") == []
    assert events(read.aunt) == events(read.stranger, f"?patient={YUKI}") == []
    own = events(read.clinic)
    assert own
    assert all(read.demo.clinic.name in str(e["agent"]) for e in own)
    mine = {e["id"] for e in events(read.mother, "?_count=200")}
    line = next(iter(mine))
    assert read.father.get(f"AuditEvent/{line}").status == read.father.get("AuditEvent/0").status == 404
    assert read.anonymous.get("AuditEvent").status == 401


def test_staff_read_the_lines_of_their_own_organisation_only(read: Neighbourhood) -> None:
    other = read.of_clinic("1319999991") if "1319999991" in read.demo.organizations else None
    for app in filter(None, [other, read.officer]):
        assert not [e for e in events(app) if read.demo.clinic.name in str(e["agent"])]


@pytest.mark.parametrize(("query", "fits"), [
    ("action=R", lambda e: e["action"] == "R"),
    ("action=C,E", lambda e: e["action"] in "CE"),
    ("outcome=0", lambda e: e["outcome"] == "0"),
    ("type=http://terminology.hl7.org/CodeSystem/audit-event-type|rest", lambda e: e["type"]["code"] == "rest"),
    (f"patient=Patient/{YUKI}", lambda e: f"Patient/{YUKI}" in str(e["entity"])),
    ("date=ge2020-01-01", lambda e: True),
    ("_lastUpdated=gt2020-01-01&action=R", lambda e: e["action"] == "R"),
])  # fmt: skip
def test_what_a_search_finds_fits(read: Neighbourhood, query: str, fits: Any) -> None:
    everything = [e for e in events(read.mother, "?_count=200") if e["type"]["code"] == "rest"]
    found = events(read.mother, f"?_count=200&{query}")
    assert found
    assert all(fits(e) for e in found)
    ids = {e["id"] for e in found}
    assert {e["id"] for e in everything if fits(e)} <= ids


def test_nothing_is_found_where_nothing_fits(read: Neighbourhood) -> None:
    for query in (
        f"patient={HANA}",
        f"patient={uuid4()}",
        "date=lt2020-01-01",
        "action=D",
        "_id=0",
        "entity=Patient/x",
    ):
        assert events(read.mother, f"?{query}") == [], query


def test_pages_hold_everything_once(read: Neighbourhood) -> None:
    whole = [e["id"] for e in events(read.mother, "?_count=200&action=C,R&agent-role=system")]
    assert [i for page in read.mother.pages("AuditEvent", _count="1", action="C,R", **{"agent-role": "system"})
            for i in page] == whole  # fmt: skip
    counted = read.mother.get("AuditEvent?action=R&agent-role=system&_summary=count").json
    assert (counted["total"], "entry" in counted) == (1, False)


def test_what_cannot_be_asked(read: Neighbourhood) -> None:
    for query in ("date=yesterday", "action:not=R", "_count=x", "_page=x", "date=ne2020", "_total=some", "action="):
        assert read.mother.get(f"AuditEvent?{query}").status == 400, query
    strict = read.mother.ask("GET", "AuditEvent?site=x", headers={"Prefer": "handling=strict"})
    assert strict.status == 400
    for unsupported in ("site=x", "_include=*", "_sort=type", "_has:Provenance:target:recorded=2026"):
        assert read.mother.get(f"AuditEvent?{unsupported}").status == 400, unsupported
    ignored = read.mother.get("AuditEvent?colour=x").json["entry"][-1]
    assert ignored["search"]["mode"] == "outcome"


def test_nobody_writes_one(read: Neighbourhood) -> None:
    event = {
        "resourceType": "AuditEvent", "type": {"code": "rest"}, "recorded": "2026-04-01T00:00:00Z",
        "agent": [{"requestor": True, "who": {"reference": f"Patient/{YUKI}"}}],
        "source": {"observer": {"display": "x"}}, "entity": [{"what": {"reference": f"Patient/{YUKI}"}}],
    }  # fmt: skip
    for app in (read.mother, read.clinic):
        assert app.create(event).status == 405
        assert app.put(event | {"id": "a"}).status == 405
        assert app.delete("AuditEvent/1").status == 405
        patch = b'[{"op": "add", "path": "/language", "value": "ja"}]'
        assert app.ask("PATCH", "AuditEvent/1", patch, type="application/json-patch+json").status == 405
        answer = app.bundle("transaction", entry("POST", "AuditEvent", event))
        assert answer.status == 405, answer
        batch = app.bundle("batch", entry("POST", "AuditEvent", event), entry("DELETE", "AuditEvent/1"))
        assert {e["response"]["status"][:3] for e in batch.json["entry"]} == {"405"}
    assert not Resource.objects.filter(type="AuditEvent").exists()


def test_a_batch_may_ask_for_them(read: Neighbourhood) -> None:
    batch = read.mother.bundle("batch", entry("GET", "AuditEvent?action=R"))
    assert batch.json["entry"][0]["resource"]["type"] == "searchset"


@pytest.mark.G("05")
def test_a_guardian_gets_the_events_as_the_log_tells_them(family: Neighbourhood) -> None:
    yuki = family.demo.people["yuki"]
    audit.record(Event.GRANT_GIVEN, by=yuki, subject=HANA, now=timezone.now(), detail={"grant": 1})
    answer = family.father.get("AuditEvent?_count=200")
    assert "guardian" in str(answer.json)
    for private in (yuki.name, "guardianship:"):
        assert private not in answer.content.decode()


def test_every_look_is_a_line(read: Neighbourhood) -> None:
    before = AuditEntry.objects.filter(event="log:read").count()
    events(read.mother)
    read.mother.get("AuditEvent?_summary=count")
    assert AuditEntry.objects.filter(event="log:read").count() > before
