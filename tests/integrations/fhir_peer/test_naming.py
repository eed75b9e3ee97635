"""Whoever a resource of a peer names, and whatever it says that only we say of our own. No database."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from integrations.fhir_peer import mapping
from integrations.fhir_peer.mapping import There
from integrations.fhir_peer.parse import Unusable
from phr.records import systems
from tests.integrations.fhir_peer.test_hostile import theirs
from tests.integrations.fhir_peer.wire import HERS

SHE, REN = UUID(int=7), "5b4c8f0e-6c0f-4f1e-9d55-3a2f6d1b8a01"
OWN, BASE = "http://tsumugi.test/fhir", "http://peer.test/fhir"
THERE = There(BASE, HERS, SHE, frozenset({"Observation"}), {}, OWN)

SPELLINGS = [
    OWN.upper() + f"/Patient/{REN}", OWN.replace("http:", "HTTP:") + f"/Patient/{REN}", f"/Patient/{REN}",
    f"Patient/{REN}?x=1", f"Patient/{REN}#a", f"Patient/{REN.upper()}", f"urn:uuid:{REN}", f"Patient/{REN}/",
    f"./Patient/{REN}", f"{OWN}//Patient/{REN}", f"{OWN}/Patient/{REN}/_history/1", f"{OWN}/Patient?identifier={REN}",
    "Patient?identifier=x", f"{BASE.upper()}/Patient/p-2", f"{BASE}/Patient/p-2/", f"{BASE}/../fhir/Patient/p-2",
    f"patient/{REN}", f"PATIENT/{REN}", f"%50atient/{REN}", f"%2550atient/{REN}", f"Patient%2F{REN}", "Patient\\p-2",
    f"{BASE}/Observation/../Patient/p-2", "https://third.example/fhir/Patient/p-2", " Patient/p-2", f"urn:UUID:{REN}",
]  # fmt: skip


@pytest.mark.parametrize("reference", SPELLINGS)
def test_another_person_in_any_spelling(reference: str) -> None:
    with pytest.raises(Unusable, match="other-person"):
        mapping.taken(theirs(focus=[{"reference": reference}]), THERE)


@pytest.mark.parametrize(
    "more",
    [
        {"extension": [{"url": "http://x", "valueUri": f"Patient/{REN}"}]},
        {"extension": [{"url": "http://x", "valueUrl": f"{OWN}/Patient/{REN}"}]},
        {"focus": [{"identifier": {"system": f"{OWN}/Patient", "value": REN}}]},
        {"focus": [{"identifier": {"value": REN}}]},
        {"focus": [{"identifier": {"system": f"{systems.PATIENT_AT_INSTITUTION}1312345678", "value": "1"}}]},
        {"focus": [{"type": "Patient", "identifier": {"system": "urn:x", "value": "1"}}]},
        {"derivedFrom": [{"type": "Patient", "reference": "Observation/zz", "identifier": {"value": REN}}]},
        {"contained": [{"resourceType": "Patient", "id": "a", "birthDate": "2020-01-01"}]},
    ],
)  # fmt: skip
def test_another_person_by_other_words(more: dict[str, Any]) -> None:
    with pytest.raises(Unusable, match="other-person"):
        mapping.taken(theirs(**more), THERE)


@pytest.mark.parametrize("reference", [f"Patient/{HERS}", f"{BASE}/Patient/{HERS}", f"Patient/{HERS}/_history/3"])
def test_she_herself_is_named_by_nothing_else(reference: str) -> None:
    other = {"identifier": {"system": "urn:x", "value": "somebody else"}, "display": "別人"}
    made = mapping.taken(theirs(subject={"reference": reference, **other}), THERE)
    assert made["subject"] == {"reference": f"Patient/{SHE}"}


def test_everybody_else_and_everything_else_may_be_named() -> None:
    more: dict[str, Any] = {
        "performer": [
            {"reference": "Practitioner/1", "display": "医師"}, {"identifier": {"system": "urn:x", "value": "9"}},
        ],
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/Patient", "valueString": "Patient/x"}],
        "note": [{"text": "the patient / Patient"}], "device": {"reference": "#patients-own"},
        "hasMember": [{"reference": "Observation/2"}],
    }  # fmt: skip
    made = mapping.taken(theirs(**more), THERE)
    assert made["performer"] == [{"reference": f"{BASE}/Practitioner/1", "display": "医師"}, more["performer"][1]]
    assert made["extension"] == more["extension"] and made["device"] == more["device"]
    assert made["hasMember"] == [{"reference": f"Observation/{mapping.our_id(THERE, 'Observation', '2')}"}]


def test_what_only_we_say_of_our_own_is_left_out() -> None:
    ours = [{"system": systems.OWN_ORIGIN, "code": code} for code in ("self-measured", "self-entered", "claim")]
    reserved = [{"system": system, "value": "x"} for system in (
        systems.DISPENSE_KEY, systems.DISPENSE_LOOSE_KEY, systems.OWN_SHA256, f"{systems.OWN}/IdSystem/home-sample",
    )]  # fmt: skip
    kept = {"system": "urn:x", "value": "1"}
    meta = {"tag": [*ours, {"system": "urn:tag", "code": "a"}]}
    inner = {"resourceType": "Specimen", "id": "s", "meta": {"tag": ours}, "identifier": reserved}
    made = mapping.taken(theirs(meta=meta, identifier=[*reserved, kept], contained=[inner]), THERE)
    assert made["identifier"] == [kept]
    assert made["meta"]["tag"] == [{"system": "urn:tag", "code": "a"}, mapping.FROM_PEER]
    [specimen] = made["contained"]
    assert "identifier" not in specimen and not specimen.get("meta", {}).get("tag")
    assert "identifier" not in mapping.taken(theirs(identifier=reserved), THERE)
