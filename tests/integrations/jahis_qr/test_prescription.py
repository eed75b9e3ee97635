"""Prescription symbols (JAHISn): imported as requests where they are as the standard has them, else refused by line."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st

from integrations.incoming import Part
from integrations.jahis_qr import connector
from integrations.jahis_qr.prescription import Prescription, mismatches, parse
from integrations.jahis_qr.requests import map_prescription
from integrations.problems import Unreadable
from phr.records import body, systems
from tests.integrations.jahis_qr.samples import GOLDEN, PEER
from tests.integrations.jahis_qr.test_parse import MUTATIONS, mutated

FULL = (
    "JAHIS10", "1,1,9999992,13,見本クリニック", "4,1,,内科", "5,,,医師　一郎", "11,,見本　花子,ﾐﾎﾝ ﾊﾅｺ", "12,2",
    "13,3500401", "51,20260112", "52,20260115", "64,3", "82,1,1234567890123456", "101,1,1,,28",
    "111,1,2,1011000400000000,分１　朝食後,1",
    "181,1,1,2,一包化", "201,1,1,1,4,2171022F2999,見本錠５ｍｇ,1,1,錠", "281,1,1,1,3,後発品変更不可",
    "201,1,2,1,7,2171022F2ZZZ,【般】見本散,1.5,1,ｇ", "101,2,2,,10", "111,2,1,,疼痛時",
    "201,2,1,,2,620099999,見本頓服,2,1,錠",
    "101,3,3,,1", "111,3,1,,患部に塗布", "201,3,1,1,1,,見本軟膏,5,2,ｍｇ",
)  # fmt: skip
DEVIATING = {
    "invalid-missing-101": None, "normalization-extended-101-111-201": None,
    "normalization-extended-201-spec-full": None, "normalization-extended-221": None,
    "normalization-extended-241": None, "normalization-full": None, "qr-decoded-anonymized": 15,
    "normalization-spec-fields": 12, "empty-input": None,
}  # fmt: skip


def symbol(*lines: str) -> bytes:
    return "\r\n".join((*(lines or FULL), "")).encode("cp932")


def requests(data: bytes) -> list[dict[str, Any]]:
    return list(map_prescription(parse(data), patient_id="example").clinical.values())


def test_each_drug_becomes_a_request() -> None:
    daily, generic, needed, strength = requests(symbol())
    assert {r["authoredOn"] for r in (daily, generic, needed, strength)} == {"2026-01-12"}
    assert daily["dispenseRequest"]["quantity"]["value"] == 28
    assert daily["dispenseRequest"]["expectedSupplyDuration"]["value"] == 28
    assert daily["dispenseRequest"]["validityPeriod"]["end"] == "2026-01-15"
    assert daily["dispenseRequest"]["numberOfRepeatsAllowed"] == 2
    assert daily["dosageInstruction"][0]["timing"]["code"]["coding"][0]["code"] == "1011000400000000"
    assert [t["text"] for t in daily["dosageInstruction"][0]["additionalInstruction"]] == ["一包化", "後発品変更不可"]
    assert daily["requester"]["display"] == "見本クリニック 内科 医師　一郎"
    assert daily["requester"]["identifier"]["value"] == "1319999992"
    assert generic["medicationCodeableConcept"]["coding"][0]["system"] == systems.GENERIC_ORDER
    assert needed["dosageInstruction"][0]["asNeededBoolean"] is True
    assert needed["dispenseRequest"]["quantity"]["value"] == 20
    assert "quantity" not in strength["dispenseRequest"], "5 mg of the substance are no amount of ointment"


def test_the_number_that_opens_a_prescription_elsewhere_is_not_kept() -> None:
    assert "1234567890123456" not in json.dumps(requests(symbol()), default=str)


def test_a_sample_as_specified_becomes_its_golden_requests() -> None:
    data = (GOLDEN / "jahis-rx-parser" / "external-data" / "sample.txt").read_bytes()
    golden = GOLDEN / "rx-sample.fhir.json"
    assert json.loads(body.write({"entry": requests(data)}))["entry"] == json.loads(golden.read_text(encoding="utf-8"))


def test_samples_are_structurally_sound() -> None:
    for resource in requests(symbol()):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("name", DEVIATING)
def test_what_is_not_as_specified_is_refused_by_name(name: str) -> None:
    with pytest.raises(Unreadable) as refused:
        connector.read([Part((PEER / f"{name}.txt").read_bytes())])
    [problem] = refused.value.problems
    assert problem.code in ("rx-record-missing", "rx-not-as-specified", "rx-no-form", "empty")
    assert problem.line == DEVIATING[name]


@pytest.mark.parametrize(
    ("line", "instead", "code"),
    [
        ("101,1,1,,28", "x,1", "rx-no-form"), ("101,1,1,,28", "101,1,内服", "rx-not-as-specified"),
        ("101,2,2,,10", "101,2,2,10", "rx-not-as-specified"), ("51,20260112", "51,6080112", "rx-not-as-specified"),
        ("201,2,1,,2,620099999,見本頓服,2,1,錠", "201,2,1,620099999,見本頓服,2,錠", "rx-not-as-specified"),
        ("12,2", "x,2", "rx-record-missing"), ("51,20260112", "x,1", "rx-record-missing"),
    ],
)  # fmt: skip
def test_a_record_that_could_be_misread_refuses_the_whole(line: str, instead: str, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(symbol(*(instead if one == line else one for one in FULL)))
    assert refused.value.problems[0].code == code


def test_eras_are_digits() -> None:
    assert parse(symbol(*(line.replace("20260112", "5080112") for line in FULL))).issued == date(2026, 1, 12)


@pytest.mark.parametrize(
    ("names", "gender", "birth", "codes"),
    [
        (["見本 花子"], "female", date(1975, 4, 1), []), (["ミホン ハナコ"], "", None, []),
        (["別人"], "male", date(1975, 4, 2), ["name-differs", "gender-differs", "birth-differs"]),
    ],
)  # fmt: skip
def test_whose_it_is(names: list[str], gender: str, birth: date | None, codes: list[str]) -> None:
    found = mismatches(parse(symbol()), names=names, gender=gender, birth_on=birth)
    assert [p.code for p in found] == codes
    assert all(p.line and p.field for p in found)


@pytest.mark.parametrize("cut", [100, 333])
def test_symbols_of_a_set_are_joined_even_without_their_order(cut: int) -> None:
    parts = [Part(symbol()[cut:]), Part(symbol()[:cut])]
    found = connector.read(parts).content.notebook
    assert isinstance(found, Prescription)
    assert len(found.drugs) == 4


@given(st.lists(MUTATIONS, min_size=1, max_size=4))
def test_a_damaged_symbol_is_read_or_refused(steps: list[tuple[str, int, int]]) -> None:
    data = symbol()
    for kind, at, by in steps:
        data = mutated(data, kind, at, by)
    with suppress(Unreadable):
        for resource in requests(data):
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@given(st.binary(max_size=200))
def test_any_bytes_behind_a_header(noise: bytes) -> None:
    with suppress(Unreadable):
        requests(symbol(*FULL[:12]) + noise)
