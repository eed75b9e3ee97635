"""The lines of the log about one person, oldest first, in flat memory, as she or a guardian may have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from consent import audit
from consent.decide import Capacity
from consent.models import AuditEntry, Organization, Person, Subject

CHUNK = 1000


def newest(subject: UUID) -> int:
    """The newest line about a person, 0 without any."""
    found = AuditEntry.objects.filter(subject=subject).order_by("-id").values_list("id", flat=True).first()
    return found or 0


def told(
    subject: UUID, person: Person, capacity: Capacity, *, upto: int, still: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """Lines up to one. `still` is asked before every chunk and raises where the right has ended."""
    after = 0
    while True:
        still()
        rows = list(AuditEntry.objects.filter(subject=subject, id__gt=after, id__lte=upto).order_by("id")[:CHUNK])
        if not rows:
            return
        after = rows[-1].pk
        yield from _self(rows, person) if capacity is Capacity.SELF else _guardian(rows, subject, person)


def _self(rows: Sequence[AuditEntry], person: Person) -> Iterator[dict[str, Any]]:
    for row, detail in zip(rows, audit.opened(rows), strict=True):
        yield {**_line(row, person), "detail": detail}


def _guardian(rows: Sequence[AuditEntry], subject: UUID, person: Person) -> Iterator[dict[str, Any]]:
    """Her own lines, and what organisations did without their details: these may tell what is hidden from her.

    Another person's lines are left out, and where organisations must not tell a place, theirs too (G-05, G-08).
    """
    hidden = Subject.objects.get(pk=subject).location_hidden
    for row, detail in zip(rows, audit.opened(rows), strict=True):
        if row.person == person.pk:
            yield {**_line(row, person), "detail": detail}
        elif row.organization is not None and row.event in _HARMLESS and not hidden:
            yield _line(row, person)


# What a guardian may know was done, whatever it was about.
_HARMLESS = frozenset({"record:searched"})


def _line(row: AuditEntry, person: Person) -> dict[str, Any]:
    who = "you" if row.person == person.pk else row.capacity
    return {
        "id": row.pk, "at": row.at, "event": row.event, "who": who, "organization": _code(row.organization),
        "client": row.client, "capacity": row.capacity, "purpose": row.purpose, "request": row.request,
    }  # fmt: skip


def _code(organization: int | None) -> str | None:
    if organization is None:
        return None
    return Organization.objects.values_list("code", flat=True).get(pk=organization)
