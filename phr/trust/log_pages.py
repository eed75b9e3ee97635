"""The log as one person reads it: pages of lines about a record, each as `consent.log_view` lets it be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from consent import audit, log_view
from consent.asking import FAMILY, Caller, Capacity
from consent.audit import Event
from consent.log_view import Line, Reader, Sees, Shown
from consent.models import AuditEntry, Subject
from consent.refusal import Absent, Refusal
from consent.scope import Door, Purpose
from phr.records.gateway import Records, Refused
from phr.trust.log_names import name_of, named

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
    subjects: tuple[UUID, ...] = ()
    categories: tuple[str, ...] = ()
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    lines: list[Shown]
    cursor: str | None


class LogReading:
    """The log as far as one caller's record goes; every look at it is a line of its own."""

    def __init__(self, records: Records, reader: Reader, *, now: datetime) -> None:
        self.records, self.reader, self.caller, self._now = records, reader, records.caller, now
        self.subject = self.caller.subject
        self._sees: dict[UUID | None, Sees] = {}

    @classmethod
    def of_person(
        cls, subject: Subject, *, person: int, capacity: Capacity, now: datetime, request: str = ""
    ) -> LogReading:
        """A person's or a guardian's, all of it. Raises Absent."""
        purpose = Purpose.PATRQT if capacity is Capacity.SELF else Purpose.FAMRQT
        caller = Caller(
            client="log", capacity=capacity, purpose=purpose, doors=(Door("*", "rs"),), person=person,
            subject=subject.pk, request=request,
        )  # fmt: skip
        try:
            return cls.of(Records.opened_by(caller, now=now))
        except Refused:
            raise Absent from None

    @classmethod
    def of(cls, records: Records) -> LogReading:
        """As far as a record that was opened already goes: a token's types and categories too."""
        caller, now = records.caller, records.now
        subject = Subject.objects.filter(pk=caller.subject).first() if caller.subject else None
        return cls(
            records,
            Reader(
                person=caller.person, capacity=caller.capacity, organization=caller.organization,
                adult=subject is not None and log_view.is_adult(subject.birth_on, now),
                place_hidden=subject is not None and subject.location_hidden,
            ),
            now=now,
        )  # fmt: skip

    def page(self, wanted: Wanted, *, count: int, cursor: str | None = None) -> Page:
        """The newest lines first, from `cursor` on. Raises Refusal for a cursor that is not ours, AuditUnavailable."""
        found: list[Shown] = []
        last = shown_last = cursor
        for looked, (place, line) in enumerate(self.walk(wanted, cursor)):
            if looked == AT_MOST:
                return Page(found, last)
            if line is not None:
                longer = log_view.collapsed([*found, line])
                if len(longer) > count:  # after the last line shown: whether hidden ones stand between does not show
                    return Page(found, shown_last)
                found, shown_last = longer, place
            last = place
        return Page(found, None)

    def walk(self, wanted: Wanted, cursor: str | None = None) -> Iterator[tuple[str, Shown | None]]:
        """Each line looked at, newest first, as the reader is told of it (None: she is not), with its cursor."""
        place = self._place(cursor) if cursor else None
        self._looked()
        rows = self._rows(wanted)
        while True:
            lines = list((rows.filter(_after(*place)) if place else rows)[:AT_ONCE])
            for row, line in zip(lines, self.told(lines), strict=True):
                place = (row.at, row.pk)
                yield name_of(row), line if line is not None and _fits(line, wanted) else None
            if len(lines) < AT_ONCE:
                return

    def line(self, id: str) -> tuple[AuditEntry, Shown]:
        """One line. Raises Absent, alike for one that is not there and one she is not told of."""
        row = named(self._mine(), id)
        (told,) = self.told([row]) if row else [None]
        if row is None or told is None:
            raise Absent
        self._looked()
        return row, told

    def told(self, rows: Sequence[AuditEntry]) -> list[Shown | None]:
        """Each line as the reader may be told of it, beside it."""
        lines = lines_of(rows)
        known = self.records.may_know(name for line in lines for name in line.named)
        return [log_view.shown(line, self.reader, known=known, sees=self._seeing(line.subject)) for line in lines]

    def _place(self, cursor: str) -> tuple[datetime, int]:
        """Where a page ended: a cursor is the name of the last line that was looked at."""
        row = named(self._mine(), cursor)
        if row is None:
            raise Refusal("続きの印が読めません / this cursor is not one of ours", place="cursor")
        return row.at, row.pk

    def _looked(self) -> None:
        audit.record(Event.LOG_READ, by=self.caller, subject=self.subject, now=self._now)

    def _seeing(self, subject: UUID | None) -> Sees:
        if subject not in self._sees:
            self._sees[subject] = (lambda _: False) if subject is None else self.records.would_see(subject)
        return self._sees[subject]

    def _mine(self) -> QuerySet[AuditEntry]:
        """The lines that may concern this reader: of her record, or done by her organisation."""
        rows = AuditEntry.objects.order_by("-at", "-pk").filter(at__lte=self._now)
        if self.reader.capacity in FAMILY:
            return rows.filter(subject=self.subject) if self.subject else rows.none()
        if self.reader.organization is None:
            return rows.none()
        rows = rows.filter(organization=self.reader.organization)
        return rows.filter(subject=self.subject) if self.subject else rows

    def _rows(self, wanted: Wanted) -> QuerySet[AuditEntry]:
        asked = {
            "at__gte": wanted.since, "at__lt": wanted.until, "event__in": wanted.events,
            "capacity__in": wanted.capacities, "purpose__in": wanted.purposes, "subject__in": wanted.subjects,
        }  # fmt: skip
        return self._mine().filter(**{name: value for name, value in asked.items() if value})


def lines_of(rows: Sequence[AuditEntry]) -> list[Line]:
    """Lines of the log, opened."""
    return [
        Line(
            id=name_of(row), at=row.at, event=row.event, subject=row.subject, person=row.person,
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


def names_of(lines: Iterable[Shown]) -> tuple[set[int], set[int], set[int]]:
    """The organisations, persons and Grants that these lines name."""
    found: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for line in lines:
        found[0].update({line.organization} - {None})  # type: ignore[arg-type]
        found[1].update({line.person} - {None})  # type: ignore[arg-type]
        found[2].update(line.consents)
    return found
