"""Watching over refusals: whoever was turned away unusually often from what is there is brought before the operator.

A read that finds nothing leaves a line either way, "record:refused" or "record:missed"; the line is about nobody and
stands in no person's log. The caller cannot tell the two apart.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count

from consent import audit, notices
from consent.audit import Event
from consent.models import AuditEntry, Organization

WATCHED = timedelta(hours=1)
MOST = 100  # refusals of one caller in that time
alarm = logging.getLogger("consent.watch")


@dataclass(frozen=True, slots=True)
class Turned:
    """A caller who was turned away, and how often."""

    person: int | None
    client: str
    count: int


def often_refused(*, now: datetime) -> list[Turned]:
    """Whoever was refused more than `MOST` times in the last hour, the most often first."""
    lines = AuditEntry.objects.filter(event=Event.RECORD_REFUSED.value, at__gt=now - WATCHED, at__lte=now)
    found = lines.values("person", "client").annotate(count=Count("id")).filter(count__gt=MOST).order_by("-count")
    return [Turned(row["person"], row["client"], row["count"]) for row in found]


@transaction.atomic
def look(*, now: datetime) -> int:
    """Tell the operator of each; returns how many. To be asked once in `WATCHED`."""
    found = often_refused(now=now)
    operators = Organization.objects.filter(kind=Organization.Kind.OPERATOR, state=Organization.State.ACTIVE)
    for one in found:
        detail: audit.Detail = {"kind": "refused", "count": one.count, "client": one.client}
        for operator in operators.order_by("pk"):
            notices.tell_organization(notices.Kind.REFUSED_OFTEN, to=operator, subject=None, now=now, detail=detail)
        alarm.error("refused unusually often: client %s, %d in an hour", one.client, one.count)
    return len(found)
