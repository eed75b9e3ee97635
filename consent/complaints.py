"""The complaint desk (IT-16): tickets with states and deadlines; texts sealed under the key of the record."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from consent import audit, keys, kin, notices
from consent.audit import Event
from consent.decide import entitled
from consent.desk import operator
from consent.in_force import in_force_between
from consent.models import Complaint, Person, Provision, Subject
from consent.refusal import Absent, Because, Refusal

KINDS = frozenset({"provision", "consent", "access", "correction", "erasure", "recipient", "other"})
REVIEW_WITHIN = timedelta(days=3)
ANSWER_WITHIN = timedelta(days=30)
LONGEST = 4000  # characters
NONCE = 12
State = Complaint.State


@dataclass(frozen=True, slots=True)
class Report:
    """How the desk kept its deadlines for what came in within a period."""

    received: int
    by_state: dict[str, int]
    by_kind: dict[str, int]
    reviewed_late: int
    answered_late: int
    open_overdue: int
    median_days: float | None  # from receipt to answer


@transaction.atomic
def receive(
    *, subject: Subject, kind: str, text: str, by: Person, now: datetime, provision: Provision | None = None
) -> Complaint:
    """Take a complaint about a record one acts for. Raises Absent; Refusal: no words, an unknown kind."""
    keys.require_living(subject.pk)
    if entitled(in_force_between(by.pk, subject.pk, now=now), now) is None:
        raise Absent
    if kind not in KINDS:
        raise Refusal("知られていない種類です / an unknown kind", place="kind")
    if provision is not None and provision.subject_id != subject.pk:
        raise Absent(place="provision")
    id = uuid4()
    made = Complaint.objects.create(
        id=id, person=by, subject=subject, provision=provision, kind=kind, text=_sealed(text, id, "text", subject.pk),
        received_at=now, review_due_at=now + REVIEW_WITHIN, answer_due_at=now + ANSWER_WITHIN,
    )  # fmt: skip
    _log(Event.COMPLAINT_RECEIVED, made, by, now)
    return made


@transaction.atomic
def take(*, complaint: Complaint, by: Person, now: datetime) -> Complaint:
    """Look into it. Raises Refusal: not the operator's staff, taken already, one's own or one's family's."""
    operator(by)
    current = _locked(complaint, State.RECEIVED)
    _require_stranger(current, by)
    current.state, current.reviewed_at, current.handled_by = State.IN_REVIEW, now, by
    return _saved(current, by, now)


@transaction.atomic
def answer(*, complaint: Complaint, text: str, by: Person, now: datetime) -> Complaint:
    """Answer who complained; she is told. Raises Refusal: not the operator's staff, one's own or one's family's,
    nobody looked into it, no words."""
    operator(by)
    current = _locked(complaint, State.IN_REVIEW)
    _require_stranger(current, by)
    current.answer = _sealed(text, current.pk, "answer", current.subject_id)
    current.state, current.answered_at, current.handled_by = State.ANSWERED, now, by
    detail: audit.Detail = {"complaint": str(current.pk)}
    notices.tell(notices.Kind.CASE_ANSWERED, to=[current.person], subject=current.subject_id, now=now, detail=detail)
    return _saved(current, by, now)


@transaction.atomic
def close(*, complaint: Complaint, by: Person, now: datetime) -> Complaint:
    """She is content, or staff close it a while after the answer. Raises Absent, Refusal: not answered yet."""
    current = _locked(complaint, State.ANSWERED)
    if by.pk != current.person_id:
        operator(by)
    current.state, current.closed_at = State.CLOSED, now
    return _saved(current, by, now)


@transaction.atomic
def reopen(*, complaint: Complaint, by: Person, now: datetime) -> Complaint:
    """She is not content: it is looked into again, with new deadlines. Raises Absent, Refusal: not answered."""
    current = _locked(complaint, State.ANSWERED)
    if by.pk != current.person_id:
        raise Absent
    current.state, current.answered_at = State.RECEIVED, None
    current.review_due_at, current.answer_due_at = now + REVIEW_WITHIN, now + ANSWER_WITHIN
    return _saved(current, by, now)


def of(subject: Subject, person: Person) -> list[Complaint]:
    """One's own tickets about a record, newest first: nobody reads another guardian's."""
    return list(Complaint.objects.filter(subject=subject, person=person).order_by("-received_at", "pk"))


def told(complaint: Complaint, what: str) -> str | None:
    """Its `text` or its `answer`, opened; None where there is none, or its key is gone with the record."""
    sealed = getattr(complaint, what)
    if sealed is None:
        return None
    data = bytes(sealed)
    key = keys.all_keys(complaint.subject_id).get(data[0])
    if key is None:
        return None
    raw = keys.unwrap(key.wrapped, complaint.subject_id, key.version, key.kek)
    place = _place(complaint.pk, what, complaint.subject_id, key.version)
    return keys.cipher(raw).decrypt(data[1 : NONCE + 1], data[NONCE + 1 :], place).decode()


def report(*, since: datetime, until: datetime, now: datetime) -> Report:
    """The state of the desk for what came in within [since, until)."""
    found = list(Complaint.objects.filter(received_at__gte=since, received_at__lt=until))
    took = sorted((c.answered_at - c.received_at) / timedelta(days=1) for c in found if c.answered_at)
    return Report(
        received=len(found), by_state=dict(Counter(c.state for c in found)),
        by_kind=dict(Counter(c.kind for c in found)),
        reviewed_late=sum(_late(c.reviewed_at, c.review_due_at, now) for c in found),
        answered_late=sum(_late(c.answered_at, c.answer_due_at, now) for c in found),
        open_overdue=sum(c.answered_at is None and now > c.answer_due_at for c in found),
        median_days=took[len(took) // 2] if took else None,
    )  # fmt: skip


def _late(at: datetime | None, due: datetime, now: datetime) -> bool:
    return (at or now) > due


def _place(id: UUID, what: str, subject: UUID, version: int) -> bytes:
    return f"consent_complaint|{what}|{id}|{subject}|{version}".encode()


def _sealed(text: str, id: UUID, what: str, subject: UUID) -> bytes:
    """version(1) nonce(12) ciphertext. Raises Refusal for no words, too many, or what is no text."""
    if not text.strip() or len(text) > LONGEST:
        raise Refusal("本文が空か、長すぎます / empty, or too long", place=what)
    key = keys.keys_for([subject])[subject]
    raw, nonce = keys.unwrap(key.wrapped, subject, key.version, key.kek), os.urandom(NONCE)
    spoken, place = text.encode("utf-8", "replace"), _place(id, what, subject, key.version)
    return bytes([key.version]) + nonce + keys.cipher(raw).encrypt(nonce, spoken, place)


def _locked(complaint: Complaint, *states: Complaint.State) -> Complaint:
    """The ticket, and its person's row before it. Raises Absent: she is erased; Refusal: another state."""
    keys.require_living(complaint.subject_id)
    current = Complaint.objects.select_for_update(of=("self",)).select_related("person").get(pk=complaint.pk)
    if current.state not in states:
        raise Refusal("この段階ではできません / not at this stage", because=Because.CONFLICT)
    return current


def _require_stranger(complaint: Complaint, by: Person) -> None:
    if complaint.person_id == by.pk or kin.is_kin(by, complaint.subject_id):
        raise Refusal("自分や家族の申し出は扱えません / not one's own, nor one's family's", because=Because.FORBIDDEN)


def _saved(current: Complaint, by: Person, now: datetime) -> Complaint:
    current.save()
    _log(Event.COMPLAINT_CHANGED, current, by, now)
    return current


def _log(event: Event, complaint: Complaint, by: Person, now: datetime) -> None:
    detail: dict[str, Any] = {"complaint": str(complaint.pk), "state": str(complaint.state), "kind": complaint.kind}
    audit.record(event, by=by, subject=complaint.subject_id, now=now, detail=detail)
