"""The records of giving and of receiving that the law asks for (APPI Art. 29, 30): kept for three years, then let go.

The Provision row itself is the record of giving; a Confirmation is that of receiving.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q

from consent import audit, prepared, rules
from consent.audit import Event
from consent.models import AuditEntry, Benefit, Confirmation, DeletionCertificate, Organization, Provision, Subject
from consent.refusal import Because, Refusal

KEPT = "提供・確認の記録は3年間保存します / records of giving and receiving are kept for three years"
YEARS = 3  # APPI enforcement rules, Art. 21, 25
ACQUIRED = frozenset({"from-the-person", "from-care", "from-a-municipality", "from-a-trust"})


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a person is shown, what is stored, what the log tells: three counts that must agree."""

    shown: int
    stored: int
    logged: int

    @property
    def agrees(self) -> bool:
        return self.shown == self.stored == self.logged


def kept_until(at: datetime) -> datetime:
    """The instant from which a record of that time may go."""
    there = at.astimezone(rules.JST)
    return datetime.combine(rules.months_after(there.date(), 12 * YEARS), there.timetz())


@transaction.atomic
def discard(*, provision: Provision, now: datetime) -> None:
    """Let the record of one provision go. Raises Refusal within three years of its last event (IT-40)."""
    current = Provision.objects.select_for_update().get(pk=provision.pk)
    last = max(x for x in (current.made_at, current.delivered_at, current.ended_at, current.until) if x is not None)
    if now < kept_until(last):
        raise Refusal(KEPT, because=Because.CONFLICT)
    if DeletionCertificate.objects.filter(provision=current, submitted_at=None).exists():
        raise Refusal("削除証明がまだです / its deletion is not certified yet", because=Because.CONFLICT)
    if current.incidents.exists() or current.complaints.exists():
        raise Refusal("事故または苦情の記録があります / an incident or a complaint names it", because=Because.CONFLICT)
    DeletionCertificate.objects.filter(provision=current).delete()
    Benefit.objects.filter(provision=current).delete()
    current.delete()
    audit.record(Event.PROVISION_DISCARDED, by=None, subject=current.subject_id, now=now,
                 detail={"provision": str(provision.pk)})  # fmt: skip


def discard_old(*, now: datetime) -> int:
    """Let all go that may; returns how many."""
    gone = 0
    for one in Provision.objects.filter(until__lt=now).order_by("pk").iterator():
        try:
            discard(provision=one, now=now)
        except Refusal:
            continue
        gone += 1
    return gone


def reconcile(subject: Subject, *, shown: int) -> Reconciled:
    """Compare the history a person was shown with the rows and with the log (IT-10)."""
    lines = AuditEntry.objects.filter(subject=subject.pk).aggregate(
        judged=Count("pk", filter=Q(event=Event.PROVISION_JUDGED.value)),
        gone=Count("pk", filter=Q(event=Event.PROVISION_DISCARDED.value)),
    )
    return Reconciled(shown, Provision.objects.filter(subject=subject).count(), lines["judged"] - lines["gone"])


@transaction.atomic
def confirm(
    *,
    provider: str,
    acquired: str,
    subject: Subject,
    resources: int,
    now: datetime,
    address: str = "",
    organization: Organization | None = None,
    run: UUID | None = None,
    sha256: str = "",
    categories: int = 0,
) -> Confirmation:
    """Keep that we checked what we received, and from whom (IT-41). The same run again: the same record.

    `acquired`: how the provider came by it, one of ACQUIRED. Raises Refusal: who or how is not said.
    """
    if not provider.strip():
        raise Refusal("提供元の名称が必要です / who provided it?", place="provider")
    if acquired not in ACQUIRED:
        raise Refusal("取得の経緯が必要です / how was it acquired?", place="acquired")
    told = {
        "provider": provider, "address": address, "organization": organization, "acquired": acquired,
        "sha256": sha256, "categories": categories, "resources": resources, "received_at": now,
    }  # fmt: skip
    if run is not None:
        found, new = Confirmation.objects.get_or_create(run=run, subject=subject, defaults=told)
    else:
        found, new = Confirmation.objects.create(subject=subject, **told), True
    if new:
        audit.record(Event.CONFIRMATION_KEPT, by=None, subject=subject.pk, now=now, detail={"count": resources})
    return found


_CONFIRM = """
INSERT INTO consent_confirmation
  (provider, address, organization_id, acquired, subject_id, run, sha256, categories, resources, received_at)
SELECT %s, '', %s, %s, told.subject, %s, %s, 0, told.resources, %s
  FROM unnest(%s::uuid[], %s::int[]) AS told(subject, resources) ORDER BY told.subject
ON CONFLICT (run, subject_id) DO UPDATE SET resources = consent_confirmation.resources + excluded.resources
RETURNING subject_id, resources, xmax = 0
"""


@transaction.atomic
def confirm_many(
    *, organization: Organization, acquired: str, resources: Mapping[UUID, int], run: UUID | None, sha256: str,
    now: datetime,
) -> None:  # fmt: skip
    """As `confirm`, of an input about many people: person -> how many resources of hers. More of a run adds up."""
    if not resources:
        return
    values = [
        organization.name, organization.pk, acquired, run, sha256, now, list(resources), list(resources.values())
    ]  # fmt: skip
    told: dict[UUID | None, audit.Detail] = {
        subject: {"count": count} for subject, count, new in prepared.fetch(_CONFIRM, values) if new
    }
    audit.record_many(Event.CONFIRMATION_KEPT, by=None, now=now, told=told)


@transaction.atomic
def discard_confirmation(*, confirmation: Confirmation, now: datetime) -> None:
    """Let the record of receiving go. Raises Refusal within three years (IT-41)."""
    if now < kept_until(confirmation.received_at):
        raise Refusal(KEPT, because=Because.CONFLICT)
    audit.record(Event.CONFIRMATION_DISCARDED, by=None, subject=confirmation.subject_id, now=now,
                 detail={"count": confirmation.resources})  # fmt: skip
    confirmation.delete()


def discard_old_confirmations(*, now: datetime) -> int:
    """Let all records of receiving go that may; returns how many."""
    old = Confirmation.objects.filter(received_at__lt=now - timedelta(days=365 * YEARS)).order_by("pk")
    due = [one for one in old.iterator() if kept_until(one.received_at) <= now]
    for one in due:
        discard_confirmation(confirmation=one, now=now)
    return len(due)
