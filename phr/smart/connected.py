"""The apps a person connected: what each may do, since when, last used when; and stopping them.

One app at one record counts as one, however often it was allowed. Source: SMART App Launch 2.2, section 2.2
(`management_endpoint`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from consent.models import AuditEntry, Person
from consent.refusal import Absent
from phr.smart import launches, trail
from phr.smart.models import AccessToken, Launch


@dataclass(frozen=True, slots=True)
class Connected:
    """One app at one record. `id`: the newest of its launches."""

    id: UUID
    name: str
    client: str
    subject: UUID | None
    capacity: str
    scopes: tuple[str, ...]
    since: datetime
    last_used: datetime
    ends_at: datetime


def connected(person: Person, *, about: UUID | None = None, now: datetime) -> list[Connected]:
    """What this person's apps may do now, the last used first. `about`: only at this record."""
    groups: dict[tuple[int, UUID | None, str], list[Launch]] = {}
    for launch in _standing(person, about, now):
        groups.setdefault((launch.application_id, launch.subject_id, launch.capacity), []).append(launch)
    found = [_told(person, rows) for rows in groups.values()]
    return sorted(found, key=lambda app: app.last_used, reverse=True)


@transaction.atomic
def stop(id: UUID, *, by: Person, about: UUID | None = None, now: datetime) -> None:
    """Stop one app at one record: its tokens end at commit. Raises Absent, also for another's."""
    rows = Launch.objects.filter(person=by) if about is None else Launch.objects.filter(person=by, subject=about)
    found = rows.filter(pk=id).first()
    if found is None:
        raise Absent
    same = Launch.objects.filter(
        person=by, application=found.application_id, subject=found.subject_id, capacity=found.capacity
    )
    _end(same, now)


@transaction.atomic
def stop_all(*, by: Person, about: UUID | None = None, now: datetime) -> int:
    """Stop every app of this person, the one that asks included. Returns how many."""
    apps = len(connected(by, about=about, now=now))
    _end(_standing(by, about, now), now)
    return apps


def _standing(person: Person, about: UUID | None, now: datetime) -> list[Launch]:
    rows = Launch.objects.filter(person=person, revoked_at=None, ends_at__gt=now).select_related("application")
    rows = rows.select_related("application", "person", "organization", "subject").order_by("-created_at")
    found = rows if about is None else rows.filter(subject=about)
    return [launch for launch in found if launches.stands(launch, now=now)]


def _end(rows: Iterable[Launch], now: datetime) -> None:
    for launch in rows:
        if launches.end(launch, now=now):
            trail.revoked(launch, because="stopped by the person", now=now)


def _told(person: Person, rows: list[Launch]) -> Connected:
    newest, since = rows[0], min(row.created_at for row in rows)
    return Connected(
        id=newest.pk, name=newest.application.name, client=newest.application.client_id, subject=newest.subject_id,
        capacity=newest.capacity, scopes=tuple(dict.fromkeys(s for row in rows for s in row.scope.split())),
        since=since, last_used=_last_used(person, rows) or since, ends_at=max(row.ends_at for row in rows),
    )  # fmt: skip


def _last_used(person: Person, rows: list[Launch]) -> datetime | None:
    """The newest line of the log about it, or the newest token. A read writes no second row to tell."""
    newest = rows[0]
    issued: datetime | None = AccessToken.objects.filter(launch__in=rows).aggregate(at=Max("created"))["at"]
    if newest.subject_id is None:
        return issued
    lines = AuditEntry.objects.filter(
        subject=newest.subject_id, person=person.pk, client=newest.application.client_id, capacity=newest.capacity
    )
    read = lines.order_by("-at").values_list("at", flat=True).first()
    return max(filter(None, (issued, read)), default=None)
