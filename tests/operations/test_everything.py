"""Patient `$everything` over HTTP: the record, what it refers to, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from consent.models import Organization
from phr.populate.cast import HANA, YUKI
from phr.smart import launches
from phr.smart.models import AccessToken, Application
from tests.family import KAI, Answer, App, Neighbourhood, audit_lines, encoded, organization, pressure, secret, weight

SPEC = pytest.mark.spec
WHOLE = f"Patient/{YUKI}/$everything"


def modes(answer: Answer) -> dict[str, list[str]]:
    """mode -> references, in order."""
    found: dict[str, list[str]] = {}
    for e in answer.json.get("entry", []):
        resource = e["resource"]
        assert e["fullUrl"].endswith(f"/fhir/{resource['resourceType']}/{resource['id']}")
        found.setdefault(e["search"]["mode"], []).append(f"{resource['resourceType']}/{resource['id']}")
    return found


def matches(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return modes(answer).get("match", [])


def turned(app: App, path: str) -> list[list[str]]:
    """The matches of every page."""
    answer = app.get(path)
    pages = [matches(answer)]
    while answer.next:
        answer = app.get(answer.next)
        pages.append(matches(answer))
        assert len(pages) < 200
    return pages


def acting_for(organization: Organization) -> App:
    """A system client of this organisation."""
    application = Application.objects.create(
        client_id="operator", name="運営", client_type="confidential", organization=organization,
        authorization_grant_type="client-credentials", system_scopes="system/*.cruds",
        token_endpoint_auth_method="private_key_jwt", client_secret="never used, never blank",
    )  # fmt: skip
    now, scope = timezone.now(), "system/*.cruds"
    launch = launches.begin_system(application=application, purpose="TREAT", scope=scope, now=now)
    AccessToken.objects.create(
        token="operator", application=application, scope=scope, expires=launch.ends_at, launch=launch
    )
    return App("operator")


@SPEC("FHIR R4", "operation-patient-everything", "the patient, its compartment and what is referred to, in a searchset")
def test_the_patient_comes_first_then_the_record_and_what_it_refers_to(family: Neighbourhood) -> None:
    above = family.clinic.made(organization("見本病院"))
    clinic = family.clinic.made(organization() | {"partOf": {"reference": f"Organization/{above['id']}"}})
    family.clinic.made(organization("だれも指さない"))
    doctor = family.clinic.made({"resourceType": "Practitioner", "name": [{"text": "森"}]})
    performers = [{"reference": f"Organization/{clinic['id']}"}, {"reference": f"Practitioner/{doctor['id']}"}]
    one = family.mother.made(pressure(performer=performers))
    two = family.mother.made(weight())
    answer = family.mother.get(WHOLE)
    assert answer.json["type"] == "searchset"
    assert answer.json["total"] == 3
    assert modes(answer) == {
        "match": [f"Patient/{YUKI}", f"Observation/{one['id']}", f"Observation/{two['id']}"],
        "include": [f"Organization/{clinic['id']}", f"Practitioner/{doctor['id']}", f"Organization/{above['id']}"],
    }
    assert answer.next is None


@SPEC("FHIR R4", "operation-patient-everything", "at type level: the patients the context has")
def test_without_an_id_it_is_the_patient_of_the_token(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    mine, named = family.mother.get("Patient/$everything"), family.mother.get(WHOLE)
    assert matches(mine) == matches(named)
    for app in (family.clinic, family.officer):
        refused = app.get("Patient/$everything")
        assert (refused.status, refused.issue["code"]) == (422, "too-costly")


def test_an_operator_goes_through_everybody_as_far_as_it_may_see(family: Neighbourhood) -> None:
    trust = Organization.objects.create(
        code="0000000009", name="運営", kind="operator", class_from=datetime(2020, 4, 1, tzinfo=UTC)
    )
    operator = acting_for(trust)
    family.mother.made(pressure())  # not opened to it
    numbers = []
    for _ in range(3):
        person = operator.made({"resourceType": "Patient", "birthDate": "2000-01-01"})["id"]
        numbers += [f"Patient/{person}", f"Observation/{operator.made(pressure(UUID(person)))['id']}"]
    pages = turned(operator, "Patient/$everything?_count=4")
    assert [x for page in pages for x in page] == numbers
    assert len(pages) == 2


@SPEC("FHIR R4", "operation-patient-everything", "start and end are care dates; partial dates are their whole span")
@pytest.mark.parametrize(
    ("asked", "days"),
    [
        ("start=2026-03-02", {"2026-03-02", "2026-03-31", "2026-04-01", None}),
        ("end=2026-03-02", {"2026-03-01", "2026-03-02", None}),
        ("start=2026-03&end=2026-03", {"2026-03-01", "2026-03-02", "2026-03-31", None}),
        ("start=2026-04", {"2026-04-01", None}),
        ("end=2025", {None}),
        ("start=2026-03-02&end=2026-03-02", {"2026-03-02", None}),
    ],
)
def test_care_dates(family: Neighbourhood, asked: str, days: set[str | None]) -> None:
    made = {
        family.mother.made(pressure(effectiveDateTime=day))["id"]: day
        for day in ("2026-03-01", "2026-03-02", "2026-03-31", "2026-04-01", None)
    }
    found = matches(family.mother.get(f"{WHOLE}?{asked}"))
    assert found[0] == f"Patient/{YUKI}"
    assert {made[x.partition("/")[2]] for x in found[1:]} == days


@SPEC(
    "FHIR R4",
    "operation-patient-everything",
    "_type: only these types, by commas or repeated",
)
@pytest.mark.parametrize("asked", ["_type=Observation,Organization", "_type=Observation&_type=Organization"])
def test_types(family: Neighbourhood, asked: str) -> None:
    clinic = family.clinic.made(organization())
    doctor = family.clinic.made({"resourceType": "Practitioner", "name": [{"text": "森"}]})
    performers = [{"reference": f"Organization/{clinic['id']}"}, {"reference": f"Practitioner/{doctor['id']}"}]
    one = family.mother.made(pressure(performer=performers))
    expected = {"match": [f"Observation/{one['id']}"], "include": [f"Organization/{clinic['id']}"]}
    assert modes(family.mother.get(f"{WHOLE}?{asked}")) == expected


@SPEC("FHIR R4", "operation-patient-everything", "_since: what was stored after it")
def test_since(family: Neighbourhood) -> None:
    old = family.mother.made(pressure())
    new = family.mother.made(weight())
    at = old["meta"]["lastUpdated"].replace("+", "%2B")
    assert matches(family.mother.get(f"{WHOLE}?_since={at}")) == [f"Observation/{new['id']}"]
    family.mother.put(old | {"status": "amended"})
    again = matches(family.mother.get(f"{WHOLE}?_since={at}"))
    assert sorted(again) == sorted(f"Observation/{x['id']}" for x in (old, new))


@SPEC("FHIR R4", "operation-patient-everything", "pages by _count and next links, stable while data changes")
def test_pages_stay_as_they_were_while_data_changes(family: Neighbourhood) -> None:
    made = [family.mother.made(pressure())["id"] for _ in range(9)]
    first = family.mother.get(f"{WHOLE}?_count=3&_type=Patient,Observation")
    assert matches(first) == [f"Patient/{YUKI}", f"Observation/{made[0]}", f"Observation/{made[1]}"]
    assert "total" not in first.json
    family.mother.made(pressure())  # after the first page: not in this walk
    family.mother.delete(f"Observation/{made[3]}")
    for done in (made[0], made[5]):
        assert family.mother.put(pressure() | {"id": done, "status": "amended"}).status == 200
    seen, answer = matches(first), first
    while answer.next:
        answer = family.mother.get(answer.next)
        seen += matches(answer)
        assert len(matches(answer)) <= 3
    kept = [x for x in made if x != made[3]]
    assert seen == [f"Patient/{YUKI}", *(f"Observation/{x}" for x in kept)]


def test_every_page_size_gives_the_same_whole(family: Neighbourhood) -> None:
    for _ in range(6):
        family.mother.made(pressure())
    whole = matches(family.mother.get(WHOLE))
    assert len(whole) == 7
    for count in (1, 2, 3, 6, 7, 8):
        pages = turned(family.mother, f"{WHOLE}?_count={count}")
        assert [x for page in pages for x in page] == whole
        assert all(len(page) == count for page in pages[:-1])
        assert pages[-1]


def test_a_cursor_is_of_one_caller_and_one_question(family: Neighbourhood) -> None:
    for _ in range(3):
        family.mother.made(pressure())
    link = family.mother.get(f"{WHOLE}?_count=2").next
    assert link
    assert family.clinic.get(link).status == 400
    assert family.mother.get(link.replace("_count=2", "_count=2&_type=Observation")).status == 400
    assert family.mother.get(link.replace("_page=", "_page=A")).status == 400
    assert family.mother.get(link).status == 200


@SPEC("FHIR R4", "operations 3.2.0.1", "POST with Parameters asks the same; its links are for GET")
def test_post_asks_the_same(family: Neighbourhood) -> None:
    for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
        family.mother.made(pressure(effectiveDateTime=day))
    asked = {"resourceType": "Parameters", "parameter": [
        {"name": "start", "valueDate": "2026-03-02"}, {"name": "_count", "valueInteger": 1},
        {"name": "_type", "valueCode": "Observation"},
    ]}  # fmt: skip
    posted = family.mother.ask("POST", WHOLE, encoded(asked))
    got = family.mother.get(f"{WHOLE}?start=2026-03-02&_count=1&_type=Observation")
    assert matches(posted) == matches(got)
    assert posted.next
    assert len(matches(family.mother.get(posted.next))) == 1
    bare = family.mother.ask("POST", WHOLE)
    assert len(matches(bare)) == 4


def test_each_caller_gets_what_each_may_see(family: Neighbourhood) -> None:
    shown, hidden = family.mother.made(pressure()), family.mother.made(secret())
    found = matches(family.clinic.get(WHOLE))
    assert f"Observation/{shown['id']}" in found
    assert f"Observation/{hidden['id']}" not in found
    assert f"Observation/{hidden['id']}" in matches(family.mother.get(WHOLE))


@pytest.mark.parametrize("id", [str(KAI), "0f0f0f0f-0000-4000-8000-000000000000", "no-uuid", "%00", "a" * 100])
def test_a_stranger_and_nobody_look_alike(family: Neighbourhood, id: str) -> None:
    answers = {family.mother.get(f"Patient/{x}/$everything").told()[:2] for x in (id, str(KAI), str(HANA))}
    assert len(answers) == 1
    assert answers.pop()[0] == 404


@SPEC("FHIR R4", "operations 3.2.0.1", "unknown, repeated and malformed parameters are refused by name")
@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ("start=tomorrow", "start"), ("start=2026-13", "start"), ("end=2026-02-30", "end"), ("start=", "start"),
        ("start=2026&start=2026", "start"), ("start=2026-03-02&end=2026-03-01", "end"), ("_since=2026-03-01", "_since"),
        ("_type=Patience", "_type"), ("_type=", "_type"), ("_count=0", "_count"), ("_count=-1", "_count"),
        ("_count=many", "_count"), ("_count=1&_count=2", "_count"), ("_page=x", "_page"), ("_offset=3", "_offset"),
        ("code=8480-6", "code"), ("_count=99999999999", "_count"), ("_since=2026-03-01T00:00:00", "_since"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(family: Neighbourhood, asked: str, named: str) -> None:
    answer = family.mother.get(f"{WHOLE}?{asked}")
    assert answer.status == 400, answer
    assert named in answer.issue["diagnostics"] + str(answer.issue["expression"])


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Parameters", "parameter": [{"name": "start", "valueQuantity": {"value": 1}}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start"}]},
        {"resourceType": "Parameters", "parameter": [{"valueDate": "2026"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "part": [{"name": "x", "valueDate": "2026"}]}]},
        {"resourceType": "Parameters", "parameter": "start"},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "valueDate": "2026", "valueString": "2026"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": "3"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "start", "resource": {"resourceType": "Patient"}}]},
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": [{"name": f"p{n}", "valueInteger": n} for n in range(300)]},
        {},
    ],
)
def test_a_body_that_is_none(family: Neighbourhood, body: Any) -> None:
    answer = family.mother.ask("POST", WHOLE, encoded(body))
    assert answer.status == 400, answer
    assert answer.issue["severity"] in ("error", "fatal")


@SPEC("FHIR R4", "search 3.1.1.3", "Prefer: handling=lenient ignores what is not known")
def test_lenient(family: Neighbourhood) -> None:
    answer = family.mother.get(f"{WHOLE}?colour=red&_count=5", prefer="handling=lenient")
    assert answer.status == 200
    assert answer.json["link"][0]["url"].endswith("$everything?_count=5")


@SPEC("FHIR R4", "operations 3.2.0.1", "what changes nothing answers GET and POST, no more")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods(family: Neighbourhood, method: str) -> None:
    answer = family.mother.ask(method, WHOLE, b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")
    assert family.mother.ask(method, f"Patient/{YUKI}/$everythin", b"{}").status == 404
    assert family.mother.ask("GET", "Observation/$everything").status == 404


def test_each_person_found_gets_a_line_in_the_log(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    before = len(audit_lines("record:searched"))
    family.mother.get(WHOLE)
    lines = audit_lines("record:searched")[before:]
    assert [(str(line[0]), line[4]["method"], line[4]["count"]) for line in lines] == [(str(YUKI), "$everything", 2)]


def test_a_token_without_search_gets_nothing_of_the_record(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    reader = family.app("mother", scope="launch/patient patient/Patient.rs patient/Observation.r")
    assert matches(reader.get(WHOLE)) == [f"Patient/{YUKI}"]
    narrow = family.app("mother", scope="launch/patient patient/Observation.rs")
    assert narrow.get(WHOLE).status == 403


def test_anonymous(family: Neighbourhood) -> None:
    assert family.anonymous.get(WHOLE).status == 401


def test_a_father_learns_nothing_of_the_mother(family: Neighbourhood) -> None:
    """G-03: at the child's record, her own words, their ids and her name for them occur in no answer."""
    epds = observed_of_yuki("71354-5")
    hers = family.mother.made(epds)
    family.app("mother", patient="hana").made(weight(HANA))
    for path in (f"Patient/{HANA}/$everything", f"Patient/{HANA}/$summary", f"DocumentReference/$docref?patient={HANA}",
                 f"Observation/$lastn?patient={HANA}&category=vital-signs", "$meta"):  # fmt: skip
        answer = family.father.get(path)
        assert answer.status == 200, answer
        for secretly in (hers["id"], str(YUKI), "71354-5"):
            assert secretly not in answer.content.decode(), path


def observed_of_yuki(code: str) -> dict[str, Any]:
    return weight(code={"coding": [{"system": "http://loinc.org", "code": code}]})
