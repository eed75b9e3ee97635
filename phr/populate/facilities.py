"""Invented clinics, pharmacies, schools and municipalities, shared by all families.

Prefecture 99 does not exist, so no code here can be a real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from phr.populate.systems import JP_PROFILE, MUNICIPALITY, SCHOOL
from phr.records.systems import INSTITUTION_10, OWN

CITIES = ("見本市", "例示市", "仮名町", "雛形市", "架空村", "模擬市", "手本町", "凡例市")
CODE_SYSTEMS = {"municipality": MUNICIPALITY, "school": SCHOOL}


@dataclass(frozen=True, slots=True)
class Facility:
    """One organisation. `kind` is a value of consent.Organization.Kind."""

    id: str
    code: str
    kind: str
    name: str
    city: str

    @property
    def performer(self) -> dict[str, Any]:
        return {"reference": f"Organization/{self.id}", "display": self.name}

    def resource(self) -> dict[str, Any]:
        """The Organization (JP Core)."""
        return {
            "resourceType": "Organization",
            "id": self.id,
            "meta": {"profile": [JP_PROFILE + "JP_Organization"]},
            "identifier": [{"system": CODE_SYSTEMS.get(self.kind, INSTITUTION_10), "value": self.code}],
            "active": True,
            "name": self.name,
            "address": [{"text": f"見本県{self.city}", "state": "見本県", "city": self.city, "country": "JP"}],
        }


@dataclass(frozen=True, slots=True)
class Town:
    """What a family finds where it lives."""

    municipality: Facility
    obstetric: tuple[Facility, ...]
    paediatric: tuple[Facility, ...]
    pharmacies: tuple[Facility, ...]
    school: Facility

    @property
    def facilities(self) -> tuple[Facility, ...]:
        return (self.municipality, *self.obstetric, *self.paediatric, *self.pharmacies, self.school)


def make(code: str, kind: str, name: str, city: str) -> Facility:
    """A facility whose id follows from its code."""
    return Facility(str(uuid5(NAMESPACE_URL, f"{OWN}/facility/{code}")), code, kind, name, city)


def _town(number: int, city: str) -> Town:
    def clinic(serial: int, kind: str, name: str) -> Facility:
        return make(f"991{number:03d}{serial:04d}", kind, f"{city}{name}", city)

    return Town(
        municipality=make(f"99{number:03d}{number % 10}", "municipality", city, city),
        obstetric=(clinic(1, "clinic", "見本産婦人科クリニック"), clinic(2, "hospital", "見本総合病院 産婦人科")),
        paediatric=(clinic(3, "clinic", "見本小児科"), clinic(4, "clinic", "こども例示クリニック")),
        pharmacies=tuple(
            make(f"994{number:03d}{serial:04d}", "pharmacy", f"{city}{name}", city)
            for serial, name in ((5, "見本薬局 駅前店"), (6, "例示調剤薬局"))
        ),
        school=make(f"997{number:03d}0007", "school", f"{city}立見本小学校", city),
    )


@cache
def towns() -> tuple[Town, ...]:
    return tuple(_town(number, city) for number, city in enumerate(CITIES, start=1))


def all_facilities() -> list[Facility]:
    return [facility for town in towns() for facility in town.facilities]
