"""`$immunization-recommendation` and `$immunization-status` over HTTP: the table quoted, within what may be seen."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from consent import silence
from consent.models import Subject
from phr.care.immunizations import State
from phr.care.tables import DATA
from phr.fhir.vaccination import FLAGS, STATES
from phr.populate.cast import YUKI
from phr.records import validate
from phr.records.care_checks import vaccination_rules_can_be_read
from phr.records.profiles import bundled
from phr.records.systems import CVX, DISEASE_RECEIPT, OWN, OWN_DISEASE, OWN_VACCINE
from tests.family import KAI, LOINC, Answer, App, Neighbourhood, encoded, weight

RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


def dose(code: str, on: str, *, system: str = OWN_VACCINE, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization", "status": "completed", "patient": {"reference": f"Patient/{YUKI}"},
        "vaccineCode": {"coding": [{"system": system, "code": code}]}, "occurrenceDateTime": on, **more,
    }  # fmt: skip


def birth_of(family: Neighbourhood) -> date:
    return date.fromisoformat(family.mother.get(f"Patient/{YUKI}").json["birthDate"])


def asked(app: App, operation: str = "recommendation", **more: str) -> Answer:
    query = "&".join(f"{name}={value}" for name, value in more.items())
    return app.get(f"Patient/{YUKI}/$immunization-{operation}?{query}")


def lines(answer: Answer) -> dict[str, dict[str, Any]]:
    """Disease -> its recommendation; of a second period under the disease and the number of the line."""
    assert answer.status == 200, answer
    out: dict[str, dict[str, Any]] = {}
    for one in answer.json["recommendation"]:
        disease = next(c["code"] for c in one["targetDisease"]["coding"] if c["system"] == OWN_DISEASE)
        out.setdefault(disease, one)
    return out


def dates(line: dict[str, Any]) -> dict[str, str]:
    return {c["code"]["coding"][0]["code"]: c["value"] for c in line.get("dateCriterion", ())}


def state(line: dict[str, Any]) -> str:
    return str(line["forecastStatus"]["coding"][0]["code"])


@pytest.fixture
def bare(family: Neighbourhood) -> Neighbourhood:
    """The family, with a daughter of whose vaccinations nothing is on record."""
    for entry in family.mother.search("Immunization", patient=str(YUKI), _count="200").json.get("entry", ()):
        family.mother.ask("DELETE", f"Immunization/{entry['resource']['id']}")
    assert not family.mother.search("Immunization", patient=str(YUKI)).json.get("entry")
    return family


def test_a_dose_on_record_moves_the_series_on(bare: Neighbourhood) -> None:
    birth = birth_of(bare)
    first = birth + timedelta(days=70)
    day = (first + timedelta(days=5)).isoformat()
    before = lines(asked(bare.mother, date=day))["SPN"]
    made = bare.mother.made(dose("PCV", first.isoformat()))
    after = lines(asked(bare.mother, date=day))["SPN"]
    assert (before["doseNumberPositiveInt"], after["doseNumberPositiveInt"]) == (1, 2)
    assert dates(after)["30981-5"] == (first + timedelta(days=28)).isoformat()
    assert after["supportingImmunization"] == [{"reference": f"Immunization/{made['id']}"}]
    assert lines(asked(bare.mother, date=(first - timedelta(days=1)).isoformat()))["SPN"]["doseNumberPositiveInt"] == 1


def test_law_and_advice_stand_apart_and_the_answer_says_whom_to_ask(bare: Neighbourhood) -> None:
    birth = birth_of(bare)
    answer = asked(bare.mother, date=(birth + timedelta(days=30)).isoformat())
    line = lines(answer)["TB"]
    assert state(line) == "possible"
    assert dates(line)["30981-5"] == birth.isoformat()
    assert dates(line)["30981-5"] < dates(line)["30980-7"] < dates(line)["59778-1"] < dates(line)["59777-3"]
    assert "かかりつけ医・市町村に確認" in answer.json["text"]["div"]
    assert "jp-routine-child 2026.04" in answer.json["text"]["div"]


def test_it_is_sound_and_holds_to_the_draft_profile(bare: Neighbourhood) -> None:
    birth = birth_of(bare)
    bare.mother.made(dose("BCG", (birth + timedelta(days=100)).isoformat()))
    for days in (0, 50, 120, 400, 1500, 5000):
        answer = asked(bare.mother, date=(birth + timedelta(days=days)).isoformat())
        if answer.json["resourceType"] == "OperationOutcome":
            assert days == 5000
            continue
        assert answer.json["meta"]["profile"] == [f"{OWN}/StructureDefinition/immunization-recommendation"]
        problems = [p for p in validate.check(answer.json) if p.severity in ("fatal", "error")]
        assert problems == []
    for entry in asked(bare.mother, "status").json["entry"]:
        assert [p for p in validate.check(entry["resource"]) if p.severity in ("fatal", "error")] == []


def test_its_codes_are_told_by_code_systems_of_its_own() -> None:
    own = {
        r["url"]: {c["code"] for c in r["concept"]} for r in bundled.own().values() if r["resourceType"] == "CodeSystem"
    }
    assert own[f"{OWN}/CodeSystem/vaccination-state"] == {str(s) for s in State} == {str(s) for s in STATES}
    assert own[f"{OWN}/CodeSystem/vaccination-remark"] == set(FLAGS)


def test_a_hidden_dose_is_as_if_never_given(bare: Neighbourhood) -> None:
    """To the byte, but for the moment: what is hidden shows in no number, date or sentence."""
    birth = birth_of(bare)
    day = (birth + timedelta(days=200)).isoformat()

    def told(app: App) -> list[Any]:
        both = asked(app, date=day), asked(app, "status", date=day)
        return [(a.status, {k: v for k, v in a.json.items() if k != "date"}) for a in both]

    before = told(bare.clinic)
    hidden = bare.mother.made(dose("PCV", (birth + timedelta(days=70)).isoformat(), meta=RESTRICTED))
    strange = bare.mother.made(dose("nobody-knows", (birth + timedelta(days=90)).isoformat(), meta=RESTRICTED))
    assert bare.clinic.get(f"Immunization/{hidden['id']}").status == 404
    assert told(bare.clinic) == before
    mothers = asked(bare.mother, date=day)
    assert lines(mothers)["SPN"]["doseNumberPositiveInt"] == 2
    assert strange["id"] and "数えられない接種記録: 1 件" in mothers.json["text"]["div"]


def test_a_stranger_and_nobody_look_alike(family: Neighbourhood) -> None:
    for operation in ("recommendation", "status"):
        other = family.mother.get(f"Patient/{KAI}/$immunization-{operation}")
        nobody = family.mother.get(f"Patient/00000000-0000-4000-8000-000000000000/$immunization-{operation}")
        assert (other.status, nobody.status) == (404, 404)


@pytest.mark.parametrize(
    ("resource", "number"),
    [
        (lambda on: dose("04", on, system=CVX), "complete"),
        (lambda on: dose("MR1", on), "complete"),
        (
            lambda on: dose("x", on, system="urn:local", protocolApplied=[{
                "doseNumberPositiveInt": 1,
                "targetDisease": [
                    {"coding": [{"system": DISEASE_RECEIPT, "code": code}]} for code in ("0559004", "0569001")
                ],
            }]),
            "complete",
        ),
        (lambda on: dose("x", on, system="urn:local"), "due"),
        (lambda on: dose("MR1", on, isSubpotent=True, subpotentReason=[{"text": "温度"}]), "due"),
        (lambda on: dose("MR1", on) | {"status": "not-done"}, "due"),
    ],
    ids=["cvx", "own", "diseases", "unknown", "subpotent", "not done"],
)  # fmt: skip
def test_how_a_dose_is_read(bare: Neighbourhood, resource: Any, number: str) -> None:
    birth = birth_of(bare)
    on = (birth + timedelta(days=380)).isoformat()
    bare.mother.made(resource(on))
    assert state(lines(asked(bare.mother, date=(birth + timedelta(days=450)).isoformat()))["MEASLES"]) == number


def test_the_status_flags_and_never_drops(bare: Neighbourhood) -> None:
    birth = birth_of(bare)
    one, two = (birth + timedelta(days=n) for n in (70, 85))
    made = [bare.mother.made(dose("PCV", d.isoformat()))["id"] for d in (one, two)]
    answer = asked(bare.mother, "status", date=(birth + timedelta(days=100)).isoformat())
    told = {e["resource"]["immunizationEvent"]["reference"]: e["resource"] for e in answer.json["entry"]}
    assert set(told) == {f"Immunization/{id}" for id in made}
    sound, early = (told[f"Immunization/{id}"] for id in made)
    assert sound["doseStatus"]["coding"][0]["code"] == "valid"
    assert "doseStatusReason" not in sound
    assert early["doseStatus"]["coding"][0]["code"] == "notvalid"
    assert early["doseStatusReason"][0]["coding"][0]["code"] == "early-gap"
    assert early["doseNumberPositiveInt"] == 2


def test_nothing_is_planned_for_who_has_died(bare: Neighbourhood) -> None:
    patient = bare.mother.get(f"Patient/{YUKI}").json
    answer = bare.mother.ask("PUT", f"Patient/{YUKI}", encoded(patient | {"deceasedBoolean": True}))
    assert answer.status == 200, answer
    for operation in ("recommendation", "status"):
        told = asked(bare.mother, operation)
        assert (told.status, told.json["resourceType"]) == (200, "OperationOutcome")


@pytest.mark.parametrize("query", ["2026", "2026-04", "1700-01-01", "9999-12-31", "2026-02-30", "x"])
def test_days_that_are_none(family: Neighbourhood, query: str) -> None:
    assert asked(family.mother, date=query).status == 400
    assert asked(family.mother, **{"long-illness-ended": query}).status == 400


def test_before_birth_is_refused(family: Neighbourhood) -> None:
    day = birth_of(family) - timedelta(days=1)
    assert asked(family.mother, date=day.isoformat()).status == 400


def test_a_long_illness_opens_the_window_again(bare: Neighbourhood) -> None:
    birth = birth_of(bare)
    day = birth + timedelta(days=800)
    ended = (day - timedelta(days=30)).isoformat()
    closed, opened = (
        lines(asked(bare.mother, date=day.isoformat(), **more)) for more in ({}, {"long-illness-ended": ended})
    )
    assert "TB" not in closed
    assert state(opened["TB"]) in ("due", "overdue")


def expecting(family: Neighbourhood, due: date) -> None:
    coding = {"coding": [{"system": LOINC, "code": "11778-8"}]}
    said = (due - timedelta(days=220)).isoformat()
    family.mother.made(
        weight(YUKI, on=said, code=coding, category=None, valueQuantity=None, valueDateTime=due.isoformat())
    )


def test_in_a_pregnancy_the_vaccine_for_the_child_is_told_until_it_is_lost(bare: Neighbourhood) -> None:
    due = date(2026, 12, 1)
    expecting(bare, due)
    day = (due - timedelta(days=80)).isoformat()
    line = lines(asked(bare.mother, date=day))["RSV"]
    assert (state(line), dates(line)["59777-3"]) == ("due", "2026-11-09")
    silence.keep(Subject.objects.get(pk=YUKI), "an episode", now=bare.now)
    answer = asked(bare.mother, date=day)
    assert answer.json["resourceType"] == "OperationOutcome" or "RSV" not in lines(answer)


def test_what_an_operator_gives_is_checked_before_it_is_used(tmp_path: Path, settings: Any) -> None:
    settings.PHR_IMMUNIZATION_RULES = str(tmp_path)
    assert [error.id for error in vaccination_rules_can_be_read(None)] == ["phr.E131"]
    (tmp_path / "immunization_rules.json").write_bytes((DATA / "immunization_rules.json").read_bytes())
    assert vaccination_rules_can_be_read(None) == []
    (tmp_path / "immunization_rules-2.json").write_bytes(b'{"ruleset": 1}')
    settings.PHR_IMMUNIZATION_RULES = str(tmp_path / ".." / tmp_path.name)
    [error] = vaccination_rules_can_be_read(None)
    assert "immunization_rules-2.json" in error.msg
    assert "$.ruleset" in error.msg


def test_rules_that_are_over_are_told(tmp_path: Path, settings: Any) -> None:
    shipped = (DATA / "immunization_rules.json").read_text()
    ended = shipped.replace('"valid_until": null', '"valid_until": "2026-04-02"', 1)
    (tmp_path / "immunization_rules.json").write_text(ended)
    settings.PHR_IMMUNIZATION_RULES = str(tmp_path)
    [error] = vaccination_rules_can_be_read(None)
    assert (error.id, "valid today" in error.msg) == ("phr.E131", True)
    settings.PHR_IMMUNIZATION_RULES = ""
    assert vaccination_rules_can_be_read(None) == []
