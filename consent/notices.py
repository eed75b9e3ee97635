"""Telling people: an inbox that apps and pages show. Written in the transaction of the deed it tells about.

A notice about a record is shown only while its reader stands to that record: a guardian who was frozen since
does not see the old ones either (G-07).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import Q, QuerySet

from consent import audit, silence
from consent.decide import InForce, entitled
from consent.in_force import in_force_between
from consent.models import Guardianship, Notice, Organization, Person, Subject


class Kind(StrEnum):
    """What is told. Add, never rename."""

    GRANT_PROPOSED = "grant:proposed"  # somebody sent a consent that waits for the person
    GRANT_ENDED = "grant:ended"  # to a recipient: what was permitted is so no more
    CLASS_ENTERED = "class:entered"  # a recipient enters a class that was permitted; it waits
    PROVISION_ASKED = "provision:asked"  # ask-each-time: the person must answer
    PROVISION_MADE = "provision:made"
    BENEFIT_CAME = "benefit:came"
    GLASS_BROKEN = "glass:broken"  # somebody opened the record in an emergency
    GLASS_REVIEWED = "glass:reviewed"
    REFUSED_OFTEN = "refused:often"  # to the operator
    GLASS_ALARM = "glass:alarm"  # to the operator: unusually many
    ADULTHOOD_NEAR = "adulthood:near"
    ADULTHOOD_REACHED = "adulthood:reached"
    GUARDIANS_DISAGREE = "guardians:disagree"  # to staff
    JOINT_ACT_ASKED = "joint-act:asked"  # the other guardian must agree
    PROXIES_TO_CONFIRM = "proxies:to-confirm"
    CASE_ANSWERED = "case:answered"
    ERASURE_ASKED = "erasure:asked"
    ERASURE_CANCELLED = "erasure:cancelled"
    RECORD_ERASED = "record:erased"
    CLOSING_ASKED = "closing:asked"  # until when a copy may be taken, and it be taken back
    CLOSING_CANCELLED = "closing:cancelled"
    RECORD_CLOSED = "record:closed"  # kept locked, as long as a law bids
    CORRECTION_ASKED = "correction:asked"  # to the desk of the organisation that wrote it
    CORRECTION_ANSWERED = "correction:answered"
    TRANSFER_ASKED = "transfer:asked"
    RECORD_MOVED_OUT = "record:moved-out"
    INCIDENT = "incident:leak"
    RECIPIENT_CHANGED = "recipient:changed"  # to a recipient: suspended, resumed, renewed
    DELETION_DUE = "deletion:due"  # to a recipient: what it got must be deleted, and that certified
    BENEFIT_MISSING = "benefit:missing"  # to the trust's own desk: a program closed, and nothing came back
    PREGNANCY_REMINDER = "pregnancy:reminder"  # what begins with "pregnancy:" names its episode, and falls silent
    CREDENTIAL_ADDED = "credential:added"
    CREDENTIAL_REMOVED = "credential:removed"
    PASSWORD_CHANGED = "password:changed"
    ACCOUNT_RECOVERED = "account:recovered"
    NUMBER_PROTECTED = "number:protected"  # to a desk: its register hides whom an ended number named; link it anew
    SIGN_IN_LIMITED = "sign-in:limited"  # somebody tried her name too often


def tell(
    kind: Kind, *, to: Iterable[Person], subject: UUID | None, now: datetime, detail: audit.Detail | None = None
) -> None:
    """Put one notice into the inbox of each. In the caller's transaction. What is silent is told to nobody."""
    told = audit.checked(detail)
    if _silent(kind.value, subject, told):
        return
    Notice.objects.bulk_create(
        Notice(kind=kind.value, person=person, subject_id=subject, at=now, detail=told) for person in to
    )


def tell_organization(
    kind: Kind, *, to: Organization, subject: UUID | None, now: datetime, detail: audit.Detail | None = None
) -> Notice:
    """Put one notice before an organisation; `acknowledge` keeps when it was taken note of."""
    told = audit.checked(detail)
    return Notice.objects.create(kind=kind.value, organization=to, subject_id=subject, at=now, detail=told)


def family_of(subject: Subject, *, now: datetime) -> list[Person]:
    """Who is told about a record: the person herself, and each guardian whose link stands (never a frozen one)."""
    linked = Guardianship.objects.filter(subject=subject, state=Guardianship.State.ACTIVE).values("person_id")
    people = Person.objects.filter(Q(own_subject=subject) | Q(pk__in=linked), is_active=True).distinct()
    return [p for p in people.order_by("pk") if entitled(in_force_between(p.pk, subject.pk, now=now), now)]


def inbox(person: Person, *, now: datetime) -> list[Notice]:
    """The notices this person may read now, newest first, at most 200."""
    rows = Notice.objects.filter(person=person).select_related("subject").order_by("-at", "-pk")[:200]
    about = {row.subject_id for row in rows if row.subject_id is not None}
    standing = {subject: in_force_between(person.pk, subject, now=now) for subject in about}
    return [
        row
        for row in rows
        if row.subject_id is None
        or (_concerns(row.kind, standing[row.subject_id], now) and not _silent(row.kind, row.subject_id, row.detail))
    ]


def _concerns(kind: str, standing: InForce, now: datetime) -> bool:
    """Whether a notice about a record is for who stands to it so: the family, and of emergencies its proxies too."""
    named = kind.startswith("glass:") and standing.grants and standing.person_active
    return entitled(standing, now) is not None or (named and standing.subject_state == "active")


def _silent(kind: str, subject: UUID | None, detail: Mapping[str, object]) -> bool:
    """Whether it is about a pregnancy that nobody may be reminded of (`consent.silence`)."""
    return (
        kind.startswith("pregnancy:") and subject is not None and silence.kept(subject, str(detail.get("episode", "")))
    )


def acknowledge(rows: QuerySet[Notice], *, now: datetime) -> int:
    """Keep when these were taken note of; those that were stay as they are. Returns how many changed."""
    return rows.filter(acknowledged_at=None).update(acknowledged_at=now)
