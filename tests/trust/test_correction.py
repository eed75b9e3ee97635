"""Correction (IT-14): asked of who wrote it, answered with a new version or with reasons."""

from __future__ import annotations

import pytest
from django.db import connection

from consent.models import Correction, Notice
from phr.populate.cast import HANA, YUKI
from tests.family import App, Neighbourhood, encoded, pressure, weight


def post(app: App, path: str, content: object) -> object:
    return app.ask("POST", f"/api/trust/{path}", encoded(content), type="application/json")


def ask(app: App, reference: str, subject: object = YUKI, **more: str) -> object:
    body = {"reference": reference, "what": "体重が違います", "why": "家の体重計では 51.0 でした", **more}
    return post(app, f"records/{subject}/corrections/ask", body)


@pytest.mark.IT("14")
def test_the_desk_amends_and_the_person_is_told(family: Neighbourhood) -> None:
    written = family.clinic.made(weight())
    desk, place = family.app("obstetrician"), f"Observation/{written['id']}"
    asked = ask(family.mother, place)
    assert (asked.status, asked.json["state"]) == (201, "open"), asked
    listed = desk.ask("GET", "/api/trust/desk/corrections").json
    assert [(row["reference"], row["what"]) for row in listed] == [(place, "体重が違います")]
    id = asked.json["id"]
    early = post(desk, f"desk/corrections/{id}/answer", {"amended": True})
    assert early.status == 409, "nothing was changed yet"
    changed = {**written, "valueQuantity": {**written["valueQuantity"], "value": 51.0}, "status": "corrected"}
    assert family.clinic.put(changed).status == 200
    answered = post(desk, f"desk/corrections/{id}/answer", {"amended": True})
    assert (answered.status, answered.json["state"], answered.json["amended_version"]) == (200, "amended", 2)
    [seen] = family.mother.ask("GET", f"/api/trust/records/{YUKI}/corrections").json
    assert (seen["state"], seen["amended_version"]) == ("amended", 2)
    assert Notice.objects.filter(person__username="yuki", kind="correction:answered").count() == 1
    assert post(desk, f"desk/corrections/{id}/answer", {"amended": True}).status == 409


@pytest.mark.IT("14")
def test_a_no_needs_reasons_and_they_are_shown(family: Neighbourhood) -> None:
    written = family.clinic.made(weight())
    desk = family.app("obstetrician")
    id = ask(family.mother, f"Observation/{written['id']}").json["id"]
    assert post(desk, f"desk/corrections/{id}/answer", {"amended": False}).status == 422
    told = post(desk, f"desk/corrections/{id}/answer", {"amended": False, "reasons": "当日の測定値です"})
    assert told.json["state"] == "refused"
    [seen] = family.mother.ask("GET", f"/api/trust/records/{YUKI}/corrections").json
    assert seen["reasons"] == "当日の測定値です"


@pytest.mark.IT("14")
def test_own_words_are_corrected_directly(family: Neighbourhood) -> None:
    own = family.mother.made(weight())
    told = ask(family.mother, f"Observation/{own['id']}")
    assert told.status == 409
    assert "change it directly" in told.json["detail"]
    assert family.mother.put({**own, "status": "amended"}).status == 200


@pytest.mark.IT("14")
def test_only_who_wrote_it_answers_and_only_the_family_asks(family: Neighbourhood) -> None:
    written = family.clinic.made(weight())
    place = f"Observation/{written['id']}"
    for app in (family.father, family.aunt, family.officer, family.stranger):
        assert ask(app, place).status == 404
    hidden = ask(family.mother, "Observation/00000000-0000-4000-8000-000000000000")
    other = ask(family.app("mother", patient="hana"), place, HANA)
    assert (hidden.status, hidden.content) == (other.status, other.content) == (404, other.content)
    id = ask(family.mother, place).json["id"]
    answer = {"amended": False, "reasons": "x"}
    for name in ("officer", "paediatrician"):
        told = post(family.app(name), f"desk/corrections/{id}/answer", answer)
        assert told.status == 404, name
    assert Correction.objects.get(pk=id).state == "open"
    assert ask(family.mother, place).status == 409


@pytest.mark.IT("14")
def test_what_was_said_is_sealed(family: Neighbourhood) -> None:
    written = family.clinic.made(pressure())
    ask(family.mother, f"Observation/{written['id']}", what="秘密の言葉 secret words")
    with connection.cursor() as cursor:
        cursor.execute("SELECT asked FROM consent_correction")
        stored = bytes(cursor.fetchone()[0])
    assert b"secret words" not in stored
    assert "秘密".encode() not in stored
