"""The demo's personas: who they are, what they ask for, and a real token for each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from jwcrypto.jwk import JWK

from consent.models import Organization, Person
from phr.populate.demo_people import CITY_A, HANA, ICHIRO, OBSTETRIC, PAEDIATRIC, PHARMACY, REN, YUKI
from phr.smart import demo
from phr.smart.models import Application

PATIENTS = {"yuki": YUKI, "ichiro": ICHIRO, "hana": HANA, "ren": REN}
OWN = "launch/patient patient/*.cruds"
OFFICE = "user/*.cruds"
SYSTEM = "system/*.cruds"


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody of the demo. `patient`: whose record she opens unless told otherwise."""

    username: str
    scope: str
    patient: UUID | None = None


PEOPLE = {
    "mother": Persona("yuki", OWN, YUKI),
    "father": Persona("ichiro", OWN, HANA),
    "aunt": Persona("mei", "user/*.rs"),
    "nurse": Persona("ken", OFFICE),
    "obstetrician": Persona("mori", OFFICE),
    "paediatrician": Persona("kodama", OFFICE),
    "pharmacist": Persona("abe", OFFICE),
    "officer": Persona("sato", OFFICE),
    "officer-b": Persona("kondo", OFFICE),
    "researcher": Persona("ueda", OFFICE),
    "ambulance": Persona("hata", OFFICE),
}
# System clients, named like their persona: the organisation each acts for.
SYSTEMS = {
    "clinic": OBSTETRIC.code,
    "paediatric-clinic": PAEDIATRIC.code,
    "pharmacy": PHARMACY.code,
    "city": CITY_A.code,
}
NAMES = (*PEOPLE, *SYSTEMS)


def register(folder: Path) -> None:
    """Register (once) the demo's clients; the system clients' private key stays in `folder`/clients.jwk."""
    demo.app()
    key = private_key(folder)
    for client, code in SYSTEMS.items():
        organization = Organization.objects.get(code=code)
        demo.system(client, organization=organization, key=key, scopes=SYSTEM)


def private_key(folder: Path) -> JWK:
    """The key that all system clients of this demo sign with; made when missing."""
    path = folder / "clients.jwk"
    if not path.exists():
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(demo.new_key().export_private())
        fresh.rename(path)
    return JWK.from_json(path.read_text())


def token(
    name: str, *, folder: Path, now: datetime, client: str | None = None, scope: str | None = None,
    patient: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The token response for a persona. Raises demo.NotIssued; KeyError for an unknown name or patient.

    An unknown `client` of a person is registered as another app like the first.
    """
    if name in SYSTEMS:
        application = Application.objects.get(client_id=client or name)
        return demo.system_token(application, key=private_key(folder), scope=scope or SYSTEM, now=now)
    persona = PEOPLE[name]
    application = Application.objects.filter(client_id=client or demo.APP).first() or demo.app(client or demo.APP)
    person = Person.objects.get(username=persona.username)
    wanted = scope or (OWN if patient and persona.patient is None else persona.scope)
    role = _role(person, PATIENTS[patient] if patient else persona.patient, wanted, now)
    return demo.token_for(person, application=application, role=role, scope=wanted, now=now)


def _role(person: Person, subject: UUID | None, scope: str, now: datetime) -> str | None:
    if subject is None:
        return None
    role = demo.role_for(person, subject, scope=scope, now=now)
    if role is None:
        raise demo.NotIssued("この記録を開く資格がありません / no right to open this record")
    return role
