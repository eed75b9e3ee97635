"""The lines of the log about one person, oldest first, in flat memory: all of them for a grown-up herself, else what
the log's view lets the reader be told (`consent.log_view`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from consent import audit
from consent.asking import Capacity
from consent.log_view import Shown
from consent.models import AuditEntry, Organization, Person, Subject
from phr.trust.log_names import name_of
from phr.trust.log_pages import LogReading

CHUNK = 1000
Told = dict[str, Any]
Codes = dict[int, str]


def newest(subject: UUID) -> int:
    """The newest line about a person, 0 without any."""
    found = AuditEntry.objects.filter(subject=subject).order_by("-id").values_list("id", flat=True).first()
    return found or 0


def told(
    subject: Subject, person: Person, capacity: Capacity, *, upto: int, clock: Callable[[], datetime]
) -> Iterator[Told]:
    """Lines up to one; decided anew before every chunk. Raises Absent where the right has ended."""
    codes: Codes = dict(Organization.objects.values_list("pk", "code"))
    after = 0
    while True:
        reading = LogReading.of_person(subject, person=person.pk, capacity=capacity, now=clock())
        rows = list(AuditEntry.objects.filter(subject=subject.pk, id__gt=after, id__lte=upto).order_by("id")[:CHUNK])
        if not rows:
            return
        after = rows[-1].pk
        if capacity is Capacity.SELF and reading.reader.adult:
            yield from _all(rows, person, codes)
        else:
            yield from (_viewed(line, codes) for line in reading.told(rows) if line is not None)


def _all(rows: Sequence[AuditEntry], person: Person, codes: Codes) -> Iterator[Told]:
    for row, detail in zip(rows, audit.opened(rows), strict=True):
        yield {
            "id": name_of(row), "at": row.at, "event": row.event,
            "who": "you" if row.person == person.pk else row.capacity,
            "organization": codes.get(row.organization or 0), "client": row.client, "purpose": row.purpose,
            "request": row.request, "detail": detail,
        }  # fmt: skip


def _viewed(line: Shown, codes: Codes) -> Told:
    return {
        "id": line.id, "at": line.at, "event": line.event, "who": line.who,
        "organization": codes.get(line.organization or 0), "client": line.client, "purpose": line.purpose,
        "request": line.request, "decision": line.decision, "types": line.types, "references": line.references,
        "categories": line.categories, "count": line.count, "rules": line.rules, "emergency": line.emergency,
    }  # fmt: skip
