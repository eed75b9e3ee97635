"""An obstetric clinic pushes what it recorded of its own patients as a system client: twice is once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.fhir_peer.moves import stored, system_token, weight
from tests.integrations.fhir_peer.wire import KEY

OURS = "urn:oid:1.2.392.100495.20.3.51.11312345678"  # 診察券番号 of the clinic


def entry(method: str, url: str, resource: dict[str, Any], full: str = "", **request: str) -> dict[str, Any]:
    told = {"resource": resource, "request": {"method": method, "url": url, **request}}
    return {"fullUrl": full, **told} if full else told


def visit(value: float) -> dict[str, Any]:
    """One visit as clinics send it: who by their own number, each thing by its own identifier."""
    who = {"reference": f"Patient?identifier={OURS}|00042"}
    encounter = {
        "resourceType": "Encounter", "status": "finished", "identifier": [{"system": "urn:clinic", "value": "v-1"}],
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}, "subject": who,
    }  # fmt: skip
    measured = weight("x", value, identifier=[{"system": "urn:clinic", "value": "v-1-weight"}])
    measured |= {"subject": who, "encounter": {"reference": "urn:uuid:7d3a39c8-0000-4000-8000-000000000001"}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [
        entry("POST", "Encounter", encounter, "urn:uuid:7d3a39c8-0000-4000-8000-000000000001",
              ifNoneExist="identifier=urn:clinic|v-1"),
        entry("PUT", "Observation?identifier=urn:clinic|v-1-weight", measured),
    ]}  # fmt: skip


@pytest.fixture
def clinic_patient(family: People) -> str:
    """Yuki is a patient of the clinic, which wrote her Patient with its own number."""
    return str(family.yuki_subject.pk)


def test_a_clinic_pushes_transactions_with_conditional_references(family: People, clinic_patient: str) -> None:
    token = system_token(family.clinic, KEY)

    def send(path: str, content: dict[str, Any], method: str = "POST") -> Any:
        answer = Client().generic(method, f"/fhir{path}", json.dumps(content), content_type="application/fhir+json",
                                  headers={"authorization": f"Bearer {token}"})  # fmt: skip
        return answer.status_code, answer.json()

    patient = stored(family.yuki_subject.pk, "Patient")[0] | {"identifier": [{"system": OURS, "value": "00042"}]}
    assert send(f"/Patient/{clinic_patient}", json.loads(json.dumps(patient, default=str)), "PUT")[0] == 200

    status, told = send("", visit(58.1))
    assert status == 200, told
    assert [e["response"]["status"][:3] for e in told["entry"]] == ["201", "201"]
    [observation] = stored(family.yuki_subject.pk, "Observation")
    [encounter] = stored(family.yuki_subject.pk, "Encounter")
    assert observation["subject"]["reference"] == f"Patient/{clinic_patient}"
    assert observation["encounter"]["reference"] == f"Encounter/{encounter['id']}"

    status, told = send("", visit(58.1))
    assert (status, Resource.objects.filter(type__in=["Observation", "Encounter"]).count()) == (200, 2)
    status, told = send("", visit(59.9))
    [observation] = stored(family.yuki_subject.pk, "Observation")
    assert (observation["meta"]["versionId"], float(observation["valueQuantity"]["value"])) == ("2", 59.9)

    wrong = visit(61)
    wrong["entry"][1]["resource"]["subject"] = {"reference": f"Patient?identifier={OURS}|99999"}
    status, told = send("", wrong)
    assert status in (400, 404, 412, 422), told
    assert Resource.objects.filter(type="Observation").count() == 1, "nothing of a transaction that fails"
