"""Adoption re-keys identity: the old does not resolve, the history stays with the child (G-19). Death (G-20)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from consent import grants
from consent.models import Adoption, Grant, Guardianship, Notice, Person, Subject
from phr.populate import personas
from phr.populate.cast import HANA, OBSTETRIC, REN, YUKI
from phr.smart.demo import APP, NoToken
from phr.smart.demo import person_token as token_of
from phr.smart.models import Launch
from tests.family import App, Neighbourhood, rows, weight
from tests.guardianship.desk import done, get, link_of, person, post, seen


def adopted(**more: Any) -> dict[str, Any]:
    today = timezone.now().date()
    parent = {"person": person("mei").pk, "evidence": "family-register", "review_on": str(today + timedelta(days=300))}
    return {"record": str(HANA), "name": "新井 花", "starts_on": str(today), "parents": [parent], **more}


def app_of(username: str, record: UUID) -> App:
    told = token_of(
        person(username), client_id=APP, scope=personas.OWN, patient=str(record), now=timezone.now()
    )  # fmt: skip
    return App(told["access_token"])


@pytest.fixture
def written(family: Neighbourhood) -> dict[str, Any]:
    """A weight with two versions that tells the old name, and a relative."""
    mother = family.app("mother", patient="hana")
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">見本 花 20 kg</div>'}
    subject = {"reference": f"Patient/{HANA}", "display": "見本 花"}
    made = mother.made(weight(HANA, text=text, subject=subject))
    changed = mother.put(made | {"status": "amended"})
    assert changed.status == 200
    relative = {
        "resourceType": "RelatedPerson", "patient": {"reference": f"Patient/{HANA}"}, "name": [{"text": "見本 雪"}],
    }  # fmt: skip
    mother.made(relative)
    return dict(changed.json)


@pytest.mark.G("19")
def test_the_old_identity_resolves_for_nobody(family: Neighbourhood, written: dict[str, Any]) -> None:
    mother, father = family.app("mother", patient="hana"), family.father
    other = family.app("mother", patient="ren")
    bookmark = mother.search("Observation", _count="1").next
    answer = done(family.officer, "desk/adoptions", adopted())
    new = UUID(answer["record"])
    assert new != HANA
    for app in (mother, father):
        for path in (f"Patient/{HANA}", f"Patient/{new}", f"Observation/{written['id']}", bookmark or "Observation"):
            assert app.get(path).status == 401, path  # tokens have ended
    for app in (other, family.app("father", patient="ren"), family.clinic, family.of_clinic(OBSTETRIC.code)):
        for path in (f"Patient/{HANA}", f"Patient/{new}", f"Observation/{written['id']}"):
            assert app.get(path).status == 404, path
        assert app.search("Patient", identifier="990000000003").ids == []
        assert app.search("Observation", patient=str(HANA)).ids == []
        assert app.search("Observation", patient=str(new)).ids == []
    for username in ("yuki", "ichiro"):
        with pytest.raises(NoToken):
            app_of(username, HANA)
        with pytest.raises(NoToken):
            app_of(username, new)
    assert {x.state for x in Guardianship.objects.filter(subject_id=HANA)} == {"ended"}
    assert not Launch.objects.filter(subject_id=HANA, revoked_at=None).exists()


@pytest.mark.G("19")
def test_the_history_stays_with_the_child_without_a_trace_of_who_she_was(
    family: Neighbourhood, written: dict[str, Any]
) -> None:
    new = UUID(done(family.officer, "desk/adoptions", adopted())["record"])
    aunt = app_of("mei", new)
    assert aunt.get(f"Patient/{new}").json["name"] == [{"use": "usual", "text": "新井 花"}]
    told = aunt.get(f"Observation/{written['id']}").json
    assert told["subject"] == {"reference": f"Patient/{new}"}
    assert told["valueQuantity"] == written["valueQuantity"]
    history = aunt.get(f"Observation/{written['id']}/_history")
    assert len(history.json["entry"]) == 2
    everything = aunt.get(f"Patient/{new}/$everything")
    found = everything.content + history.content + aunt.get("_history").content
    for old in (str(HANA), "見本 花", "見本 雪", "990000000003", str(YUKI)):
        assert old.encode() not in found, old
    assert f"Observation/{written['id']}" in seen(aunt, new)
    assert aunt.search("Observation", patient=str(new)).ids == [written["id"]]


@pytest.mark.G("19")
def test_which_identity_became_which_is_sealed_for_staff(family: Neighbourhood, written: dict[str, Any]) -> None:
    new = done(family.officer, "desk/adoptions", adopted())["record"]
    assert done_get(family.officer, f"desk/records/{new}/former") == {"record": str(HANA)}
    for app in (app_of("mei", UUID(new)), family.app("mother"), family.app("obstetrician")):
        assert get(app, f"desk/records/{new}/former").status == 403
    log = get(app_of("mei", UUID(new)), f"records/{new}/log")
    assert log.status == 200
    assert str(HANA).encode() not in log.content


def done_get(app: App, path: str) -> Any:
    answer = get(app, path)
    assert answer.status == 200, answer
    return answer.json


@pytest.mark.G("19")
def test_twice_is_once_and_only_a_municipality(family: Neighbourhood, written: dict[str, Any]) -> None:
    assert post(family.app("obstetrician"), "desk/adoptions", adopted()).status == 403
    assert post(family.app("mother"), "desk/adoptions", adopted()).status == 403
    former = {"person": person("yuki").pk, "evidence": "family-register", "review_on": "2027-01-01"}
    before = rows()
    assert post(family.officer, "desk/adoptions", adopted(parents=[former])).status == 422
    wrong = adopted()["parents"][0] | {"evidence": "birth-notice"}
    assert post(family.officer, "desk/adoptions", adopted(parents=[wrong])).status == 422
    assert rows() == before
    first = post(family.officer, "desk/adoptions", adopted())
    again = post(family.officer, "desk/adoptions", adopted())
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert Adoption.objects.count() == 1
    assert post(family.officer, "desk/adoptions", adopted(record=str(UUID(int=5)))).status == 404


# -- death ---------------------------------------------------------------------------------------------


@pytest.mark.G("20")
def test_after_a_death_nothing_opens_to_the_family_by_itself(family: Neighbourhood) -> None:
    mother, father = family.app("mother", patient="hana"), family.father
    other = family.app("mother", patient="ren")
    mother.made(weight(HANA))
    notices = Notice.objects.count()
    done(family.officer, "desk/deaths", {"record": str(HANA), "on": str(timezone.now().date())})
    assert (mother.get(f"Patient/{HANA}").status, father.get(f"Patient/{HANA}").status) == (401, 401)
    assert other.get(f"Patient/{REN}").status == 200
    with pytest.raises(NoToken):
        app_of("yuki", HANA)
    assert {x.state for x in Guardianship.objects.filter(subject_id=HANA)} == {"frozen"}
    assert Notice.objects.count() == notices, "no reminder follows"
    path = f"desk/guardianships/{link_of('yuki', HANA).pk}/release"
    assert done(family.officer, path) == {"released": False}
    with pytest.raises(NoToken):
        app_of("yuki", HANA)
    assert done(family.app("obstetrician"), path) == {"released": True}
    assert app_of("yuki", HANA).get(f"Patient/{HANA}").status == 200
    assert father.get(f"Patient/{HANA}").status == 401


@pytest.mark.G("20")
def test_a_grown_up_who_died_opens_to_nobody_she_had_let_in(family: Neighbourhood) -> None:
    root = {
        "permit": True, "purposes": ["FAMRQT"], "actors": [f"person:{person('mei').pk}"],
        "categories": ["GROWTH", "IDENTITY"], "valid_to": (timezone.now() + timedelta(days=100)).isoformat(),
    }  # fmt: skip
    grants.give(
        subject=Subject.objects.get(pk=YUKI), root=grants.clause_from_json(root), by=person("yuki"), capacity="self",
        now=timezone.now(),
    )  # fmt: skip
    aunt = family.app("aunt", patient="yuki", scope=personas.OWN)
    assert aunt.get(f"Patient/{YUKI}").status == 200
    weighed = family.clinic.made(weight())["id"]
    ren = family.app("mother", patient="ren")
    done(family.officer, "desk/deaths", {"record": str(YUKI), "on": str(timezone.now().date())})
    assert aunt.get(f"Patient/{YUKI}").status == 401
    assert family.mother.get(f"Patient/{YUKI}").status == 401
    assert ren.get(f"Patient/{REN}").status == 401, "her account is closed"
    assert not Person.objects.get(username="yuki").is_active
    assert not Grant.objects.filter(subject_id=YUKI, state="active").exists()
    assert family.clinic.get(f"Observation/{weighed}").status == 200, "what a clinic wrote it keeps"
    assert get(family.father, f"records/{YUKI}/proxies").status == 404


@pytest.mark.G("20")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"record": str(HANA), "on": "2199-01-01"}, 422),
        ({"record": str(HANA), "on": "1900-01-01"}, 422),
        ({"record": str(UUID(int=9)), "on": "2026-01-01"}, 404),
    ],
)
def test_a_death_that_cannot_be(family: Neighbourhood, body: dict[str, str], status: int) -> None:
    assert post(family.officer, "desk/deaths", body).status == status
    assert post(family.father, "desk/deaths", body).status == 403
    assert Subject.objects.get(pk=HANA).died_on is None
