"""Emergency access (break-glass): opened by a clinician with a reason, told to the family at once, looked at after.

Whoever opens proved lately who she is (the door asks). It is one record and a while; the emergency set first, the whole
record by a second step with a reason of its own. `decide` looks at the row on every request: it passes denies, but no
freeze, no mark, no locked record, and never the clinician's own family (trust rules, section 10).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from consent import audit, in_force, keys, kin, notices
from consent.audit import Event
from consent.models import AuditEntry, EffectiveGrant, EmergencyAccess, Organization, Person, Subject
from consent.refusal import Absent, Because, Refusal
from consent.rules import GLASS_KINDS, GLASS_PURPOSES, JST, today_in_japan

SHORTEST, LONGEST = timedelta(minutes=30), timedelta(minutes=60)
REVIEW_DAYS = 3  # working days
REVIEWERS = frozenset({Organization.Kind.OPERATOR, Organization.Kind.MUNICIPALITY})  # the privacy officers' desks
WATCHED = timedelta(hours=24)
MOST_OF_PERSON, MOST_OF_ORGANIZATION, MOST_REFUSED = 5, 20, 5  # in `WATCHED`; one more raises the alarm
TEXT = (10, 1000)  # characters of a reason
alarm = logging.getLogger("consent.glass")


@dataclass(frozen=True, slots=True)
class Why:
    """A reason: its code, and in words."""

    code: str
    text: str


def break_glass(
    *, subject: UUID, purpose: str, why: Why, lasts: timedelta, by: Person, now: datetime
) -> EmergencyAccess:
    """Open the emergency set of one record. The family is told in the same transaction.

    Raises Refusal (no clinician on duty, a bad reason or time) or Absent, alike for a record that is not there, is
    locked, or is of the clinician's own family. A refusal is kept in the log before it is raised.
    """
    try:
        office = _on_duty(by)
        _sound(why)
        if purpose not in GLASS_PURPOSES:
            raise Refusal("緊急の目的だけです / an emergency purpose only", place="purpose")
        if not SHORTEST <= lasts <= LONGEST:
            raise Refusal("30分から60分です / 30 to 60 minutes", place="minutes")
        record = Subject.objects.filter(pk=subject, state=Subject.State.ACTIVE).first()
        if in_force.is_kin(by.pk, subject) or record is None:
            raise Absent
    except Refusal as error:
        refused(by=by, because=error.because.value, now=now)
        raise
    with transaction.atomic():
        _require_active(subject)
        access = EmergencyAccess.objects.create(
            person=by, organization=office, subject=record, purpose=purpose, reason=why.code,
            text=_sealed(why.text, subject), opened_at=now, ends_at=now + lasts, review_due_at=review_due(now),
        )  # fmt: skip
        _told(Event.GLASS_OPENED, access, by, now, reason=why.code)
        _watch(access, now)
    return access


def widen(*, access: EmergencyAccess, why: Why, by: Person, now: datetime) -> EmergencyAccess:
    """The second step: the whole record, until the same end. Raises Refusal; Absent if another's or over."""
    _on_duty(by)
    _sound(why)
    with transaction.atomic():
        _require_active(access.subject_id)
        current = _own(access, by, now)
        if current.step == 1:
            current.step, current.full_at = 2, now
            current.full_reason, current.full_text = why.code, _sealed(why.text, current.subject_id)
            current.save(update_fields=["step", "full_at", "full_reason", "full_text"])
            _told(Event.GLASS_WIDENED, current, by, now, reason=why.code)
    return current


@transaction.atomic
def close(*, access: EmergencyAccess, by: Person, now: datetime) -> EmergencyAccess:
    """End it before its time. Raises Absent for another's, or one that is over."""
    current = _own(access, by, now)
    current.closed_at = now
    current.save(update_fields=["closed_at"])
    audit.record(
        Event.GLASS_CLOSED,
        by=by,
        subject=current.subject_id,
        now=now,
        detail={"glass": current.pk, "step": current.step},
    )
    return current


@transaction.atomic
def review(*, access: EmergencyAccess, outcome: str, by: Person, now: datetime) -> EmergencyAccess:
    """What a privacy officer found. Once; the person and her guardians are told. Raises Refusal or Absent."""
    office = by.organization
    if office is None or office.kind not in REVIEWERS or office.state != Organization.State.ACTIVE or not by.is_active:
        raise Refusal("審査する資格がありません / not entitled to review", because=Because.FORBIDDEN)
    current = EmergencyAccess.objects.select_for_update().select_related("subject").filter(pk=access.pk).first()
    if (
        current is None
        or current.person_id == by.pk
        or current.organization_id == office.pk
        or kin.is_kin(by, current.subject_id)
    ):
        raise Absent
    if outcome not in EmergencyAccess.Outcome.values:
        raise Refusal("結果を選んでください / choose an outcome", place="outcome")
    if current.reviewed_at is not None:
        raise Refusal("審査は終わっています / it was reviewed already", because=Because.CONFLICT)
    current.reviewed_by, current.reviewed_at, current.outcome = by, now, outcome
    current.save(update_fields=["reviewed_by", "reviewed_at", "outcome"])
    detail: audit.Detail = {"glass": current.pk, "outcome": outcome}
    audit.record(Event.GLASS_REVIEWED, by=by, subject=current.subject_id, now=now, detail=detail)
    _tell_family(notices.Kind.GLASS_REVIEWED, current, now, detail)
    return current


def refused(*, by: Person, because: str, now: datetime) -> None:
    """Keep that an emergency access was refused, without whose record it was; too many raise the alarm."""
    audit.record(Event.GLASS_REFUSED, by=by, now=now, detail={"because": because})
    count = refusals(by, since=now - WATCHED, now=now)
    if count > MOST_REFUSED:
        _alarm(by, by.organization, "refused", count, now)


def refusals(person: Person, *, since: datetime, now: datetime) -> int:
    """How often a person was refused in a while."""
    return AuditEntry.objects.filter(
        event=Event.GLASS_REFUSED.value, person=person.pk, at__gt=since, at__lte=now
    ).count()


def to_review(*, by: Person) -> QuerySet[EmergencyAccess]:
    """What waits for a privacy officer, the most urgent first; never one's own, one's own house's or family's."""
    waiting = EmergencyAccess.objects.filter(reviewed_at=None).select_related("organization", "person")
    waiting = waiting.exclude(subject__in=kin.records_of(by))
    return waiting.exclude(person=by).exclude(organization_id=by.organization_id or 0).order_by("review_due_at", "pk")


def overdue(*, now: datetime) -> QuerySet[EmergencyAccess]:
    """What nobody has looked at in time."""
    return EmergencyAccess.objects.filter(reviewed_at=None, review_due_at__lte=now).order_by("review_due_at", "pk")


def of_record(subject: Subject) -> QuerySet[EmergencyAccess]:
    """Every emergency access to one record, newest first."""
    return EmergencyAccess.objects.filter(subject=subject).select_related("organization").order_by("-opened_at", "-pk")


def reason_of(access: EmergencyAccess) -> tuple[str, str]:
    """The words of both reasons, for a privacy officer; "" for a step that was not taken or words that are gone."""
    full = access.full_text
    return (
        _opened(bytes(access.text), access.subject_id),
        "" if full is None else _opened(bytes(full), access.subject_id),
    )


def review_due(now: datetime) -> datetime:
    """When the third working day (Monday to Friday, in Japan) after `now` ends."""
    day, left = today_in_japan(now), REVIEW_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    return datetime(day.year, day.month, day.day, tzinfo=JST) + timedelta(days=1)


def _on_duty(by: Person) -> Organization:
    office = Organization.objects.filter(pk=by.organization_id or 0, state=Organization.State.ACTIVE).first()
    if not by.is_active or office is None or office.kind not in GLASS_KINDS:
        raise Refusal("救急に携わる医療者だけができます / only a clinician on duty may", because=Because.FORBIDDEN)
    return office


def _require_active(subject: UUID) -> None:
    """Look once more, under a lock: an erasure may have ended since. Raises Absent."""
    keys.require_living(subject)
    if not Subject.objects.filter(pk=subject, state=Subject.State.ACTIVE).exists():
        raise Absent


def _sound(why: Why) -> None:
    if why.code not in EmergencyAccess.Reason.values:
        raise Refusal("理由を選んでください / choose a reason", place="reason")
    if not TEXT[0] <= len(why.text.strip()) <= TEXT[1]:
        raise Refusal("理由を10字以上1000字以内で / the reason in 10 to 1000 characters", place="text")


def _own(access: EmergencyAccess, by: Person, now: datetime) -> EmergencyAccess:
    """The row, locked; Absent unless it is this person's and still open."""
    current = EmergencyAccess.objects.select_for_update().select_related("subject").filter(pk=access.pk).first()
    if current is None or current.person_id != by.pk or current.closed_at is not None or now >= current.ends_at:
        raise Absent
    return current


def _told(event: Event, access: EmergencyAccess, by: Person, now: datetime, *, reason: str) -> None:
    detail: audit.Detail = {
        "glass": access.pk, "step": access.step, "reason": reason, "purpose": access.purpose,
        "organization": access.organization_id, "until": access.ends_at.isoformat(),
    }  # fmt: skip
    audit.record(event, by=by, subject=access.subject_id, now=now, detail=detail)
    _tell_family(notices.Kind.GLASS_BROKEN, access, now, detail)


def _tell_family(kind: notices.Kind, access: EmergencyAccess, now: datetime, detail: audit.Detail) -> None:
    """The person, her guardians whose link stands, and her proxies."""
    people = {p.pk: p for p in notices.family_of(access.subject, now=now)}
    rows = EffectiveGrant.objects.filter(subject=access.subject_id, permit=True, grantee__startswith="person:")
    named = {int(name.removeprefix("person:")) for name in rows.values_list("grantee", flat=True).distinct()}
    for person in Person.objects.filter(pk__in=named - people.keys(), is_active=True):
        if in_force.in_force_between(person.pk, access.subject_id, now=now).grants:
            people[person.pk] = person
    notices.tell(kind, to=people.values(), subject=access.subject_id, now=now, detail=detail)


def _watch(access: EmergencyAccess, now: datetime) -> None:
    """Alarm where one clinician, or one house, opens more than is likely."""
    recent = EmergencyAccess.objects.filter(opened_at__gt=now - WATCHED, opened_at__lte=now)
    if (count := recent.filter(person=access.person_id).count()) > MOST_OF_PERSON:
        _alarm(access.person, access.organization, "person", count, now)
    if (count := recent.filter(organization=access.organization_id).count()) > MOST_OF_ORGANIZATION:
        _alarm(access.person, access.organization, "organization", count, now)


def _alarm(by: Person, office: Organization | None, kind: str, count: int, now: datetime) -> None:
    detail: audit.Detail = {"kind": kind, "count": count, "organization": None if office is None else office.pk}
    audit.record(Event.GLASS_ALARMED, by=by, now=now, detail=detail)
    operators = Organization.objects.filter(kind=Organization.Kind.OPERATOR, state=Organization.State.ACTIVE)
    for operator in operators.order_by("pk"):
        notices.tell_organization(notices.Kind.GLASS_ALARM, to=operator, subject=None, now=now, detail=detail)
    alarm.error("emergency accesses: unusually many (%s, %d in a day)", kind, count)


def _sealed(text: str, subject: UUID) -> bytes:
    """version(2) nonce(12) ciphertext, under the record's data key."""
    key, nonce = keys.keys_for([subject])[subject], os.urandom(12)
    cipher = keys.cipher(keys.unwrap(key.wrapped, subject, key.version, key.kek))
    return key.version.to_bytes(2) + nonce + cipher.encrypt(nonce, text.strip().encode(), _place(subject))


def _opened(sealed: bytes, subject: UUID) -> str:
    key = keys.all_keys(subject).get(int.from_bytes(sealed[:2]))
    if key is None:
        return ""
    cipher = keys.cipher(keys.unwrap(key.wrapped, subject, key.version, key.kek))
    return cipher.decrypt(sealed[2:14], sealed[14:], _place(subject)).decode()


def _place(subject: UUID) -> bytes:
    return f"emergency-reason|{subject}".encode()
