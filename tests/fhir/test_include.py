"""`_include` and `_revinclude`: both directions, steps, wild cards, limits, consent, the log (R4 search.html)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from phr.populate.cast import YUKI
from phr.records import including, pointing
from phr.records.search.params import params_for
from phr.records.search.query import Include
from tests.family import KAI, Answer, App, Neighbourhood, audit_lines, organization, pressure, secret, weight

BASE = "http://127.0.0.1:8000/fhir"
PATIENT = {"reference": f"Patient/{YUKI}"}


def refer(kind: str, id: str) -> dict[str, str]:
    return {"reference": f"{kind}/{id}"}


def encounter(**more: Any) -> dict[str, Any]:
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    return {"resourceType": "Encounter", "status": "finished", "class": code, "subject": PATIENT} | more


class Found:
    """The entries of a searchset by mode, each resource called by the name it was made under."""

    def __init__(self, answer: Answer, names: dict[str, str]) -> None:
        assert answer.status == 200, answer
        self.modes: dict[str, list[str]] = {"match": [], "include": [], "outcome": []}
        for entry in answer.json.get("entry", []):
            resource, mode = entry["resource"], entry["search"]["mode"]
            if mode != "outcome":
                assert entry["fullUrl"] == f"{BASE}/{resource['resourceType']}/{resource['id']}"
            self.modes[mode].append(names.get(resource.get("id", ""), resource["resourceType"]))
        urls = [e["fullUrl"] for e in answer.json.get("entry", []) if "fullUrl" in e]
        assert len(urls) == len(set(urls)), "a resource stands twice"

    @property
    def matches(self) -> list[str]:
        return sorted(self.modes["match"])

    @property
    def included(self) -> list[str]:
        return sorted(self.modes["include"])


@pytest.fixture
def names(family: Neighbourhood) -> dict[str, str]:
    """A visit with two measurements; one builds on the other; an organization above an organization."""
    mother, clinic = family.mother, family.clinic
    above = clinic.made(organization("本部"))["id"]
    below = clinic.made(organization("産院") | {"partOf": refer("Organization", above)})["id"]
    visit = mother.made(encounter(serviceProvider=refer("Organization", below)))["id"]
    first = mother.made(pressure(encounter=refer("Encounter", visit)))["id"]
    more = {"encounter": {"reference": f"{BASE}/Encounter/{visit}"}, "derivedFrom": [refer("Observation", first)]}
    second = mother.made(weight(**more))["id"]
    return {above: "above", below: "below", visit: "visit", first: "first", second: "second", str(YUKI): "yuki"}


def by_name(names: dict[str, str], name: str) -> str:
    return next(id for id, known in names.items() if known == name)


def ask(app: App, names: dict[str, str], path: str) -> Found:
    return Found(app.get(path.format(**{name: id for id, name in names.items()})), names)


CASES = [
    ("Observation?_id={first}&_include=Observation:encounter", "first", "visit"),
    ("Observation?_include=Observation:encounter", "first second", "visit"),
    ("Observation?_id={first}&_include=Observation:subject", "first", "yuki"),
    ("Observation?_id={first}&_include=Observation:patient", "first", "yuki"),
    ("Observation?_id={first}&_include=Observation:subject:Patient", "first", "yuki"),
    ("Observation?_id={first}&_include=Observation:subject:Group", "first", ""),
    ("Observation?_id={second}&_include=Observation:derived-from", "second", "first"),
    ("Observation?_include=Observation:derived-from", "first second", ""),  # a match is not included again
    ("Observation?_id={second}&_include=Observation:*", "second", "first visit yuki"),
    ("Observation?_id={second}&_include=*", "second", "first visit yuki"),
    ("Observation?_id={second}&_include=Observation:encounter&_include=Observation:subject", "second", "visit yuki"),
    ("Observation?_id={second}&_include=Encounter:service-provider", "second", ""),
    ("Encounter?_id={visit}&_include=Encounter:service-provider", "visit", "below"),
    # steps
    ("Observation?_id={first}&_include=Observation:encounter&_include=Encounter:service-provider", "first", "visit"),
    ("Observation?_id={first}&_include=Observation:encounter&_include:iterate=Encounter:service-provider", "first",
     "below visit"),
    (("Observation?_id={first}&_include=Observation:encounter&_include:iterate=Encounter:service-provider"
     "&_include:iterate=Organization:partof"), "first", "above below visit"),
    ("Observation?_id={first}&_include:iterate=*", "first", "above below visit yuki"),
    ("Organization?_id={below}&_include:iterate=Organization:partof", "below", "above"),
    # back
    ("Encounter?_id={visit}&_revinclude=Observation:encounter", "visit", "first second"),
    ("Encounter?_id={visit}&_revinclude=Observation:encounter:Encounter", "visit", "first second"),
    ("Encounter?_id={visit}&_revinclude=Observation:subject", "visit", ""),
    ("Encounter?_id={visit}&_revinclude=Observation:*", "visit", "first second"),
    ("Encounter?_id={visit}&_revinclude=*", "visit", "first second"),
    ("Patient?_id={yuki}&_revinclude=Observation:subject", "yuki", "first second"),
    ("Patient?_id={yuki}&_revinclude=Observation:patient", "yuki", "first second"),
    ("Patient?_id={yuki}&_revinclude=Observation:patient&_revinclude=Encounter:patient", "yuki", "first second visit"),
    ("Organization?_id={above}&_revinclude=Organization:partof", "above", "below"),
    ("Organization?_id={above}&_revinclude:iterate=Organization:partof&_revinclude:iterate=Encounter:service-provider",
     "above", "below visit"),
    ("Encounter?_id={visit}&_revinclude=Observation:encounter&_include:iterate=Observation:subject", "visit",
     "first second yuki"),
    ("Observation?_id={first}&_revinclude=Observation:derived-from", "first", "second"),
    ("Observation?_id=nobody&_include=*&_revinclude=Observation:*", "", ""),
]  # fmt: skip


@pytest.mark.spec("FHIR R4", "3.1.1.5.3", "_include and _revinclude: parameter, target type, wild cards, :iterate")
@pytest.mark.parametrize(("path", "matches", "included"), CASES, ids=[case[0] for case in CASES])
def test_what_stands_beside(
    family: Neighbourhood, names: dict[str, str], path: str, matches: str, included: str
) -> None:
    found = ask(family.mother, names, path)
    assert found.matches == matches.split()
    assert [x for x in found.included if x in names.values()] == included.split()
    assert not found.modes["outcome"]


@pytest.mark.spec("FHIR R4", "3.1.1.5.4", "total and _count speak of matches only")
def test_included_resources_are_not_counted(family: Neighbourhood, names: dict[str, str]) -> None:
    answer = family.mother.search("Observation", _include="Observation:encounter", _total="accurate", _count="1")
    assert answer.json["total"] == 2
    assert len(Found(answer, names).matches) == 1
    assert Found(answer, names).included == ["visit"]
    second = family.mother.get(answer.next or "")
    assert Found(second, names).included == ["visit"]
    assert second.next is None
    for none in ("_count=0", "_summary=count"):
        assert "entry" not in family.mother.get(f"Observation?_include=Observation:encounter&{none}").json


def test_canonicals_are_followed_both_ways(family: Neighbourhood) -> None:
    url = "https://forms.example/mood"
    form = {"resourceType": "Questionnaire", "status": "active", "url": url, "version": "2"}
    made = family.clinic.made(form)["id"]
    told = {"resourceType": "QuestionnaireResponse", "status": "completed", "subject": PATIENT}
    answers = [family.mother.made(told | {"questionnaire": q})["id"] for q in (url, f"{url}|2")]
    names = {made: "form", answers[0]: "plain", answers[1]: "versioned"}
    path = "QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire"
    assert ask(family.mother, names, path).included == ["form"]
    back = ask(family.clinic, names, "Questionnaire?_id={form}&_revinclude=QuestionnaireResponse:questionnaire")
    assert back.matches == ["form"]
    mothers = ask(family.mother, names, "Questionnaire?_id={form}&_revinclude=QuestionnaireResponse:questionnaire")
    assert "plain" in mothers.included


@pytest.mark.spec("FHIR R4", "3.1.1.5.9", "_elements does not apply to what is included; _summary does")
def test_shapes(family: Neighbourhood, names: dict[str, str]) -> None:
    visit = f"Observation?_id={by_name(names, 'first')}&_include=Observation:encounter"
    match, included = (e["resource"] for e in family.mother.get(f"{visit}&_elements=id").json["entry"])
    assert "subject" not in match
    assert "subject" in included
    assert "tag" not in included["meta"]
    for entry in family.mother.get(f"{visit}&_summary=true").json["entry"]:
        assert entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED"
    refused = family.mother.get(f"{visit}&_summary=text")
    assert (refused.status, refused.issue["expression"]) == (400, ["http._include"])


def test_links_keep_the_includes(family: Neighbourhood, names: dict[str, str]) -> None:
    answer = family.mother.search("Observation", _include="Observation:encounter", _count="1")
    relations = {x["relation"]: x["url"] for x in answer.json["link"]}
    assert set(relations) == {"self", "first", "next"}
    assert all("_include=Observation%3Aencounter" in url for url in relations.values())


# -- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["_include", "_revinclude"])
def test_a_cut_is_told(family: Neighbourhood, monkeypatch: Any, direction: str) -> None:
    monkeypatch.setattr(including, "MOST_INCLUDED", 2)
    mother = family.mother
    made = [mother.made(pressure())["id"] for _ in range(3)]
    head = mother.made(weight(hasMember=[refer("Observation", id) for id in made]))["id"]
    visit = mother.made(encounter())["id"]
    for id in made:
        mother.put(pressure(encounter=refer("Encounter", visit)) | {"id": id})
    path = f"Observation?_id={head}&_include=Observation:has-member"
    if direction == "_revinclude":
        path = f"Encounter?_id={visit}&_revinclude=Observation:encounter"
    answer = mother.get(path)
    entries = answer.json["entry"]
    assert [e["search"]["mode"] for e in entries] == ["match", "include", "include", "outcome"]
    assert entries[-1]["resource"]["issue"][0]["severity"] == "warning"
    assert {e["resource"]["id"] for e in entries[1:3]} < set(made)
    monkeypatch.setattr(including, "MOST_INCLUDED", 3)
    assert [e["search"]["mode"] for e in mother.get(path).json["entry"]] == ["match"] + ["include"] * 3


def test_steps_end(family: Neighbourhood) -> None:
    """A chain of eight: five steps are taken, and the client is told."""
    clinic, last = family.clinic, ""
    ids = []
    for n in range(8):
        part = {"partOf": refer("Organization", last)} if last else {}
        last = clinic.made(organization(f"階層{n}") | part)["id"]
        ids.append(last)
    answer = clinic.get(f"Organization?_id={last}&_include:iterate=Organization:partof")
    modes = [e["search"]["mode"] for e in answer.json["entry"]]
    assert modes == ["match"] + ["include"] * including.DEEPEST + ["outcome"]
    assert [e["resource"]["id"] for e in answer.json["entry"][:6]] == ids[:1:-1]


def test_circles_end(family: Neighbourhood) -> None:
    mother = family.mother
    one = mother.made(weight())["id"]
    two = mother.made(weight(derivedFrom=[refer("Observation", one)]))["id"]
    mother.put(weight(derivedFrom=[refer("Observation", two), refer("Observation", one)]) | {"id": one})
    for direction in ("_include:iterate", "_revinclude:iterate"):
        found = ask(mother, {one: "one", two: "two"}, f"Observation?_id={one}&{direction}=Observation:derived-from")
        assert (found.matches, found.included, found.modes["outcome"]) == (["one"], ["two"], [])


def test_too_much_to_look_back_for_is_refused(family: Neighbourhood, monkeypatch: Any) -> None:
    monkeypatch.setattr(pointing, "MOST_TERMS", 10)
    answer = family.mother.get(f"Patient?_id={YUKI}&_revinclude=*")
    assert (answer.status, answer.issue["code"]) == (422, "too-costly")
    assert "10" in answer.issue["diagnostics"]


def test_one_statement_per_direction_and_step(family: Neighbourhood, names: dict[str, str]) -> None:
    plain = statements(family.mother, "Observation")
    assert statements(family.mother, "Observation?_include=Observation:encounter") == plain + 1
    assert statements(family.mother, "Observation?_include=Observation:*") == plain + 1
    assert statements(family.mother, "Encounter?_include=*&_revinclude=Observation:encounter") == plain + 2


def statements(app: App, path: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert app.get(path).status == 200
    return sum("phr_resource" in query["sql"] for query in captured.captured_queries)


# -- consent -----------------------------------------------------------------------------------------


def test_hidden_targets_leave_no_trace(family: Neighbourhood) -> None:
    mother, clinic = family.mother, family.clinic
    hidden = mother.made(secret())["id"]
    shown = mother.made(pressure(derivedFrom=[refer("Observation", hidden)]))["id"]
    mother.made(secret(derivedFrom=[refer("Observation", shown)]))
    for path in (
        f"Observation?_id={shown}&_include=Observation:derived-from",
        f"Observation?_id={shown}&_revinclude=Observation:derived-from", f"Observation?_id={shown}&_include:iterate=*",
        f"Observation?_id={shown}&_revinclude=*",
    ):  # fmt: skip
        assert hidden not in [e["resource"]["id"] for e in clinic.get(path).json["entry"]]
        assert {e["resource"]["resourceType"] for e in clinic.get(path).json["entry"]} <= {"Observation", "Patient"}
        assert len([e for e in clinic.get(path).json["entry"] if e["resource"]["resourceType"] == "Observation"]) == 1


def test_what_is_included_must_be_covered_by_the_token(family: Neighbourhood, names: dict[str, str]) -> None:
    narrow = family.app("mother", scope="patient/Observation.rs")
    found = ask(narrow, names, "Observation?_id={second}&_include=*&_revinclude=Encounter:patient")
    assert (found.matches, found.included) == (["second"], ["first"])
    reading = family.app("mother", scope="patient/Observation.rs patient/Encounter.r patient/Patient.rs")
    found = ask(reading, names, "Observation?_id={second}&_include=*")
    assert found.included == ["first", "yuki"]


def test_a_stranger_is_never_included(family: Neighbourhood) -> None:
    """The mother's note that names a neighbour's child brings nothing of that child."""
    kai = family.stranger_of(KAI).made(pressure(KAI))["id"]
    made = family.mother.made(weight(focus=[refer("Observation", kai)]))["id"]
    entries = family.mother.get(f"Observation?_id={made}&_include=Observation:focus").json["entry"]
    assert [e["resource"]["id"] for e in entries] == [made]


def test_the_second_look_guards_what_is_included(family: Neighbourhood, monkeypatch: Any) -> None:
    mother, clinic = family.mother, family.clinic
    hidden = mother.made(secret())["id"]
    shown = mother.made(pressure(derivedFrom=[refer("Observation", hidden)]))["id"]
    monkeypatch.setattr(including, "scope_sql", lambda *_args, **_named: "TRUE")
    entries = clinic.get(f"Observation?_id={shown}&_include=Observation:derived-from").json["entry"]
    assert [e["resource"]["id"] for e in entries] == [shown]
    assert audit_lines("record:disagreed")


def test_what_is_included_is_logged(family: Neighbourhood, names: dict[str, str]) -> None:
    before = len(audit_lines("record:searched"))
    family.mother.get(f"Observation?_id={by_name(names, 'first')}&_include=Observation:encounter")
    family.mother.get(f"Organization?_id={by_name(names, 'below')}&_revinclude=Encounter:service-provider")
    [one], organizations = (
        audit_lines("record:searched")[before : before + 1],
        audit_lines("record:searched")[before + 1 :],
    )
    assert (one[0], one[4]["count"]) == (YUKI, 2)
    assert "_include" in one[4]["params"]
    assert {(line[0], line[4]["count"]) for line in organizations} == {(None, 1), (YUKI, 1)}


# -- reading references, without a database ---------------------------------------------------------


def wanted(resource: dict[str, Any], *includes: Include) -> list[tuple[str, str]]:
    return list(pointing.targets(resource, includes, base=BASE))


def param(kind: str, name: str) -> Any:
    return params_for(kind)[name]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Encounter/1", [("Encounter", "1")]), ("Encounter/1/_history/3", [("Encounter", "1")]),
        (f"{BASE}/Encounter/1", [("Encounter", "1")]), (f"{BASE}/Encounter/1/_history/2", [("Encounter", "1")]),
        ("https://other.example/fhir/Encounter/1", []), ("#inside", []), ("urn:uuid:1", []), ("Nothing/1", []),
        ("", []), (None, []), (7, []), ("Encounter/", []), ("Encounter/" + "x" * 65, []),
    ],
)  # fmt: skip
def test_references_are_read_from_bodies(reference: Any, expected: list[tuple[str, str]]) -> None:
    resource = {"resourceType": "Observation", "encounter": {"reference": reference}}
    assert wanted(resource, Include("Observation", param("Observation", "encounter"))) == expected
    assert wanted(resource, Include("*", None)) == expected


def test_odd_bodies_are_read_without_a_fault() -> None:
    odd = {"resourceType": "Observation", "encounter": "Encounter/1", "subject": [None, {"reference": {}}], "focus": 1}
    assert ("Encounter", "1") not in wanted(odd, Include("*", None))


def test_every_reference_of_every_type_can_be_read() -> None:
    for kind in ("Observation", "Patient", "Claim", "PlanDefinition", "Provenance"):
        for known in pointing.references_of(kind):
            assert wanted({"resourceType": kind}, Include(kind, known)) == []
