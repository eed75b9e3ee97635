"""The log as one person reads it: pages of lines about a record, each as `consent.log_view` lets it be told."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from consent import audit, log_view
from consent.asking import Caller, Capacity
from consent.audit import Event
from consent.log_view import Line, Reader, Shown
from consent.models import AuditEntry, Subject
from consent.refusal import Absent, Refusal
from consent.scope import Door, Purpose
from phr.records.gateway import Records, Refused

AT_ONCE = 200  # lines looked at in one query
AT_MOST = 4_000  # lines looked at for one page: then it ends early, and tells where to go on


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines: all values of one kind are alternatives; an empty one is any."""

    since: datetime | None = None
    until: datetime | None = None
    events: tuple[str, ...] = ()
    capacities: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    organizations: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    lines: list[Shown]
    cursor: str | None


class LogReading:
    """The log of one record, opened for one reader; opening it is a line of its own."""

    def __init__(self, subject: Subject, *, person: int, capacity: Capacity, now: datetime, request: str = "") -> None:
        self.subject = subject
        purpose = Purpose.PATRQT if capacity is Capacity.SELF else Purpose.FAMRQT
        self.caller = Caller(
            client="log", capacity=capacity, purpose=purpose, doors=(Door("*", "rs"),), person=person,
            subject=subject.pk, request=request,
        )  # fmt: skip
        self.reader = Reader(
            person=person, capacity=capacity, adult=log_view.is_adult(subject.birth_on, now),
            place_hidden=subject.location_hidden,
        )  # fmt: skip
        try:
            self.records = Records.opened_by(self.caller, now=now)
        except Refused:
            raise Absent from None
        self._sees = self.records.would_see(subject.pk)
        self._now = now

    def page(self, wanted: Wanted, *, count: int, cursor: str | None = None) -> Page:
        """The newest lines first, from `cursor` on. Raises Refusal for a cursor that is not ours, AuditUnavailable."""
        audit.record(Event.LOG_READ, by=self.caller, subject=self.subject.pk, now=self._now)
        rows = self._wanted(wanted).filter(at__lte=self._now)
        place = _place(cursor) if cursor else None
        found: list[Shown] = []
        looked = 0
        while looked < AT_MOST:
            lines = list((rows.filter(_after(*place)) if place else rows)[:AT_ONCE])
            for row, line in zip(lines, self.told(lines), strict=True):
                if line is not None and _fits(line, wanted):
                    longer = log_view.collapsed([*found, line])
                    if len(longer) > count:
                        return Page(found, _cursor(*place) if place else None)
                    found = longer
                place = (row.at, row.pk)
            looked += len(lines)
            if len(lines) < AT_ONCE:
                return Page(found, None)
        return Page(found, _cursor(*place) if place else None)

    def line(self, id: int) -> tuple[AuditEntry, Shown]:
        """One line. Raises Absent, alike for one that is not there and one she is not told of."""
        row = AuditEntry.objects.filter(subject=self.subject.pk, pk=id).first()
        (told,) = self.told([row]) if row else [None]
        if row is None or told is None:
            raise Absent
        return row, told

    def told(self, rows: Sequence[AuditEntry]) -> list[Shown | None]:
        """Each line as the reader may be told of it, beside it."""
        lines = lines_of(rows)
        known = self.records.may_know(name for line in lines for name in line.named)
        return [log_view.shown(line, self.reader, known=known, sees=self._sees) for line in lines]

    def _wanted(self, wanted: Wanted) -> QuerySet[AuditEntry]:
        rows = AuditEntry.objects.filter(subject=self.subject.pk).order_by("-at", "-pk")
        asked = {
            "at__gte": wanted.since, "at__lt": wanted.until, "event__in": wanted.events,
            "capacity__in": wanted.capacities, "purpose__in": wanted.purposes,
        }  # fmt: skip
        return rows.filter(**{name: value for name, value in asked.items() if value})


def lines_of(rows: Sequence[AuditEntry]) -> list[Line]:
    """Lines of the log, opened."""
    return [
        Line(
            id=row.pk, at=row.at, event=row.event, subject=row.subject, person=row.person,
            organization=row.organization, client=row.client, capacity=row.capacity, purpose=row.purpose,
            request=row.request, detail=detail,
        )
        for row, detail in zip(rows, audit.opened(rows), strict=True)
    ]  # fmt: skip


def _fits(line: Shown, wanted: Wanted) -> bool:
    """What must be asked of the line as shown: a filter must not tell what is hidden."""
    return (
        (not wanted.organizations or line.organization in wanted.organizations)
        and (not wanted.categories or not set(wanted.categories).isdisjoint(line.categories))
        and (not wanted.decision or line.decision == wanted.decision)
    )


def _after(at: datetime, id: int) -> Q:
    return Q(at__lt=at) | Q(at=at, pk__lt=id)


def _cursor(at: datetime, id: int) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{id}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime, int]:
    try:
        at, _, id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode().partition("|")
        moment, number = datetime.fromisoformat(at), int(id)
        if moment.tzinfo is None or not 0 <= number < 1 << 63:
            raise ValueError(cursor)
    except (ValueError, binascii.Error):
        raise Refusal("続きの印が読めません / this cursor is not one of ours", place="cursor") from None
    return moment, number


def names_of(lines: Iterable[Shown]) -> tuple[set[int], set[int], set[int]]:
    """The organisations, persons and Grants that these lines name."""
    found: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for line in lines:
        found[0].update({line.organization} - {None})  # type: ignore[arg-type]
        found[1].update({line.person} - {None})  # type: ignore[arg-type]
        found[2].update(line.consents)
    return found
