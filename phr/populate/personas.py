"""The demo's personas: who they are, what they ask for, and a real token for each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from consent.models import Organization, Person
from phr.populate.cast import HANA, ICHIRO, OBSTETRIC, REN, YUKI
from phr.smart import demo

PATIENTS = {"yuki": YUKI, "ichiro": ICHIRO, "hana": HANA, "ren": REN}
TRUST = "trust.read trust.write"
OWN = f"launch/patient patient/*.cruds {TRUST}"
OFFICE = f"user/*.cruds {TRUST}"
SYSTEM = f"system/*.cruds {TRUST}"


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody of the demo. `patient`: whose record she opens unless told otherwise."""

    username: str
    scope: str
    patient: UUID | None = None


PEOPLE = {
    "mother": Persona("yuki", OWN, YUKI),
    "father": Persona("ichiro", OWN, HANA),
    "aunt": Persona("mei", f"user/*.rs {TRUST}"),
    "nurse": Persona("ken", OFFICE),
    "obstetrician": Persona("mori", OFFICE),
    "paediatrician": Persona("kodama", OFFICE),
    "pharmacist": Persona("abe", OFFICE),
    "officer": Persona("sato", OFFICE),
    "officer-b": Persona("kondo", OFFICE),
    "researcher": Persona("ueda", OFFICE),
    "ambulance": Persona("hata", OFFICE),
}
# The system client of the obstetric clinic is named like its persona.
SYSTEMS = {demo.CLINIC: OBSTETRIC.code}
NAMES = (*PEOPLE, *SYSTEMS)


def register() -> None:
    """Register (once) the demo's clients."""
    demo.register(clinic=Organization.objects.get(code=OBSTETRIC.code))


def token(
    name: str, *, now: datetime, client: str | None = None, scope: str | None = None, patient: str | None = None
) -> dict[str, Any]:
    """The token response for a persona. Raises demo.NoToken; KeyError for an unknown name or patient."""
    if name in SYSTEMS:
        return demo.system_token(client or name, scope=scope or SYSTEM, now=now)
    persona = PEOPLE[name]
    subject = PATIENTS[patient] if patient else persona.patient
    return demo.person_token(
        Person.objects.get(username=persona.username),
        client_id=client or demo.APP,
        scope=scope or (OWN if subject else persona.scope),
        patient=str(subject or ""),
        now=now,
    )
