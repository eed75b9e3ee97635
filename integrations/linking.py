"""Whose number it is: staff look and link, a family shows a one-time code, and either may take it back.

A link lets the organisation deposit what it authored; it opens nothing to it. Never by name alone: the queue shows
candidates only among Patients the organisation may see anyway, and a person decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.db import transaction

from consent import audit, protection
from consent.audit import Event
from consent.decide import Caller, Capacity, entitled
from consent.in_force import in_force_between
from consent.models import AuditEntry, Organization, Person, Subject
from consent.refusal import Absent, Because, Refusal
from integrations import queue, resolving, waiting
from integrations.depositing import Depositing
from integrations.items import Identity
from integrations.models import KnownItem, LinkCode, LocalNumber, PeerKnown, Unlinked, WaitingItem
from phr.fhir import matching
from phr.records import body, vault
from phr.records.gateway import Records
from phr.records.search import parse

CODE_LETTERS, CODE_LENGTH = "ABCDEFGHJKMNPQRSTUVWXYZ23456789", 10  # nothing that looks like something else: 49 bits
CODE_LASTS = timedelta(minutes=30)
MOST_TRIES = 10  # wrong codes of one organisation within the hour
MOST_MISFITS = 3  # times a code may be shown for somebody it does not fit, wherever
MOST_CANDIDATES = 10
State = Unlinked.State


class TooManyTries(Refusal):
    """This organisation has shown too many wrong codes."""


@dataclass(frozen=True, slots=True)
class Case:
    """Somebody who waits to be linked, in the source's words."""

    id: int
    identity: Identity
    items: int
    kinds: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Patient the organisation sees, and how much she has in common with the case (`phr.fhir.matching`)."""

    subject: UUID
    grade: str
    score: Decimal
    patient: dict[str, Any]


def waiting_cases(*, by: Caller, now: datetime, after: int = 0, most: int = 50) -> list[Case]:
    """The queue of the caller's organisation, the oldest first, from a case on. Logged. Raises Refused, Refusal."""
    _desk(by, now=now)
    rows = Unlinked.objects.filter(organization=by.organization, state=State.WAITING, pk__gt=after).order_by("pk")
    cases = []
    for row in rows[:most]:
        kinds = list(WaitingItem.objects.filter(case=row).values_list("kind", flat=True))
        identity = replace(queue.identity_of(row), not_disclosed=row.not_disclosed)  # whichever line said so
        cases.append(Case(row.pk, identity, len(kinds), tuple(sorted(set(kinds))), row.since))
    audit.record(Event.NUMBERS_READ, by=by, now=now, detail={"count": len(cases)})
    return cases


def candidates(*, case: int, by: Caller, now: datetime) -> list[Candidate]:
    """Who it may be, the likeliest first: only Patients this organisation may see already. Logged.

    Raises Absent where there is no such case, Refused, Refusal.
    """
    records = _desk(by, now=now)
    identity = queue.identity_of(_case(case, by))
    asked = _as_patient(identity)
    found = {}
    for query in _questions(identity, now=now):
        for one in records.find(query, letter="r", limit=50):
            patient = body.parse(one.body or b"{}")
            found[one.id] = (matching.compare(asked, patient), patient)
    ranked = sorted(found.items(), key=lambda pair: (-pair[1][0].score, pair[0]))[:MOST_CANDIDATES]
    told: dict[UUID | None, audit.Detail] = {UUID(id): {"count": 1, "case": case} for id, _ in ranked}
    audit.record_many(Event.NUMBERS_READ, by=by, now=now, told=told or {None: {"count": 0, "case": case}})
    return [Candidate(UUID(id), match.grade, match.score, patient) for id, (match, patient) in ranked]


@transaction.atomic
def link(*, case: int, subject: UUID, by: Caller, now: datetime) -> LocalNumber:
    """Staff say whose number it is; what waited for her is brought in (in this transaction where it is little).

    Her Patient must be one the organisation sees. Raises Absent, Refusal where the source contradicts her Patient or
    the case is decided, Refused.
    """
    records = _desk(by, now=now)
    _writes(by)
    held = _case(case, by, lock=True)
    if subject not in _seen(records, subject, now=now):
        raise Absent
    return _linked(held, subject, ground=LocalNumber.Ground.DESK, by=by, now=now)


@transaction.atomic
def link_by_code(
    *, identity: Identity, code: str, by: Caller, now: datetime, ground: str = LocalNumber.Ground.CODE
) -> LocalNumber:
    """The family showed a code: the number is hers, whether anything waits for it or not.

    Raises Absent for a code that is unknown, used or over, or whose maker acts for her no more (all alike), Refusal,
    Refused.
    """
    _office(by, now=now)
    _writes(by)
    kept = LinkCode.objects.select_for_update().filter(digest=_code_digest(code), used_at=None, until__gt=now).first()
    if kept is None or not identity.value or not identity.system:
        raise Absent
    if entitled(in_force_between(kept.made_by_id, kept.subject_id, now=now), now) is None:
        raise Absent
    kept.used_at, kept.used_by_id = now, by.organization
    kept.save(update_fields=["used_at", "used_by"])
    digest = resolving.digest_of(identity.system, identity.value)
    cases = Unlinked.objects.select_for_update().filter(organization=by.organization, digest=digest)
    if held := cases.filter(state=State.WAITING).first():
        return _linked(held, kept.subject_id, ground=ground, by=by, now=now)
    dismissed = list(cases.filter(state=State.DISMISSED))
    hidden = any(case.not_disclosed for case in dismissed)
    number = _number(identity, kept.subject_id, ground=ground, by=by, now=now, not_disclosed=hidden)
    cases.filter(state=State.DISMISSED).update(state=State.LINKED, number=number)  # the family knows better
    return number


@transaction.atomic
def link_by_launch(*, identity: Identity, subject: UUID, person: Person, by: Caller, now: datetime) -> LocalNumber:
    """She, or who acts for her, has signed in at a peer and chosen this number there. `by`: the peer's organisation.

    Raises Absent unless `person` acts for her, Refusal, Refused.
    """
    if entitled(in_force_between(person.pk, subject, now=now), now) is None:
        raise Absent
    return _number(identity, subject, ground=LocalNumber.Ground.LAUNCH, by=replace(by, person=person.pk), now=now)


def use_code(*, system: str, value: str, code: str, by: Caller, now: datetime) -> LocalNumber:
    """`link_by_code` at a door: a wrong code is counted, and after a few the door is closed for a while.

    One that does not fit (somebody else was born then) is counted too, and after a few the code is over.

    Raises Absent, TooManyTries (after MOST_TRIES wrong ones within the hour), Refusal, Refused.
    """
    refused = AuditEntry.objects.filter(
        event=Event.LINK_CODE_REFUSED.value, organization=by.organization, at__gt=now - timedelta(hours=1)
    )
    if refused.count() >= MOST_TRIES:
        raise TooManyTries("しばらく待ってください / too many wrong codes; wait a while", because=Because.CONFLICT)
    try:
        return link_by_code(identity=Identity(system, value), code=code, by=by, now=now)
    except Absent:
        audit.record(Event.LINK_CODE_REFUSED, by=by, now=now)
        raise
    except Refusal as refusal:
        if refusal.because is Because.CONFLICT:
            _misfit(code, by, now=now)
        raise


@transaction.atomic
def make_code(*, subject: UUID, by: Person, now: datetime) -> tuple[str, LinkCode]:
    """A code to show at a desk, good once and for half an hour. The one before it is over. Raises Absent unless `by` is
    the person herself or acts for her."""
    Subject.objects.select_for_update().filter(pk=subject).first()
    if entitled(in_force_between(by.pk, subject, now=now), now) is None:
        raise Absent
    LinkCode.objects.filter(subject=subject, made_by=by, used_at=None, until__gt=now).update(until=now)
    code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
    kept = LinkCode.objects.create(
        subject_id=subject, made_by=by, digest=_code_digest(code), made_at=now, until=now + CODE_LASTS
    )
    audit.record(Event.LINK_CODE_MADE, by=by, subject=subject, now=now)
    return code, kept


@transaction.atomic
def dismiss(*, case: int, by: Caller, now: datetime) -> None:
    """It is nobody's here: what waits goes, and what comes later of it is not kept. Raises Absent, Refused."""
    _desk(by, now=now)
    _writes(by)
    held = _case(case, by, lock=True)
    held.state, held.decided_by_id, held.decided_at, held.sealed = State.DISMISSED, by.person, now, b""
    held.save(update_fields=["state", "decided_by", "decided_at", "sealed"])
    gone, _ = WaitingItem.objects.filter(case=held).delete()
    audit.record(Event.NUMBER_DISMISSED, by=by, now=now, detail={"case": held.pk, "count": gone})


@transaction.atomic
def unlink(*, number: int, by: Caller | Person, now: datetime, retract: bool = False) -> int:
    """The number is hers no more: nothing further of it is brought in. By the organisation's staff, or by the family.

    `retract` (staff only): it never was hers, so what came by it becomes entered-in-error and may come again for
    somebody else. Returns how many resources that were. While her place is hidden no guardian ends one. Raises Absent,
    Refusal, Refused.
    """
    held = LocalNumber.objects.select_for_update().filter(pk=number, until=None).first()
    if held is None:
        raise Absent
    if isinstance(by, Person):
        if retract or not _sees_numbers(by, held.subject_id, now=now):
            raise Absent
    elif by.organization != held.organization_id:
        raise Absent
    else:
        _desk(by, now=now)
        _writes(by)
    held.until = now
    held.save(update_fields=["until"])
    taken = _retracted(held, by, now=now) if retract and isinstance(by, Caller) else 0
    detail: audit.Detail = {"organization": held.organization_id, "count": taken}
    audit.record(Event.NUMBER_UNLINKED, by=by, subject=held.subject_id, now=now, detail=detail)
    return taken


def numbers_of(*, subject: UUID, by: Person, now: datetime) -> list[tuple[LocalNumber, str]]:
    """The numbers that name a person, and the values, as her family sees them. Raises Absent for anybody else.

    Who knows her tells where she is: while that is hidden, a guardian sees none.
    """
    if not _sees_numbers(by, subject, now=now):
        return []
    rows = (
        LocalNumber.objects.filter(subject=subject, until=None).select_related("organization").order_by("since", "pk")
    )
    keys = vault.all_keys(subject)
    return [
        (row, vault.unseal(
            bytes(row.sealed), place=f"number|{bytes(row.digest).hex()}", subjects=(subject,),
            keys=[keys.get(row.key_version)], version=row.key_version,
        ).decode())
        for row in rows
    ]  # fmt: skip


def _sees_numbers(by: Person, subject: UUID, *, now: datetime) -> bool:
    """Whether who stands to a record sees its numbers. Raises Absent for who does not stand to it."""
    standing = in_force_between(by.pk, subject, now=now)
    capacity = entitled(standing, now)
    if capacity is None:
        raise Absent
    return capacity is Capacity.SELF or not standing.location_hidden


def _linked(held: Unlinked, subject: UUID, *, ground: str, by: Caller, now: datetime) -> LocalNumber:
    identity = queue.identity_of(held)
    number = _number(identity, subject, ground=ground, by=by, now=now, not_disclosed=held.not_disclosed)
    held.state, held.decided_by_id, held.decided_at, held.sealed = State.LINKED, by.person, now, b""
    held.number = number
    held.save(update_fields=["state", "decided_by", "decided_at", "sealed", "number"])
    waiting.take_up(held, now=now)
    return number


def _number(
    identity: Identity, subject: UUID, *, ground: str, by: Caller, now: datetime, not_disclosed: bool = False
) -> LocalNumber:
    """Keep the link. A contradiction with her Patient stops it; a protected person is hidden with it."""
    patients = resolving.patients_of([subject])
    if subject not in patients or Subject.objects.filter(pk=subject).exclude(state="active").exists():
        raise Absent
    if differing := resolving.contradictions(identity, patients[subject]):
        raise Refusal(f"{', '.join(differing)} が食い違います / contradicts her Patient", because=Because.CONFLICT)
    if not_disclosed or identity.not_disclosed:
        office = Organization.objects.get(pk=by.organization or 0)
        protection.told(subjects=[subject], organization=office, by=by, now=now)
    digest = resolving.digest_of(identity.system, identity.value)
    records = Depositing.opened_for(by, now=now)
    made = resolving.make(records, {digest: (identity, subject)}, now=now, ground=ground, person=by.person)
    if digest not in made:
        raise Refusal("番号はほかの人にひも付いています / linked with somebody else", because=Because.CONFLICT)
    detail: audit.Detail = {"organization": by.organization, "kind": ground}
    audit.record(Event.NUMBER_LINKED, by=by, subject=subject, now=now, detail=detail)
    return LocalNumber.objects.get(pk=made[digest])


def _retracted(held: LocalNumber, by: Caller, *, now: datetime) -> int:
    records = Depositing.opened_for(by, now=now)
    records.linked = frozenset({held.subject_id})
    taken = 0
    for fetched in PeerKnown.objects.select_for_update().filter(person__number=held, gone=False).order_by("pk"):
        taken += sum(records.retire(name) for name in records.there([f"{fetched.type}/{fetched.ours}"]))
        PeerKnown.objects.filter(pk=fetched.pk).update(gone=True)
    for known in KnownItem.objects.select_for_update().filter(number=held).order_by("digest"):
        taken += sum(records.retire(name) for name in known.names)
        known.content = b""  # whatever is said of it next is news
        known.save(update_fields=["content"])
    return taken


def _desk(by: Caller, *, now: datetime) -> Records:
    """The record as staff of an organisation open it. Raises Refusal for a system: a person looks and decides."""
    if by.capacity is not Capacity.STAFF or by.person is None:
        raise Refusal("職員だけができます / only staff may", because=Because.FORBIDDEN)
    return _office(by, now=now)


def _office(by: Caller, *, now: datetime) -> Records:
    if by.organization is None or by.subject is not None or by.capacity not in (Capacity.STAFF, Capacity.SYSTEM):
        raise Absent
    return Records.opened_by(by, now=now)


def _writes(by: Caller) -> None:
    """Raises Refusal where the token lets nothing be written: it links nothing either."""
    if not any("c" in door.letters for door in by.doors):
        raise Refusal("書き込みの権限がありません / the token writes nothing", because=Because.FORBIDDEN)


def _case(id: int, by: Caller, *, lock: bool = False) -> Unlinked:
    rows = Unlinked.objects.select_for_update() if lock else Unlinked.objects
    held = rows.filter(pk=id, organization=by.organization, state=State.WAITING).first()
    if held is None:
        raise Absent
    return held


def _seen(records: Records, subject: UUID, *, now: datetime) -> set[UUID]:
    query = parse.parse("Patient", [("_id", str(subject))], now=now)
    return {UUID(one.id) for one in records.find(query, letter="r", limit=1) if not one.deleted}


def _as_patient(identity: Identity) -> dict[str, Any]:
    names = [{"text": text} for text in (identity.name, identity.kana) if text]
    patient = {
        "identifier": [{"system": identity.system, "value": identity.value}], "name": names,
        "birthDate": identity.birth_date, "gender": identity.gender,
    }  # fmt: skip
    return {key: value for key, value in patient.items() if value}


def _questions(identity: Identity, *, now: datetime) -> Sequence[parse.Query]:
    asked = [("identifier", f"{resolving.escaped(identity.system)}|{resolving.escaped(identity.value)}")]
    asked += [("birthdate", identity.birth_date)] if len(identity.birth_date) == 10 else []
    asked += [("name", resolving.escaped(name)) for name in matching.words(_as_patient(identity))]
    questions = []
    for pair in asked:
        try:
            questions.append(parse.parse("Patient", [pair], now=now))
        except parse.BadSearch:
            continue
    return questions


def _misfit(code: str, by: Caller, *, now: datetime) -> None:
    """Count a code that did not fit, in her log; after a few, it is over."""
    kept = LinkCode.objects.filter(digest=_code_digest(code), used_at=None, until__gt=now).first()
    subject = kept.subject_id if kept else None
    audit.record(Event.LINK_CODE_REFUSED, by=by, subject=subject, now=now)
    tries = AuditEntry.objects.filter(event=Event.LINK_CODE_REFUSED.value, subject=subject)
    if kept and tries.filter(at__gte=kept.made_at).count() >= MOST_MISFITS:
        LinkCode.objects.filter(pk=kept.pk).update(until=now)


def _code_digest(code: str) -> bytes:
    text = "".join(code.split()).replace("-", "").upper()
    return blake2b(text.encode("utf-8", "replace"), key=vault.index_key(), digest_size=32, person=b"link-code").digest()


__all__ = [
    "Candidate", "Case", "candidates", "dismiss", "link", "link_by_code", "make_code", "numbers_of",
    "unlink", "use_code", "waiting_cases",
]  # fmt: skip
