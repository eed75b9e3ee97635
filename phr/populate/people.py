"""The people of a family, and their Patient resources (JP Core: names as IDE and SYL)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from phr.populate.facilities import Facility
from phr.populate.systems import JP_PROFILE, PERSON
from phr.records.systems import PATIENT_AT_INSTITUTION

REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


@dataclass(frozen=True, slots=True)
class Human:
    """Somebody with a record. `id` is the Patient id and the Subject id."""

    id: str
    username: str  # empty: does not sign in
    family: str
    family_kana: str
    given: str
    given_kana: str
    sex: str  # FHIR administrative gender
    birth_on: date
    number: str  # invented number of the person

    @property
    def name(self) -> str:
        return f"{self.family} {self.given}"

    @property
    def kana(self) -> str:
        return f"{self.family_kana} {self.given_kana}"


def patient(human: Human, clinic: Facility | None, *, city: str) -> dict[str, Any]:
    """The Patient; `clinic` gives her its patient number."""
    identifier = [{"use": "official", "system": PERSON, "value": human.number}]
    if clinic:
        identifier.append({"system": PATIENT_AT_INSTITUTION + clinic.code, "value": human.number[-8:]})
    return {
        "resourceType": "Patient",
        "id": human.id,
        "meta": {"profile": [JP_PROFILE + "JP_Patient"]},
        "identifier": identifier,
        "active": True,
        "name": [
            _name("IDE", human.family, human.given),
            _name("SYL", human.family_kana, human.given_kana),
        ],
        "gender": human.sex,
        "birthDate": human.birth_on.isoformat(),
        "address": [{"use": "home", "text": f"見本県{city}", "state": "見本県", "city": city, "country": "JP"}],
    }


def _name(representation: str, family: str, given: str) -> dict[str, Any]:
    return {
        "extension": [{"url": REPRESENTATION, "valueCode": representation}],
        "use": "usual",
        "text": f"{family} {given}",
        "family": family,
        "given": [given],
    }
