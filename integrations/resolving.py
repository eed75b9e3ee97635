"""Whom an Item is about: a link that is kept, or her Patient's own identifier and date of birth. Never a name.

Everything here is asked once for a whole chunk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from consent import prepared
from integrations.items import Identity
from integrations.models import LocalNumber
from phr.records import body, store, vault
from phr.records.gateway import Records
from phr.records.search import parse
from phr.records.search.conditions import MOST_VALUES

_NUMBERS = """
SELECT n.digest, n.id, n.subject_id FROM integrations_localnumber n JOIN consent_subject s ON s.id = n.subject_id
 WHERE n.organization_id = %s AND n.until IS NULL AND n.digest = ANY(%s) AND s.state = 'active'
"""
_SHUT = """
SELECT n.digest, n.id, n.subject_id FROM integrations_localnumber n JOIN consent_subject s ON s.id = n.subject_id
 WHERE n.organization_id = %s AND n.until IS NULL AND n.digest = ANY(%s) AND s.state = 'locked'
"""
SEXES = frozenset({"male", "female"})


@dataclass(frozen=True, slots=True)
class Linked:
    """A local number, whose it is, and what her Patient says."""

    number: int
    subject: UUID
    patient: Mapping[str, Any]


def digest_of(system: str, value: str) -> bytes:
    """By what a local number is found: keyed, so that the table tells nobody's number."""
    text = f"local-number\x1f{system}\x1f{value}".encode("utf-8", "replace")
    return blake2b(text, key=vault.index_key(), digest_size=32).digest()


def linked(records: Records, identities: Iterable[Identity], *, now: datetime) -> dict[bytes, Linked]:
    """The person of each local number that is linked, or that links itself by a Patient's own identifier.

    A number of somebody whose record is locked, or who has no Patient, is linked to nobody.
    """
    wanted: dict[bytes, list[Identity]] = defaultdict(list)
    for one in identities:
        wanted[digest_of(one.system, one.value)].append(one)
    organization = records.caller.organization
    rows = prepared.fetch(_NUMBERS, [organization, list(wanted)])
    found = {bytes(digest): (number, subject) for digest, number, subject in rows}
    lost = {digest: told for digest, told in wanted.items() if digest not in found}
    if lost:
        found |= _by_identifier(records, lost, now=now)
    patients = patients_of({subject for _, subject in found.values()})
    return {
        digest: Linked(number, subject, patients[subject])
        for digest, (number, subject) in found.items()
        if subject in patients
    }


def shut(records: Records, identities: Iterable[Identity]) -> dict[bytes, tuple[int, UUID]]:
    """Of these numbers (digests) those of somebody whose record is locked: the id of the link, and who."""
    wanted = list({digest_of(one.system, one.value) for one in identities})
    rows = prepared.fetch(_SHUT, [records.caller.organization, wanted]) if wanted else []
    return {bytes(digest): (number, subject) for digest, number, subject in rows}


def patients_of(subjects: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Their Patients, whoever may see them: only compared with what a source says."""
    if not subjects:
        return {}
    sql = f"{store.select()} WHERE r.type = 'Patient' AND r.fhir_id = ANY(%s) AND NOT r.deleted"
    rows = prepared.fetch(sql, [[str(subject) for subject in subjects]])
    opened = (store.stored(row, store.facts_of_row(row)) for row in rows)
    return {UUID(one.id): body.parse(one.body or b"{}") for one in opened}


def contradictions(identity: Identity, patient: Mapping[str, Any]) -> list[str]:
    """What the source and the Patient say differently: birthDate, gender. What one of them does not say is no matter.

    A partial date contradicts no day within it.
    """
    found = []
    one, other = identity.birth_date, str(patient.get("birthDate", ""))
    shared = min(len(one), len(other))
    if one[:shared] != other[:shared]:
        found.append("birthDate")
    sexes = {identity.gender, patient.get("gender")}
    if len(sexes) == 2 and sexes <= SEXES:
        found.append("gender")
    return found


def _by_identifier(
    records: Records, lost: Mapping[bytes, Sequence[Identity]], *, now: datetime
) -> dict[bytes, tuple[int, UUID]]:
    """Patients this organisation sees that bear exactly this number and were born on this day: linked from now on."""
    found: dict[bytes, set[tuple[UUID, str]]] = defaultdict(set)
    identities = [next((i for i in told if len(i.birth_date) == 10), told[0]) for told in lost.values()]
    identities = [i for i in identities if len(i.birth_date) == 10]
    for start in range(0, len(identities), MOST_VALUES):
        for one in _bearing(records, identities[start : start + MOST_VALUES], now=now):
            patient = body.parse(one.body or b"{}")
            for digest in (digest_of(*own) for own in _numbers(patient)):
                if digest in lost:
                    found[digest].add((UUID(one.id), patient.get("birthDate", "")))
    fresh = {}
    for digest, bearers in found.items():
        [(subject, born), *others] = bearers
        if not others and any(born == i.birth_date for i in lost[digest] if len(i.birth_date) == 10):
            fresh[digest] = subject
    ended = LocalNumber.objects.filter(
        organization=records.caller.organization, digest__in=list(fresh), until__isnull=False
    ).values_list("digest", "subject_id")
    for kept, subject in ended:  # somebody ended this link: only a person makes it anew
        if fresh.get(bytes(kept)) == subject:
            del fresh[bytes(kept)]
    made = make(records, {digest: (lost[digest][0], subject) for digest, subject in fresh.items()}, now=now)
    return {digest: (number, fresh[digest]) for digest, number in made.items()}


def _bearing(records: Records, identities: Sequence[Identity], *, now: datetime) -> list[store.Stored]:
    values = ",".join(f"{escaped(i.system)}|{escaped(i.value)}" for i in identities)
    if not values:
        return []
    if len(values) > 1900 and len(identities) > 1:
        half = len(identities) // 2
        return _bearing(records, identities[:half], now=now) + _bearing(records, identities[half:], now=now)
    try:
        query = parse.parse("Patient", [("identifier", values)], now=now)
    except parse.BadSearch:  # a number no Patient can bear
        return []
    return records.find(query, letter="s", limit=2 * len(identities))


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,").replace("$", "\\$")


def _numbers(patient: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for one in patient.get("identifier", ()):
        if one.get("system") and one.get("value") and one.get("use") != "old":
            yield str(one["system"]), str(one["value"])


def make(
    records: Records,
    wanted: Mapping[bytes, tuple[Identity, UUID]],
    *,
    now: datetime,
    ground: str = LocalNumber.Ground.IDENTIFIER,
    person: int | None = None,
) -> dict[bytes, int]:
    """Keep links, in one order; returns the ids of those that are new. Of two at once the first one's counts."""
    if not wanted:
        return {}
    keys = vault.keys_for({subject for _, subject in wanted.values()})
    organization = records.caller.organization
    assert organization is not None
    rows = [
        LocalNumber(
            organization_id=organization, system=identity.system[:200], digest=digest, subject_id=subject,
            key_version=keys[subject].version, ground=ground, linked_by_id=person, since=now,
            sealed=vault.seal(
                identity.value.encode("utf-8", "replace"), place=f"number|{digest.hex()}", subjects=(subject,),
                keys=(keys[subject],),
            ),
        )
        for digest, (identity, subject) in sorted(wanted.items())
    ]  # fmt: skip
    LocalNumber.objects.bulk_create(rows, ignore_conflicts=True)
    kept = LocalNumber.objects.filter(organization=organization, digest__in=list(wanted), until=None).values_list(
        "digest", "pk", "subject_id"
    )
    return {bytes(digest): pk for digest, pk, subject in kept if wanted[bytes(digest)][1] == subject}
