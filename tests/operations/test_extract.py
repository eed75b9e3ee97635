"""QuestionnaireResponse `$extract`: what a family tells in a form becomes Observations of its own, once (SDC 3.0.0)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phr.fhir import extraction, questionnaires
from phr.populate.cast import HANA, YUKI
from phr.records import validate
from phr.records.systems import LOINC, OWN, OWN_ITEM, OWN_VISION
from tests.family import Answer, App, Neighbourhood, encoded, entry, rows

SPEC = pytest.mark.spec
SDC = "SDC 3.0.0"
URL = f"{OWN}/Questionnaire/school-checkup"
FORM = questionnaires.find(URL)
assert FORM is not None
Json = dict[str, Any]


def answered(link: str, **value: Any) -> Json:
    return {"linkId": link, "answer": [value]}


def body(*items: Json) -> Json:
    return {"linkId": "body", "item": list(items)}


DATE = answered("date", valueDate="2026-05-20")
HEIGHT = answered("s.height", valueDecimal=Decimal("121.50"))
WEIGHT = answered("s.weight", valueDecimal=Decimal("23.4"))
RIGHT = {"system": OWN_VISION, "code": "B", "display": "B (0.7〜0.9)"}
SENSES = {"linkId": "senses", "item": [answered("s.va.r", valueCoding=RIGHT)]}


def response(*items: Json, of: UUID = HANA, **more: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse", "questionnaire": f"{URL}|2026.1", "status": "completed",
        "subject": {"reference": f"Patient/{of}"}, "authored": "2026-05-28T20:00:00+09:00",
        "author": {"reference": f"Patient/{of}"}, "item": list(items),
    } | more  # fmt: skip


FULL = response(DATE, body(HEIGHT, WEIGHT), SENSES)


def code_of(observation: Json) -> str:
    return next(c["code"] for c in observation["code"]["coding"] if c["system"] == OWN_ITEM)


def by_code(found: list[Json]) -> dict[str, Json]:
    return {code_of(one): one for one in found}


# -- pure ----------------------------------------------------------------------------------------------


def test_the_form_is_sound_and_every_question_has_a_code_and_an_english_text() -> None:
    assert validate.check(FORM) == []

    def walk(items: list[Json]) -> list[Json]:
        return [one for item in items for one in [item, *walk(item.get("item", []))]]

    every = walk(FORM["item"])
    links = [item["linkId"] for item in every]
    assert len(links) == len(set(links))
    for item in every:
        assert item["_text"]["extension"][0]["extension"][1]["valueString"], item["linkId"]
        assert item["type"] == "group" or item["linkId"] in ("date", "grade") or item["code"], item["linkId"]


@SPEC(SDC, "extraction.html", "each answer to a coded item that is marked becomes an Observation")
def test_answers_become_observations() -> None:
    found = by_code(extraction.observations(FORM, FULL | {"id": "r1"}))
    assert set(found) == {"s.height", "s.weight", "s.va.r"}
    height = found["s.height"]
    assert height["valueQuantity"] == {
        "value": Decimal("121.50"), "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"
    }  # fmt: skip
    assert {"system": LOINC, "code": "8302-2"} in height["code"]["coding"]
    assert height["effectiveDateTime"] == "2026-05-20"
    assert height["derivedFrom"] == [{"reference": "QuestionnaireResponse/r1"}]
    assert height["subject"] == {"reference": f"Patient/{HANA}"}
    assert found["s.va.r"]["valueCodeableConcept"] == {"coding": [RIGHT], "text": "B (0.7〜0.9)"}
    assert all(validate.check(one) == [] for one in found.values())


def test_without_a_date_of_its_own_the_time_of_writing_counts() -> None:
    [height] = extraction.observations(FORM, response(body(HEIGHT)))
    assert height["effectiveDateTime"] == "2026-05-28T20:00:00+09:00"
    assert "id" not in height and "derivedFrom" not in height


@pytest.mark.parametrize("status", ["in-progress", "stopped", "entered-in-error"])
def test_what_is_not_completed_says_nothing(status: str) -> None:
    assert extraction.observations(FORM, FULL | {"status": status}) == []


@pytest.mark.parametrize(
    ("items", "place"),
    [
        ([answered("nothing", valueString="x")], "QuestionnaireResponse.item[0].linkId"),
        ([body(answered("s.height", valueString="tall"))], "QuestionnaireResponse.item[0].item[0].answer[0]"),
        (
            [{"linkId": "senses", "item": [answered("s.va.r", valueCoding=RIGHT | {"code": "E"})]}],
            "QuestionnaireResponse.item[0].item[0].answer[0]",
        ),
    ],
    ids=["no such item", "another type", "no option"],
)
def test_what_is_no_answer_is_named(items: list[Json], place: str) -> None:
    with pytest.raises(extraction.Unfit) as told:
        extraction.observations(FORM, response(*items))
    assert told.value.place == place


LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
ANSWER = st.fixed_dictionaries({}, optional={
    "valueDecimal": st.decimals(allow_nan=False, allow_infinity=False), "valueString": st.text(max_size=5),
    "valueCoding": st.just(RIGHT), "valueDate": st.just("2026-01"), "valueInteger": st.integers(),
    "valueAttachment": st.just({"title": "x"}),
})  # fmt: skip
LINKS = st.sampled_from(["date", "grade", "body", "s.height", "s.va.r", "s.eye", "d.teeth", "words"])
ITEMS = st.recursive(
    st.builds(lambda link, answers: {"linkId": link, "answer": answers}, LINKS, st.lists(ANSWER, max_size=2)),
    lambda inner: st.builds(lambda link, items: {"linkId": link, "item": items}, LINKS, st.lists(inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.lists(ITEMS, max_size=4))
def test_whatever_is_answered_is_told_or_refused_by_its_place(items: list[Json]) -> None:
    given_now = response(*items, id="r")
    found, place = [], "QuestionnaireResponse.item["
    try:
        found = extraction.observations(FORM, given_now)
    except extraction.Unfit as error:
        place = error.place
    assert place.startswith("QuestionnaireResponse.item[")
    assert len({one["id"] for one in found}) == len(found)
    assert not found or extraction.observations(FORM, given_now) == found
    assert all(code_of(one) in dict.fromkeys([code_of(one)]) and one["status"] == "final" for one in found)


# -- at the door ---------------------------------------------------------------------------------------


def hana(family: Neighbourhood) -> App:
    return family.app("mother", patient="hana")


def extracted(app: App, id: str) -> Answer:
    return app.ask("POST", f"QuestionnaireResponse/{id}/$extract", b"")


def told(answer: Answer) -> dict[str, Json]:
    assert answer.status == 200, answer
    assert answer.json["type"] == "transaction-response"
    return by_code([e["resource"] for e in answer.json.get("entry", [])])


def statuses(answer: Answer) -> list[str]:
    return [e["response"]["status"] for e in answer.json.get("entry", [])]


def test_what_a_family_tells_is_there_once(family: Neighbourhood) -> None:
    app = hana(family)
    made = app.made(FULL)
    first = extracted(app, made["id"])
    assert set(told(first)) == {"s.height", "s.weight", "s.va.r"}
    assert statuses(first) == ["201"] * 3
    before = rows()
    again = extracted(app, made["id"])
    assert statuses(again) == ["200"] * 3
    assert told(again) == told(first)
    assert {k: v for k, v in rows().items() if k != "consent_auditentry"} == before
    found = app.search("Observation", ("derived-from", f"QuestionnaireResponse/{made['id']}"))
    assert len(found.ids) == 3


def test_a_corrected_response_corrects_what_it_said(family: Neighbourhood) -> None:
    app = hana(family)
    made = app.made(FULL)
    first = told(extracted(app, made["id"]))
    corrected = answered("s.height", valueDecimal=Decimal("122.5"))
    assert app.put(made | {"status": "amended", "item": [DATE, body(corrected)]}).status == 200
    now = told(extracted(app, made["id"]))
    assert now["s.height"]["id"] == first["s.height"]["id"]
    assert now["s.height"]["meta"]["versionId"] == "2"
    assert (now["s.height"]["valueQuantity"]["value"], now["s.height"]["status"]) == (Decimal("122.5"), "amended")
    assert {c: o["status"] for c, o in now.items() if c != "s.height"} == {
        "s.weight": "entered-in-error", "s.va.r": "entered-in-error"
    }  # fmt: skip
    assert app.put(made | {"status": "entered-in-error"}).status == 200
    assert {o["status"] for o in told(extracted(app, made["id"])).values()} == {"entered-in-error"}


def test_what_is_written_by_hand_about_a_response_is_left_alone(family: Neighbourhood) -> None:
    app = hana(family)
    made = app.made(FULL)
    extracted(app, made["id"])
    by_hand = app.made({
        "resourceType": "Observation", "status": "final", "code": {"text": "気づき"}, "valueString": "背が伸びた",
        "subject": {"reference": f"Patient/{HANA}"}, "effectiveDateTime": "2026-05-28",
        "derivedFrom": [{"reference": f"QuestionnaireResponse/{made['id']}"}],
    })  # fmt: skip
    assert app.put(made | {"status": "amended", "item": [DATE, body(HEIGHT)]}).status == 200
    found = [e["resource"] for e in extracted(app, made["id"]).json["entry"]]
    assert sorted(o["status"] for o in found) == ["amended", "entered-in-error", "entered-in-error"]
    assert app.put(made | {"status": "entered-in-error"}).status == 200
    extracted(app, made["id"])
    kept = app.get(f"Observation/{by_hand['id']}").json
    assert (kept["status"], kept["meta"]["versionId"]) == ("final", "1")


def test_what_is_extracted_again_counts_against_the_quota(family: Neighbourhood, settings: Any) -> None:
    settings.PHR_APP_WRITES_PER_DAY = 6
    app = hana(family)
    made = app.made(response(DATE, body(HEIGHT)))
    assert extracted(app, made["id"]).status == 200
    taller = answered("s.height", valueDecimal=Decimal("122.5"))
    assert app.put(made | {"status": "amended", "item": [DATE, body(taller, WEIGHT)]}).status == 200
    assert extracted(app, made["id"]).status == 200  # one changed, one new
    assert app.put(made | {"status": "amended", "item": [DATE, body(HEIGHT)]}).status == 200
    answer = extracted(app, made["id"])
    assert (answer.status, answer.issue["code"]) == (429, "throttled")


def test_what_the_family_deleted_stays_deleted(family: Neighbourhood) -> None:
    app = hana(family)
    made = app.made(FULL)
    height = told(extracted(app, made["id"]))["s.height"]
    assert app.delete(f"Observation/{height['id']}").status == 204
    assert set(told(extracted(app, made["id"]))) == {"s.weight", "s.va.r"}


def test_what_is_sent_is_told_and_nothing_is_stored(family: Neighbourhood) -> None:
    app = hana(family)
    before = rows()
    parameters = {
        "resourceType": "Parameters", "parameter": [{"name": "questionnaire-response", "resource": FULL}]
    }  # fmt: skip
    answer = app.ask("POST", "QuestionnaireResponse/$extract", encoded(parameters))
    assert answer.status == 200, answer
    assert answer.json["type"] == "transaction"
    assert rows() == before
    stored = app.ask("POST", "", answer.content)
    assert stored.status == 200, stored
    assert [e["response"]["status"] for e in stored.json["entry"]] == ["201"] * 3


def test_only_the_side_that_answered_extracts(family: Neighbourhood) -> None:
    made = family.mother.made(response(DATE, body(WEIGHT), of=YUKI))
    assert extracted(family.clinic, made["id"]).status in (403, 404)
    assert extracted(family.stranger, made["id"]).status == 404
    assert extracted(family.aunt, made["id"]).status in (403, 404)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"questionnaire": "urn:none"}, "QuestionnaireResponse.questionnaire"),
        ({"questionnaire": f"{URL}|1"}, "QuestionnaireResponse.questionnaire"),
        ({"status": "in-progress"}, "QuestionnaireResponse.status"),
        ({"item": [answered("nothing", valueString="x")]}, "QuestionnaireResponse.item[0].linkId"),
    ],
    ids=["unknown form", "unknown version", "not completed", "unfit"],
)
def test_what_cannot_be_extracted_is_refused_by_its_place(family: Neighbourhood, changes: Json, place: str) -> None:
    app = hana(family)
    made = app.made(FULL | changes)
    before = rows()
    answer = extracted(app, made["id"])
    assert (answer.status, answer.issue["expression"]) == (422, [place])
    assert rows() == before


def test_a_questionnaire_that_is_kept_is_found(family: Neighbourhood) -> None:
    url = "https://clinic.example/Questionnaire/q"
    form = {
        "resourceType": "Questionnaire", "url": url, "status": "active",
        "item": [{"linkId": "a", "type": "boolean", "code": [{"system": "urn:own", "code": "a"}],
                  "extension": [{"url": extraction.EXTRACT, "valueBoolean": True}]}],
    }  # fmt: skip
    family.clinic.made(form)
    app = hana(family)
    made = app.made(response(answered("a", valueBoolean=False), questionnaire=url))
    answer = extracted(app, made["id"])
    assert answer.status == 200, answer
    assert answer.json["entry"][0]["resource"]["valueBoolean"] is False


def test_in_a_batch(family: Neighbourhood) -> None:
    app = hana(family)
    made = app.made(FULL)
    answer = app.bundle("batch", entry("POST", f"QuestionnaireResponse/{made['id']}/$extract"))
    assert answer.status == 200, answer
