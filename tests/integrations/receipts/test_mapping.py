"""Receipts to FHIR: golden files, claims stand apart, units and day columns, the same keys as a notebook's."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from consent import rules
from consent.scope import Category
from integrations.items import About
from integrations.jahis_qr.mapping import map_notebook
from integrations.jahis_qr.parse import parse
from integrations.receipts import connector
from integrations.same_dispense import keys_of
from phr.records import body, systems
from phr.records.facts import facts_of
from tests.integrations.jahis_qr.samples import NOON, notebook
from tests.integrations.receipts.samples import (
    GOLDEN,
    HO,
    IR,
    RE,
    RX,
    SOMEBODY,
    YK,
    days,
    lines,
    mapped,
    of_type,
    receipts,
    resources,
    sample,
    the_masters,
)

CASES = ("RECEIPTC.UKE", "RECEIPTY.CYO", "RECEIPTC_GAIRAI.UKE")


def as_told(name: str, masters: Any) -> list[Any]:
    made = [mapped(item, masters=masters) for item in receipts(sample(name))]
    return json.loads(body.write([r for m in made for r in m.resources]), parse_float=str)


@pytest.mark.parametrize("name", CASES)
def test_a_file_becomes_its_golden_resources(name: str) -> None:
    golden = GOLDEN / f"{Path(name).name}.fhir.json"
    masters = the_masters()
    masters.edition = ""
    assert as_told(name, masters) == json.loads(golden.read_text(encoding="utf-8"), parse_float=str)


@pytest.mark.parametrize("name", CASES)
def test_every_resource_is_sound_and_tagged_as_a_claim(name: str) -> None:
    for resource in resources(sample(name)):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        assert resource["meta"]["tag"][0]["code"] == systems.CLAIM
        assert resource["resourceType"] not in ("Observation", "DiagnosticReport"), "a receipt knows no results"


def test_a_claimed_diagnosis_is_provisional_and_stands_apart() -> None:
    [condition] = of_type(resources(sample("RECEIPTC.UKE")), "Condition")
    assert condition["verificationStatus"]["coding"][0]["code"] == "provisional"
    assert condition["onsetDateTime"] == "2025-10-10"
    facts = facts_of(condition, author=1)
    assert facts.categories & Category.INSURANCE
    assert facts.level >= 3
    assert facts.categories & ~rules.EMERGENCY_SET, "it is not of the emergency set"


@pytest.mark.parametrize(
    "row",
    ["SY,8833422,20260112,1,8002", "SY,0000999,20260112,1,,見本病の疑い", "SY,8833422,20260112,1,10018002",
     "SY,8833422,20260112,1,,,,疑い"],
)  # fmt: skip
def test_a_suspicion_is_no_diagnosis(row: str) -> None:
    [item] = receipts(lines(IR, RE, HO, row))
    assert not of_type(mapped(item).resources, "Condition")
    assert [p.code for p in mapped(item).problems] == ["suspected-left-out"]


def test_modifiers_are_before_or_behind_the_name() -> None:
    masters = the_masters()
    masters.modifiers |= {"1001": "急性", "8003": "の再発"}
    masters.diseases["8833422"] = type("D", (), {"name": "見本炎", "icd10": "F322"})()
    [found] = of_type(resources(lines(IR, RE, "SY,8833422,20260112,2,10018003"), masters=masters), "Condition")
    assert found["code"]["text"] == "急性見本炎の再発"
    assert [e["url"].rpartition("_")[2] for e in found["code"]["extension"]] == [
        "DiseasePrefixModifier", "DiseasePostfixModifier",
    ]  # fmt: skip
    assert found["clinicalStatus"]["coding"][0]["code"] == "resolved"
    assert facts_of(found, author=1).categories & Category.PSY, "the master's ICD-10 code tells what it is"


@pytest.mark.parametrize(
    ("outcome", "status"), [("1", "active"), ("2", "resolved"), ("3", "inactive"), ("4", "inactive")]
)
def test_outcomes(outcome: str, status: str) -> None:
    [found] = of_type(resources(lines(IR, RE, f"SY,8833422,20260112,{outcome}")), "Condition")
    assert found["clinicalStatus"]["coding"][0]["code"] == status


def test_drugs_of_a_unit_share_its_days() -> None:
    found = of_type(resources(sample("RECEIPTC.UKE")), "MedicationStatement")
    told = [
        (f["medicationCodeableConcept"]["coding"][0]["code"], f.get("effectivePeriod"), f["note"][0]["text"])
        for f in found
    ]
    fortnight = {"start": "2026-01-12", "end": "2026-01-25"}
    assert told == [
        ("620099999", fortnight, "支給量 14"), ("620099998", fortnight, "支給量 21"), ("620099997", None, "支給量 10"),
    ]  # fmt: skip
    assert found[2]["effectiveDateTime"] == "2026-01-12"
    assert found[2]["dosage"][0]["text"] == "疼痛時"
    assert found[2]["dosage"][0]["asNeededBoolean"] is True


def test_the_last_month_there_is_has_a_last_day() -> None:
    line = "IY,21,1,620099999,1,,40" + "," * 7
    assert resources(lines(IR.replace("202602", "999912"), RE.replace("202601", "999912"), line + days({31: 30})))


def test_each_marked_day_is_its_own() -> None:
    data = lines(
        IR, RE, f"SI,60,1,160008010,,21,2,,,,,,,{days({3: 1, 30: 2})}", f"SI,13,1,113002850,,250,1,,,,,,,{days({3: 1})}"
    )
    found = of_type(resources(data), "Procedure")
    assert [p["performedDateTime"] for p in found] == ["2026-01-03", "2026-01-30"]


def test_a_day_that_does_not_exist_is_left_out() -> None:
    [item] = receipts(lines(IR, RE.replace("202601", "202602"), f"SI,60,1,160008010,,21,1,,,,,,,{days({30: 1})}"))
    assert [p.code for p in mapped(item).problems] == ["no-such-day"]


def test_a_receipt_without_day_columns_says_the_month() -> None:
    [found] = of_type(resources(lines(IR, RE, "SI,60,1,160008010,,21,1")), "Procedure")
    assert found["performedDateTime"] == "2026-01"


def test_injections_and_fees_are_not_taken_for_medication_at_home() -> None:
    data = lines(
        IR, RE, f"IY,31,1,622199001,1,168,1,,,,,,,{days({3: 1})}", f"SI,12,1,112007410,,73,1,,,,,,,{days({3: 1})}"
    )
    assert not of_type(resources(data), "MedicationStatement")
    assert not of_type(resources(data), "Procedure")


def test_a_dispensing_has_amount_days_usage_and_prescriber() -> None:
    first, second, third = of_type(resources(sample("RECEIPTY.CYO")), "MedicationDispense")
    assert [d["quantity"]["value"] for d in (first, second, third)] == [28, 42, 10]
    assert first["daysSupply"]["value"] == 28
    assert first["whenHandedOver"] == "2026-01-12"
    assert first["dosageInstruction"][0]["text"] == "１日１回朝食後服用"
    assert first["authorizingPrescription"][0]["display"] == "見本クリニック 医師　一郎 （処方 2026-01-12）"
    assert third["dosageInstruction"][0]["text"] == "疼痛時"
    assert "daysSupply" not in third


def test_one_prescription_dispensed_on_two_days_is_two_dispensings() -> None:
    data = lines(
        YK, RX, HO, "SH,01,1,006,,2", "CZ,1,20260112,20260112,1,14", "CZ,1,20260112,20260126,2,14", "IY,1,620099999,1"
    )
    found = of_type(resources(data), "MedicationDispense")
    assert [d["whenHandedOver"] for d in found] == ["2026-01-12", "2026-01-26"]
    assert len({d["id"] for d in found}) == 2


def test_the_unit_comes_from_the_master_and_with_it_the_profile() -> None:
    data = lines(YK, RX, HO, "SH,01,5,900,塗布", "CZ,1,20260112,20260112,1,1", "IY,1,620008965,5")
    [without] = of_type(resources(data), "MedicationDispense")
    [with_it] = of_type(resources(data, masters=the_masters()), "MedicationDispense")
    assert "profile" not in without["meta"]
    assert without["quantity"] == {"value": 5}
    assert with_it["meta"]["profile"][0].endswith("/JP_MedicationDispense")
    assert with_it["quantity"]["unit"] == "ｇ"
    assert {c["code"] for c in with_it["medicationCodeableConcept"]["coding"]} == {"620008965", "2646730M1059"}
    assert without["id"] == with_it["id"], "names that are known later make a new version, not a copy"


def test_the_same_dispensing_in_a_notebook_has_the_same_keys() -> None:
    book = notebook(
        "5,20260112,1", "11,見本薬局,13,4,9999991,,,,1",
        "201,1,見本錠,1,錠,2,620099999,1", "201,1,見本散,1.5,ｇ,2,620099998,1",
        "301,1,分１,28,日分,1,1,,1", "201,2,見本軟膏,10,ｇ,4,2646730M1059,1", "301,2,塗布,1,調剤,5,1,,1",
    )  # fmt: skip
    theirs = list(map_notebook(parse(book), patient_id=str(SOMEBODY), now=NOON).clinical.values())
    data = lines(
        YK, RX, HO, "SH,01,1,006,,2", "CZ,1,20260112,20260112,1,28", "IY,1,620099999,1", "IY,1,620099998,1.5",
        "SH,02,5,900", "CZ,1,20260112,20260112,1,1", "IY,1,620008965,10.0",
    )  # fmt: skip
    ours = of_type(resources(data, masters=the_masters()), "MedicationDispense")
    for ours_, theirs_ in zip(ours[:2], theirs[:2], strict=True):
        assert keys_of(ours_["identifier"], systems.DISPENSE_KEY) == keys_of(
            theirs_["identifier"], systems.DISPENSE_KEY
        )
    loose = [set(keys_of(d["identifier"], systems.DISPENSE_LOOSE_KEY)) for d in (ours[2], theirs[2])]
    assert loose[0] & loose[1], "coded otherwise, but 薬価基準 and YJ are the same digits"


def test_problems_name_the_line_of_the_file() -> None:

    data = lines(YK, RX, HO, "", "SH,01,1,006", "CZ,1,20260112,2026011,1,28", "IY,1,620099999,1", "IY,1")
    [item] = receipts(data)

    found = connector.resources(item, about=About(SOMEBODY, 1, "1349999991", "x", date(2026, 2, 1)))
    assert [(p.code, p.line) for p in found.problems] == [("bad-date", 6)]
