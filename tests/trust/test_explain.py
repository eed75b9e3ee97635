"""`$explain` through the doors: who is told what, and what nobody is told."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from consent import grants
from consent.models import Grant, Guardianship, Organization, Subject
from consent.scope import Clause, Mark
from phr.populate.cast import HANA, YUKI
from tests.family import App, Neighbourhood, pressure, secret, weight


def told(app: App, place: str, **params: str) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in params.items())
    answer = app.get(f"{place}/$explain?{query}")
    assert answer.status == 200, answer
    return flat(answer.json["parameter"])


def flat(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """name -> value, or the list of values where it repeats or has parts."""
    found: dict[str, Any] = {}
    for part in parts:
        if "part" in part:
            found.setdefault(part["name"], []).append(flat(part["part"]))
        else:
            found[part["name"]] = next(v for k, v in part.items() if k.startswith("value"))
    return found


def rules(found: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(reason["rule"], reason["permits"]) for reason in found.get("reason", [])]


def test_the_person_asks_about_herself_and_about_others(family: Neighbourhood) -> None:
    place = f"Observation/{family.mother.made(pressure())['id']}"
    assert rules(told(family.mother, place)) == [("L2.own-record", True)]
    clinic = family.demo.clinic
    found = told(family.mother, place, actor=f"org:{clinic.pk}")
    assert found["result"] is True
    assert rules(found) == [("L3.permitted", True)]
    grant = Grant.objects.get(subject_id=YUKI, state="active")
    assert found["reason"][0]["consent"] == [{"grant": grant.pk, "version": grant.version}]
    # One reason for each way of being turned away
    hidden = f"Observation/{family.mother.made(secret())['id']}"
    assert rules(told(family.mother, hidden, actor=f"org:{clinic.pk}")) == [("L3.no-consent-speaks-of-it", False)]
    assert rules(told(family.mother, place, actor=f"org:{clinic.pk}", purpose="HRESCH")) == [("L5.no-provision", False)]
    assert rules(told(family.mother, place, actor=f"org:{clinic.pk}", purpose="EMPLOYMENT")) == [
        ("L1.purpose-prohibited", False)
    ]
    aunt = family.demo.people["mei"]
    assert rules(told(family.mother, place, actor=f"person:{aunt.pk}")) == [("L3.no-consent", False)]
    Organization.objects.filter(pk=clinic.pk).update(state="suspended")
    assert rules(told(family.mother, place, actor=f"org:{clinic.pk}")) == [("L1.organization-not-active", False)]


def test_a_deny_is_named_with_its_consent(family: Neighbourhood) -> None:
    place = f"Observation/{family.mother.made(pressure())['id']}"
    yuki = family.demo.people["yuki"]
    grant = grants.give(
        subject=Subject.objects.get(pk=YUKI), by=yuki, capacity="self", now=timezone.now(),
        root=Clause(permit=False, actors=frozenset({"class:third-party"})),
    )  # fmt: skip
    found = told(family.mother, place, actor=f"org:{family.demo.clinic.pk}")
    assert found["result"] is False
    assert rules(found) == [("L3.denied", False)]
    assert found["reason"][0]["consent"] == [{"grant": grant.pk, "version": grant.version}]


def test_of_a_record_category_by_category(family: Neighbourhood) -> None:
    found = told(family.mother, f"Patient/{YUKI}", actor=f"org:{family.demo.clinic.pk}")
    passing = {c["name"] for c in found["category"] if c["result"]}
    assert "VITAL" in passing
    assert not passing & {"PSY", "HIV", "UNCLASSIFIED"}
    assert {c["name"] for c in found["category"]} > passing
    nobody = told(family.mother, f"Patient/{YUKI}", actor="class:school")
    assert not any(c["result"] for c in nobody["category"])


def test_an_outsider_asks_about_himself_and_only_what_he_sees(family: Neighbourhood) -> None:
    seen, hidden = family.mother.made(pressure())["id"], family.mother.made(secret())["id"]
    mine = told(family.clinic, f"Observation/{seen}")
    assert rules(mine) == [("L3.permitted", True)]
    assert "consent" not in mine["reason"][0]
    absent = family.clinic.get(f"Observation/{uuid4()}/$explain")
    assert absent.status == 404
    assert family.clinic.get(f"Observation/{hidden}/$explain").told() == absent.told()
    about = f"?actor=person:{family.demo.people['yuki'].pk}"
    others = [family.clinic.get(f"Observation/{id}/$explain{about}") for id in (seen, hidden, uuid4())]
    assert {answer.status for answer in others} == {403}
    assert len({answer.content for answer in others}) == 1
    record = told(family.clinic, f"Patient/{YUKI}")
    assert record["category"]
    assert all(c["result"] for c in record["category"])


@pytest.mark.G("12")
@pytest.mark.G("13")
@pytest.mark.parametrize("mark", [Mark.MINOR_CONFIDENTIAL, Mark.CHILD_PROTECTION])
def test_what_is_hidden_from_a_guardian_is_absent_to_her_here_too(family: Neighbourhood, mark: Mark) -> None:
    marked = family.father.made(weight(HANA))["id"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE phr_resource SET marks = %s WHERE fhir_id = %s", [int(mark), marked])
    plain = family.father.made(weight(HANA))["id"]
    absent = family.father.get(f"Observation/{uuid4()}/$explain")
    assert absent.status == 404
    assert family.father.get(f"Observation/{marked}/$explain").told() == absent.told()
    about = f"?actor=org:{family.demo.clinic.pk}"
    assert family.father.get(f"Observation/{marked}/$explain{about}").told() == absent.told()
    assert rules(told(family.father, f"Observation/{plain}")) == [("L2.guardian", True)]
    names = {
        c["name"] for c in told(family.father, f"Patient/{HANA}", actor=f"org:{family.demo.clinic.pk}")["category"]
    }
    assert not names & {"SDV", "STI", "LOSS"}


@pytest.mark.G("05")
@pytest.mark.G("07")
@pytest.mark.parametrize("state", ["active", "frozen", "ended"])
def test_how_the_other_guardian_stands_is_told_to_nobody(family: Neighbourhood, state: str) -> None:
    mother = family.app("mother", patient="hana")
    place = f"Observation/{family.father.made(weight(HANA))['id']}"
    father = family.demo.people["ichiro"]
    Guardianship.objects.filter(person=father).update(state=state)
    stranger = told(mother, place, actor="person:999999")
    assert told(mother, place, actor=f"person:{father.pk}") == stranger
    assert rules(stranger) == [("L3.no-consent", False)]


@pytest.mark.parametrize(
    "query", ["actor=dog:1", "actor=person:x", "actor=class:none", "action=eat", "purpose=", "other=1", "actor=org:"]
)
def test_odd_questions_are_400(family: Neighbourhood, query: str) -> None:
    place = f"Observation/{family.mother.made(weight())['id']}"
    assert family.mother.get(f"{place}/$explain?{query}").status == 400


def test_an_unknown_purpose_or_organisation_is_an_answer(family: Neighbourhood) -> None:
    place = f"Observation/{family.mother.made(weight())['id']}"
    assert rules(told(family.mother, place, actor="org:999999")) == [("L1.organization-not-active", False)]
    assert rules(told(family.mother, place, actor="class:clinic", purpose="XYZ")) == [("L1.purpose-unknown", False)]
