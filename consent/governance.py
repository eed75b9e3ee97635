"""The governance report (IT-30): programs, decisions of the board, provisions, complaints, incidents; from the tables.

Counts and codes only: it may be published. A count of persons below `FEW` is not told.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from django.db.models import Count

from consent import board, complaints, recipients
from consent.models import EthicsDecision, Incident, Program, Provision, Recipient, Terms

FEW = 5


def report(*, since: datetime, until: datetime, now: datetime) -> dict[str, Any]:
    """Everything the board is accountable for within [since, until), as JSON."""
    return {
        "since": since.isoformat(), "until": until.isoformat(), "made_at": now.isoformat(),
        "terms": [{"version": t.version, "published_at": t.published_at.isoformat(), "sha256": t.sha256_ja}
                  for t in Terms.objects.filter(published_at__lt=until).order_by("version")],
        "programs": [_program(p, now) for p in Program.objects.select_related("approval").order_by("proposed_at")],
        "decisions": _decisions(since, until), "recipients": [_recipient(r, now) for r in _registered()],
        "provisions": _provisions(since, until), "complaints": _complaints(since, until, now),
        "incidents": _incidents(since, until),
    }  # fmt: skip


def faults(*, now: datetime) -> list[str]:
    """What must never be: an active program without a decision, without a benefit text. Codes; empty: none."""
    active = Program.objects.filter(state=Program.State.ACTIVE).select_related("approval")
    found = [f"no-approval:{p.pk}" for p in active if p.approval is None or p.approval.outcome != "approve"]
    found += [f"no-benefit:{p.pk}" for p in active if not (p.benefit_ja and p.benefit_en)]
    receiving = Recipient.objects.filter(state=Recipient.State.ACTIVE).order_by("pk")
    return found + [f"no-approval:recipient:{r.pk}" for r in receiving if not recipients.approved(r, now=now)]


def _program(program: Program, now: datetime) -> dict[str, Any]:
    approval = program.approval
    return {
        "id": str(program.pk), "title_ja": program.title_ja, "title_en": program.title_en, "state": program.state,
        "use_class": program.use_class, "purpose": program.purpose,
        "approved_until": approval.valid_until.isoformat() if approval and approval.valid_until else None,
        "approval_in_force": bool(approval and approval.valid_until and now < approval.valid_until),
        "benefits": program.benefits.count(), "flagged": program.flagged_at is not None,
    }  # fmt: skip


def _decisions(since: datetime, until: datetime) -> list[dict[str, Any]]:
    made = EthicsDecision.objects.filter(decided_at__gte=since, decided_at__lt=until)
    found = list(made.order_by("decided_at", "pk"))
    seats = board.roles_of(found)
    return [
        {
            "about": _about(d), "outcome": d.outcome, "reasons": d.reasons, "decided_at": d.decided_at.isoformat(),
            "valid_until": d.valid_until.isoformat() if d.valid_until else None, "seats": seats[d.pk],
        }
        for d in found
    ]  # fmt: skip


def _about(decision: EthicsDecision) -> str:
    if decision.program_id is not None:
        return f"program:{decision.program_id}"
    if decision.screen:
        return f"screen:{decision.screen}"
    return f"recipient:{decision.recipient_id}" if decision.recipient_id else f"terms:{decision.terms_id}"


def _registered() -> list[Recipient]:
    return list(Recipient.objects.select_related("organization").order_by("pk"))


def _recipient(recipient: Recipient, now: datetime) -> dict[str, Any]:
    fault = recipients.party(recipient).fault(now)
    return {
        "id": recipient.pk, "name": recipient.legal_name, "state": recipient.state, "reason": recipient.state_reason,
        "fault": fault.value if fault else None, "overdue": recipients.overdue(recipient, now=now),
        "incidents": recipient.incidents.count(),
    }  # fmt: skip


def _provisions(since: datetime, until: datetime) -> dict[str, Any]:
    made = Provision.objects.filter(made_at__gte=since, made_at__lt=until)
    states = {row["state"]: _few(row["n"]) for row in made.values("state").annotate(n=Count("pk"))}
    codes = Counter(code for told in made.values_list("judgement", flat=True) for code in told["codes"])
    return {"by_state": states, "reasons_against": {code: _few(n) for code, n in sorted(codes.items())}}


def _complaints(since: datetime, until: datetime, now: datetime) -> dict[str, Any]:
    told = complaints.report(since=since, until=until, now=now)
    return {"received": told.received, "reviewed_late": told.reviewed_late, "answered_late": told.answered_late,
            "open_overdue": told.open_overdue, "median_days": told.median_days}  # fmt: skip


def _incidents(since: datetime, until: datetime) -> list[dict[str, Any]]:
    found = Incident.objects.filter(found_at__gte=since, found_at__lt=until).order_by("found_at", "pk")
    return [
        {
            "id": str(i.pk), "kind": i.kind, "recipient": i.recipient_id, "found_at": i.found_at.isoformat(),
            "commission_in_time": i.commission_told_at is not None and i.commission_told_at <= i.preliminary_due_at,
            "persons_told": i.persons_told_at is not None,
        }
        for i in found
    ]  # fmt: skip


def _few(number: int) -> int | str:
    return f"<{FEW}" if 0 < number < FEW else number
