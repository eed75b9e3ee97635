"""Everything in a notebook that is not a dispensed drug: claims, remarks, bought medicines, the pharmacist. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from integrations.ids import resource_id
from integrations.jahis_qr.groups import Group
from integrations.jahis_qr.parse import Notebook
from integrations.jahis_qr.rows import Row, day
from integrations.jahis_qr.table import CODES, RECORDS
from phr.records import systems

Resource = dict[str, Any]

JP = "http://jpfhir.jp/fhir/core/StructureDefinition"
JAN = f"{systems.OWN}/CodeSystem/jan"
RECORD = f"{systems.OWN}/CodeSystem/jahis-record"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_IN_GROUP = ("401", "411", "421", "501", "601")


def creator(row: Row) -> str:
    """作成者 of a row: 1 professional, 2 patient, 8 other, 9 unknown, "" not stated. 601 is always the patient's."""
    if row.number == "601":
        return "2"
    return row.get("作成者") if "作成者" in RECORDS[row.number].position else ""


def of_notebook(notebook: Notebook, *, patient_id: str, today: date) -> Iterator[tuple[Row, Resource]]:
    """Records 2, 3 with 31, 4 and 701, each with the row it came from."""
    for row in notebook.all("2"):
        if resource := _special_note(row, patient_id):
            yield row, resource
    for row in notebook.all("3"):
        if row.get("薬品名称"):
            yield row, _bought_medicine(row, _ingredients(row, notebook), patient_id)
    for row in notebook.all("4"):
        if row.get("内容"):
            yield row, _communication(row, patient_id, sent=day(row.get("入力日")))
    for row in notebook.all("701"):
        if row.get("氏名"):
            yield row, _care_team(row, patient_id, today)


def of_group(group: Group, *, patient_id: str) -> Iterator[tuple[Row, Resource]]:
    """Records 401, 411, 421, 501 and 601 of one dispensing."""
    for row in group.rows:
        if row.number in _IN_GROUP and row.get("内容"):
            entered = day(row.get("入力日")) if row.number == "601" else None
            yield row, _communication(row, patient_id, sent=entered or group.day)


def _special_note(row: Row, patient_id: str) -> Resource | None:
    """Record 2 is a claim, by whomever: unconfirmed until somebody confirms it."""
    kind, text = row.get("種別"), row.get("内容")
    if not text:
        return None
    if kind in ("1", "2"):
        return _allergy("allergy" if kind == "1" else "intolerance", text, patient_id)
    return _condition(text, patient_id) if kind == "3" else _communication(row, patient_id, sent=None)


def _status(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"{_TERMINOLOGY}/{system}", "code": code}]}


def _allergy(kind: str, text: str, patient_id: str) -> Resource:
    return {
        "resourceType": "AllergyIntolerance",
        "id": resource_id("AllergyIntolerance", patient_id, kind, text),
        "meta": {"profile": [f"{JP}/JP_AllergyIntolerance"]},
        "clinicalStatus": _status("allergyintolerance-clinical", "active"),
        "verificationStatus": _status("allergyintolerance-verification", "unconfirmed"),
        "type": kind,
        "code": {"text": text},
        "patient": {"reference": f"Patient/{patient_id}"},
    }


def _condition(text: str, patient_id: str) -> Resource:
    return {
        "resourceType": "Condition",
        "id": resource_id("Condition", patient_id, text),
        "meta": {"profile": [f"{JP}/JP_Condition"]},
        "verificationStatus": _status("condition-ver-status", "unconfirmed"),
        "category": [{"text": "既往歴"}],
        "code": {"text": text},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def _ingredients(row: Row, notebook: Notebook) -> list[str]:
    serial = row.get("レコード通番")
    return [
        part.get("成分名") for part in notebook.all("31")
        if serial and part.get("レコード通番") == serial and part.get("成分名")
    ]  # fmt: skip


def _bought_medicine(row: Row, ingredients: list[str], patient_id: str) -> Resource:
    """Record 3. The id leaves out the end: the same medicine with its end given later is the same statement."""
    name, jan = row.get("薬品名称"), row.get("JANコード")
    start, end = day(row.get("服用開始")), day(row.get("服用終了"))
    coded = jan.isascii() and jan.isdigit() and len(jan) in (8, 13)
    coding = {"coding": [{"system": JAN, "code": jan, "display": name}]} if coded else {}
    resource: Resource = {
        "resourceType": "MedicationStatement",
        "id": resource_id("MedicationStatement", patient_id, name, start.isoformat() if start else ""),
        "meta": {"profile": [f"{JP}/JP_MedicationStatement"]},
        "status": "completed" if end else "unknown",
        "category": {"coding": [{"system": RECORD, "code": "3", "display": RECORDS["3"].name}]},
        "medicationCodeableConcept": coding | {"text": name},
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    if period := _period(start, end):
        resource["effectivePeriod"] = period
    if creator(row) == "2":
        resource["informationSource"] = {"reference": f"Patient/{patient_id}"}
    if ingredients:
        resource["note"] = [{"text": "成分: " + "、".join(ingredients)}]
    return resource


def _period(start: date | None, end: date | None) -> Resource:
    """A FHIR Period; an end before the start is not one (per-1), so only the start is kept then."""
    if start and end and end < start:
        end = None
    named = {"start": start, "end": end}
    return {name: value.isoformat() for name, value in named.items() if value}


def _communication(row: Row, patient_id: str, *, sent: date | None) -> Resource:
    text, on = row.get("内容"), sent.isoformat() if sent else ""
    patient = {"reference": f"Patient/{patient_id}"}
    category = {"system": RECORD, "code": row.number, "display": RECORDS[row.number].name}
    resource: Resource = {
        "resourceType": "Communication",
        "id": resource_id("Communication", patient_id, row.number, on, text),
        "status": "completed",
        "category": [{"coding": [category]}],
        "subject": patient,
    }
    if row.number == "411" and (kind := CODES["提供情報種別"].get(row.get("種別"))):
        resource["category"][0]["text"] = kind
    if sent:
        resource["sent"] = on
    if creator(row) == "2":
        resource["sender"] = patient
    return resource | {"payload": [{"contentString": text}]}


def _care_team(row: Row, patient_id: str, today: date) -> Resource:
    """Record 701. The id leaves out the end: the same pharmacist, later with an end, is the same team."""
    start, end = day(row.get("開始日")), day(row.get("終了日"))
    role = {"text": "かかりつけ薬剤師"}
    participant: Resource = {"role": [role], "member": {"type": "Practitioner", "display": row.get("氏名")}}
    if row.get("勤務先薬局名称"):
        participant["onBehalfOf"] = {"type": "Organization", "display": row.get("勤務先薬局名称")}
    if period := _period(start, end):
        participant["period"] = period
    return {
        "resourceType": "CareTeam",
        "id": resource_id(
            "CareTeam", patient_id, row.get("氏名"), row.get("勤務先薬局名称"), start.isoformat() if start else ""
        ),
        "status": "inactive" if end and end < today else "active",
        "category": [role],
        "subject": {"reference": f"Patient/{patient_id}"},
        "participant": [participant],
    }
