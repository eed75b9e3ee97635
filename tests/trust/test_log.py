"""The person's log: what each reader is told, and what the log must not tell."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from consent import grants
from consent.decide import Capacity
from consent.guardianship import FreezeReason
from consent.models import AuditEntry, Complaint, Guardianship, Subject
from consent.scope import Clause
from phr.populate import personas
from phr.populate.cast import HANA, REN, YUKI
from phr.records import systems
from phr.smart import severing
from phr.smart.demo import APP, person_token
from phr.trust.log_names import name_of
from phr.trust.log_pages import LogReading, Wanted
from tests.family import Answer, App, Neighbourhood, encoded, pressure, secret, weight


def log(app: App, of: UUID = YUKI, **asked: Any) -> Answer:
    query = f"?{urlencode(asked, doseq=True)}" if asked else ""
    return app.ask("GET", f"/api/trust/records/{of}/log{query}")


def lines(app: App, of: UUID = YUKI, **asked: Any) -> list[dict[str, Any]]:
    answer = log(app, of, **asked)
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.json["lines"]
    return found


def marked(code: str, of: UUID = HANA) -> dict[str, Any]:
    return pressure(of, meta={"security": [{"system": systems.OWN_MARK, "code": code}]})


@pytest.fixture
def opened(family: Neighbourhood) -> Neighbourhood:
    """Hana's record is open to the clinic, by her mother."""
    root = Clause(
        permit=True, actors=frozenset({f"org:{family.demo.clinic.pk}"}), purposes=frozenset({"TREAT"}),
        categories=frozenset({"IDENTITY", "VITAL", "GROWTH"}),
    )  # fmt: skip
    by = family.demo.people["yuki"]
    hana = Subject.objects.get(pk=HANA)
    grants.give(subject=hana, root=root, by=by, capacity=Capacity.GUARDIAN, now=timezone.now())
    return family


def at_hana(family: Neighbourhood) -> App:
    """The mother at her daughter's record."""
    yuki = family.demo.people["yuki"]
    told = person_token(yuki, client_id=APP, scope=personas.OWN, patient=str(HANA), now=timezone.now())
    return App(told["access_token"])


def others(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in found if line["role"] != "you"]


@pytest.mark.IT("10")
def test_a_read_by_a_clinic_says_who_as_what_for_what_and_under_which_consent(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    assert family.clinic.get(f"Observation/{made['id']}").status == 200
    [line] = lines(family.mother, event="record:read", role="system")
    clinic = family.demo.clinic
    assert line["organization"] == {"id": clinic.pk, "name": clinic.name, "kind": clinic.kind}
    assert (line["purpose"], line["decision"], line["categories"]) == ("TREAT", "permit", ["VITAL"])
    assert (line["types"], line["resources"], line["emergency"]) == (["Observation"], 1, False)
    assert line["consents"] and line["consents"][0]["version"] == 1
    assert "118" not in json.dumps(line)


@pytest.mark.IT("10")
def test_searches_refusals_and_writes_are_there(family: Neighbourhood) -> None:
    family.mother.made(pressure())
    family.mother.made(weight())
    family.clinic.search("Observation", patient=str(YUKI), code="8480-6")
    family.app("aunt").get(f"Patient/{YUKI}")
    found = lines(family.mother)
    assert {"record:searched", "record:created", "log:read"} <= {line["event"] for line in found}
    [search] = [line for line in found if line["event"] == "record:searched" and line["role"] == "system"]
    assert (search["categories"], search["resources"]) == (["VITAL"], 1)


def test_own_lines_of_a_kind_that_follow_one_another_are_one(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    for _ in range(5):
        family.mother.get(f"Observation/{made['id']}")
    [line, *_] = lines(family.mother, event="record:read", role="self")
    assert (line["role"], line["times"]) == ("you", 5)
    assert line["since"] < line["at"]


def test_pages_follow_one_another_and_hold_every_line_once(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    for _ in range(7):
        family.clinic.get(f"Observation/{made['id']}")
    whole = [line["id"] for line in lines(family.mother, event="record:read", role="system", count=200)]
    paged: list[str] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        answer = log(family.mother, event="record:read", role="system", count=2, **more).json
        assert len(answer["lines"]) <= 2
        paged += [line["id"] for line in answer["lines"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert paged == whole
    assert len(whole) == 7


@pytest.mark.parametrize("asked", [
    {"cursor": "x"}, {"cursor": "MjAyNg"}, {"cursor": "0" * 32},
    {"count": 0}, {"count": 1000}, {"event": "nothing"}, {"colour": "red"},
    {"since": "yesterday"}, {"category": "GOSSIP"}, {"organization": "a"},
])  # fmt: skip
def test_what_cannot_be_asked_is_told_so(family: Neighbourhood, asked: dict[str, Any]) -> None:
    assert log(family.mother, **asked).status == 422


def test_filters_narrow(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    family.clinic.get(f"Observation/{made['id']}")
    clinic = family.demo.clinic.pk
    assert {x["organization"]["id"] for x in lines(family.mother, organization=clinic)} == {clinic}
    assert all("VITAL" in x["categories"] for x in lines(family.mother, category="VITAL"))
    assert not lines(family.mother, since=(timezone.now() + timedelta(hours=1)).isoformat())
    assert {x["decision"] for x in lines(family.mother, decision="deny")} <= {"deny"}


# -- what the log must not tell -----------------------------------------------------------------------------------


@pytest.mark.G("05")
def test_another_guardian_is_another_guardian_and_no_more(opened: Neighbourhood) -> None:
    made = opened.clinic.made(pressure(HANA))
    mothers = at_hana(opened)
    secret_request = "request-from-her-phone"
    mothers.ask("GET", f"/fhir/Observation/{made['id']}", headers={"X-Request-Id": secret_request})
    answer = log(opened.father, HANA, event="record:read")
    [line] = [x for x in answer.json["lines"] if x["role"] == "guardian"]
    assert (line["name"], line["organization"], line["app"]) == (None, None, None)
    assert line["categories"] == ["VITAL"]
    yuki = opened.demo.people["yuki"]
    for private in (yuki.name, secret_request, "tsumugi-app", f'"person":{yuki.pk}'):
        assert private not in answer.content.decode()
    assert "token" not in {x["event"].split(":")[0] for x in others(lines(opened.father, HANA))}


@pytest.mark.G("12", "13")
@pytest.mark.parametrize("code", ["minor-confidential", "child-protection"])
def test_what_is_marked_is_not_in_a_guardians_log_nor_counted(opened: Neighbourhood, code: str) -> None:
    open_one = opened.clinic.made(pressure(HANA))
    opened.clinic.get(f"Observation/{open_one['id']}")
    opened.clinic.search("Observation", patient=str(HANA))
    before = _comparable(lines(opened.father, HANA))
    hidden = opened.clinic.made(marked(code))
    opened.clinic.get(f"Observation/{hidden['id']}")
    opened.clinic.search("Observation", patient=str(HANA), _id=hidden["id"])
    assert _comparable(lines(opened.father, HANA)) == before
    opened.clinic.search("Observation", patient=str(HANA))
    [newest, *_] = others(lines(opened.father, HANA))
    assert (newest["event"], newest["resources"]) == ("record:searched", 1)
    assert hidden["id"] not in log(opened.father, HANA).content.decode()


@pytest.mark.G("12")
def test_a_mark_set_later_takes_earlier_lines_out(opened: Neighbourhood) -> None:
    made = opened.clinic.made(pressure(HANA))
    opened.clinic.get(f"Observation/{made['id']}")
    assert [x for x in others(lines(opened.father, HANA)) if x["event"] == "record:read"]
    opened.clinic.put(made | {"meta": {"security": [{"system": systems.OWN_MARK, "code": "minor-confidential"}]}})
    assert not [x for x in others(lines(opened.father, HANA)) if x["event"] == "record:read"]


def _comparable(found: list[dict[str, Any]]) -> list[Any]:
    return [{name: value for name, value in x.items() if name != "id"} for x in others(found)]


def test_what_is_beyond_a_guardian_is_not_told_by_the_log(opened: Neighbourhood) -> None:
    hidden = opened.clinic.made(secret(HANA, code={"coding": [{"system": "http://loinc.org", "code": "75618-9"}]}))
    opened.clinic.get(f"Observation/{hidden['id']}")
    seen = opened.father.get(f"Observation/{hidden['id']}").status == 200
    told = [x for x in others(lines(opened.father, HANA)) if x["event"] == "record:read"]
    assert bool(told) is seen


@pytest.mark.G("08")
def test_where_a_protected_child_is_is_not_told_by_the_log(opened: Neighbourhood) -> None:
    made = opened.clinic.made(weight(HANA))
    opened.clinic.get(f"Observation/{made['id']}")
    assert opened.demo.clinic.name in log(opened.father, HANA).content.decode()
    Subject.objects.filter(pk=HANA).update(location_hidden=True)
    answer = log(opened.father, HANA)
    assert opened.demo.clinic.name not in answer.content.decode()
    assert all(x["organization"] is None and not x["app"] for x in others(answer.json["lines"]))


@pytest.mark.G("05", "07")
def test_a_frozen_guardian_sees_no_log_and_the_other_does_not_see_the_freeze(family: Neighbourhood) -> None:
    father, sato = family.demo.people["ichiro"], family.demo.people["sato"]
    link = Guardianship.objects.get(person=father, subject=HANA)
    nowhere = log(family.father, UUID(int=7))
    severing.freeze(guardianship_id=link.pk, reason=FreezeReason.COURT_ORDER, by=sato, now=timezone.now())
    assert log(family.father, HANA).told() == log(App("no such token"), HANA).told()
    other = family.app("father", patient="ren")
    assert other.get(f"Patient/{REN}").status == 200
    frozen = log(other, HANA)
    assert (frozen.status, frozen.told()) == (404, nowhere.told())
    mothers = lines(at_hana(family), HANA)
    assert not [x for x in mothers if x["event"].startswith("guardianship")]


@pytest.mark.G("16")
def test_who_has_come_of_age_reads_the_whole_log_of_her_childhood(opened: Neighbourhood) -> None:
    hidden = opened.clinic.made(marked("child-protection"))
    opened.clinic.get(f"Observation/{hidden['id']}")
    opened.father.get(f"Patient/{HANA}")
    hana = opened.demo.people["mei"]  # somebody to sign in as: it is her own record from here on
    Subject.objects.filter(pk=HANA).update(birth_on="2000-01-01")
    type(hana).objects.filter(pk=hana.pk).update(own_subject=HANA)

    reading = LogReading.of_person(
        Subject.objects.get(pk=HANA), person=hana.pk, capacity=Capacity.SELF, now=timezone.now()
    )
    found = reading.page(Wanted(), count=200).lines
    assert [x for x in found if x.event == "record:read" and x.organization == opened.demo.clinic.pk]
    assert [x for x in found if x.person == opened.demo.people["ichiro"].pk and x.who == "guardian"]
    assert [x for x in found if x.event == "guardianship:linked"]


# -- was this right? -----------------------------------------------------------------------------------------------


def test_was_this_right_opens_a_case(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    family.clinic.get(f"Observation/{made['id']}")
    [line] = lines(family.mother, event="record:read", role="system")
    path = f"/api/trust/records/{YUKI}/log/{line['id']}/question"
    answer = family.mother.ask("POST", path, encoded({"text": "行っていない日です"}), type="application/json")
    assert answer.status == 201, answer
    case = Complaint.objects.get(pk=answer.json["case"])
    assert (case.kind, case.subject_id, case.person) == ("access", YUKI, family.demo.people["yuki"])
    nobodys = f"/api/trust/records/{YUKI}/log/{_line_of(HANA)}/question"
    assert family.mother.ask("POST", nobodys, encoded({"text": "x"}), type="application/json").status == 404


def _line_of(subject: UUID) -> str:
    return name_of(AuditEntry.objects.filter(subject=subject).latest("id"))


def test_the_log_is_not_read_without_a_line(family: Neighbourhood) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_auditentry ADD CONSTRAINT no_more CHECK (event <> 'log:read') NOT VALID")
    answer = log(family.mother)
    assert (answer.status, b"lines" in answer.content) == (503, False)


@pytest.mark.G("17")
def test_a_line_says_who_acted_as_guardian_of_whom(family: Neighbourhood) -> None:
    assert at_hana(family).get(f"Patient/{HANA}").status == 200
    assert family.mother.get(f"Patient/{YUKI}").status == 200
    yuki = family.demo.people["yuki"].pk
    reads = AuditEntry.objects.filter(event="record:read", person=yuki)
    assert set(reads.values_list("capacity", "subject")) == {("guardian", HANA), ("self", YUKI)}
    assert {x["role"] for x in lines(family.father, HANA, event="record:read")} == {"guardian"}
    assert {x["role"] for x in lines(at_hana(family), HANA, event="record:read")} == {"you"}


@pytest.mark.G("05", "12")
def test_the_name_of_a_line_tells_nothing_of_others(family: Neighbourhood) -> None:
    """No number, no order, no distance; the proof and the cursor tell none either."""
    for _ in range(3):
        family.mother.get(f"Patient/{YUKI}")
        family.clinic.get(f"Patient/{YUKI}")
    answer = log(family.mother, count=2)
    names = [line["id"] for line in lines(family.mother, count=200)]
    assert len(set(names)) == len(names) > 5
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in [*names, answer.json["next"]])
    assert names not in (sorted(names), sorted(names, reverse=True))
    assert len({name[:6] for name in names}) == len(names)
    numbers = {str(pk) for pk in AuditEntry.objects.filter(subject=YUKI).values_list("pk", flat=True)}
    for line in names:
        assert family.mother.ask("GET", f"/api/trust/records/{YUKI}/log/{line}").status == 200
    for number in numbers:
        assert family.mother.ask("GET", f"/api/trust/records/{YUKI}/log/{number}").status == 404
        assert family.mother.get(f"AuditEvent/{number}").status == 404
    other = names[0][:-1] + ("0" if names[0][-1] != "0" else "1")
    assert family.mother.ask("GET", f"/api/trust/records/{YUKI}/log/{other}").status == 404
    assert family.father.ask("GET", f"/api/trust/records/{HANA}/log/{names[0]}").status == 404
