"""What recipients owe us: reports on use, and certificates that what they got is deleted (IT-22). Late: suspended.

`sweep` is the periodic look: it ends provisions whose ground is gone, and suspends who is late. Nothing waits for
it where data is concerned: every handing-over is judged again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from consent import audit, notices, recipients, rules
from consent.audit import Event
from consent.decide import Caller
from consent.models import DeletionCertificate, Grant, Program, Provision, Recipient, UsageReport
from consent.refusal import Absent, Because, Refusal

GRACE = timedelta(days=30)  # from the end of a period, or of a provision
LIVING = (Grant.State.ACTIVE, Grant.State.PAUSED)
OPEN = (Provision.State.ASKED, Provision.State.PERMITTED, Provision.State.DELIVERED)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many a sweep ended, asked for, and suspended."""

    ended: int
    reports: int
    suspended: int


def sweep(*, now: datetime) -> Swept:
    """End what stands on nothing, ask for reports whose period is over, suspend who is late. Safe to repeat."""
    due = _due(now)
    for one in due:
        end(provision=one, reason=_why(one), by=None, now=now)
    return Swept(len(due), ask_reports(now=now), suspend_late(now=now))


@transaction.atomic
def end(*, provision: Provision, reason: str, by: Caller | None, now: datetime) -> None:
    """End one provision: nothing more is handed over. Whoever got something must delete it and certify that.

    `reason`: a code. An ended one stays as it is.
    """
    current = Provision.objects.select_for_update(of=("self",)).select_related("recipient__organization").get(
        pk=provision.pk
    )  # fmt: skip
    if current.state not in OPEN:
        return
    current.state, current.ended_at, current.ended_reason = Provision.State.ENDED, now, reason
    current.save(update_fields=["state", "ended_at", "ended_reason"])
    detail: audit.Detail = {
        "provision": str(current.pk), "recipient": current.recipient_id, "program": str(current.program_id),
        "reason": reason,
    }  # fmt: skip
    audit.record(Event.PROVISION_ENDED, by=by, subject=current.subject_id, now=now, detail=detail)
    if current.items:
        due = rules.today_in_japan(now) + GRACE
        DeletionCertificate.objects.get_or_create(provision=current, defaults={"due_on": due})
        notices.tell_organization(
            notices.Kind.DELETION_DUE, to=current.recipient.organization, subject=None, now=now,
            detail={"provision": str(current.pk), "until": due.isoformat(), "reason": reason},
        )  # fmt: skip


@transaction.atomic
def certify(*, provision: Provision, recipient: Recipient, method: str, signed_by: str, now: datetime) -> None:
    """A recipient certifies a deletion. Certifying twice changes nothing. Raises Absent, Refusal: no words."""
    row = DeletionCertificate.objects.select_for_update().filter(provision=provision, provision__recipient=recipient)
    found = row.first()
    if found is None:
        raise Absent(place="provision")
    if not method.strip() or not signed_by.strip():
        raise Refusal("方法と署名者が必要です / how, and who signs", place="method")
    if found.submitted_at is not None:
        return
    found.submitted_at, found.method, found.signed_by = now, method, signed_by
    found.save()
    detail: audit.Detail = {"provision": str(provision.pk), "recipient": recipient.pk}
    audit.record(Event.DELETION_CERTIFIED, by=None, subject=provision.subject_id, now=now, detail=detail)


@transaction.atomic
def report(*, recipient: Recipient, period_from: date, body: Mapping[str, Any], now: datetime) -> UsageReport:
    """A recipient reports on one period it was asked about. Raises Absent; Refusal: reported already, or nothing."""
    row = UsageReport.objects.select_for_update().filter(recipient=recipient, period_from=period_from).first()
    if row is None:
        raise Absent(place="period_from")
    if row.submitted_at is not None:
        raise Refusal("提出済みです / reported already", because=Because.CONFLICT)
    if not body:
        raise Refusal("報告が空です / an empty report", place="body")
    row.submitted_at, row.body = now, dict(body)
    row.save(update_fields=["submitted_at", "body"])
    audit.record(Event.REPORT_SUBMITTED, by=None, now=now, detail={"recipient": recipient.pk})
    return row


@transaction.atomic
def ask_reports(*, now: datetime) -> int:
    """Open a report for each period that is over; returns how many. One period follows the other without a gap."""
    today, made = rules.today_in_japan(now), 0
    for one in Recipient.objects.select_for_update().exclude(state=Recipient.State.ENDED).filter(processor_of=None):
        last = one.reports.order_by("-period_to").first()
        start = rules.today_in_japan(one.registered_at) if last is None else last.period_to + timedelta(days=1)
        while (close := rules.months_after(start, one.report_months) - timedelta(days=1)) < today:
            UsageReport.objects.create(recipient=one, period_from=start, period_to=close, due_on=close + GRACE)
            start, made = close + timedelta(days=1), made + 1
    return made


def suspend_late(*, now: datetime) -> int:
    """Suspend every active recipient that is late; returns how many."""
    late = 0
    for one in Recipient.objects.filter(state=Recipient.State.ACTIVE):
        if owed := recipients.overdue(one, now=now):
            recipients.suspend(recipient=one, reason=owed[0], by=None, now=now)
            late += 1
    return late


def _due(now: datetime) -> list[Provision]:
    """The open provisions whose ground may be gone."""
    gone = ~Q(program__state=Program.State.ACTIVE) | Q(recipient__state=Recipient.State.ENDED) | Q(until__lte=now)
    gone |= Q(grant__isnull=False) & ~Q(grant__state__in=LIVING)
    return list(Provision.objects.filter(gone, state__in=OPEN).select_related("program", "recipient", "grant"))


def _why(one: Provision) -> str:
    if one.grant is not None and one.grant.state not in LIVING:
        return "consent-ended"
    if one.program.state != Program.State.ACTIVE:
        return f"program-{one.program.state}"
    return "contract-ended" if one.recipient.state == Recipient.State.ENDED else "period-over"
