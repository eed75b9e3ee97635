"""電子版お薬手帳 (JAHISTC) as QR symbols or files: the impure end of the folder and its face to `integrations.base`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from integrations.ids import Renamed
from integrations.incoming import Part, Plan, Reading
from integrations.jahis_qr import identity, mapping, prescription, requests, told
from integrations.jahis_qr.dispense import institution_code
from integrations.jahis_qr.parse import MAX_BYTES, Notebook, parse
from integrations.jahis_qr.parts import join, set_of
from integrations.jahis_qr.prescription import Prescription
from integrations.problems import Problem, Unreadable
from phr.records import systems
from phr.records.gateway import Records
from phr.records.search.parse import parse as parse_search

__all__ = ["KIND", "MAX_BYTES", "NEEDS", "mismatches", "plan", "read", "set_of"]

KIND = "jahis-qr"
NEEDS = "MedicationDispense"
UPDATABLE = frozenset({"MedicationStatement", "CareTeam"})  # an end may be given later

Origins = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Content:
    notebook: Notebook | Prescription
    origins: Origins  # line of the whole -> (part, line), where they differ


def read(parts: Sequence[Part]) -> Reading:
    """Join the parts and parse the whole. Raises Unreadable; problems name the part and the line in it."""
    joined = join(parts)
    if joined.data is None:
        return Reading(None, joined.missing, joined.problems)
    try:
        notebook = prescription.parse(joined.data) if prescription.is_prescription(joined.data) else parse(joined.data)
    except Unreadable as error:
        raise Unreadable(_placed(error.problems, joined.origins)) from None
    problems = (*joined.problems, *_placed(notebook.problems, joined.origins))
    return Reading(Content(notebook, joined.origins), (), problems)


def _placed(problems: Sequence[Problem], origins: Origins) -> tuple[Problem, ...]:
    return tuple(_at_origin(problem, origins) for problem in problems)


def _at_origin(problem: Problem, origins: Origins) -> Problem:
    if problem.line is None or not origins:
        return problem
    part, line = origins[problem.line - 1]
    return replace(problem, part=part, line=line)


Trail = Callable[[frozenset[str]], list[Any]]


def mismatches(content: Content, patient: Mapping[str, Any]) -> list[Problem]:
    """Where record 1 contradicts the Patient. Raises nothing."""
    birth = patient.get("birthDate", "")
    names, gender = list(_names(patient)), patient.get("gender", "")
    birth_on = date.fromisoformat(birth) if len(birth) == 10 else None
    if isinstance(content.notebook, Prescription):
        found = prescription.mismatches(content.notebook, names=names, gender=gender, birth_on=birth_on)
    else:
        found = identity.mismatches(content.notebook, names=names, gender=gender, birth_on=birth_on)
    return list(_placed(found, content.origins))


def _names(patient: Mapping[str, Any]) -> Iterator[str]:
    """Every spelling of every name (IDE and SYL): its text, and family with given."""
    for name in patient.get("name", []):
        yield name.get("text", "")
        yield name.get("family", "") + "".join(given or "" for given in name.get("given", []))


def plan(content: Content, parts: Sequence[Part], *, subject: UUID, records: Records, now: datetime) -> Plan:
    """All of a notebook is one chunk, one transaction: it is never half there."""
    patient = str(subject)
    mapped = _mapped(content.notebook, patient, records, now)
    *binaries, document = mapping.original([part.data for part in parts], patient_id=patient, now=now)
    clinical = list(mapped.clinical.values())
    if records.author is None:
        clinical = told.known(clinical, subject=subject, records=records)
    trail: Trail = partial(_trail, mapped, document["id"], patient, now)
    if records.author is not None:
        own = Renamed.by(records.author, [*clinical, document, *binaries])
        clinical, binaries, document = list(map(own, clinical)), list(map(own, binaries)), own(document)
        trail = partial(_own_trail, own, trail)
    resources = [*mapped.organizations, *clinical, document, *binaries]
    return Plan(
        total=len(resources),
        chunks=[resources],
        trail=trail,
        follows={f"Binary/{binary['id']}": f"DocumentReference/{document['id']}" for binary in binaries},
        evidence=frozenset({f"DocumentReference/{document['id']}"}),
        updatable=UPDATABLE,
        problems=_placed(mapped.problems, content.origins),
    )


def _mapped(found: Notebook | Prescription, patient: str, records: Records, now: datetime) -> mapping.Mapped:
    if isinstance(found, Prescription):
        return requests.map_prescription(found, patient_id=patient)
    return mapping.map_notebook(
        found, patient_id=patient, now=now, organizations=dict(_known_organizations(found, records, now)),
        make_organizations=_may_make_organizations(records),
    )  # fmt: skip


def _trail(mapped: mapping.Mapped, document: str, patient: str, now: datetime, written: frozenset[str]) -> list[Any]:
    return mapping.provenances(mapped, document=document, patient_id=patient, now=now, only=written)


def _own_trail(own: Renamed, trail: Trail, written: frozenset[str]) -> list[Any]:
    return [own(provenance) for provenance in trail(own.mapped(written))]


def _known_organizations(notebook: Notebook, records: Records, now: datetime) -> Iterator[tuple[str, str]]:
    """Institution code -> id, for those the record has and this caller may find."""
    for code in sorted({institution_code(group.first("11")) for group in notebook.groups} - {""}):
        query = parse_search("Organization", [("identifier", f"{systems.INSTITUTION_10}|{code}")], now=now)
        for found in records.find(query, letter="s", limit=1):
            yield code, found.id


def _may_make_organizations(records: Records) -> bool:
    """A family does not write what everybody reads: it names the pharmacy by number and name instead."""
    doors = records.scope.doors
    return "c" in records.scope.open_letters and any(
        d.type in ("*", "Organization") and "c" in d.letters for d in doors
    )
