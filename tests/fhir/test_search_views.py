"""The doors of searching: GET and POST, several types, compartments; links, handling, limits of time and size."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from phr.populate.cast import HANA, YUKI
from phr.records import reading, searching
from phr.records.scoping import Params
from phr.records.search import compile as compiler
from tests.family import KAI, Answer, App, Neighbourhood, audit_lines, entry, organization, pressure, secret, weight

BASE = "http://127.0.0.1:8000/fhir"
FORM = "application/x-www-form-urlencoded"
VISIT = {
    "resourceType": "Encounter", "status": "finished", "subject": {"reference": f"Patient/{YUKI}"},
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
}  # fmt: skip


def found(answer: Answer) -> set[str]:
    """Type/id of every match; each entry is what a searchset's must be."""
    assert answer.status == 200, answer
    bundle = answer.json
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    for one in bundle.get("entry", []):
        resource = one["resource"]
        assert one["search"]["mode"] == "match"
        assert one["fullUrl"] == f"{BASE}/{resource['resourceType']}/{resource['id']}"
    return {e["fullUrl"].removeprefix(f"{BASE}/") for e in bundle.get("entry", [])}


def links(answer: Answer) -> dict[str, str]:
    return {x["relation"]: x["url"] for x in answer.json["link"]}


def post(app: App, path: str, form: str) -> Answer:
    return app.ask("POST", path, form.encode(), type=FORM)


@pytest.fixture
def made(family: Neighbourhood) -> dict[str, str]:
    mother = family.mother
    visit = mother.made(VISIT)["id"]
    inside = mother.made(pressure(encounter={"reference": f"Encounter/{visit}"}))["id"]
    return {
        "visit": f"Encounter/{visit}", "inside": f"Observation/{inside}",
        "outside": f"Observation/{mother.made(weight())['id']}",
    }  # fmt: skip


# -- POST --------------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.0.9", "POST [type]/_search: body and query string together")
def test_post_is_the_same_search(family: Neighbourhood, made: dict[str, str]) -> None:
    mother = family.mother
    assert found(post(mother, "Observation/_search", "code=8480-6")) == {made["inside"]}
    assert found(post(mother, "Observation/_search?code=8480-6", "status=final")) == {made["inside"]}
    assert found(post(mother, "Observation/_search?code=8480-6", "code=29463-7")) == set()
    answer = post(mother, "Observation/_search?status=final", "code=8480-6&_count=1")
    assert links(answer)["self"] == f"{BASE}/Observation?status=final&code=8480-6&_count=1"
    assert found(mother.get(links(answer)["self"])) == {made["inside"]}


def test_a_form_says_how_to_answer(family: Neighbourhood, made: dict[str, str]) -> None:
    assert post(family.mother, "Observation/_search", "_format=xml").status == 406
    assert post(family.mother, "Observation/_search", "_format=json").status == 200
    pretty = post(family.mother, "Observation/_search", "_pretty=true&_summary=true")
    assert pretty.content.startswith(b"{\n")
    assert pretty.json["entry"][0]["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert family.mother.ask("POST", "Observation/_search", b"{}", type="application/fhir+json").status == 415


# -- several types -----------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.1.2", "search over several types: _type, and parameters that all of them have")
@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ("_type=Observation", {"inside", "outside"}), ("_type=Observation,Encounter", {"inside", "outside", "visit"}),
        ("_type=Encounter,Condition", {"visit"}), ("_type=Observation,Encounter&_lastUpdated=lt2020", set()),
        ("_type=Observation,Encounter&_lastUpdated=gt2020", {"inside", "outside", "visit"}),
        (f"_type=Observation,Encounter&patient={YUKI}", {"inside", "outside", "visit"}),
        (f"_type=Observation,Encounter&patient={HANA}", set()),
        ("_type=Observation,Encounter&status=final", {"inside", "outside"}),
        ("_type=Observation,Encounter&status=finished", {"visit"}),
        ("_type=Observation,Condition&code=8480-6", {"inside"}),
    ],
)  # fmt: skip
def test_several_types(family: Neighbourhood, made: dict[str, str], criteria: str, expected: set[str]) -> None:
    wanted = {made[name] for name in expected}
    assert found(family.mother.ask("GET", f"/fhir?{criteria}")) == wanted
    assert found(family.mother.ask("GET", f"/fhir/?{criteria}")) == wanted
    assert found(post(family.mother, "_search", criteria)) == wanted


def test_every_type_at_once(family: Neighbourhood, made: dict[str, str]) -> None:
    everything = found(family.mother.ask("GET", "/fhir"))
    assert set(made.values()) | {f"Patient/{YUKI}"} <= everything
    assert not {x for x in everything if x in (f"Patient/{HANA}", f"Patient/{KAI}")}
    one = made["visit"].partition("/")[2]
    assert found(family.mother.ask("GET", f"/fhir?_id={one}")) == {made["visit"]}


def test_pages_over_several_types(family: Neighbourhood, made: dict[str, str]) -> None:
    for sort in ("_lastUpdated", "-_lastUpdated", "_id"):
        url, seen = f"/fhir?_type=Observation,Encounter&_count=1&_sort={sort}&_total=accurate", []
        while url:
            answer = family.mother.get(url)
            seen += sorted(found(answer))
            assert answer.json["total"] == 3
            url = answer.next or ""
        assert sorted(seen) == sorted(made.values())


@pytest.mark.parametrize(
    ("criteria", "place"),
    [
        ("_type=Nothing", "_type"),
        ("_type=Observation,Encounter&code=x", "code"),
        ("_type=Observation&_type=Encounter", "_type"),
    ],
)
def test_what_not_all_types_have_is_refused(family: Neighbourhood, criteria: str, place: str) -> None:
    answer = family.mother.ask("GET", f"/fhir?{criteria}")
    assert (answer.status, answer.issue["expression"]) == (400, [f"http.{place}"])


def test_a_narrow_token_finds_its_own_types(family: Neighbourhood, made: dict[str, str]) -> None:
    narrow = family.app("mother", scope="patient/Observation.rs")
    assert found(narrow.ask("GET", "/fhir?_type=Observation,Encounter")) == {made["inside"], made["outside"]}
    assert found(narrow.ask("GET", "/fhir")) == {made["inside"], made["outside"]}
    assert family.app("mother", scope="patient/Observation.r").ask("GET", "/fhir?_type=Observation").status == 403
    assert family.anonymous.ask("GET", "/fhir?_type=Observation").status == 401


# -- compartments ------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.1.2", "search in a compartment: one type, or all with *")
def test_compartments(family: Neighbourhood, made: dict[str, str]) -> None:
    mother = family.mother
    person, visit = f"Patient/{YUKI}", made["visit"]
    assert found(mother.get(f"{person}/Observation")) == {made["inside"], made["outside"]}
    assert found(mother.get(f"{person}/Observation?code=8480-6")) == {made["inside"]}
    assert found(mother.get(f"{person}/Encounter")) == {visit}
    assert found(mother.get(f"{person}/Condition")) == set()
    assert found(mother.get(f"{person}/*")) >= {*made.values(), person}
    assert found(mother.get(f"{person}/*?_type=Encounter,Observation&_lastUpdated=gt2020")) == set(made.values())
    assert found(mother.get(f"{visit}/Observation")) == {made["inside"]}
    assert found(mother.get(f"{visit}/*")) >= {made["inside"], visit}
    assert made["outside"] not in found(mother.get(f"{visit}/*"))


def test_a_compartment_is_searched_by_post_too(family: Neighbourhood, made: dict[str, str]) -> None:
    answer = post(family.mother, f"Patient/{YUKI}/Observation/_search?status=final", "code=8480-6")
    assert found(answer) == {made["inside"]}
    assert links(answer)["self"] == f"{BASE}/Patient/{YUKI}/Observation?status=final&code=8480-6"
    assert post(family.father, f"Patient/{YUKI}/Observation/_search", "").status == 404


def test_a_measurement_belongs_to_its_performer(family: Neighbourhood) -> None:
    """R4's Patient compartment of Observation: subject or performer."""
    hana = family.app("mother", patient="hana")
    measured = hana.made(weight(HANA, performer=[{"reference": f"Patient/{HANA}"}]))["id"]
    assert found(hana.get(f"Patient/{HANA}/Observation")) == {f"Observation/{measured}"}


def test_compartments_of_those_without_a_patient(family: Neighbourhood, made: dict[str, str]) -> None:
    doctor = family.clinic.made({"resourceType": "Practitioner", "name": [{"family": "見本"}]})["id"]
    seen = family.mother.made(pressure(performer=[{"reference": f"Practitioner/{doctor}"}]))["id"]
    assert found(family.mother.get(f"Practitioner/{doctor}/Observation")) == {f"Observation/{seen}"}
    assert found(family.mother.get(f"Practitioner/{doctor}/Flag")) == set()


@pytest.mark.parametrize(
    "path", ["Patient/{}/Observation", "Patient/{}/*", "Encounter/{}/Observation", "Practitioner/{}/*"]
)
def test_an_owner_that_is_not_shown_owns_nothing(family: Neighbourhood, path: str) -> None:
    """Hidden and absent alike: 404, as a read of the owner."""
    absent = family.mother.get(path.format("0f0f0f0f-0000-4000-8000-000000000000"))
    assert (absent.status, absent.issue["code"]) == (404, "not-found")
    if path.startswith("Patient"):
        for other in (HANA, KAI):
            assert family.mother.get(path.format(other)).content == absent.content
    assert family.mother.get(path.format("x" * 65)).content == absent.content


def test_the_owner_need_not_be_of_the_tokens_types(family: Neighbourhood, made: dict[str, str]) -> None:
    narrow = family.app("mother", scope="patient/Observation.rs")
    assert found(narrow.get(f"Patient/{YUKI}/Observation")) == {made["inside"], made["outside"]}
    assert found(narrow.get(f"Patient/{YUKI}/*")) == {made["inside"], made["outside"]}
    assert narrow.get(f"Patient/{YUKI}/Encounter").status == 403


@pytest.mark.parametrize(
    "path", ["Observation/1/Encounter", "Patient/1/Nothing", "Nothing/1/Patient", "Organization/1/*"]
)
def test_what_is_no_compartment_is_nowhere(family: Neighbourhood, path: str) -> None:
    assert family.mother.get(path).status == 404


def test_a_compartments_pages_stay_in_it(family: Neighbourhood, made: dict[str, str]) -> None:
    first = family.mother.get(f"Patient/{YUKI}/Observation?_count=1")
    assert links(first)["self"] == f"{BASE}/Patient/{YUKI}/Observation?_count=1"
    assert (first.next or "").startswith(f"{BASE}/Patient/{YUKI}/Observation?_count=1&_page=")
    second = family.mother.get(first.next or "")
    assert found(first) | found(second) == {made["inside"], made["outside"]}
    page = dict(parse_qsl(urlsplit(first.next or "").query))["_page"]
    for other in ("Observation", f"{made['visit']}/Observation"):
        assert family.mother.get(f"{other}?_count=1&_page={page}").status == 400


# -- links, totals, handling -------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.0.1.12", "links: self, first, next")
def test_links(family: Neighbourhood, made: dict[str, str]) -> None:
    first = family.mother.search("Observation", _count="1", _sort="_id")
    assert links(first)["self"] == links(first)["first"] == f"{BASE}/Observation?_count=1&_sort=_id"
    second = family.mother.get(first.next or "")
    assert links(second)["self"] == first.next
    assert links(second)["first"] == f"{BASE}/Observation?_count=1&_sort=_id"
    assert "next" not in links(second)
    assert set(links(family.mother.search("Observation"))) == {"self"}


@pytest.mark.spec("FHIR R4", "3.1.1.5.4", "total: when asked for, and always where only a count is asked for")
def test_totals(family: Neighbourhood, made: dict[str, str]) -> None:
    assert "total" not in family.mother.search("Observation").json
    assert "total" not in family.mother.search("Observation", _total="none").json
    for asked in ({"_total": "accurate"}, {"_total": "estimate"}, {"_count": "0"}, {"_summary": "count"}):
        assert family.mother.search("Observation", **asked).json["total"] == 2
    for asked in ({"_count": "0"}, {"_summary": "count"}):
        bundle = family.mother.search("Observation", **asked).json
        assert "entry" not in bundle
        assert [x["relation"] for x in bundle["link"]] == ["self"]


@pytest.mark.spec("FHIR R4", "3.1.1.3", "what is ignored is absent from the self link, and told as an outcome")
def test_ignored_parameters(family: Neighbourhood, made: dict[str, str]) -> None:
    for path in ("Observation?", f"Patient/{YUKI}/Observation?", "/fhir?_type=Observation&"):
        answer = family.mother.get(f"{path}nonsense=1&status=final")
        assert "nonsense" not in links(answer)["self"]
        [outcome] = [e for e in answer.json["entry"] if e["search"]["mode"] == "outcome"]
        assert {issue["severity"] for issue in outcome["resource"]["issue"]} == {"warning"}
        strict = family.mother.get(f"{path}nonsense=1", prefer="handling=strict")
        assert (strict.status, strict.issue["expression"]) == (400, ["http.nonsense"])


# -- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["Observation", "Observation?_summary=count", "Observation/_history", "_history"])
def test_what_takes_too_long_is_stopped(family: Neighbourhood, settings: Any, monkeypatch: Any, path: str) -> None:
    settings.PHR_SEARCH_TIMEOUT_MS = 50
    slow = reading.bounded
    monkeypatch.setattr(compiler, "count_sql", lambda *_a, **_k: "SELECT 1 FROM pg_sleep(5)")
    for module in ("searching", "histories"):
        monkeypatch.setattr(f"phr.records.{module}.bounded", lambda sql: f"{slow(sql)} AND pg_sleep(5) IS NOT NULL")
    family.mother.made(weight())
    answer = family.mother.get(path)
    assert (answer.status, answer.issue["code"]) == (422, "too-costly")
    assert "50 ms" in answer.issue["diagnostics"]


def test_the_limit_of_time_ends_with_its_statement(family: Neighbourhood) -> None:
    """One message carries the limit and the search; nothing else is asked of the database for it."""
    with CaptureQueriesContext(connection) as captured:
        family.mother.search("Observation")
    limited = [q["sql"] for q in captured.captured_queries if "statement_timeout" in q["sql"]]
    assert len(limited) == 1
    assert "phr_resource" in limited[0]


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_outside_transactions_too(settings: Any) -> None:
    settings.PHR_SEARCH_TIMEOUT_MS = 50
    assert reading.fetch("SELECT current_setting('statement_timeout')", Params()) == [("50ms",)]
    with pytest.raises(reading.TooCostly):
        reading.fetch("SELECT pg_sleep(5)", Params())
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone() == ("0",)


def test_big_bodies_make_small_pages(family: Neighbourhood, monkeypatch: Any) -> None:
    clinic = family.clinic
    ids = {clinic.made(organization(f"大きな見本{n} " + "x" * 3000))["id"] for n in range(5)}
    monkeypatch.setattr(reading, "PAGE_BYTES", 6500)
    pages = clinic.pages("Organization", _count="50", name="大きな")
    assert {x for page in pages for x in page} == ids
    assert sum(map(len, pages)) == 5
    assert len(pages) >= 2
    assert max(map(len, pages)) <= 3


def test_system_searches_are_logged(family: Neighbourhood, made: dict[str, str]) -> None:
    before = len(audit_lines("record:searched"))
    family.mother.ask("GET", f"/fhir?_type=Observation,Encounter&patient={YUKI}")
    family.mother.get(f"{made['visit']}/Observation?code=8480-6")
    several, inside = audit_lines("record:searched")[before:]
    assert (several[0], several[4]["type"], several[4]["count"], several[4]["params"]) == (YUKI, "*", 3, ["patient"])
    assert (inside[0], inside[4]["type"], inside[4]["count"], inside[4]["params"]) == (YUKI, "Observation", 1, ["code"])


def test_letters_may_stand_unescaped_in_a_url(family: Neighbourhood) -> None:
    """As curl and careless clients send them: UTF-8, in the query, in a condition and in a Bundle's entry."""
    plain = family.clinic.get("Patient?family=見本&_count=1")
    assert plain.ids
    assert plain.ids == family.clinic.get(f"Patient?family={quote('見本')}&_count=1").ids
    batch = family.clinic.bundle("batch", entry("GET", "Patient?family=見本&_count=1"))
    assert batch.json["entry"][0]["resource"]["entry"][0]["resource"]["id"] == plain.ids[0]
    wire_form = "identifier=urn:見本|1".encode().decode("latin-1")
    first = family.clinic.create(pressure(identifier=[{"system": "urn:見本", "value": "1"}]), if_none_exist=wire_form)
    again = family.clinic.create(pressure(identifier=[{"system": "urn:見本", "value": "1"}]), if_none_exist=wire_form)
    assert (first.status, again.status, again.id) == (201, 200, first.id)


def test_a_query_that_is_no_utf8_is_refused(family: Neighbourhood) -> None:
    answer = family.clinic.http.get(
        "/fhir/Patient", QUERY_STRING="family=\xe3\x81", headers={"authorization": f"Bearer {family.clinic.token}"}
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path",
    ["Observation", f"/fhir?_type=Observation&patient={YUKI}", f"Observation?patient={YUKI}&_content=mm",
     "Observation?_count=1&_sort=-date"],
)  # fmt: skip
def test_the_second_look_guards_every_door(family: Neighbourhood, monkeypatch: Any, path: str) -> None:
    """Were the SQL form wrong, the Python form would still withhold the rows, and alarm."""
    hidden = family.mother.made(secret())["id"]
    monkeypatch.setattr(searching, "scope_sql", lambda *_args, **_named: "TRUE")
    answer = family.clinic.get(path)
    assert answer.status == 200
    assert hidden.encode() not in answer.content
    assert audit_lines("record:disagreed")
