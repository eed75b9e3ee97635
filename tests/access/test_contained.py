"""What is contained, or referred to in passing, is hidden as if it stood alone."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from consent.scope import Category
from phr.populate.cast import HANA, YUKI
from phr.records.facts import TellsOfSomeone, facts_of
from tests.family import CONFIDENTIALITY, LOINC, Neighbourhood, organization, pressure

B20 = {"system": "http://hl7.org/fhir/sid/icd-10", "code": "B20"}
YUKIS = {"reference": f"Patient/{YUKI}"}
HANAS = {"reference": f"Patient/{HANA}"}
EPDS = {"resourceType": "Observation", "id": "o", "status": "final", "subject": YUKIS, "valueInteger": 21,
        "code": {"coding": [{"system": LOINC, "code": "71354-5"}]}}  # fmt: skip
SICK = {"resourceType": "Condition", "id": "c", "subject": YUKIS, "code": {"text": "x"}}
TO_YUKI = [{"url": "https://example.org/x", "valueReference": YUKIS}]


def letter(*contained: Any, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference", "status": "current", "subject": HANAS,
        "content": [{"attachment": {"title": "x"}}], **more,
    } | ({"contained": list(contained), "context": {"related": [{"reference": f"#{c['id']}"} for c in contained]}}
         if contained else {})  # fmt: skip


def test_the_mother_cannot_carry_her_own_answers_into_her_childs_record(family: Neighbourhood) -> None:
    for carried in (letter(EPDS), letter(extension=TO_YUKI)):
        refused = family.app("mother", patient="hana").create(carried)
        assert refused.status == 422, refused
    assert family.father.search("DocumentReference").ids == []


def test_what_the_clinic_writes_of_two_is_not_there_for_whom_one_of_them_did_not_allow(family: Neighbourhood) -> None:
    assert facts_of(letter(EPDS, id="x"), author=1).subjects == (UUID(str(HANA)), UUID(str(YUKI)))
    within = pressure(HANA, contained=[EPDS], hasMember=[{"reference": "#o"}], id="x")
    found = facts_of(within, author=1)
    assert found.subjects == (UUID(str(HANA)), UUID(str(YUKI)))
    assert found.categories & Category.PSY
    assert found.level == 3


OPEN: dict[str, tuple[dict[str, Any], str]] = {
    "contained": (organization() | {"contained": [SICK]}, "Organization.contained[0]"),
    "contained of no one": (
        organization() | {"contained": [{k: v for k, v in EPDS.items() if k != "subject"}]},
        "Organization.contained[0]"),
    "extension": (organization() | {"extension": TO_YUKI}, "Organization.extension[0].valueReference.reference"),
    "uri": (organization() | {"extension": [{"url": "https://example.org/x", "valueUri": f"Patient/{YUKI}"}]},
            "Organization.extension[0].valueUri"),
    "label after a definition": (
        {"resourceType": "Organization", "contained": [{"resourceType": "ValueSet", "id": "x", "status": "draft"}],
         "name": "見本産院", "type": [{"coding": [B20]}]},
        "Organization.type[0].coding[0]",
    ),
    "label": (organization() | {"type": [{"coding": [B20]}]}, "Organization.type[0].coding[0]"),
    "label in an extension": (
        {"resourceType": "Medication", "extension": [{"url": "https://example.org/x", "valueCoding": B20}]},
        "Medication.extension[0].valueCoding"),
    "medicine": ({"resourceType": "Medication", "code": {"coding": [B20]}}, "Medication.code.coding[0]"),
    "restricted": (organization() | {"meta": {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}},
                   "Organization.meta.security[0]"),
    "very restricted": (
        {"resourceType": "ValueSet", "status": "draft", "meta": {"security": [
            {"system": CONFIDENTIALITY, "code": "V"}]}}, "ValueSet.meta.security[0]"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_what_is_open_to_all_tells_of_nobody(family: Neighbourhood, name: str) -> None:
    resource, place = OPEN[name]
    refused = family.clinic.create(resource)
    assert refused.status == 422, refused
    assert place in refused.issue["diagnostics"]
    with pytest.raises(TellsOfSomeone) as caught:
        facts_of(resource, author=1)
    assert caught.value.place == place


def test_definitions_may_name_what_they_define() -> None:
    for resource in (
        {"resourceType": "Questionnaire", "status": "draft", "item": [
            {"linkId": "1", "type": "integer", "code": [{"system": LOINC, "code": "71354-5"}]}]},
        {"resourceType": "ValueSet", "status": "draft", "expansion": {"contains": [B20]}},
        {"resourceType": "Medication", "contained": [organization() | {"id": "m"}]},
    ):  # fmt: skip
        assert facts_of(resource, author=1).categories == Category.ADMINISTRATIVE
