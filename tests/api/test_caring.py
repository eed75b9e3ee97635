"""What is due and how a child grows, over HTTP: the tables quoted, within what may be seen."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from consent import silence
from consent.models import Subject
from phr.care import growth
from phr.populate.cast import HANA, YUKI
from phr.records.systems import ICD10, OWN_ITEM, OWN_VACCINE, OWN_VISIT
from tests.family import LOINC, Answer, App, Neighbourhood, audit_lines, encoded, weight

BIRTH = date(2018, 12, 10)


def get(app: App, what: str, of: Any = HANA) -> Any:
    answer: Answer = app.ask("GET", f"/api/trust/records/{of}/{what}")
    assert answer.status == 200, answer
    return answer.json


def body(code: str, value: str, on: date, *, unit: str = "kg", **more: Any) -> dict[str, Any]:
    quantity = {"value": float(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    coding = {"coding": [{"system": LOINC, "code": code}]}
    return weight(HANA, value=value, on=on.isoformat(), code=coding, valueQuantity=quantity, **more)


def visit(kind: str, on: date, of: Any = HANA) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [{"coding": [{"system": OWN_VISIT, "code": kind}]}], "subject": {"reference": f"Patient/{of}"},
        "period": {"start": on.isoformat(), "end": on.isoformat()},
    }  # fmt: skip


def expected(on: date, code: str = "11778-8") -> dict[str, Any]:
    """Yuki's expected date, said on the day she learnt it."""
    said, coding = (on - timedelta(days=220)).isoformat(), {"coding": [{"system": LOINC, "code": code}]}
    return weight(YUKI, on=said, code=coding, category=None, valueQuantity=None, valueDateTime=on.isoformat())


def test_every_measurement_with_its_place_and_edition(family: Neighbourhood) -> None:
    on = BIRTH + timedelta(days=457)  # 15.01 months: the midpoint of one year to one and a half
    made = [family.father.made(r)["id"] for r in (body("29463-7", "9.12", on), body("8302-2", "75.3", on, unit="cm"))]
    told = get(family.father, "growth")
    points = {p["reference"]: p for p in told["points"]}
    for id in made:
        point = points[f"Observation/{id}"]
        assert abs(point["percentile"] - 50) <= 0.5
        assert (point["edition"], point["lying"]) == (growth.EDITION, True)
        assert abs(point["sds"]) < 0.1
    assert next(d for d in told["degrees"] if d["on"] == on.isoformat())["edition"] == "R5-2023"


def test_grams_and_extremes_and_what_is_wrong(family: Neighbourhood) -> None:
    on = BIRTH + timedelta(days=100)
    light, wrong, odd = (
        family.father.made(r)["id"]
        for r in (
            body("29463-7", "3000", on, unit="g"),
            body("29463-7", "6.0", on) | {"status": "entered-in-error"},
            body("29463-7", "70", on, unit="cm"),
        )
    )
    points = {p["reference"]: p for p in get(family.father, "growth")["points"]}
    found = points[f"Observation/{light}"]
    assert (found["value"], found["text"], found["percentile"]) == (3.0, "<3", None)
    assert not {f"Observation/{wrong}", f"Observation/{odd}"} & set(points)


def test_a_preterm_child_has_a_corrected_age_beside_the_other(family: Neighbourhood) -> None:
    coding = {"coding": [{"system": LOINC, "code": "11884-4"}]}
    days = {"value": 210, "unit": "日", "system": "http://unitsofmeasure.org", "code": "d"}
    family.father.made(weight(HANA, on=BIRTH.isoformat(), code=coding, valueQuantity=days))
    on = BIRTH + timedelta(days=100)
    id = family.father.made(body("29463-7", "6.0", on))["id"]
    told = get(family.father, "growth")
    point = next(p for p in told["points"] if p["reference"] == f"Observation/{id}")
    assert told["gestation"] == 210
    assert float(point["months"]) == pytest.approx(100 / 30.4375, abs=0.01)
    assert float(point["corrected_months"]) == pytest.approx(30 / 30.4375, abs=0.01)


def test_what_is_due_of_a_child(family: Neighbourhood) -> None:
    day = BIRTH + timedelta(days=45 * 30)
    family.father.made(visit("y1_6", BIRTH + timedelta(days=600)))
    for entry in family.father.search("Immunization", patient=str(HANA), _count="200").json.get("entry", ()):
        family.father.ask("DELETE", f"Immunization/{entry['resource']['id']}")
    told = get(family.father, f"due?date={day}")
    checkups = {c["id"]: c for c in told["checkups"]}
    assert (checkups["y1_6"]["state"], checkups["y3"]["state"], checkups["y5"]["state"]) == ("done", "due", "not-yet")
    assert checkups["y3"]["by_law"]
    lines = {line["vaccine"]: line for line in told["vaccinations"]}
    assert (lines["JE1"]["state"], lines["JE1"]["number"]) in (("due", 1), ("overdue", 1), ("not-yet", 3), ("due", 3))
    assert "かかりつけ医・市町村に確認" in told["ask"]
    assert told["pregnancy"] is None
    assert told["rules"] == "jp-routine-child 2026.04"


def test_a_dose_entered_in_error_counts_for_nothing(family: Neighbourhood) -> None:
    before = get(family.father, "due?date=2026-04-01")
    family.father.made({
        "resourceType": "Immunization", "status": "entered-in-error", "patient": {"reference": f"Patient/{HANA}"},
        "vaccineCode": {"coding": [{"system": OWN_VACCINE, "code": "MUMPS"}]}, "occurrenceDateTime": "2020-02-01",
    })  # fmt: skip
    assert get(family.father, "due?date=2026-04-01") == before


def test_a_pregnancy_has_its_age_next_visit_and_vaccine(family: Neighbourhood) -> None:
    due = date(2026, 12, 1)
    family.mother.made(expected(due))
    family.mother.made(visit("prenatal", due - timedelta(days=84), YUKI))
    day = due - timedelta(days=80)
    told = get(family.mother, f"due?date={day}", of=YUKI)
    assert told["pregnancy"] == {
        "expected": due.isoformat(), "method": "unknown", "days": 200, "age": "28週4日", "trimester": "後期",
    }  # fmt: skip
    [coming] = [c for c in told["checkups"] if c["id"].startswith("prenatal")]
    assert coming["first"] == (due - timedelta(days=70)).isoformat()
    [rsv] = [line for line in told["vaccinations"] if line["vaccine"] == "RSVM"]
    assert (rsv["state"], rsv["last"]) == ("due", "2026-11-09")


def test_after_a_loss_nothing_of_the_pregnancy_is_told(family: Neighbourhood) -> None:
    due = date(2026, 12, 1)
    family.mother.made(expected(due))
    path = f"due?date={due - timedelta(days=80)}"
    assert get(family.mother, path, of=YUKI)["pregnancy"]
    silence.keep(Subject.objects.get(pk=YUKI), "an episode", now=family.now)
    told = get(family.mother, path, of=YUKI)
    assert told["pregnancy"] is None
    assert not [c for c in told["checkups"] if c["id"].startswith("prenatal")]
    assert not [line for line in told["vaccinations"] if line["vaccine"] == "RSVM"]


def test_a_loss_that_came_with_a_file_ends_it_too(family: Neighbourhood) -> None:
    due = date(2026, 12, 1)
    family.mother.made(expected(due))
    path = f"due?date={due - timedelta(days=80)}"
    assert get(family.mother, path, of=YUKI)["pregnancy"]
    lost, words = (due - timedelta(days=90)).isoformat(), {"text": "流産"}
    coding = {"coding": [{"system": OWN_ITEM, "code": "loss"}]}
    family.mother.made(
        weight(YUKI, on=lost, code=coding, category=None, valueQuantity=None, valueCodeableConcept=words)
    )
    assert get(family.mother, path, of=YUKI)["pregnancy"] is None


PRENATAL = {
    "resourceType": "EpisodeOfCare", "status": "active",
    "type": [{"coding": [{"system": OWN_VISIT, "code": "prenatal"}]}], "patient": {"reference": f"Patient/{YUKI}"},
}  # fmt: skip


def test_a_lost_pregnancy_is_silent_whatever_else_is_said_of_it(family: Neighbourhood) -> None:
    due = date(2026, 12, 1)
    family.mother.made(expected(due))
    path = f"due?date={due - timedelta(days=80)}"
    lost = family.mother.made(PRENATAL)
    assert get(family.mother, path, of=YUKI)["pregnancy"]
    silence.keep(Subject.objects.get(pk=YUKI), lost["id"], now=family.now)
    assert get(family.mother, path, of=YUKI)["pregnancy"] is None
    family.mother.made(PRENATAL)
    family.mother.made(PRENATAL | {"period": {"start": "2020-01-01"}})
    assert get(family.mother, path, of=YUKI)["pregnancy"] is None


def test_a_diagnosis_and_a_finished_episode_end_it(family: Neighbourhood) -> None:
    due = date(2026, 12, 1)
    family.mother.made(expected(due))
    path = f"due?date={due - timedelta(days=80)}"
    episode = family.mother.made(PRENATAL | {"status": "finished", "period": {"start": "2026-04-01"}})
    assert get(family.mother, path, of=YUKI)["pregnancy"] is None
    assert family.mother.delete(f"EpisodeOfCare/{episode['id']}").status == 204
    assert get(family.mother, path, of=YUKI)["pregnancy"]
    family.mother.made({
        "resourceType": "Condition", "code": {"coding": [{"system": ICD10, "code": "O03.9"}]},
        "subject": {"reference": f"Patient/{YUKI}"}, "recordedDate": "2026-06-20",
    })  # fmt: skip
    assert get(family.mother, path, of=YUKI)["pregnancy"] is None


def test_nothing_is_due_of_a_child_who_has_died(family: Neighbourhood) -> None:
    patient = family.father.get(f"Patient/{HANA}").json
    answer = family.father.ask("PUT", f"Patient/{HANA}", encoded(patient | {"deceasedDateTime": "2026-03-01"}))
    assert answer.status == 200, answer
    told = get(family.father, "due")
    assert (told["vaccinations"], told["checkups"], told["pregnancy"]) == ([], [], None)


def test_reading_is_logged(family: Neighbourhood) -> None:
    for what in ("due", "growth"):
        get(family.father, what)
        assert any(detail.get("method") == what for *_, detail in audit_lines("record:searched"))


@pytest.mark.parametrize(
    "query", ["date=2026", "date=x", "date=1700-01-01", "date=9999-12-31", "other=1", "date=2018-12-09"]
)
def test_days_that_are_none(family: Neighbourhood, query: str) -> None:
    known = query.startswith("date")
    answer = family.father.ask("GET", f"/api/trust/records/{HANA}/due?{query}")
    assert answer.status == (422 if known else 200)


def test_one_day_is_asked_for(family: Neighbourhood) -> None:
    path = f"/api/trust/records/{HANA}/due?date=2026-01-01&date=2026-02-01"
    assert family.father.ask("GET", path).status == 400
