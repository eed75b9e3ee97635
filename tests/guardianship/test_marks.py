"""What a young person keeps to herself, and what nobody of the family sees (G-10, G-12, G-13, G-11)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from consent import grants, rules
from consent.decide import Caller, Capacity, InForce, Link, Permit, decide
from consent.models import Person, Subject
from consent.scope import Category, Door, Facts, Mark, level_of
from phr.populate.cast import HANA, OBSTETRIC, PHARMACY
from tests.family import App, Neighbourhood, encoded, weight
from tests.guardianship.desk import done, get, person, post, seen
from tests.guardianship.test_adulthood import born, own_app, turned

MEDICINE = {"coding": [{"system": "http://capstandard.jp/iyaku.info/CodeSystem/YJ-code", "code": "2149039F1031"}]}


def encounter(**more: Any) -> dict[str, Any]:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    return {
        "resourceType": "Encounter", "status": "finished", "class": kind, "subject": {"reference": f"Patient/{HANA}"},
        "period": {"start": "2026-11-01T10:00:00+09:00"}, **more,
    }  # fmt: skip


def at(visit: str, **more: Any) -> dict[str, Any]:
    return weight(HANA, encounter={"reference": f"Encounter/{visit}"}, **more)


def prescribed(visit: str) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order",
        "medicationCodeableConcept": MEDICINE, "subject": {"reference": f"Patient/{HANA}"},
        "encounter": {"reference": f"Encounter/{visit}"},
    }  # fmt: skip


def dispensed(request: str) -> dict[str, Any]:
    return {
        "resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": MEDICINE,
        "subject": {"reference": f"Patient/{HANA}"},
        "authorizingPrescription": [{"reference": f"MedicationRequest/{request}"}],
    }  # fmt: skip


def appointment() -> dict[str, Any]:
    actor = {"reference": f"Patient/{HANA}"}
    return {
        "resourceType": "Appointment", "status": "booked", "start": "2026-11-01T10:00:00+09:00",
        "end": "2026-11-01T10:20:00+09:00", "participant": [{"actor": actor, "status": "accepted"}],
    }  # fmt: skip


@pytest.fixture
def pharmacy(family: Neighbourhood) -> App:
    return family.of_clinic(PHARMACY.code)


@pytest.fixture
def opened(family: Neighbourhood) -> None:
    """The clinic and the pharmacy know who Hana is."""
    for code in (OBSTETRIC.code, PHARMACY.code):
        root = {
            "permit": True, "purposes": ["TREAT"], "actors": [f"org:{family.demo.organizations[code].pk}"],
            "categories": ["IDENTITY", "CARE", "MEDICATION"],
        }  # fmt: skip
        grants.give(
            subject=Subject.objects.get(pk=HANA), root=grants.clause_from_json(root), by=person("yuki"),
            capacity="guardian", now=timezone.now(),
        )  # fmt: skip
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    born(HANA, turned(15))


@pytest.fixture
def visit(family: Neighbourhood, opened: None, pharmacy: App) -> dict[str, str]:
    """An encounter and what follows from it, by two organisations; and another encounter."""
    booked = family.clinic.made(appointment())["id"]
    own = family.clinic.made(encounter(appointment=[{"reference": f"Appointment/{booked}"}]))["id"]
    request = family.clinic.made(prescribed(own))["id"]
    return {
        "Encounter": own,
        "Appointment": booked,
        "Observation": family.clinic.made(at(own))["id"],
        "MedicationRequest": request,
        "MedicationDispense": pharmacy.made(dispensed(request))["id"],
        "other": family.clinic.made(encounter())["id"],
    }


def wish(family: Neighbourhood, visit: dict[str, str], **more: str) -> list[str]:
    body = {"encounter": visit["Encounter"], "assessment": "competent", "wish": "hide"} | more
    return list(done(family.app("obstetrician"), f"desk/records/{HANA}/wishes", body)["items"])


@pytest.mark.G("12")
def test_an_encounter_and_all_that_follows_is_hidden_from_guardians(
    family: Neighbourhood, visit: dict[str, str], pharmacy: App
) -> None:
    mother, father = family.app("mother", patient="hana"), family.father
    hidden = {f"{kind}/{id}" for kind, id in visit.items() if kind != "other"}
    assert hidden <= seen(mother, HANA)
    totals = {kind: mother.search(kind, _summary="count").json["total"] for kind in visit if kind != "other"}
    assert set(wish(family, visit)) == hidden
    for app in (mother, father):
        assert not hidden & seen(app, HANA)
        assert f"Encounter/{visit['other']}" in seen(app, HANA)
        for reference in hidden:
            for path in (reference, f"{reference}/_history", f"{reference}/_history/1"):
                assert app.get(path).status == 404, path
        for kind, before in totals.items():
            assert app.search(kind, _summary="count").json["total"] == before - 1
    hana = own_app("hana", HANA)
    assert hidden <= seen(hana, HANA)
    assert pharmacy.get(f"MedicationDispense/{visit['MedicationDispense']}").status == 200
    assert family.clinic.get(f"Encounter/{visit['Encounter']}").status == 200


@pytest.mark.G("12")
def test_what_arrives_later_is_hidden_too(family: Neighbourhood, visit: dict[str, str], pharmacy: App) -> None:
    wish(family, visit)
    mother = family.app("mother", patient="hana")
    before = seen(mother, HANA)
    request = family.clinic.made(prescribed(visit["Encounter"]))["id"]
    late = [
        f"MedicationRequest/{request}",
        f"MedicationDispense/{pharmacy.made(dispensed(request))['id']}",
        f"Observation/{family.clinic.made(at(visit['Encounter']))['id']}",
    ]
    plain = family.clinic.made(at(visit["other"]))
    assert family.clinic.put(plain | {"encounter": {"reference": f"Encounter/{visit['Encounter']}"}}).status == 200
    assert seen(mother, HANA) == before
    assert {*late, f"Observation/{plain['id']}"} <= seen(own_app("hana", HANA), HANA)


@pytest.mark.G("12")
def test_a_system_that_writes_it_anew_does_not_show_it_again(family: Neighbourhood, visit: dict[str, str]) -> None:
    place = f"Encounter/{visit['Encounter']}"
    wish(family, visit)
    mother = family.app("mother", patient="hana")
    plain = encounter(id=visit["Encounter"], status="cancelled")
    assert family.clinic.put(plain).status == 200
    assert mother.get(place).status == 404
    label = {"system": "https://tsumugi.example/fhir/CodeSystem/mark", "code": "minor-confidential"}
    taken = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [label]}}]}
    assert family.clinic.ask("POST", f"{place}/$meta-delete", encoded(taken)).status == 200
    assert mother.get(place).status == 404
    assert family.clinic.delete(place).status == 204
    assert family.clinic.put(plain).status in (200, 201)
    assert mother.get(place).status == 404
    assert own_app("hana", HANA).get(place).status == 200


@pytest.mark.G("12")
def test_the_log_of_guardians_tells_nothing_of_it(family: Neighbourhood, visit: dict[str, str]) -> None:
    wish(family, visit)
    mother = family.app("mother", patient="hana")
    told = get(mother, f"records/{HANA}/log")
    assert told.status == 200, told
    for id in (*[id for kind, id in visit.items() if kind != "other"], "mark:set", "minor-confidential", "competent"):
        assert id.encode() not in told.content, id


@pytest.mark.G("12")
@pytest.mark.parametrize("said", [{"assessment": "not-competent"}, {"wish": "share"}])
def test_without_capacity_or_wish_nothing_is_hidden_but_the_note(
    family: Neighbourhood, visit: dict[str, str], said: dict[str, str]
) -> None:
    mother = family.app("mother", patient="hana")
    before = seen(mother, HANA)
    assert wish(family, visit, **said) == []
    assert seen(mother, HANA) == before
    notes = seen(own_app("hana", HANA), HANA) - before
    assert len([one for one in notes if one.startswith("Observation/")]) >= 1


@pytest.mark.G("12")
def test_only_the_clinic_of_the_encounter_records_a_wish(family: Neighbourhood, visit: dict[str, str]) -> None:
    body = {"encounter": visit["Encounter"], "assessment": "competent", "wish": "hide"}
    path = f"desk/records/{HANA}/wishes"
    assert post(family.app("paediatrician"), path, body).status == 404
    assert post(family.officer, path, body).status == 403
    assert post(family.father, path, body).status == 403
    assert post(family.app("obstetrician"), path, body | {"encounter": "none"}).status == 404
    assert post(family.app("obstetrician"), f"desk/records/{UUID(int=1)}/wishes", body).status == 404


@pytest.mark.G("10")
@pytest.mark.parametrize(("age", "status"), [(11, 409), (12, 200), (14, 200)])
def test_from_twelve_a_child_can_ask_staff_to_mark_items(
    family: Neighbourhood, visit: dict[str, str], age: int, status: int
) -> None:
    born(HANA, turned(age))
    item = f"Observation/{visit['Observation']}"
    body = {"items": [item], "mark": "minor-confidential"}
    assert post(family.app("obstetrician"), f"desk/records/{HANA}/marks", body).status == status
    assert family.app("mother", patient="hana").get(item).status == (200 if status == 409 else 404)


@pytest.mark.G("13")
def test_child_protection_is_seen_by_nobody_of_the_family_until_a_clinician_releases_it(
    family: Neighbourhood, visit: dict[str, str]
) -> None:
    item = f"Observation/{visit['Observation']}"
    mother, hana = family.app("mother", patient="hana"), own_app("hana", HANA)
    counted = [app.search("Observation", _summary="count").json["total"] for app in (mother, hana)]
    path = f"desk/records/{HANA}/marks"
    done(family.app("obstetrician"), path, {"items": [item], "mark": "child-protection"})
    for app, before in zip((mother, hana), counted, strict=True):
        assert app.get(item).status == 404
        assert item not in seen(app, HANA)
        assert app.search("Observation", _summary="count").json["total"] == before - 1
        log = get(app, f"records/{HANA}/log")
        assert log.status == 200
        assert visit["Observation"].encode() not in log.content
        assert b"child-protection" not in log.content
    assert family.clinic.get(item).status == 200
    assert post(family.officer, f"{path}/release", {"items": [item]}).status == 403
    done(family.app("obstetrician"), f"{path}/release", {"items": [item]})
    assert (hana.get(item).status, mother.get(item).status) == (200, 404)


@pytest.mark.G("13")
def test_a_release_to_everybody(family: Neighbourhood, visit: dict[str, str]) -> None:
    item, path = f"Observation/{visit['Observation']}", f"desk/records/{HANA}/marks"
    done(family.app("obstetrician"), path, {"items": [item], "mark": "child-protection"})
    done(family.app("obstetrician"), f"{path}/release", {"items": [item], "to_everybody": True})
    assert own_app("hana", HANA).get(item).status == family.app("mother", patient="hana").get(item).status == 200


@pytest.mark.G("11")
def test_at_every_age_somebody_can_read_every_item() -> None:
    """Child, guardian, or the clinic that wrote it: nothing that is not withheld falls between them."""
    now = timezone.now()
    today = rules.today_in_japan(now)
    doors = (Door("*", "rs"),)
    child = UUID(str(HANA))
    for age in range(30):
        on = date(today.year - age, today.month, min(today.day, 28))
        link = Link(id=1, state="active", starts_on=on, ends_on=None, review_on=today + timedelta(days=9))
        known = {"subject_state": "active", "birth_on": on, "person_active": True}
        callers = [
            (Caller(client="a", capacity=Capacity.SELF, purpose="PATRQT", doors=doors, person=1, subject=child),
             InForce(own=True, **known)),
            (Caller(client="a", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=doors, person=2, subject=child),
             InForce(guardianship=link, **known)),
            (Caller(client="a", capacity=Capacity.STAFF, purpose="TREAT", doors=doors, person=3, organization=7),
             InForce(person_organization=7, organization_state="active", organization_kind="clinic", **known)),
        ]  # fmt: skip
        scopes = [d.scope for caller, state in callers if isinstance(d := decide(caller, state, now), Permit)]
        for category in Category:
            for mark in (0, int(Mark.MINOR_CONFIDENTIAL), int(Mark.CHILD_PROTECTION), int(Mark.LOCATION)):
                for author in (7, None):
                    facts = Facts(
                        type="Observation", id="x", subjects=(child,), categories=int(category),
                        level=level_of(int(category), declared=0), author=author, marks=mark,
                    )  # fmt: skip
                    reached = any(scope.covers(facts, letter="r") for scope in scopes)
                    young = mark & Mark.MINOR_CONFIDENTIAL or category & rules.PROTECTED_LABELS
                    withheld = author is None and (
                        (young and age < rules.OWN_LOGIN_AGE) or (mark & Mark.CHILD_PROTECTION and age < 18)
                    )
                    assert reached or withheld, (age, category.name, mark, author)
