"""What the log hears of tokens: who, which client, for what; never a token, a code or a key."""

from __future__ import annotations

from datetime import datetime

from consent import audit
from consent.audit import Event
from consent.decide import Caller, Capacity
from phr.smart.models import Launch


def issued(launch: Launch, *, grant_type: str, scope: str, now: datetime) -> None:
    """Keep that a token was handed out. Raises audit.AuditUnavailable: then it is not."""
    detail = {"grant_type": grant_type, "scope": scope, "token_ref": str(launch.pk)}
    audit.record(Event.TOKEN_ISSUED, by=caller(launch), now=now, subject=launch.subject_id, detail=detail)


def refused(*, client: str, grant_type: str, because: str, now: datetime) -> None:
    """Keep that a token request failed, with the reason the client is not told."""
    audit.record(
        Event.TOKEN_REFUSED, by=None, now=now,
        detail={"client": client, "grant_type": grant_type, "because": because},
    )  # fmt: skip


def revoked(launch: Launch, *, because: str, now: datetime) -> None:
    """Keep that a launch ended, and why."""
    detail = {"because": because, "token_ref": str(launch.pk)}
    audit.record(Event.TOKEN_REVOKED, by=caller(launch), now=now, subject=launch.subject_id, detail=detail)


def introspected(launch: Launch | None, *, client: str, active: bool, now: datetime) -> None:
    """Keep that a resource server asked about a token, and what it heard."""
    detail = {"client": client, "status": "active" if active else "inactive"}
    if launch is not None:
        detail["token_ref"] = str(launch.pk)
    subject = launch.subject_id if launch else None
    audit.record(Event.TOKEN_INTROSPECTED, by=None, now=now, subject=subject, detail=detail)


def caller(launch: Launch) -> Caller:
    """The launch as the log names callers."""
    return Caller(
        client=launch.application.client_id, capacity=Capacity(launch.capacity), purpose=launch.purpose, doors=(),
        person=launch.person_id, organization=launch.organization_id, subject=launch.subject_id,
        token=str(launch.pk),
    )  # fmt: skip
