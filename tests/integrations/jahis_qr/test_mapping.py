"""Rows to FHIR: golden files, the worked example of the format's table, traps, ids, identity."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st

from integrations.jahis_qr.dispense import PROFILE
from integrations.jahis_qr.identity import mismatches
from integrations.jahis_qr.mapping import map_notebook, original, provenances
from integrations.jahis_qr.parse import Notebook, parse
from integrations.problems import Unreadable
from phr.records import body
from phr.records.systems import DISPENSE_KEY, DISPENSE_LOOSE_KEY, OWN
from tests.integrations.jahis_qr.samples import DRUG, GOLDEN, GROUP, NOON, PEER, notebook, sample
from tests.integrations.jahis_qr.test_parse import LINES, MUTATIONS, mutated

CASES = [
    *(GOLDEN / f"{n}.txt" for n in ("tc08_full", "tc07_output2_patient", "tc01_wild", "tc02_prescription_layout")),
    *(PEER / f"tc-{name}.txt" for name in ("multi-dispensing", "with-otc-components-and-remaining-medicine")),
]
Resource = dict[str, Any]


def resources(data: bytes, **options: Any) -> list[Resource]:
    return to_resources(parse(data), **options)


def to_resources(notebook: Notebook, *, source: Sequence[bytes] = (), **options: Any) -> list[Resource]:
    """Every resource of a notebook, in one go: Organizations, the records, the originals and their Provenance."""
    mapped = map_notebook(notebook, patient_id="example", now=NOON, **options)
    originals = original(source, patient_id="example", now=NOON)
    document = originals[-1]["id"] if originals else None
    trail = provenances(mapped, document=document, patient_id="example", now=NOON)
    return [*mapped.organizations, *mapped.clinical.values(), *originals, *trail]


def to_bundle(found: Sequence[Resource]) -> Resource:
    """The resources as a collection Bundle, as the golden files hold them."""
    entries = [{"fullUrl": f"{OWN}/{r['resourceType']}/{r['id']}", "resource": r} for r in found]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def of_type(found: Iterable[Resource], type: str) -> list[Resource]:
    return [r for r in found if r["resourceType"] == type]


def dispense(*lines: str, **options: str) -> Resource:
    return of_type(resources(notebook(*lines, **options)), "MedicationDispense")[0]


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_a_notebook_becomes_its_golden_bundle(path: Path) -> None:
    data = path.read_bytes()
    bundle = to_bundle(resources(data, source=[data]))
    golden = GOLDEN / f"{path.stem}.fhir.json"
    assert bundle == body.parse(golden.read_bytes())


def test_the_full_sample_says_what_the_worked_example_says() -> None:
    """The example has no ids, no Provenance, none of our extensions and keys, and points at Organizations by entry."""
    example = body.parse(sample("worked_example.json").replace(b"https://phr.example/fhir", OWN.encode()))["entry"]
    expected = {canonical(entry["resource"], example) for entry in example}
    ours = to_bundle(map_all(sample("tc08_full.txt")))["entry"]
    assert {canonical(without_id(entry["resource"]), ours) for entry in ours} == expected


def map_all(data: bytes) -> list[Resource]:
    mapped = map_notebook(parse(data), patient_id="example", now=NOON)
    return [*mapped.organizations, *mapped.clinical.values()]


def without_id(resource: Resource) -> Resource:
    """Nor the words as written, nor the loose keys: the example knows neither."""
    plain = {k: v for k, v in resource.items() if k not in ("id", "extension")}
    if "identifier" in plain:
        plain["identifier"] = [i for i in plain["identifier"] if i["system"] != DISPENSE_LOOSE_KEY]
    if resource["resourceType"] == "MedicationStatement":
        del plain["category"]
    if resource["resourceType"] == "Communication":
        plain["category"] = [{"coding": c["coding"]} for c in plain["category"]]
    return plain


def canonical(resource: Resource, entries: list[Resource]) -> str:
    """JSON with every reference to an Organization replaced by its institution number."""
    text = json.dumps(resource, sort_keys=True, ensure_ascii=False, default=float)
    text = json.dumps(json.loads(text, parse_int=float), sort_keys=True, ensure_ascii=False)
    for entry in entries:
        if entry["resource"]["resourceType"] == "Organization":
            number = entry["resource"]["identifier"][0]["value"]
            for name in (entry["fullUrl"], f"Organization/{entry['resource'].get('id')}"):
                text = text.replace(f'"{name}"', f'"institution {number}"')
    return text


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_every_resource_is_structurally_sound(path: Path) -> None:
    for resource in resources(path.read_bytes(), source=[path.read_bytes()]):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.spec("JP Core 1.2.0", "JP_MedicationDispense", "rpNumber, orderInRp, quantity, whenHandedOver are 1..1")
def test_a_claimed_profile_has_what_it_demands() -> None:
    for found in of_type(resources(sample("tc08_full.txt")), "MedicationDispense"):
        assert found["meta"]["profile"] == [PROFILE]
        assert [i["system"].rpartition("/")[2] for i in found["identifier"][:2]] == [
            "Medication-RPGroupNumber", "MedicationAdministrationIndex",
        ]  # fmt: skip
        assert found["whenHandedOver"]
        assert {"value", "system", "code"} <= found["quantity"].keys()


@pytest.mark.parametrize(
    ("dose", "unit", "times", "form", "quantity", "days"),
    [
        ("1.5", "ｇ", "28", "1", "42", 28), ("3", "錠", "7", "6", "21", 7), ("0.25", "錠", "3", "7", "0.75", 3),
        ("2", "錠", "10", "3", "20", None), ("5", "ｇ", "1", "5", "5", None), ("5", "ｇ", "", "5", "5", None),
        ("10", "ｍＬ", "2", "2", "20", None), ("1", "本", "1", "10", "1", None),
    ],
)  # fmt: skip
def test_the_dose_means_what_its_form_says(
    dose: str, unit: str, times: str, form: str, quantity: str, days: int | None
) -> None:
    found = dispense(*GROUP, f"201,1,見本,{dose},{unit},1,,1", f"301,1,用法,{times},単位,{form},1,,1")
    assert str(found["quantity"]["value"]) == quantity
    assert found.get("daysSupply", {}).get("value") == days
    dosage = found["dosageInstruction"][0]
    assert ("asNeededBoolean" in dosage) == (form == "3")
    assert ("rateRatio" in dosage.get("doseAndRate", [{}])[0]) == (form in "167")


@pytest.mark.parametrize(
    ("drug", "usage"),
    [
        ("201,1,見本,,錠,1,,1", "301,1,用法,7,日分,1,1,,1"), ("201,1,見本,1,,1,,1", "301,1,用法,7,日分,1,1,,1"),
        ("201,1,見本,1,錠,1,,1", "301,1,用法,,日分,1,1,,1"), ("201,1,見本,1,錠,1,,1", "301,1,用法,7,日分,,1,,1"),
        ("201,1,見本,0,錠,1,,1", "301,1,用法,7,日分,1,1,,1"), ("201,1,見本,１,錠,1,,1", "301,1,用法,7,日分,1,1,,1"),
    ],
)  # fmt: skip
def test_an_unknown_quantity_is_left_out_never_zero(drug: str, usage: str) -> None:
    mapped = map_notebook(parse(notebook(*GROUP, drug, usage)), patient_id="example", now=NOON)
    found = next(r for r in mapped.clinical.values() if r["resourceType"] == "MedicationDispense")
    assert "quantity" not in found
    assert "meta" not in found
    assert [(p.code, p.line) for p in mapped.problems] == [("unknown-quantity", 7)]


@pytest.mark.parametrize(
    ("kind", "code", "system"),
    [
        ("2", "620099999", f"{OWN}/CodeSystem/receipt-drug-code"),
        ("3", "217102299999", f"{OWN}/CodeSystem/mhlw-drug-code"),
        ("4", "2171022F2999", "http://capstandard.jp/iyaku.info/CodeSystem/YJ-code"),
        ("6", "999999901", "http://medis.or.jp/CodeSystem/master-HOT9"),
        ("6", "9999999010101", "http://medis.or.jp/CodeSystem/master-HOT13"),
        ("7", "2171022F2ZZZ", None), ("4", "123", None), ("1", "", None), ("4", "2171 22F2999", None),
    ],
)  # fmt: skip
def test_a_drug_code_gets_the_system_of_its_kind_and_length(kind: str, code: str, system: str | None) -> None:
    found = dispense(*GROUP, f"201,1,見本,1,錠,{kind},{code},1", DRUG[1])["medicationCodeableConcept"]
    assert found.get("coding", [{}])[0].get("system") == system
    assert found["text"] == "見本"


def test_an_incomplete_institution_is_a_name_only() -> None:
    found = resources(notebook("5,20260112,1", "11,見本薬局,13,,9999991,,,,1", *DRUG))
    assert not of_type(found, "Organization")
    actor = of_type(found, "MedicationDispense")[0]["performer"][0]["actor"]
    assert actor == {"type": "Organization", "display": "見本薬局"}


def test_a_known_organization_is_pointed_at_not_made_again() -> None:
    found = resources(notebook(*GROUP, *DRUG), organizations={"1349999991": "known"})
    assert not of_type(found, "Organization")
    assert of_type(found, "MedicationDispense")[0]["performer"] == [{"actor": {"reference": "Organization/known"}}]


def test_an_organization_we_may_not_make_is_named_by_its_number() -> None:
    found = resources(notebook(*GROUP, *DRUG), make_organizations=False)
    assert not of_type(found, "Organization")
    actor = of_type(found, "MedicationDispense")[0]["performer"][0]["actor"]
    assert (actor["identifier"]["value"], actor["display"]) == ("1349999991", "見本薬局")


def test_each_rp_names_the_doctor_before_it() -> None:
    second = ["55,歯科　三郎,歯科,1", *(line.replace("01,1", "01,2") for line in DRUG)]
    found = of_type(resources(notebook(*GROUP, *DRUG, *second)), "MedicationDispense")
    assert [d["authorizingPrescription"][0]["display"] for d in found] == [
        "見本クリニック 内科 医師　一郎", "見本クリニック 歯科 歯科　三郎",
    ]  # fmt: skip


def test_who_said_it_is_its_author() -> None:
    data = notebook("4,メモ,20260110,2", *GROUP, *DRUG, "501,備考,1", "501,不明,9", "601,自分で,20260113")
    found = resources(data, source=[data])
    who = {
        agent["who"].get("reference", "")[:8]: len(p["target"]) - 1
        for p in of_type(found, "Provenance") for agent in p["agent"][:1]
    }  # fmt: skip
    assert who == {"Patient/": 2, "Organiza": 2, "": 1}
    theirs = [c["payload"][0]["contentString"] for c in of_type(found, "Communication") if "sender" in c]
    assert sorted(theirs) == ["メモ", "自分で"]


def test_a_patients_own_file_is_the_patients_word() -> None:
    data = sample("tc07_output2_patient.txt")
    trail = of_type(resources(data, source=[data]), "Provenance")
    assert [p["agent"][0]["who"] for p in trail] == [{"reference": "Patient/example"}]


def test_weight_is_not_taken() -> None:
    assert not of_type(resources(sample("tc08_full.txt")), "Observation")
    assert "weight-unconfirmed" in {p.code for p in parse(sample("tc08_full.txt")).problems}


def test_special_notes() -> None:
    found = resources(notebook("2,1,卵,1", "2,2,造影剤,2", "2,3,気管支喘息,1", "2,9,錠剤が苦手,2"))
    assert [r["type"] for r in of_type(found, "AllergyIntolerance")] == ["allergy", "intolerance"]
    assert of_type(found, "Condition")[0]["category"] == [{"text": "既往歴"}]
    assert of_type(found, "Communication")[0]["category"][0]["coding"][0]["code"] == "2"


def test_an_end_before_the_start_is_no_period() -> None:
    found = of_type(resources(notebook("3,薬,20260108,20260105,2")), "MedicationStatement")[0]
    assert found["effectivePeriod"] == {"start": "2026-01-08"}


def test_decimals_stay_decimals() -> None:
    found = dispense(*GROUP, "201,1,見本,1.50,錠,1,,1", DRUG[1])
    rate = found["dosageInstruction"][0]["doseAndRate"][0]["rateRatio"]["numerator"]["value"]
    assert (str(rate), str(found["quantity"]["value"])) == ("1.50", "42")
    assert b'"value":1.50,' in body.write(found)


# Ids


def test_the_same_notebook_gives_the_same_ids_whatever_surrounds_it() -> None:
    whole = {r["id"] for r in map_all(sample("tc08_full.txt"))}
    lines = sample("tc08_full.txt").rstrip(b"\x1a\r\n").split(b"\r\n")
    newest = b"\r\n".join([lines[0], lines[1], *lines[lines.index(b"5,R071201,1") : -1]])
    assert {r["id"] for r in map_all(newest)} < whole


def test_ids_tell_people_apart() -> None:
    data = parse(sample("tc08_full.txt"))
    mine, theirs = (set(map_notebook(data, patient_id=p, now=NOON).clinical) for p in ("a", "b"))
    assert not mine & theirs


def test_the_same_dispensing_written_otherwise_has_the_same_key() -> None:
    keys = set()
    for dose, times, day in (("1.5", "28", "20260112"), ("1.50", "028", "R080112")):
        drug = (f"201,1,見本,{dose},錠,1,,1", f"301,1,x,{times},日分,1,1,,1")
        found = dispense(f"5,{day},1", *GROUP[1:], *drug)
        keys |= {i["value"] for i in found["identifier"] if i["system"] == DISPENSE_KEY}
    assert len(keys) == 1


@pytest.mark.parametrize(
    "change",
    [("20260112", "20260113"), ("9999991", "9999992"), ("2171022F2999", "2171022F2998"), ("ｍｇ,1", "ｍｇ,2"),
     ("分１,28", "分１,14")],
)  # fmt: skip
def test_another_dispensing_has_another_key(change: tuple[str, str]) -> None:
    before = [*GROUP, *DRUG]
    after = [line.replace(*change) for line in before]
    assert before != after
    assert dispense(*before)["id"] != dispense(*after)["id"]


@given(st.lists(LINES, max_size=25))
def test_any_rows_become_sound_resources_with_their_own_ids(lines: list[str]) -> None:
    data = notebook("4,メモ,,2", *GROUP, *DRUG, *lines)
    found = resources(data, source=[data])
    assert len({(r["resourceType"], r["id"]) for r in found}) == len(found)
    for resource in found:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        body.write(resource)


@given(st.lists(MUTATIONS, min_size=1, max_size=4))
def test_a_damaged_file_becomes_sound_resources_or_none(steps: list[tuple[str, int, int]]) -> None:
    data = sample("tc08_full.txt")
    for kind, at, by in steps:
        data = mutated(data, kind, at, by)
    try:
        found = parse(data)
    except Unreadable:
        return
    for resource in to_resources(found, source=[data]):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


# Whose record


@pytest.mark.parametrize(
    ("names", "gender", "birth", "expected"),
    [
        (["見本 花子"], "female", date(1975, 4, 1), []),
        (["みほん はなこ"], "female", date(1975, 4, 1), []),
        (["ﾐﾎﾝ ﾊﾅｺ"], "unknown", None, []),
        (["見本 花子（旧姓）", "見本花子"], "female", None, []),
        (["見本 太郎"], "female", date(1975, 4, 1), ["name-differs"]),
        ([], "female", date(1975, 4, 1), ["name-differs"]),
        (["見本 花子"], "male", date(1975, 4, 2), ["gender-differs", "birth-differs"]),
    ],
)
def test_identity(names: list[str], gender: str, birth: date | None, expected: list[str]) -> None:
    found = mismatches(parse(sample("tc08_full.txt")), names=names, gender=gender, birth_on=birth)
    assert [p.code for p in found] == expected
    assert all(p.line == 2 and p.field for p in found)


def test_an_unreadable_birth_date_does_not_match() -> None:
    data = notebook(*GROUP, *DRUG).replace(b"S500401", b"S509901")
    found = mismatches(parse(data), names=["見本花子"], gender="female", birth_on=date(1975, 4, 1))
    assert [p.code for p in found] == ["birth-differs"]


def test_amounts_are_exact() -> None:
    found = dispense(*GROUP, "201,1,見本,0.1,ｇ,1,,1", "301,1,x,3,日分,1,1,,1")
    assert found["quantity"]["value"] == Decimal("0.3")
