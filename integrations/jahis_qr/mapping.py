"""A parsed notebook → FHIR R4 resources, as plain dicts with Decimals. Pure.

Which record becomes what, and which fields are left out and why, stands in README.md. The ids of all resources follow
from person and content: mapping the same notebook again gives the same resources with the same ids.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrations.ids import digest, resource_id
from integrations.jahis_qr import remarks
from integrations.jahis_qr.dispense import institution_code, to_dispense
from integrations.jahis_qr.groups import Group
from integrations.jahis_qr.parse import Notebook
from integrations.jahis_qr.rows import Row
from integrations.jahis_qr.wording import say
from integrations.problems import Problem
from phr.records import systems

Resource = dict[str, Any]

JP = "http://jpfhir.jp/fhir/core/StructureDefinition"
SHA256 = f"{systems.OWN}/IdSystem/sha-256"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
PATIENT = "patient"  # the author of what the family wrote
UNKNOWN = ""  # 作成者 8, 9


@dataclass(slots=True)
class Mapped:
    """What a notebook becomes.

    `organizations`: found or created by identifier; `clinical`: the records; `authors`: key of the author ->
    (Reference, ids of what it wrote), for Provenance; `problems`: what the mapping had to leave out.
    """

    organizations: list[Resource] = field(default_factory=list)
    clinical: dict[str, Resource] = field(default_factory=dict)  # by "Type/id"
    authors: dict[str, tuple[Resource | None, list[str]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, resource: Resource, *, author: str, reference: Resource | None) -> None:
        """Keep a resource once, under the author who first wrote it."""
        name = f"{resource['resourceType']}/{resource['id']}"
        if self.clinical.setdefault(name, resource) is resource:
            self.authors.setdefault(author, (reference, []))[1].append(name)


def map_notebook(
    notebook: Notebook, *, patient_id: str, now: datetime, organizations: Mapping[str, str] | None = None,
    make_organizations: bool = True,
) -> Mapped:  # fmt: skip
    """The records of a notebook and their authors, without the originals and Provenance."""
    known = dict(organizations or {})
    mapped = Mapped()
    for group in notebook.groups:
        code = institution_code(group.first("11"))
        if make_organizations and code and code not in known:
            known[code] = resource_id("Organization", code)
            mapped.organizations.append(_organization(group, code, known[code]))
    newest = notebook.groups[0] if notebook.groups else None
    printed_by = _institution(newest, known) if newest else None
    for row, resource in remarks.of_notebook(notebook, patient_id=patient_id, today=now.date()):
        _keep(mapped, notebook, row, resource, printed_by, patient_id)
    for group in notebook.groups:
        _map_group(mapped, notebook, group, known, patient_id)
    if not mapped.clinical:
        mapped.problems.append(say("nothing-new"))
    return mapped


def _map_group(mapped: Mapped, notebook: Notebook, group: Group, known: Mapping[str, str], patient_id: str) -> None:
    institution = _institution(group, known)
    first = group.first("11")
    if first and institution and not institution_code(first):
        mapped.problems.append(say("unusable-institution", line=first.line))
    for row, resource in remarks.of_group(group, patient_id=patient_id):
        _keep(mapped, notebook, row, resource, institution, patient_id)
    performers = list(_performers(group, institution))
    for drug in group.drugs:
        resource = to_dispense(
            drug, group, patient_id=patient_id, performers=performers, problems=mapped.problems
        )  # fmt: skip
        _keep(mapped, notebook, drug.row, resource, institution, patient_id)


def _keep(mapped: Mapped, notebook: Notebook, row: Row, resource: Resource, institution: Resource | None,
          patient_id: str) -> None:  # fmt: skip
    written_by = remarks.creator(row)
    if notebook.output == "2" or written_by == "2":
        mapped.add(resource, author=PATIENT, reference={"reference": f"Patient/{patient_id}"})
    elif institution is None or written_by in ("8", "9"):
        mapped.add(resource, author=UNKNOWN, reference=None)
    else:
        mapped.add(resource, author=digest(*map(str, institution.values())), reference=institution)


def _organization(group: Group, code: str, id_: str) -> Resource:
    row = group.first("11")
    assert row is not None  # its code was read from it
    resource: Resource = {
        "resourceType": "Organization",
        "id": id_,
        "meta": {"profile": [f"{JP}/JP_Organization"]},
        "identifier": [{"system": systems.INSTITUTION_10, "value": code}],
        "name": row.get("名称") or code,
    }
    if row.get("電話番号"):
        resource["telecom"] = [{"system": "phone", "value": row.get("電話番号")}]
    address = {"text": row.get("住所"), "postalCode": row.get("郵便番号")}
    if any(address.values()):
        resource["address"] = [{key: text for key, text in address.items() if text} | {"country": "JP"}]
    return resource


def _institution(group: Group, known: Mapping[str, str]) -> Resource | None:
    """A Reference to the dispensing institution: by id where it is known, else by number and name as far as given."""
    row = group.first("11")
    code = institution_code(row)
    if id_ := known.get(code):
        return {"reference": f"Organization/{id_}"}
    identifier = {"identifier": {"system": systems.INSTITUTION_10, "value": code}} if code else {}
    name = {"display": row.get("名称")} if row and row.get("名称") else {}
    return {"type": "Organization"} | identifier | name if identifier or name else None


def _performers(group: Group, institution: Resource | None) -> Iterator[Resource]:
    person = group.first("15")
    if person and person.get("氏名"):  # the format has no id for the pharmacist: a name, not a Practitioner
        yield {"actor": {"type": "Practitioner", "display": person.get("氏名")}}
    if institution:
        yield {"actor": institution}


def original(source: Sequence[bytes], *, patient_id: str, now: datetime) -> list[Resource]:
    """The parts as they were read: one Binary each, then the DocumentReference that names them all."""
    if not source:
        return []
    binaries = [_binary(part, patient_id) for part in source]
    whole = hashlib.sha256(b"".join(source)).hexdigest()
    return [*binaries, _document(binaries, source, whole, patient_id, now)]


def _binary(part: bytes, patient_id: str) -> Resource:
    return {
        "resourceType": "Binary",
        "id": resource_id("Binary", patient_id, hashlib.sha256(part).hexdigest()),
        "contentType": "application/octet-stream",  # a part may end inside a character
        "securityContext": {"reference": f"Patient/{patient_id}"},
        "data": base64.b64encode(part).decode(),
    }


def _document(binaries: list[Resource], source: Sequence[bytes], whole: str, patient_id: str,
              now: datetime) -> Resource:  # fmt: skip
    return {
        "resourceType": "DocumentReference",
        "id": resource_id("DocumentReference", patient_id, whole),
        "masterIdentifier": {"system": SHA256, "value": whole},
        "status": "current",
        "type": {"text": "電子版お薬手帳"},
        "subject": {"reference": f"Patient/{patient_id}"},
        "date": _instant(now),
        "content": [
            {
                "attachment": {
                    "contentType": binary["contentType"],
                    "url": f"Binary/{binary['id']}",
                    "size": len(part),
                    # sha-1 is what Attachment.hash is defined as; nothing rests on it
                    "hash": base64.b64encode(hashlib.sha1(part, usedforsecurity=False).digest()).decode(),
                }
            }
            for binary, part in zip(binaries, source, strict=True)
        ],
    }


def provenances(mapped: Mapped, *, document: str | None, patient_id: str, now: datetime,
                only: frozenset[str] | None = None) -> list[Resource]:  # fmt: skip
    """One Provenance for each author. `only`: the `Type/id`s that were really written; None = all of them."""
    trail = []
    for key, (author, names) in mapped.authors.items():
        targets = [name for name in names if only is None or name in only]
        if targets:
            trail.append(_provenance(key, author, targets, document, patient_id, now))
    return trail


def _provenance(key: str, author: Resource | None, targets: list[str], document: str | None, patient_id: str,
                now: datetime) -> Resource:  # fmt: skip
    agents = [_agent("author", author)] if author else []
    agents.append(_agent("assembler", {"type": "Device", "display": "Tsumugi 紡", "identifier": _PRODUCT}))
    resource: Resource = {
        "resourceType": "Provenance",
        "id": resource_id("Provenance", patient_id, key, document or "", *targets),
        # A Provenance has no subject of its own: R4 puts it in a patient's compartment by a target that is the Patient.
        "target": [{"reference": target} for target in (*targets, f"Patient/{patient_id}")],
        "recorded": _instant(now),
        "agent": agents,
    }
    if document:
        resource["entity"] = [{"role": "source", "what": {"reference": f"DocumentReference/{document}"}}]
    return resource


_PRODUCT = {"system": "urn:ietf:rfc:3986", "value": systems.OWN}


def _agent(kind: str, who: Resource) -> Resource:
    return {"type": {"coding": [{"system": PARTICIPANT, "code": kind}]}, "who": who}


def _instant(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
