"""A line of the log as a FHIR R4 AuditEvent, in the pattern of IHE BALP. Pure.

Patient read, query, create, update, delete; a decision (AuthZ-Consent); a disclosure (PrivacyDisclosure, source).
What the pattern asks for and the log does not keep is not made up: network addresses, values of search parameters
(decisions/the-log-as-audit-events.md). What a reader may not be told is gone from `Shown` already.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from consent.log_view import Shown

TYPES = "http://terminology.hl7.org/CodeSystem/audit-event-type"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST = "http://hl7.org/fhir/restful-interaction"
AUTHZ = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
RESOURCES = "http://hl7.org/fhir/resource-types"
ROLE_CLASS = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
TRANSACTION = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
CAPACITY = "https://tsumugi.example/fhir/CodeSystem/capacity"
EVENT = "https://tsumugi.example/fhir/CodeSystem/log-event"
SUCCESS, REFUSED = "0", "8"

# event -> (subtype, action)
_REST = {
    "record:read": ("read", "R"),
    "record:history": ("history-instance", "R"),
    "record:searched": ("search-type", "E"),
    "record:created": ("create", "C"),
    "record:updated": ("update", "U"),
    "record:deleted": ("delete", "D"),
    "log:read": ("search-type", "E"),
}
_DISCLOSURES = frozenset({
    "provision:delivered", "record:exported", "record:disclosed", "record:moved-out", "export:accepted",
    "peer:sent",
})  # fmt: skip
_DECISIONS = frozenset({"record:refused", "provision:judged", "provision:turned-away", "provision:answered"})


@dataclass(frozen=True, slots=True)
class Names:
    """What ids in a line are called. `owner`: the id of the Patient."""

    base: str
    owner: UUID | None
    organizations: Mapping[int, str]
    persons: Mapping[int, str]
    consents: Mapping[int, str]  # Grant -> id of the Consent it stands in the record as


def audit_event(line: Shown, names: Names) -> dict[str, Any]:
    """The AuditEvent of one line as it is shown; its id is that of the line."""
    kind, subtypes, action = _kind(line)
    event = {
        "resourceType": "AuditEvent",
        "id": line.id,
        "meta": {"lastUpdated": line.at.isoformat(timespec="milliseconds")},
        "type": kind,
        "subtype": subtypes,
        "action": action,
        "recorded": line.at.isoformat(timespec="milliseconds"),
        "outcome": REFUSED if line.decision == "deny" else SUCCESS,
        "purposeOfEvent": [_concept(ACT_REASON, line.purpose)] if line.purpose else [],
        "agent": _agents(line, names, sends=action in {"C", "U", "D", "E"}),
        "source": {"observer": {"display": names.base}, "type": [_coding(SOURCE_TYPE, "4")]},
        "entity": _entities(line, names),
    }
    if line.rules:
        event["outcomeDesc"] = " ".join(line.rules)
    return {name: value for name, value in event.items() if value != []}


def _kind(line: Shown) -> tuple[dict[str, str], list[dict[str, str]], str]:
    own = _coding(EVENT, line.event)
    if line.event in _DISCLOSURES:
        return _coding(DCM, "110106", "Export"), [_coding(LIFECYCLE, "disclose"), own], "R"
    if line.event in _DECISIONS or line.event.startswith("grant:"):
        return _coding(DCM, "110113", "Security Alert"), [_coding(AUTHZ, "AuthZ-Consent"), own], "E"
    if line.event in _REST:
        code, action = _REST[line.event]
        return _coding(TYPES, "rest", "Restful Operation"), [_coding(REST, code), own], action
    return _coding(DCM, "110110", "Patient Record"), [own], "E"


def _agents(line: Shown, names: Names, *, sends: bool) -> list[dict[str, Any]]:
    """Who asked, for which organisation, by which app, and this server."""
    person = names.persons.get(line.person or 0)
    who: dict[str, Any] = {"display": person} if person else {"display": line.who}
    user = {
        "type": _concept(PARTICIPATION, "IRCP"), "who": who, "requestor": True, "role": [_concept(CAPACITY, line.who)],
        "purposeOfUse": [_concept(ACT_REASON, line.purpose)] if line.purpose else [],
    }  # fmt: skip
    agents = [{name: value for name, value in user.items() if value != []}]
    if line.organization is not None:
        office = {"display": names.organizations.get(line.organization, ""), "identifier": {
            "system": f"{names.base}/organization", "value": str(line.organization)}}  # fmt: skip
        agents.append({"type": _concept(ROLE_CLASS, "PROV"), "who": office, "requestor": False})
    client, server = ("110153", "110152") if sends else ("110152", "110153")
    if line.client:
        app = {"identifier": {"value": line.client}}
        agents.append({"type": _concept(DCM, client), "who": app, "requestor": False})
    here = {"address": names.base, "type": "5"}
    agents.append({
        "type": _concept(DCM, server), "who": {"display": names.base}, "requestor": False, "network": here
    })  # fmt: skip
    return agents


def _entities(line: Shown, names: Names) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if names.owner is not None:
        patient = {"reference": f"Patient/{names.owner}"}
        found.append({"what": patient, "type": _coding(ENTITY, "1"), "role": _coding(ROLE, "1")})
    found += [
        {"what": {"reference": reference}, "type": _coding(ENTITY, "2"), "role": _coding(ROLE, "4")}
        for reference in line.references
    ]
    found += [
        {"what": {"reference": f"Consent/{id}"}, "type": _coding(RESOURCES, "Consent")}
        for id in filter(None, (names.consents.get(consent) for consent in line.consents))
    ]
    if line.event in {"record:searched", "log:read"}:
        query = f"{line.types[0] if line.types else ''}?{'&'.join(f'{name}=' for name in line.params)}"
        found.append({
            "type": _coding(ENTITY, "2"), "role": _coding(ROLE, "24"),
            "query": base64.b64encode(query.encode()).decode(),
        })  # fmt: skip
    if line.request:
        found.append({"what": {"identifier": {"value": line.request}}, "type": _coding(TRANSACTION, "XrequestId")})
    if line.categories:
        details = [{"type": "category", "valueString": name} for name in line.categories]
        found.append({"type": _coding(ENTITY, "4"), "description": "categories", "detail": details})
    return found


def _coding(system: str, code: str, display: str = "") -> dict[str, str]:
    return {"system": system, "code": code, "display": display} if display else {"system": system, "code": code}


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [_coding(system, code)]}
