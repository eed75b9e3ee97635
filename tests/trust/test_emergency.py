"""Emergency access through the doors: what a clinician opens, what stays closed, and who hears of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from consent import grants
from consent.glass import review_due
from consent.guardianship import FreezeReason
from consent.models import EmergencyAccess, Guardianship, Notice, Organization, Person, Subject
from consent.scope import Clause
from phr.populate.cast import HANA, YUKI
from phr.smart import emergency, severing
from phr.smart.models import AccessToken, Application, Launch
from tests.family import LOINC, App, Neighbourhood, audit_lines, encoded, secret, weight

TEXT = "意識がなく、薬の確認が必要です"


def hospital(code: str = "1319999991", kind: str = "hospital") -> Organization:
    return Organization.objects.get_or_create(code=code, defaults={"name": "見本救命センター", "kind": kind})[0]


def staff(organization: Organization, username: str = "er", *, acr: str = "aal3", age: int = 0) -> tuple[Person, App]:
    """A person of an organisation, with a staff token."""
    now = timezone.now()
    person, _ = Person.objects.get_or_create(username=username, defaults={"name": username, "password": "!"})
    person.organization = organization
    person.save()
    application = Application.objects.get(client_id="tsumugi-app")
    scope = "user/*.rs trust.read trust.write"
    launch = Launch.objects.create(
        application=application, person=person, organization=organization, capacity="staff", purpose="TREAT",
        scope=scope, acr=acr, authenticated_at=now - timedelta(seconds=age), created_at=now,
        ends_at=now + timedelta(minutes=30),
    )  # fmt: skip
    value = f"staff-{launch.pk}"
    AccessToken.objects.create(token=value, application=application, scope=scope, expires=launch.ends_at, launch=launch)
    return person, App(value)


def opening(**changes: Any) -> dict[str, Any]:
    told = {"patient": str(YUKI), "reason": "unconscious", "text": TEXT, "minutes": 30} | changes
    return {key: value for key, value in told.items() if value is not None}


def ask(app: App, path: str, told: dict[str, Any] | None = None, method: str = "POST") -> Any:
    content = None if told is None and method == "GET" else encoded(told or {})
    return app.ask(method, f"/api/trust/{path}", content, type="application/json")


def opened(app: App, **changes: Any) -> tuple[App, dict[str, Any]]:
    answer = ask(app, "desk/emergencies", opening(**changes))
    assert answer.status == 201, answer
    return App(answer.json["access_token"]), answer.json


def blood_type(of: UUID = YUKI) -> dict[str, Any]:
    coding = {"system": LOINC, "code": "883-9"}
    return weight(of, code={"coding": [coding]}, valueQuantity=None, valueString="A")


def allergy(of: UUID = YUKI) -> dict[str, Any]:
    active = {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
    return {
        "resourceType": "AllergyIntolerance", "clinicalStatus": {"coding": [active]}, "code": {"text": "卵"},
        "patient": {"reference": f"Patient/{of}"},
    }  # fmt: skip


def test_the_emergency_set_first_and_the_whole_record_by_a_second_step(family: Neighbourhood) -> None:
    mother = family.mother
    egg, blood = mother.made(allergy()), mother.made(blood_type())
    other, hidden = mother.made(weight()), mother.made(secret())
    _, app = staff(hospital())
    assert app.get(f"AllergyIntolerance/{egg['id']}").status == 404
    first, told = opened(app)
    assert first.get(f"AllergyIntolerance/{egg['id']}").status == 200
    assert first.get(f"Patient/{YUKI}").status == 200
    assert first.search("Observation").ids == [blood["id"]]
    assert first.get(f"Observation/{other['id']}").status == 404
    assert first.create(weight()).status == 403
    answer = ask(app, f"desk/emergencies/{told['id']}/whole", {"reason": "poisoning", "text": TEXT})
    whole = App(answer.json["access_token"])
    assert whole.get(f"Observation/{other['id']}").status == 200
    assert whole.get(f"Observation/{hidden['id']}").status == 200
    assert first.get(f"Observation/{other['id']}").status == 404  # its doors stay the first step's
    assert whole.get(f"Patient/{HANA}").status == 404  # exactly one record
    lines = [line for line in audit_lines("record:read") if line[4]["id"] == hidden["id"]]
    assert [(line[0], line[3]) for line in lines] == [(YUKI, "staff")]


def test_a_deny_of_everybody_does_not_hold_it_back_and_a_lock_does(family: Neighbourhood) -> None:
    egg = family.mother.made(allergy())
    root = Clause(permit=False, actors=frozenset({"class:third-party"}))
    yuki = family.demo.people["yuki"]
    grants.give(subject=Subject.objects.get(pk=YUKI), root=root, by=yuki, capacity="self", now=timezone.now())
    _, app = staff(hospital())
    first, _ = opened(app)
    assert first.get(f"AllergyIntolerance/{egg['id']}").status == 200
    Subject.objects.filter(pk=YUKI).update(state="locked")
    assert first.get(f"AllergyIntolerance/{egg['id']}").status in (403, 404)
    assert ask(app, "desk/emergencies", opening()).status == 404


def test_it_ends_with_its_time_by_the_end_and_with_the_clinician(family: Neighbourhood) -> None:
    egg = family.mother.made(allergy())
    person, app = staff(hospital())
    place = f"AllergyIntolerance/{egg['id']}"
    first, told = opened(app)
    EmergencyAccess.objects.filter(pk=told["id"]).update(
        opened_at=timezone.now() - timedelta(hours=1), ends_at=timezone.now()
    )
    assert first.get(place).status in (401, 403, 404)
    assert ask(app, f"desk/emergencies/{told['id']}/whole", {"reason": "other", "text": TEXT}).status == 404
    second, told = opened(app)
    assert second.get(place).status == 200
    assert ask(app, f"desk/emergencies/{told['id']}/end").status == 204
    assert second.get(place).status == 401
    third, _ = opened(app)
    Organization.objects.filter(pk=person.organization_id).update(state="suspended")
    assert third.get(place).status in (403, 404)
    Organization.objects.filter(pk=person.organization_id).update(state="active")
    Person.objects.filter(pk=person.pk).update(is_active=False)
    assert third.get(place).status == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"text": "short"}, 422), ({"reason": "curiosity"}, 422), ({"minutes": 29}, 422), ({"minutes": 61}, 422),
        ({"purpose": "TREAT"}, 422), ({"patient": None}, 422), ({"patient": str(uuid4())}, 404),
        ({"identifier": {"system": "urn:x", "value": "1"}}, 422),
    ],
)  # fmt: skip
def test_what_is_refused(family: Neighbourhood, changes: dict[str, Any], status: int) -> None:
    _, app = staff(hospital())
    assert ask(app, "desk/emergencies", opening(**changes)).status == status
    assert not EmergencyAccess.objects.exists()


def test_only_clinicians_who_proved_lately_who_they_are(family: Neighbourhood) -> None:
    assert ask(family.mother, "desk/emergencies", opening()).status == 403
    assert ask(family.officer, "desk/emergencies", opening()).status == 403
    _, school = staff(hospital("B119999991", "school"), "nurse")
    assert ask(school, "desk/emergencies", opening()).status == 403
    _, late = staff(hospital(), "late", age=600)
    answer = ask(late, "desk/emergencies", opening())
    assert answer.status == 401
    assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    assert not EmergencyAccess.objects.exists()


@pytest.mark.G("06", "07")
@pytest.mark.parametrize("state", ["active", "frozen", "ended"])
@pytest.mark.parametrize("record", [HANA, YUKI])
def test_never_ones_own_family_and_a_freeze_is_not_told(family: Neighbourhood, state: str, record: UUID) -> None:
    """The father is a doctor: neither the child's record nor the mother's, whatever becomes of his link."""
    ichiro = family.demo.people["ichiro"]
    _, app = staff(hospital(), "ichiro")
    Guardianship.objects.filter(person=ichiro).update(state=state)
    nobody = ask(app, "desk/emergencies", opening(patient=str(uuid4())))
    answer = ask(app, "desk/emergencies", opening(patient=str(record)))
    assert answer.status == 404
    assert answer.content == nobody.content
    lines = audit_lines("glass:refused")
    assert [line[4]["because"] for line in lines] == ["absent", "absent"]
    assert {line[0] for line in lines} == {None}


def test_a_link_that_comes_later_ends_it(family: Neighbourhood) -> None:
    egg = family.mother.made(allergy())
    person, app = staff(hospital())
    first, _ = opened(app)
    assert first.get(f"AllergyIntolerance/{egg['id']}").status == 200
    Person.objects.filter(own_subject=YUKI).update(own_subject=None)
    Person.objects.filter(pk=person.pk).update(own_subject=YUKI)
    assert first.get(f"AllergyIntolerance/{egg['id']}").status in (403, 404)


@pytest.mark.G("07")
def test_the_family_is_told_at_once_but_not_the_frozen_father(family: Neighbourhood) -> None:
    ichiro, sato = family.demo.people["ichiro"], family.demo.people["sato"]
    link = Guardianship.objects.get(person=ichiro, subject_id=HANA)
    severing.freeze(guardianship_id=link.pk, by=sato, reason=FreezeReason.SUPPORT_MEASURE, now=timezone.now())
    _, app = staff(hospital())
    opened(app, patient=str(HANA))
    told = Notice.objects.filter(kind="glass:broken").values_list("person__username", flat=True)
    assert sorted(told) == ["yuki"]
    assert TEXT not in str(Notice.objects.get(kind="glass:broken").detail)
    assert TEXT.encode() not in bytes(EmergencyAccess.objects.get().text)


def test_the_proxy_is_told_too(family: Neighbourhood) -> None:
    now = timezone.now()
    aunt, yuki = family.demo.people["mei"], family.demo.people["yuki"]
    root = Clause(
        permit=True, actors=frozenset({f"person:{aunt.pk}"}), purposes=frozenset({"FAMRQT"}),
        categories=frozenset({"ALLERGY"}), valid_to=now + timedelta(days=30),
    )  # fmt: skip
    grants.give(subject=Subject.objects.get(pk=YUKI), root=root, by=yuki, capacity="self", now=now)
    _, app = staff(hospital())
    opened(app)
    told = Notice.objects.filter(kind="glass:broken").values_list("person__username", flat=True)
    assert sorted(told) == ["mei", "yuki"]
    inbox = ask(family.aunt, "notices", method="GET")
    assert [row["kind"] for row in inbox.json] == ["glass:broken"]


def test_a_patient_is_found_by_one_number_or_name_and_never_listed(family: Neighbourhood) -> None:
    patient = family.mother.get(f"Patient/{YUKI}").json
    number = next(i for i in patient["identifier"] if i.get("system"))
    _, app = staff(hospital())
    _, told = opened(app, patient=None, identifier={"system": number["system"], "value": number["value"]})
    assert told["patient"] == str(YUKI)
    name = patient["name"][0]
    by_name = {"family": name["family"], "given": name["given"][0], "birth_date": patient["birthDate"]}
    _, told = opened(app, patient=None, name=by_name)
    assert told["patient"] == str(YUKI)
    unlike = by_name | {"family": name["family"][:1]}
    assert ask(app, "desk/emergencies", opening(patient=None, name=unlike)).status == 404


def test_an_officer_reviews_within_three_working_days_and_the_person_sees_the_outcome(family: Neighbourhood) -> None:
    person, app = staff(hospital())
    _, told = opened(app)
    waiting = ask(family.officer, "desk/emergencies/to-review", method="GET").json
    assert [(row["id"], row["overdue"], row["text"]) for row in waiting] == [(told["id"], False, TEXT)]
    EmergencyAccess.objects.update(review_due_at=timezone.now())
    assert ask(family.officer, "desk/emergencies/to-review", method="GET").json[0]["overdue"]
    review = f"desk/emergencies/{told['id']}/review"
    assert ask(app, review, {"outcome": "justified"}).status == 403
    assert ask(family.officer, review, {"outcome": "fine"}).status == 422
    assert ask(family.officer, review, {"outcome": "unjustified"}).status == 200
    assert ask(family.officer, review, {"outcome": "justified"}).status == 409
    shown = ask(family.mother, f"records/{YUKI}/emergencies", method="GET").json
    assert [(row["outcome"], row["organization"]) for row in shown] == [("unjustified", person.organization.name)]  # type: ignore[union-attr]
    assert "text" not in shown[0]
    assert "clinician" not in shown[0]
    assert ask(family.father, f"records/{YUKI}/emergencies", method="GET").status == 404
    kinds = Notice.objects.filter(person__username="yuki").order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["glass:broken", "glass:reviewed"]


def test_unusually_many_raise_the_alarm(family: Neighbourhood) -> None:
    Organization.objects.get_or_create(code="0000000000", defaults={"name": "運営", "kind": "operator"})
    _, app = staff(hospital())
    with patch("consent.glass.MOST_OF_PERSON", 1), patch("consent.glass.MOST_REFUSED", 1):
        opened(app)
        assert not audit_lines("glass:alarmed")
        opened(app, patient=str(HANA))
        assert [line[4]["kind"] for line in audit_lines("glass:alarmed")] == ["person"]
        for _ in range(2):
            ask(app, "desk/emergencies", opening(patient=str(uuid4())))
        assert [line[4]["kind"] for line in audit_lines("glass:alarmed")] == ["person", "refused"]
    assert Notice.objects.filter(kind="glass:alarm").exists()


def test_signing_out_ends_it(family: Neighbourhood) -> None:
    person, app = staff(hospital())
    first, _ = opened(app)
    assert first.get(f"Patient/{YUKI}").status == 200
    assert emergency.end_all(by=person, now=timezone.now()) == 1
    assert first.get(f"Patient/{YUKI}").status == 401


def due(day: str) -> str:
    return review_due(datetime.fromisoformat(f"{day}T12:00:00+09:00")).isoformat()


@pytest.mark.parametrize(
    ("day", "end"),
    [("2026-04-06", "2026-04-10"), ("2026-04-08", "2026-04-14"), ("2026-04-10", "2026-04-16"),
     ("2026-04-11", "2026-04-16")],
)  # fmt: skip
def test_three_working_days(day: str, end: str) -> None:
    assert due(day) == f"{end}T00:00:00+09:00"
