"""What never goes from the mother to the child, kind by kind (G-02): violence, paternity, treatment, address, cover."""

from __future__ import annotations

from typing import Any

import pytest

from consent.models import Birth
from phr.populate.cast import YUKI
from tests.family import Neighbourhood, rows
from tests.guardianship.desk import post
from tests.guardianship.test_birth import ITEM, at_birth, father_of, quantity, split, told

MARK = "母だけのしるし"
NUMBER = "9988776655"
MOTHER = {"reference": f"Patient/{YUKI}"}
WORDS = {"valueQuantity": None, "valueString": MARK}
HERS: dict[str, dict[str, Any]] = {
    "violence": told("76499-3", **WORDS),
    "mental health": told("44249-1", **WORDS),
    "paternity": told("paternity", ITEM, **WORDS),
    "insurance": {
        "resourceType": "Coverage", "status": "active", "subscriberId": NUMBER, "beneficiary": MOTHER,
        "payor": [{"display": MARK}], "identifier": [{"system": "urn:x", "value": NUMBER}],
    },
    "assisted conception": {
        "resourceType": "Procedure", "status": "completed", "subject": MOTHER, "performedDateTime": at_birth(-2),
        "code": {"text": MARK, "coding": [{"system": "http://snomed.info/sct", "code": "52637005"}]},
    },
    "infection": {
        "resourceType": "Condition", "subject": MOTHER, "recordedDate": at_birth(1),
        "code": {"text": MARK, "coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "B18.1"}]},
    },
    "address": {
        "resourceType": "RelatedPerson", "patient": MOTHER, "name": [{"text": MARK}],
        "address": [{"text": MARK, "postalCode": "9988776"}], "telecom": [{"system": "phone", "value": NUMBER}],
    },
}  # fmt: skip


@pytest.fixture
def hers(family: Neighbourhood) -> dict[str, str]:
    """kind -> reference, written by the delivering clinic into the mother's record."""
    family.clinic.made(told("8339-4", valueQuantity=quantity(3120, "g")))
    made = {kind: family.clinic.made(resource) for kind, resource in HERS.items()}
    return {kind: f"{one['resourceType']}/{one['id']}" for kind, one in made.items()}


@pytest.mark.G("02")
def test_the_child_has_no_trace_of_it(family: Neighbourhood, hers: dict[str, str]) -> None:
    [child] = split(family)
    father = father_of(family, child)
    pages = [father.get(f"Patient/{child}/$everything?_count=200"), father.get("_history?_count=200")]
    types = ("Observation", "Coverage", "Procedure", "Condition", "RelatedPerson", "Patient", "Provenance")
    pages += [father.search(kind, _include="*", _revinclude="Provenance:target") for kind in types]
    everything = b"\n".join(page.content for page in pages)
    assert b"3120" in everything
    for hidden in (MARK, NUMBER, "9988776", str(YUKI), "76499-3", "52637005", "B18.1", *hers.values()):
        assert hidden.encode() not in everything, hidden
    patient = father.get(f"Patient/{child}").json
    assert not {"address", "telecom", "contact", "identifier", "link", "generalPractitioner"} & patient.keys()


@pytest.mark.G("02")
@pytest.mark.parametrize("kind", sorted(HERS))
def test_it_is_not_copied_even_when_it_is_named(family: Neighbourhood, hers: dict[str, str], kind: str) -> None:
    before = rows()
    body = {"mother": str(YUKI), "children": [{"born_at": at_birth(), "sources": [hers[kind]]}]}
    answer = post(family.app("obstetrician"), "desk/births", body)
    assert answer.status == 422, answer
    assert MARK.encode() not in answer.content
    assert rows() == before
    assert not Birth.objects.exists()
