"""When something goes wrong, at us or at a recipient: who is concerned, and that they are told (IT-32, IT-33).

The trust answers to the person first, also for harm at the recipient: an incident leads from the recipient over
the provisions to the persons. A leak of special-care data (要配慮) is told to the commission (個人情報保護委員会)
within days, and to the persons (APPI Art. 26; enforcement rules Art. 7, 8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from consent import audit, notices
from consent.audit import Event
from consent.desk import operator
from consent.models import Incident, Person, Provision, Recipient, Subject
from consent.refusal import Because, Refusal
from consent.scope import ALL_CATEGORIES

PRELIMINARY = timedelta(days=5)  # "promptly": three to five days
FINAL = timedelta(days=30)
READ = ("record:read", "record:searched", "record:history", "record:exported", "provision:delivered", "peer:sent")
# Whose data can have been in what leaked: provisions to the recipient from which something had left by the end of
# it, or lines of the log about its organisation while it lasted. Without a recipient: whoever was read at all.
_AFFECTED = """
SELECT p.subject_id, array_agg(p.id::text ORDER BY p.made_at) FROM consent_provision p
 WHERE p.recipient_id = %(recipient)s AND cardinality(p.items) > 0 AND p.made_at < %(high)s
   AND p.categories & %(categories)s <> 0 GROUP BY p.subject_id
UNION ALL
SELECT e.subject, ARRAY[]::text[] FROM consent_auditentry e
 WHERE e.event = ANY(%(read)s) AND e.subject IS NOT NULL AND e.at >= %(low)s AND e.at < %(high)s
   AND (%(organization)s::bigint IS NULL OR e.organization = %(organization)s)
   AND NOT EXISTS (SELECT FROM consent_provision q WHERE q.subject_id = e.subject AND q.recipient_id = %(recipient)s
                   AND cardinality(q.items) > 0 AND q.made_at < %(high)s AND q.categories & %(categories)s <> 0)
 GROUP BY e.subject
"""


@dataclass(frozen=True, slots=True)
class Affected:
    """One record that may be concerned, and by which provisions; none: it was read without one."""

    subject: UUID
    provisions: tuple[UUID, ...]


@transaction.atomic
def report(
    *,
    kind: str,
    happened_from: datetime,
    happened_to: datetime,
    categories: int,
    summary_ja: str,
    summary_en: str,
    by: Person,
    now: datetime,
    recipient: Recipient | None = None,
) -> Incident:
    """Write an incident down, with every provision it may concern; the clock of the law begins.

    Raises Refusal: not the operator's staff, an unknown kind, an empty period or no categories, no words.
    """
    operator(by)
    if kind not in Incident.Kind.values:
        raise Refusal("知られていない種類です / an unknown kind", place="kind")
    if happened_to <= happened_from or happened_from > now:
        raise Refusal("期間が空か、先の日付です / an empty period, or one to come", place="happened_to")
    if not categories or categories & ~ALL_CATEGORIES:
        raise Refusal("項目が必要です / categories are needed", place="categories")
    if not summary_ja.strip() or not summary_en.strip():
        raise Refusal("説明が必要です / words are needed", place="summary_ja")
    made = Incident.objects.create(
        kind=kind, recipient=recipient, happened_from=happened_from, happened_to=happened_to, categories=categories,
        summary_ja=summary_ja, summary_en=summary_en, found_at=now, reported_by=by,
        preliminary_due_at=now + PRELIMINARY, final_due_at=now + FINAL,
    )  # fmt: skip
    concerned = [id for one in affected(made) for id in one.provisions]
    made.provisions.set(Provision.objects.filter(pk__in=concerned))
    detail: audit.Detail = {"incident": str(made.pk), "kind": kind, "categories": categories}
    audit.record(Event.INCIDENT_REPORTED, by=by, now=now, detail=detail)
    return made


def affected(incident: Incident) -> list[Affected]:
    """Everybody it may concern: one query over provisions and log."""
    recipient = incident.recipient
    told = {
        "recipient": None if recipient is None else recipient.pk,
        "organization": None if recipient is None else recipient.organization_id,
        "categories": incident.categories, "low": incident.happened_from, "high": incident.happened_to,
        "read": list(READ),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_AFFECTED, told)
        rows = cursor.fetchall()
    return sorted((Affected(s, tuple(map(UUID, ids))) for s, ids in rows), key=lambda one: one.subject.int)


@transaction.atomic
def tell_persons(*, incident: Incident, by: Person, now: datetime) -> int:
    """Tell the families of everybody concerned; a second time, nobody. Returns how many records. Raises Refusal."""
    operator(by)
    current = Incident.objects.select_for_update(of=("self",)).select_related("recipient").get(pk=incident.pk)
    if current.persons_told_at is not None:
        raise Refusal("すでに通知しました / they were told", because=Because.CONFLICT)
    found = affected(current)
    detail: dict[str, str | int | None] = {
        "incident": str(current.pk), "recipient": current.recipient_id, "kind": current.kind,
        "categories": current.categories,
    }  # fmt: skip
    _tell(found, detail, now)
    current.persons_told_at = now
    current.save(update_fields=["persons_told_at"])
    incident.persons_told_at = now
    lines: dict[UUID | None, audit.Detail] = {one.subject: detail for one in found}
    audit.record_many(Event.INCIDENT_TOLD, by=by, now=now, told=lines)
    return len(found)


@transaction.atomic
def tell_commission(*, incident: Incident, by: Person, now: datetime) -> None:
    """Keep when the commission was told. Raises Refusal where it was told before."""
    operator(by)
    if not Incident.objects.filter(pk=incident.pk, commission_told_at=None).update(commission_told_at=now):
        raise Refusal("すでに報告しました / it was told", because=Because.CONFLICT)
    audit.record(Event.INCIDENT_TOLD, by=by, now=now, detail={"incident": str(incident.pk), "kind": "commission"})


@transaction.atomic
def close(*, incident: Incident, by: Person, now: datetime) -> None:
    """Close it. Raises Refusal while the persons, or of level 2 and 3 the commission, have not been told."""
    operator(by)
    current = Incident.objects.select_for_update().get(pk=incident.pk)
    if current.persons_told_at is None or current.commission_told_at is None:
        raise Refusal("通知と報告が済んでいません / persons and commission come first", because=Because.CONFLICT)
    current.closed_at = now
    current.save(update_fields=["closed_at"])
    audit.record(Event.INCIDENT_TOLD, by=by, now=now, detail={"incident": str(current.pk), "state": "closed"})


def _tell(found: Iterable[Affected], detail: audit.Detail, now: datetime) -> None:
    subjects = Subject.objects.in_bulk([one.subject for one in found])
    for subject in subjects.values():
        family = notices.family_of(subject, now=now)
        notices.tell(notices.Kind.INCIDENT, to=family, subject=subject.pk, now=now, detail=detail)
