"""Messages to FHIR: golden files of every sample, and the rules of the tables one by one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from integrations.items import Item, Mapped
from integrations.problems import Unreadable
from integrations.ssmix2.mapping import to_resources
from integrations.ssmix2.reading import Source, of_file, of_message
from phr.records import body, systems, validate
from phr.records.systems import OWN
from tests.integrations.ssmix2.samples import ABOUT, CODE, GOLDEN, VISIT, message, sample, stored

SOURCE = Source(CODE)
READABLE = [path for path, data in stored() if data.startswith(b"MSH") and "101500000_01_2" not in path]
LOCAL = f"{OWN}/CodeSystem/local/{CODE}"
JC10 = systems.JLAC10
Resource = dict[str, Any]


def to_bundle(mapped: Mapped) -> Resource:
    """The resources as a collection Bundle, as the golden files hold them."""
    entries = [{"fullUrl": f"{OWN}/{r['resourceType']}/{r['id']}", "resource": r} for r in mapped.resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def mapped(event: str, *lines: str, **options: str) -> list[Resource]:
    return to_resources(item(event, *lines, **options), about=ABOUT).resources


def item(event: str, *lines: str, **options: str) -> Item:
    return of_message(message(event, *lines, **options), SOURCE)


def one(event: str, *lines: str, type: str, **options: str) -> Resource:
    [found] = [r for r in mapped(event, *lines, **options) if r["resourceType"] == type]
    return found


def codes(event: str, *lines: str) -> list[str]:
    return [problem.code for problem in to_resources(item(event, *lines), about=ABOUT).problems]


@pytest.mark.parametrize("path", READABLE, ids=lambda p: p.rsplit("/", 1)[1])
def test_a_message_becomes_its_golden_bundle(path: str) -> None:
    """What lies in the wrong place as a file is sound as a message of the wire."""
    found = to_bundle(to_resources(of_message(dict(stored())[path], SOURCE), about=ABOUT))
    golden = (GOLDEN / "fhir" / f"{path.rsplit('/', 1)[1]}.json").read_bytes()
    assert body.parse(body.write(found)) == body.parse(golden)


@pytest.mark.parametrize("path", READABLE, ids=lambda p: p.rsplit("/", 1)[1])
def test_what_comes_of_a_sample_is_sound(path: str) -> None:
    """By our own validator and by models written by others."""
    for resource in to_resources(of_message(dict(stored())[path], SOURCE), about=ABOUT).resources:
        assert [p for p in validate.check(resource) if p.severity in ("fatal", "error")] == []
        get_fhir_model_class(resource["resourceType"]).model_validate_json(body.write(resource))


def test_a_file_and_a_message_are_one_fact() -> None:
    for path, data in stored():
        if path in READABLE and path.startswith("999/000"):
            filed = of_file(path, data, SOURCE)
            assert filed is not None
            sent = of_message(data, SOURCE)
            assert filed.key == sent.key
            names = [r["id"] for r in to_resources(sent, about=ABOUT).resources]
            assert names[: len(to_resources(filed, about=ABOUT).resources)] == [
                r["id"] for r in to_resources(filed, about=ABOUT).resources
            ]


# Visits and stays


def visit(admitted: str = "", left: str = "", *, ward: str = "32^305^1^^^N", kind: str = "I") -> str:
    """A PV1 with fields 2, 3, 7, 10, 44 and 45."""
    said = {2: kind, 3: ward, 7: "607^医師^一郎^^^^^^^L^^^^^I", 10: "01" if kind == "I" else "", 44: admitted, 45: left}
    return "|".join(["PV1", *(said.get(at, "") for at in range(1, 46))])


IN, OUT = "202601101000", "202601121100"
MOVED = "EVN||20260111||||202601111300"
SINCE = {"start": "2026-01-10T10:00:00+09:00"}


@pytest.mark.parametrize(
    ("event", "lines", "status", "period"),
    [
        ("ADT^A01", [visit(IN)], "arrived", SINCE),
        ("ADT^A02", [MOVED, visit(IN)], "in-progress", SINCE),
        ("ADT^A21", [MOVED, visit(IN)], "onleave", SINCE),
        ("ADT^A03", [visit(IN, OUT)], "finished", SINCE | {"end": "2026-01-12T11:00:00+09:00"}),
        ("ADT^A13", [visit(IN, OUT)], "in-progress", SINCE),
        ("ADT^A11", [visit(IN)], "cancelled", SINCE),
        ("ADT^A14", [visit(), "PV2||||||||20260110|20260113"], "planned", {"start": "2026-01-10", "end": "2026-01-13"}),
    ],
)  # fmt: skip
def test_every_event_of_a_stay_is_a_version_of_one_encounter(
    event: str, lines: list[str], status: str, period: Resource
) -> None:
    """No visit number exists: patient and day of admission."""
    found = one(event, *lines, type="Encounter")
    first = one("ADT^A01", visit(IN), type="Encounter")
    assert found["id"] == first["id"]
    assert (found["status"], found["period"], found["class"]["code"]) == (status, period, "IMP")
    assert found["location"][0]["location"]["display"] == "32 305 1"
    assert found["participant"][0]["type"][0]["coding"][0]["code"] == "ATND"


def test_receptions_on_one_day_are_told_apart_by_department() -> None:
    lines = (visit("20260112", ward=f"{dept}^^^^^C", kind="O") for dept in ("01", "02"))
    visits = [one("ADT^A04", line, type="Encounter") for line in lines]
    assert visits[0]["id"] != visits[1]["id"]
    assert {(v["status"], v["class"]["code"]) for v in visits} == {("arrived", "AMB")}


def test_an_event_that_names_no_stay_is_kept_apart_and_said_so() -> None:
    lines = ("EVN||20260111||||202601111300", "PV1|0001|I|32^305^1^^^N")
    assert codes("ADT^A02", *lines) == ["stay-unknown"]
    assert one("ADT^A02", *lines, type="Encounter")["location"][0]["period"] == {"start": "2026-01-11T13:00:00+09:00"}


def test_a_withdrawn_event_undoes_only_itself() -> None:
    path = "999/000/9990001/20260112/ADT-52/9990001_20260112_ADT-52_999999999999999_20260112110000000_01_0"
    data = message("ADT^A03", visit(IN, OUT))
    undone = of_file(path, data, SOURCE)
    assert undone is not None
    assert not undone.deleted
    [encounter] = to_resources(undone, about=ABOUT).resources
    assert encounter["status"] == "in-progress"
    assert "end" not in encounter["period"]


# Results

SPM = "SPM|1|S1||023^血清^JC10|||||||||||||202601120930"
OBR = "OBR|1|000000000000123|S1|E001^生化学^99O03"
CRP = "5C070000002306101^CRP^JC10"


def observed(obx: str, **options: str) -> Resource:
    return one("OUL^R22", SPM, OBR, obx, type="Observation", **options)


@pytest.mark.parametrize(
    ("obx", "value"),
    [
        (f"OBX|1|NM|{CRP}||6.80|%^%^99XYZ", {"valueQuantity": {
            "value": Decimal("6.80"), "unit": "%", "system": systems.UCUM, "code": "%"}}),
        (f"OBX|1|NM|{CRP}||12|万/μL", {"valueQuantity": {
            "value": Decimal(12), "unit": "万/μL", "system": systems.UCUM, "code": "10*4/uL"}}),
        (f"OBX|1|NM|{CRP}||5|瓶", {"valueQuantity": {"value": Decimal(5), "unit": "瓶"}}),
        (f"OBX|1|NM|{CRP}||測定不能", {"valueString": "測定不能"}),
        (f"OBX|1|SN|{CRP}||<^0.05|mg/dL", {"valueQuantity": {
            "comparator": "<", "value": Decimal("0.05"), "unit": "mg/dL", "system": systems.UCUM, "code": "mg/dL"}}),
        (f"OBX|1|SN|{CRP}||^1^:^128", {"valueString": "1:128"}),
        (f"OBX|1|ST|{CRP}||(±)", {"valueString": "(±)"}),
        (f"OBX|1|TX|{CRP}||一行目~二行目", {"valueString": "一行目\n二行目"}),
        (f"OBX|1|TX|{CRP}||a\\.br\\b", {"valueString": "a\nb"}),
        (f"OBX|1|CWE|{CRP}||1^陰性^99XYZ", {"valueCodeableConcept": {
            "coding": [{"system": f"{LOCAL}/99XYZ", "code": "1", "display": "陰性"}], "text": "陰性"}}),
        (f"OBX|1|TS|{CRP}||20260112", {"valueDateTime": "2026-01-12"}),
        (f"OBX|1|TM|{CRP}||0930", {"valueTime": "09:30:00"}),
        (f"OBX|1|XCN|{CRP}||607^医師^一郎", {"valueString": "医師 一郎"}),
        (f"OBX|1|CQ|{CRP}||3^mL&mL&ISO+", {"valueQuantity": {"value": Decimal(3), "unit": "mL"}}),
    ],
)  # fmt: skip
def test_values_by_their_type(obx: str, value: Resource) -> None:
    found = {name: said for name, said in observed(obx).items() if name.startswith("value")}
    assert body.write(found) == body.write(value)


@pytest.mark.parametrize("obx", [f"OBX|1|NM|{CRP}||", f"OBX|1|ED|{CRP}||x^y", f'OBX|1|NM|{CRP}||""'])
def test_a_result_without_a_value_says_so(obx: str) -> None:
    assert observed(obx)["dataAbsentReason"]["coding"][0]["code"] == "unknown"


@pytest.mark.parametrize(
    ("status", "expected"),
    [("F", "final"), ("P", "preliminary"), ("C", "corrected"), ("X", "cancelled"), ("D", "entered-in-error")],
)
def test_result_status(status: str, expected: str) -> None:
    assert observed(f"OBX|1|NM|{CRP}||1|||||{status}".replace("||1|||||", "||1||||||"))["status"] == expected


def test_what_was_only_ordered_is_no_result() -> None:
    assert [r["resourceType"] for r in mapped("OUL^R22", SPM, OBR, f"OBX|1||{CRP}||||||||O")] == [
        "Specimen", "DiagnosticReport",
    ]  # fmt: skip


def test_ids_of_results_do_not_rest_on_serial_numbers() -> None:
    other = "OBX|1|NM|3D045000001906202^HbA1c^JC10||6.8"
    before = {r["id"] for r in mapped("OUL^R22", SPM, OBR, f"OBX|1|NM|{CRP}||1")}
    after = {r["id"] for r in mapped("OUL^R22", SPM, OBR, other, f"OBX|2|NM|{CRP}||1")}
    assert before < after


def test_limits_and_flags() -> None:
    found = observed(f"OBX|1|NM|{CRP}||6.8|%|4.6-6.2|H~A")
    assert found["referenceRange"][0]["low"]["value"] == Decimal("4.6")
    assert [c["coding"][0]["code"] for c in found["interpretation"]] == ["H", "A"]
    assert observed(f"OBX|1|ST|{CRP}||(-)||(-)")["referenceRange"] == [{"text": "(-)"}]


def test_without_a_specimen_the_profile_gets_a_reason() -> None:
    found = one("ORU^R01", "ORC|NW|1|||||||20260112", "OBR|1|1||9A110^心電図^JC10|||20260112",
                "OBX|1|TX|9A100&IMP^所見^JC10||異常なし||||||F", type="Observation")  # fmt: skip
    assert "specimen" not in found
    assert found["code"] == {"text": "所見"}
    assert found["effectiveDateTime"] == "2026-01-12"


# Medicines

ORDER = "ORC|NW|000000000000124||000000000000124_01_001|||||20260112101600|||607^医師^一郎^^^^^^^L^^^^^I"
TABLET = "999999901^見本錠５ｍｇ^HOT9"
RXE = f"RXE||{TABLET}|1||TAB^錠^MR9P|||||28|TAB^錠^MR9P||||||||1^TAB&錠&MR9P||OHP^外来処方^MR9P"
TIMES = "TQ1|1||1011000400000000&内服・経口・１日１回朝食後&JAMISDP01|||28^d|20260112"


def test_a_prescription() -> None:
    found = one("RDE^O11", ORDER, RXE, TIMES, "RXR|PO^口^HL70162", type="MedicationRequest")
    assert [i["value"] for i in found["identifier"][:3]] == ["1", "1", "000000000000124"]
    assert found["medicationCodeableConcept"]["coding"][0]["system"] == systems.HOT9
    assert found["dispenseRequest"] == {
        "quantity": {"value": Decimal(28), "unit": "錠", "system": systems.MEDICATION_UNIT, "code": "TAB"},
        "expectedSupplyDuration": {"value": Decimal(28), "unit": "日", "system": systems.UCUM, "code": "d"},
    }
    [dosage] = found["dosageInstruction"]
    assert dosage["timing"]["code"]["coding"][0]["code"] == "1011000400000000"
    assert dosage["route"]["coding"][0]["code"] == "PO"
    assert dosage["doseAndRate"][0]["rateRatio"]["numerator"]["code"] == "TAB"
    assert found["status"] == "active"
    assert found["category"][0]["coding"][0]["system"].endswith("JP_MedicationCategoryMERIT9_CS")


@pytest.mark.parametrize(
    ("start", "control", "status"),
    [("20260112", "NW", "active"), ("20251201", "NW", "completed"), ("20260112", "CA", "cancelled"),
     ("20260112", "DC", "stopped"), ("", "NW", "active")],
)  # fmt: skip
def test_a_prescription_has_ended_when_its_supply_had(start: str, control: str, status: str) -> None:
    lines = (ORDER.replace("NW", control), RXE, TIMES.replace("20260112", start), "RXR|PO^口^HL70162")
    assert one("RDE^O11", *lines, type="MedicationRequest")["status"] == status


def test_drugs_of_one_rp_are_numbered() -> None:
    found = mapped("RDE^O11", ORDER, RXE, ORDER.replace("_001", "_002"), RXE, ORDER.replace("_01_", "_02_"), RXE)
    assert [[i["value"] for i in r["identifier"][:2]] for r in found] == [["1", "1"], ["1", "2"], ["2", "1"]]
    assert len({r["id"] for r in found}) == 3


def test_a_mixture_is_one_request_with_its_drugs_inside() -> None:
    path, data = sample("OMP-02")
    taken = of_file(path, data, SOURCE)
    assert taken is not None
    found = to_resources(taken, about=ABOUT).resources
    assert [r["resourceType"] for r in found] == ["MedicationRequest"] * 3
    [medicine] = found[0]["contained"]
    assert [i["itemCodeableConcept"]["coding"][0]["code"] for i in medicine["ingredient"]] == ["620007329", "620002559"]
    assert found[0]["medicationReference"] == {"reference": f"#{medicine['id']}"}


@pytest.mark.parametrize(
    ("state", "status"), [("CP", "completed"), ("RE", "not-done"), ("NA", "not-done"), ("PA", "in-progress")]
)
def test_what_was_given(state: str, status: str) -> None:
    rxa = f"RXA|0|1|202601120830|202601120830|{TABLET}|2|TAB^錠^MR9P|||||||||||||{state}"
    found = one("RAS^O17", ORDER, rxa, "RXR|PO^口^HL70162", type="MedicationAdministration")
    assert (found["status"], found["effectiveDateTime"]) == (status, "2026-01-12T08:30:00+09:00")
    assert found["dosage"]["dose"]["value"] == Decimal(2)
    assert found["dosage"]["route"]["text"] == "口"


def test_a_vaccination_is_told_and_not_counted() -> None:
    """It keeps its lot; whether it is a dose of the vaccination record is for people to say."""
    rxe = "RXE||06^予防接種^99I02|1||ML^mL^MR9P"
    rxa = "RXA|0|1|202601120830||111111111^見本ワクチン^HOT9|0.5|ML^mL^MR9P||||||||LOT7|20270101|M^見本製薬^99X|||CP"
    lines = (ORDER, rxe, "RXR|SC^皮下^HL70162", rxa, "RXR|SC^皮下^HL70162")
    found = mapped("RAS^O17", *lines)
    assert [r["resourceType"] for r in found] == ["MedicationAdministration"]
    [vaccine] = found[0]["contained"]
    assert vaccine["batch"] == {"lotNumber": "LOT7", "expirationDate": "2027-01-01"}
    assert codes("RAS^O17", *lines) == ["vaccination"]


# Diagnoses, allergies, insurance

PRB = "PRB|AD|20260112|20999999^見本病^MDCDX2|PRB1|||20260112|||K29.7^^I10^O^外来時^JHSD0004"


@pytest.mark.parametrize(
    ("more", "clinical"),
    [("||||N^^HL70241", "active"), ("||||F^^HL70241", "resolved"), ("||||D^^HL70241", "inactive"), ("", "active")],
)
def test_the_outcome_of_a_diagnosis(more: str, clinical: str) -> None:
    found = one("PPR^ZD1", PRB + more, type="Condition")
    assert found["clinicalStatus"]["coding"][0]["code"] == clinical
    assert found["code"]["coding"][1]["code"] == "K297"


def test_what_ended_is_not_active_and_what_was_an_error_has_no_status() -> None:
    ended = one("PPR^ZD1", PRB.replace("|||K29", "||20260120|K29"), type="Condition")
    assert (ended["clinicalStatus"]["coding"][0]["code"], ended["abatementDateTime"]) == ("inactive", "2026-01-20")
    wrong = one("PPR^ZD1", PRB.replace("|AD|", "|DE|"), type="Condition")
    assert wrong["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert "clinicalStatus" not in wrong


@pytest.mark.parametrize(
    ("kind", "category"),
    [("DA", ["medication"]), ("FA", ["food"]), ("LA", ["environment"]), ("AA", ["biologic"]), ("MC", None)],
)
def test_allergies_by_kind(kind: str, category: list[str] | None) -> None:
    found = one("ADT^A60", f"IAM|1|{kind}^x^HL70127|1^ソバ^99X|SV^重度^HL70128|湿疹|A^追加^HL70323|||||199601",
                type="AllergyIntolerance")  # fmt: skip
    assert found.get("category") == category
    assert found["onsetDateTime"] == "1996-01"
    assert found["reaction"] == [{"manifestation": [{"text": "湿疹"}], "description": "湿疹", "severity": "severe"}]
    assert found["clinicalStatus"]["coding"][0]["code"] == "active"


def test_an_allergy_taken_back_or_found_wrong() -> None:
    line = "IAM|1|FA^x^HL70127|1^ソバ^99X|||D^削除^HL70323"
    assert one("ADT^A60", line, type="AllergyIntolerance")["clinicalStatus"]["coding"][0]["code"] == "inactive"
    wrong = one("ADT^A60", line + "|||||||||||E", type="AllergyIntolerance")
    assert wrong["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert "clinicalStatus" not in wrong


def test_insurance_and_sizes_of_the_basics() -> None:
    path, data = sample("ADT-00")
    taken = of_file(path, data, SOURCE)
    assert taken is not None
    by_type = {r["resourceType"]: r for r in to_resources(taken, about=ABOUT).resources}
    assert by_type["Coverage"]["subscriberId"] == "１１１:１２３４５６"
    assert by_type["Coverage"]["payor"][0]["identifier"] == {"system": systems.INSURER, "value": "06139999"}
    assert by_type["Observation"]["category"][0]["coding"][0]["code"] == "body-measurement"


def test_all_that_a_patient_had_goes_with_her_deletion() -> None:
    assert item("ADT^A23", VISIT).deleted


def test_an_order_is_a_request_with_what_it_asks_for() -> None:
    path, data = sample("OML-01")
    taken = of_file(path, data, SOURCE)
    assert taken is not None
    requests = [r for r in to_resources(taken, about=ABOUT).resources if r["resourceType"] == "ServiceRequest"]
    assert [len(r["orderDetail"]) for r in requests] == [4, 3]
    assert [r["orderDetail"][0]["coding"][0]["system"] for r in requests] == [JC10, f"{LOCAL}/99X03"]


@pytest.mark.parametrize(
    ("event", "lines"),
    [("RDE^O11", (ORDER,)), ("RAS^O17", (ORDER,)), ("OUL^R22", (SPM,)), ("PPR^ZD1", ()), ("ADT^A01", ())],
)
def test_a_message_that_lacks_what_it_is_about_is_refused(event: str, lines: tuple[str, ...]) -> None:
    with pytest.raises(Unreadable, match="cut off"):
        item(event, *lines)


@pytest.mark.parametrize(
    ("event", "lines"),
    [("RDE^O11", (RXE, ORDER)), ("OUL^R22", (SPM, f"OBX|1|NM|{CRP}||1", OBR)), ("PPR^ZD1", ("ZPR|1", PRB))],
)
def test_segments_that_belong_to_nothing_are_refused(event: str, lines: tuple[str, ...]) -> None:
    with pytest.raises(Unreadable, match="stands before"):
        item(event, *lines)
