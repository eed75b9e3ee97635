"""Patient `$summary` over HTTP: an International Patient Summary that can be read and believed (IPS 1.1)."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from phr.populate.cast import HANA, YUKI
from phr.records import validate
from tests.family import (
    KAI,
    LOINC,
    Answer,
    App,
    Neighbourhood,
    audit_lines,
    encoded,
    organization,
    pressure,
    secret,
    weight,
)

SPEC = pytest.mark.spec
IPS = "IPS 1.1"
SUMMARY = f"Patient/{YUKI}/$summary"
HL7 = "http://terminology.hl7.org/CodeSystem/"
REQUIRED = {"11450-4", "48765-2", "10160-0"}


def coded(system: str, code: str, text: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def observed(code: str, text: str, category: str, of: UUID = YUKI, **value: Any) -> dict[str, Any]:
    kind = [coded(f"{HL7}observation-category", category)]
    return weight(of, code=coded(LOINC, code, text), category=kind, valueQuantity=None) | value


def verified(code: str) -> dict[str, Any]:
    return coded(f"{HL7}allergyintolerance-verification", code)


def allergy(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance", "patient": {"reference": f"Patient/{YUKI}"},
        "clinicalStatus": coded(f"{HL7}allergyintolerance-clinical", "active"),
        "verificationStatus": verified("confirmed"),
        "code": {"text": "鶏卵"}, "criticality": "high",
        "reaction": [{"manifestation": [{"text": "じん麻疹"}], "severity": "severe"}],
    } | more  # fmt: skip


def problem(clinical: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "subject": {"reference": f"Patient/{YUKI}"},
        "clinicalStatus": coded(f"{HL7}condition-clinical", clinical),
        "code": coded("http://hl7.org/fhir/sid/icd-10", "O24.4", "妊娠糖尿病"), "onsetDateTime": "2026-01-10",
    } | more  # fmt: skip


def dispensed(on: str, days: int, name: str = "見本錠5mg") -> dict[str, Any]:
    return {
        "resourceType": "MedicationDispense", "status": "completed", "subject": {"reference": f"Patient/{YUKI}"},
        "medicationCodeableConcept": {"text": name}, "whenHandedOver": on,
        "daysSupply": {"value": days, "unit": "日", "system": "http://unitsofmeasure.org", "code": "d"},
        "dosageInstruction": [{"text": "1日1回 朝食後"}],
    }  # fmt: skip


class Summary:
    """A summary as a reader sees it."""

    def __init__(self, answer: Answer) -> None:
        assert answer.status == 200, answer
        self.json = answer.json
        self.entries = {e["fullUrl"]: e["resource"] for e in self.json["entry"]}
        self.composition = self.json["entry"][0]["resource"]
        self.sections = {s["code"]["coding"][0]["code"]: s for s in self.composition["section"]}

    def text(self, code: str) -> str:
        shown = re.sub(r"</t[dh]><t[dh]>", " | ", self.sections[code]["text"]["div"])
        return html.unescape(re.sub(r"<[^>]+>", " ", shown))

    def lines(self, code: str) -> list[list[str]]:
        rows = re.findall(r"<tr>((?:<td>.*?</td>)+)</tr>", self.sections[code]["text"]["div"])
        return [[html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", row)] for row in rows]

    def ids(self, code: str) -> list[str]:
        return [e["reference"].rsplit("/", 1)[1] for e in self.sections[code].get("entry", [])]


def summary(app: App, path: str = SUMMARY) -> Summary:
    return Summary(app.get(path))


@pytest.fixture
def told(family: Neighbourhood) -> Summary:
    """Of a record with something in most sections."""
    clinic = family.clinic.made(organization())
    place = [{"actor": {"reference": f"Organization/{clinic['id']}", "display": "見本産院"}}]
    today = timezone.now()
    for resource in (
        allergy(), problem(), problem("resolved", code=coded("http://hl7.org/fhir/sid/icd-10", "K35", "虫垂炎")),
        dispensed((today - timedelta(days=30)).isoformat(timespec="seconds"), 14),
        weight(), pressure(), observed("718-7", "血色素量", "laboratory", valueQuantity=weight()["valueQuantity"]),
        {"resourceType": "Immunization", "status": "completed", "patient": {"reference": f"Patient/{YUKI}"},
         "vaccineCode": coded("http://hl7.org/fhir/sid/cvx", "04", "風しん"),
         "occurrenceDateTime": "2020-05-01", "lotNumber": "L<1>", "performer": place,
         "protocolApplied": [{"doseNumberPositiveInt": 2}]},
    ):  # fmt: skip
        family.mother.made(resource)
    return summary(family.mother)


@SPEC(IPS, "Bundle-uv-ips", "a document with identifier and timestamp; the Composition is first, the Patient is there")
def test_it_is_a_document(told: Summary) -> None:
    assert told.json["type"] == "document"
    assert told.json["identifier"]["value"].startswith("urn:uuid:")
    assert told.json["meta"]["profile"] == ["http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"]
    assert told.composition["resourceType"] == "Composition"
    assert told.composition["type"]["coding"][0]["code"] == "60591-5"
    assert [r["resourceType"] for r in told.entries.values()].count("Patient") == 1
    assert told.json["timestamp"] == told.composition["date"]
    assert not [p for p in validate.check(told.json) if p.severity in ("error", "fatal")]


@SPEC("FHIR R4", "bundle 2.36.4", "every reference of the Composition is the fullUrl of an entry; fullUrls are unique")
def test_the_composition_points_into_the_bundle(told: Summary) -> None:
    assert len(told.entries) == len(told.json["entry"])
    pointed = [told.composition["subject"], *told.composition["author"]]
    pointed += [e for s in told.sections.values() for e in s.get("entry", [])]
    assert {p["reference"] for p in pointed} <= told.entries.keys()
    used = {p["reference"] for p in pointed}
    beside = [told.entries[url]["resourceType"] for url in told.entries.keys() - used]
    assert sorted(beside) == ["Composition", "Organization"]


@SPEC(IPS, "Composition-uv-ips", "problems, allergies and medications are always there; every section has text")
def test_required_sections_stand_where_nothing_is(family: Neighbourhood) -> None:
    empty = summary(family.mother)
    assert empty.sections.keys() >= REQUIRED
    for code in REQUIRED:
        assert empty.sections[code]["emptyReason"]["coding"][0]["code"] == "unavailable"
        assert "無い」という意味ではありません" in empty.text(code)
        assert "does not mean that there is none" in empty.text(code)
    assert all(s["text"]["div"] and ("entry" in s) != ("emptyReason" in s) for s in empty.sections.values())
    assert not [p for p in validate.check(empty.json) if p.severity in ("error", "fatal")]


def test_what_stands_where(told: Summary) -> None:
    kinds = {
        code: [told.entries[e["reference"]]["resourceType"] for e in section.get("entry", [])]
        for code, section in told.sections.items()
    }
    assert kinds["48765-2"] == ["AllergyIntolerance"]
    assert kinds["11450-4"] == ["Condition"]
    assert kinds["11348-0"] == ["Condition"]
    assert kinds["10160-0"] == ["MedicationDispense"]
    assert kinds["11369-6"] == ["Immunization"]
    assert kinds["30954-2"] == ["Observation"]
    assert kinds["8716-3"] == ["Observation", "Observation"]


def test_the_lines_are_right_clinically(told: Summary) -> None:
    [egg] = told.lines("48765-2")
    assert egg[:5] == ["鶏卵", "", "高 / high", "じん麻疹 (重度 / severe)", "現在あり / active; 確認済み / confirmed"]
    [medicine] = told.lines("10160-0")
    assert medicine[:4] == ["見本錠5mg", "1日1回 朝食後", "14 日", "調剤 / dispensed; 完了 / completed"]
    [vaccine] = told.lines("11369-6")
    assert vaccine == ["2020-05-01", "風しん / measles, rubella", "", "2", "L<1>", "見本産院", ""]
    assert ["2026-03-01 09:00", "体重 / Body weight", "52.40 kg", ""] in told.lines("8716-3")
    assert ["2026-03-01 09:00", "Systolic", "118 mmHg", ""] in told.lines("8716-3")
    [sugar] = told.lines("11450-4")
    assert sugar == ["妊娠糖尿病", "現在あり / active", "2026-01-10", ""]


def test_times_are_of_the_clock_in_japan(family: Neighbourhood) -> None:
    family.mother.made(weight(on="2026-02-28T23:30:00Z"))
    assert summary(family.mother).lines("8716-3")[0][0] == "2026-03-01 08:30"


def test_the_newest_of_each_kind_stands(family: Neighbourhood) -> None:
    for day, kilos in (("2026-01-01", "50.0"), ("2026-03-01", "52.40"), ("2026-02-01", "51.0")):
        family.mother.made(weight(value=kilos, on=day))
    assert summary(family.mother).lines("8716-3") == [["2026-03-01", "体重 / Body weight", "52.40 kg", ""]]


@pytest.mark.parametrize(
    "wrong",
    [
        allergy(
            clinicalStatus=None, verificationStatus=coded(f"{HL7}allergyintolerance-verification", "entered-in-error")
        ),
        allergy(verificationStatus=coded(f"{HL7}allergyintolerance-verification", "refuted")),
        problem(clinicalStatus=None, verificationStatus=coded(f"{HL7}condition-ver-status", "entered-in-error")),
        weight(status="entered-in-error"),
        weight(status="cancelled"),
    ],
    ids=["allergy in error", "allergy refuted", "problem in error", "weight in error", "weight cancelled"],
)
def test_what_is_wrong_is_left_out(family: Neighbourhood, wrong: dict[str, Any]) -> None:
    made = family.mother.made({key: value for key, value in wrong.items() if value is not None})
    assert made["id"] not in str(summary(family.mother).json)


def test_medicines_of_long_ago_are_history(family: Neighbourhood) -> None:
    today = timezone.now()
    kept = []
    for ago, days, stands in ((10, 7, True), (170, 1, True), (185, 1, False), (200, 90, True), (1000, 14, False)):
        made = family.mother.made(
            dispensed((today - timedelta(days=ago)).isoformat(timespec="seconds"), days, f"{ago}日前")
        )
        kept += [made["id"]] if stands else []
    told = summary(family.mother)
    assert told.ids("10160-0") == kept
    last = (today - timedelta(days=185)).astimezone(timezone.get_fixed_timezone(540)).date()
    assert f"180日より前の記録があります (最後は {last})" in told.text("10160-0")


def test_what_is_dangerous_comes_first(family: Neighbourhood) -> None:
    over = coded(f"{HL7}allergyintolerance-clinical", "resolved")
    past = family.mother.made(allergy(clinicalStatus=over, recordedDate="2026-03-03"))
    mild = family.mother.made(allergy(criticality="low", recordedDate="2026-03-02"))
    grave = family.mother.made(allergy(recordedDate="2020-01-01"))
    assert summary(family.mother).ids("48765-2") == [grave["id"], mild["id"], past["id"]]


def test_narrative_is_escaped(family: Neighbourhood) -> None:
    bad = '<script>alert("x")</script>&amp;'
    family.mother.made(allergy(code={"text": bad}))
    told = summary(family.mother)
    assert "<script" not in told.sections["48765-2"]["text"]["div"]
    assert told.lines("48765-2")[0][0] == bad
    assert not [p for p in validate.check(told.json) if p.severity in ("error", "fatal")]


# -- pregnancy --------------------------------------------------------------------------------------


def pregnant(days_to_go: int, *, recorded: int = 30) -> list[dict[str, Any]]:
    today = timezone.localtime(timezone.now(), timezone.get_fixed_timezone(540))
    at = (today - timedelta(days=recorded)).isoformat(timespec="seconds")
    due = (today + timedelta(days=days_to_go)).date().isoformat()
    return [
        observed("82810-3", "妊娠の状態", "exam", valueCodeableConcept=coded(LOINC, "LA15173-0", "妊娠中"),
                 effectiveDateTime=at),
        observed("11778-8", "出産予定日", "exam", valueDateTime=due, effectiveDateTime=at),
    ]  # fmt: skip


def delivered(days_ago: int) -> dict[str, Any]:
    at = (timezone.now() - timedelta(days=days_ago)).isoformat(timespec="seconds")
    days = {"value": 277, "unit": "日", "system": "http://unitsofmeasure.org", "code": "d"}
    return observed("11884-4", "分娩時の妊娠日数", "exam", valueQuantity=days, effectiveDateTime=at)


@SPEC(IPS, "Composition-uv-ips, sectionPregnancyHx", "pregnancy status, expected delivery date, outcomes")
def test_she_is_pregnant_and_how_far(family: Neighbourhood) -> None:
    for resource in pregnant(100):
        family.mother.made(resource)
    told = summary(family.mother)
    assert "妊娠中" in told.text("10162-6")
    assert "妊娠25週5日" in told.text("10162-6")  # 280 - 100 = 180 days
    assert "25 weeks 5 days" in told.text("10162-6")
    assert len(told.ids("10162-6")) == 2


@pytest.mark.parametrize(
    ("resources", "said", "not_said"),
    [
        (pregnant(-10, recorded=200), "妊娠中", "を過ぎています"),
        (pregnant(-22, recorded=250), "を過ぎています", "妊娠中 ("),
        ([*pregnant(-5, recorded=200), delivered(7)], "最後の分娩の記録", "妊娠中 ("),
        ([delivered(400), *pregnant(120)], "妊娠22週6日", "分かりません"),
        ([delivered(400)], "分かりません", "妊娠中 ("),
    ],
    ids=["overdue by days", "long past", "delivered since", "pregnant again", "delivered"],
)
def test_an_old_record_is_not_believed_for_ever(
    family: Neighbourhood, resources: list[dict[str, Any]], said: str, not_said: str
) -> None:
    for resource in resources:
        family.mother.made(resource)
    sentence = summary(family.mother).text("10162-6").split("日付 / Date")[0]
    assert said in sentence
    assert not_said not in sentence


def test_what_a_delivery_has_overtaken_is_said_to_be(family: Neighbourhood) -> None:
    parity = observed(
        "11977-6", "出産回数", "social-history", valueInteger=1, effectiveDateTime=delivered(100)["effectiveDateTime"]
    )
    for resource in (*pregnant(-5, recorded=200), delivered(7), parity):
        family.mother.made(resource)
    lines = summary(family.mother).lines("10162-6")
    assert [line[2].partition(" (")[2].partition(" /")[0] for line in lines] == [
        "終わった妊娠", "終わった妊娠", "その後の分娩を含まない", "",
    ]  # fmt: skip


def test_a_childs_gestational_age_is_no_pregnancy_of_hers(family: Neighbourhood) -> None:
    hana = family.app("mother", patient="hana")
    born = delivered(2000) | {"subject": {"reference": f"Patient/{HANA}"}}
    made = hana.made(born)
    told = summary(hana, f"Patient/{HANA}/$summary")
    assert "10162-6" not in told.sections
    assert told.ids("30954-2") == [made["id"]]
    assert told.lines("30954-2")[0][2] == "39週4日 / 39 weeks 4 days; 277 日"


# -- who may see what -------------------------------------------------------------------------------


def test_only_what_the_caller_may_see_and_no_hint(family: Neighbourhood) -> None:
    family.mother.made(secret())
    hidden = family.mother.made(allergy(meta={"security": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}))  # fmt: skip
    told = summary(family.clinic)
    assert told.sections["48765-2"]["emptyReason"]["coding"][0]["code"] == "unavailable"
    assert "8716-3" not in told.sections
    assert "security" not in str(told.json)
    assert summary(family.mother).ids("48765-2") == [hidden["id"]]


@pytest.mark.parametrize("path", [f"Patient/{KAI}/$summary", "Patient/nobody/$summary", f"Patient/{HANA}/$summary"])
def test_strangers_and_nobody_look_alike(family: Neighbourhood, path: str) -> None:
    answer = family.mother.get(path)
    assert answer.status == 404
    assert answer.told()[:2] == family.mother.get("Patient/0f0f0f0f-0000-4000-8000-000000000000/$summary").told()[:2]


@SPEC(IPS, "OperationDefinition/summary", "instance and type level, identifier, profile; POST with Parameters")
def test_how_it_may_be_asked(family: Neighbourhood) -> None:
    patient = family.mother.get(f"Patient/{YUKI}").json
    number = patient["identifier"][0]
    name = f"{number['system']}|{number['value']}"
    for path in ("Patient/$summary", f"Patient/$summary?identifier={name}"):
        assert summary(family.mother, path).composition["subject"]["reference"].endswith(str(YUKI))
    body = {"resourceType": "Parameters", "parameter": [{"name": "identifier", "valueString": name}]}
    assert family.clinic.ask("POST", "Patient/$summary", encoded(body)).status == 200
    profile = "http://hl7.org/fhir/uv/ips/StructureDefinition/Bundle-uv-ips"
    assert summary(family.mother, f"{SUMMARY}?profile={profile}").sections
    assert family.mother.get(f"{SUMMARY}?profile=urn:other").status == 400
    assert family.mother.get(f"{SUMMARY}?identifier={name}").status == 400
    assert family.mother.get("Patient/$summary?identifier=urn:x|1").status == 404
    assert family.clinic.get("Patient/$summary").status == 422


def test_it_is_logged(family: Neighbourhood) -> None:
    family.mother.made(allergy())
    before = len(audit_lines("record:searched"))
    summary(family.mother)
    [line] = audit_lines("record:searched")[before:]
    assert (str(line[0]), line[4]["method"], line[4]["count"]) == (str(YUKI), "$summary", 2)
