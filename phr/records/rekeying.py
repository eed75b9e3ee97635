"""A record under another identity: resources move to a new Subject, resealed by its key; who it was stays behind.

The new Patient is made anew. The old one, and what leads to the old family (relatives, insurance, consents, who
provided what), stays with the old Subject, which is locked: it resolves for nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from consent.scope import Facts
from phr.records import body, facts, index, store, vault
from phr.records.admission import stamp
from phr.records.store import Draft, Stored

# What leads to the people around the child, or to the old identity
LEFT_BEHIND = frozenset({
    "Patient", "RelatedPerson", "Person", "Coverage", "CoverageEligibilityRequest", "CoverageEligibilityResponse",
    "Consent", "Provenance", "FamilyMemberHistory", "Account", "Claim", "ClaimResponse", "ExplanationOfBenefit",
})  # fmt: skip
_ONE = "subject_id = %s AND subject2_id IS NULL"


def move(old: UUID, new: UUID, patient: Mapping[str, Any], *, now: datetime) -> int:
    """Move a record; `patient`: the new Patient. In the caller's transaction; the new Subject exists. Returns how many
    resources moved. What is about another person too stays behind."""
    names = _names_of(old)
    store.insert([_made(patient, new, now)], now=now)
    moved = 0
    for one in _rows(store.select(), "r", old):
        _move_current(one, old, new, names)
        moved += 1
    for one in _rows(store.select_versions(), "v", old):
        _move_version(one, old, new, names)
    return moved


def _made(patient: Mapping[str, Any], new: UUID, now: datetime) -> Draft:
    content = stamp({**patient, "resourceType": "Patient"}, id=str(new), version=1, now=now)
    return Draft(facts.facts_of(content, author=None), body.write(content), index.index_of(content, vault.index_key()))


def _rows(select: str, alias: str, old: UUID) -> Iterator[Stored]:
    """Everything that moves, locked, oldest first; read at once, because it is about to change."""
    where = " AND ".join(f"{alias}.{part}" for part in _ONE.split(" AND "))
    order = "v.resource_id, v.version" if alias == "v" else "r.id"
    with connection.cursor() as cursor:
        cursor.execute(
            f"{select} WHERE {where} AND r.type <> ALL(%s) ORDER BY {order} FOR UPDATE OF {alias}",
            [old, sorted(LEFT_BEHIND)],
        )
        rows = cursor.fetchall()
    for row in rows:
        yield store.stored(row, store.facts_of_row(row))


def _move_current(one: Stored, old: UUID, new: UUID, names: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        if one.body is None:
            cursor.execute("UPDATE phr_resource SET subject_id = %s WHERE id = %s", [new, one.pk])
            return
        content, fact, key_version, sealed = _anew(one, old, new, names)
        cursor.execute(
            "UPDATE phr_resource SET subject_id = %s, key_version = %s, body = %s WHERE id = %s",
            [new, key_version, sealed, one.pk],
        )
    store.reindex([(one.pk, index.index_of(content, vault.index_key()), fact)])


def _move_version(one: Stored, old: UUID, new: UUID, names: Sequence[str]) -> None:
    where = "resource_id = %s AND version = %s"
    with connection.cursor() as cursor:
        if one.body is None:
            cursor.execute(f"UPDATE phr_version SET subject_id = %s WHERE {where}", [new, one.pk, one.version])
            return
        content, _, key_version, sealed = _anew(one, old, new, names)
        terms = index.index_of(content, vault.index_key()).terms
        cursor.execute(
            f"UPDATE phr_version SET subject_id = %s, key_version = %s, body = %s, terms = %s::bigint[] WHERE {where}",
            [new, key_version, sealed, terms, one.pk, one.version],
        )


def _anew(one: Stored, old: UUID, new: UUID, names: Sequence[str]) -> tuple[dict[str, Any], Facts, int, bytes]:
    content = _renamed(body.parse(one.body or b"{}"), str(old), str(new))
    if any(name in str(content.get("text")) for name in names):
        content.pop("text")  # a narrative that tells who it was
    fact = facts.facts_of(content, author=one.facts.author)
    key_version, sealed = store.seal_one(replace(one, facts=fact, body=body.write(content)))
    return content, fact, key_version, sealed


def _renamed(node: Any, old: str, new: str) -> Any:
    """The same tree with the new id; a reference to the person loses its display and its identifier."""
    if isinstance(node, dict):
        kept = {name: _renamed(value, old, new) for name, value in node.items()}
        if isinstance(node.get("reference"), str) and old in node["reference"]:
            return {name: value for name, value in kept.items() if name not in ("display", "identifier")}
        return kept
    if isinstance(node, list):
        return [_renamed(value, old, new) for value in node]
    return node.replace(old, new) if isinstance(node, str) else node


def _names_of(old: UUID) -> list[str]:
    """What the old Patient was called; too short a part would hit by chance."""
    with connection.cursor() as cursor:
        cursor.execute(f"{store.select()} WHERE r.type = 'Patient' AND r.fhir_id = %s AND NOT r.deleted", [str(old)])
        rows = cursor.fetchall()
    told: set[str] = set()
    for row in rows:
        content = body.parse(store.stored(row, store.facts_of_row(row)).body or b"{}")
        for name in content.get("name", ()):
            told |= {name.get("text", ""), name.get("family", "")}
    return sorted(name for name in told if len(name) > 1)
