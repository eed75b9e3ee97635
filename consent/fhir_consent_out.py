"""A Grant as a FHIR R4 Consent. Pure; `fhir_consent.normalise` reads back the same tree.

Which guardian gave it does not show (G-05): the performer is the person herself, or "a guardian".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from consent import clauses
from consent.fhir_consent import (
    ACT_CODE,
    ACTION,
    ASK,
    AUTHOR,
    CATEGORY,
    CONFIDENTIALITY,
    ORGANIZATION,
    PERSON,
    PURPOSE,
    RECIPIENT_CLASS,
    SCOPE,
    Directory,
)
from consent.scope import Clause

LEVELS = {1: "L", 2: "N", 3: "R", 4: "V"}
LOINC = "http://loinc.org"
ROLE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
# What a client wrote that stays: nothing that could tell which guardian it was.
KEPT = ("meta", "identifier", "language", "scope", "category", "policy")


def consent(
    root: Clause,
    directory: Directory,
    *,
    id: str,
    subject: UUID,
    status: str,
    capacity: str,
    given_at: datetime,
    ask: bool = False,
    extension: Sequence[Mapping[str, Any]] = (),
    kept: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole resource. `status`: of the Consent; `kept`: what the client wrote, of which `KEPT` stays."""
    told = {name: value for name, value in (kept or {}).items() if name in KEPT}
    if isinstance(meta := told.get("meta"), Mapping):  # a profile it claimed is not claimed of what we make of it
        told["meta"] = {name: value for name, value in meta.items() if name in ("security", "tag")}
    made: dict[str, Any] = {"resourceType": "Consent", "id": id} | {n: v for n, v in told.items() if v}
    if extension:
        made["extension"] = list(extension)
    if ask:
        made["modifierExtension"] = [{"url": ASK, "valueBoolean": True}]
    made["status"] = status
    made.setdefault("scope", {"coding": [{"system": SCOPE, "code": "patient-privacy"}]})
    made.setdefault("category", [{"coding": [{"system": LOINC, "code": "59284-0"}]}])
    made["patient"] = {"reference": f"Patient/{subject}"}
    made["dateTime"] = given_at.isoformat()
    if capacity == "self":
        made["performer"] = [{"reference": f"Patient/{subject}"}]
    elif capacity:
        made["performer"] = [{"type": "RelatedPerson", "display": "保護者 / a guardian"}]
    made["policyRule"] = {"coding": [{"system": ACT_CODE, "code": "OPTIN" if root.permit else "OPTOUT"}]}
    made["provision"] = provision(root, directory)
    return made


def provision(clause: Clause, directory: Directory) -> dict[str, Any]:
    """One node and what is below it."""
    told: dict[str, Any] = {}
    if clause.authors is not None:
        told["modifierExtension"] = [
            {"url": AUTHOR, "valueReference": _reference(f"org:{author}", directory)}
            for author in sorted(clause.authors)
        ]
    told["type"] = "permit" if clause.permit else "deny"
    parts = {
        "period": _period(clause.valid_from, clause.valid_to),
        "actor": [_actor(actor, directory) for actor in sorted(clause.actors or ())],
        "action": [{"coding": [_coding(code, ACTION)]} for code in sorted(clause.actions or ())],
        "securityLabel": _labels(clause),
        "purpose": _codings(clause.purposes, PURPOSE),
        "class": _codings(clause.categories, CATEGORY),
        "dataPeriod": _period(clause.data_low, clause.data_high),
        "data": [_data(item) for item in sorted(clause.items or ())],
        "provision": [provision(child, directory) for child in clause.clauses],
    }
    return told | {name: value for name, value in parts.items() if value}


def _labels(clause: Clause) -> list[dict[str, Any]]:
    ceiling = [] if clause.level is None else [{"system": CONFIDENTIALITY, "code": LEVELS.get(clause.level, "V")}]
    return ceiling + _codings(clause.labels, CATEGORY)


def _codings(codes: Iterable[str] | None, system: str) -> list[dict[str, Any]]:
    return [_coding(code, system) for code in sorted(codes or ())]


def _coding(code: str, system: str) -> dict[str, Any]:
    if code == "?":
        return {"display": "?"}
    given, bar, rest = code.partition("|")
    if not bar:
        return {"system": system, "code": code}
    return {"system": given, "code": rest} if given else {"code": rest}


def _actor(actor: str, directory: Directory) -> dict[str, Any]:
    role = {"coding": [{"system": ROLE, "code": "IRCP"}], "text": "開示先 / recipient"}
    return {"role": role, "reference": _reference(actor, directory)}


def _reference(actor: str, directory: Directory) -> dict[str, Any]:
    """An actor as a Reference; one nobody knows as it came."""
    told: dict[str, Any]
    kind, _, name = actor.partition(":")
    code = directory.code_of(int(name)) if kind == "org" and name.isdecimal() else None
    if code is not None:
        told = {"type": "Organization", "identifier": {"system": ORGANIZATION, "value": code}}
    elif clauses.known_actor(actor) and kind in ("class", "person"):
        told = {"identifier": {"system": RECIPIENT_CLASS if kind == "class" else PERSON, "value": name}}
    elif "|" in actor:
        system, _, value = actor.partition("|")
        told = {"identifier": {"system": system, "value": value}}
    elif actor == "?" or actor.startswith("sha256:"):
        return {"display": actor}
    else:
        return {"reference": actor}
    return told | ({"display": directory.names[actor]} if actor in directory.names else {})


def _data(item: str) -> dict[str, Any]:
    return {"meaning": "instance", "reference": {"display": "?"} if item == "?" else {"reference": item}}


def _period(low: datetime | None, high: datetime | None) -> dict[str, str]:
    told = {"start": low, "end": high}
    return {name: instant.isoformat() for name, instant in told.items() if instant is not None}
