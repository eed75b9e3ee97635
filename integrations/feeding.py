"""Running a feed: read its input twice, forward: once to know that it can be read, then chunk by chunk into the record.

A chunk is one transaction: facts, Provenance, what is known of each Item, and how far the run came. A killed run reads
the input again and goes on after the last chunk. A dry run does the same, and takes every chunk back.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from typing import TypeVar

from django.db import transaction

from consent import audit
from consent.audit import Event
from consent.decide import Caller
from consent.models import Organization
from integrations import authority, base, holding, taking
from integrations.holding import COUNTS, State
from integrations.ids import digest
from integrations.items import Feed, Item, Piece
from integrations.models import ImportRun, ImportSlice
from integrations.originals import Shelf, clean
from integrations.problems import Problem, Unreadable
from integrations.rehearsing import Rehearsal
from integrations.storing import Result, Source, Stored, store
from integrations.wording import say
from phr.records.gateway import Refused
from phr.records.vault import CannotOpen

Clock = Callable[[], datetime]
Tell = Callable[[ImportRun], None]
Entry = Item | Problem
T = TypeVar("T")

CHUNK = 200
BEAT = timedelta(seconds=15).total_seconds()  # between signs of life while only reading


@dataclass(slots=True)
class Outcome:
    """What became of a small input: a Result for each Item in order, and what no Item could be made of."""

    results: list[Result] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    retracted: int = 0

    def add(self, stored: Stored) -> None:
        self.results += stored.results
        self.created += stored.created
        self.updated += stored.updated
        self.unchanged += stored.unchanged
        self.retracted += stored.retracted


@transaction.atomic
def deposit(
    feed: Feed, pieces: Iterable[Piece], *, organization: Organization, by: Caller, now: datetime, profile: str = ""
) -> Outcome:
    """Bring a small input in at once, in the caller's transaction and thread: a message, a few lines.

    When this returns and the transaction commits, everything said `stored` or `unchanged` is in the record, and what is
    `waiting` waits sealed. Raises Unreadable, and as `taking.take`; TooLarge beyond feed.MAX_BYTES.
    """
    taking.may_send(feed, organization=organization, by=by, profile=profile, now=now)
    held, sha256 = _read(pieces, limit=feed.MAX_BYTES)
    several = {piece.name: n for n, piece in enumerate(held, 1)} if len(held) > 1 else {}
    source = Source(feed=feed, organization=organization, by=by, sha256=sha256, profile=profile, numbers=several)
    entries = list(feed.items(held, profile=profile, code=organization.code))
    out = Outcome(problems=[entry for entry in entries if isinstance(entry, Problem)])
    for chunk in _chunks((entry for entry in entries if isinstance(entry, Item)), CHUNK):
        out.add(store(source, chunk, now=now))
    codes = {p.code for p in out.problems} | {p.code for r in out.results for p in r.problems}
    detail: audit.Detail = {
        "connector": feed.KIND, "file_sha256": sha256, "created": out.created, "updated": out.updated,
        "unchanged": out.unchanged, "problems": sorted(codes),
    }  # fmt: skip
    audit.record(Event.IMPORT_COMMITTED, by=by, now=now, detail=detail)
    return out


def _read(pieces: Iterable[Piece], *, limit: int) -> tuple[list[Piece], str]:
    """The pieces in memory, and their hash as `originals.keep` makes it. Raises TooLarge."""
    held, hashes = [], []
    for piece in pieces:
        content = piece.stream.read(limit + 1)
        limit -= len(content)
        if limit < 0:
            raise taking.TooLarge
        name = clean(piece.name)
        held.append(Piece(name, io.BytesIO(content)))
        hashes.append((name, hashlib.sha256(content).hexdigest()))
    return held, hashes[0][1] if len(hashes) == 1 else digest(*sorted(f"{name}:{sha}" for name, sha in hashes))


def run(held: ImportRun, *, clock: Clock, tell: Tell) -> None:
    """Bring a claimed run as far as it goes. Raises holding.Overtaken."""
    feed = base.feed(held.kind)
    try:
        rehearsal = Rehearsal() if held.dry else None
        if rehearsal or not held.total:  # a dry run that broke off begins anew
            held = _surveyed(held, feed, rehearsal, clock=clock)
        reading = _Reading(held)
        source = _source(held, feed, reading.numbers)
        for chunk, is_last in _with_last(_chunks(islice(_counted(reading.entries(feed)), held.done, None), CHUNK)):
            given = reading.shelf.given
            source.run = held = _commit(held, source, chunk, is_last, rehearsal, given=given, now=clock())
            tell(held)
            if held.state != State.RUNNING:
                break
    except Unreadable as error:
        holding.refuse(held, error.problems, now=clock())
    except CannotOpen:
        holding.refuse(held, [say("unreadable-now")], now=clock())
    except Refused:
        holding.refuse(held, [say("not-allowed")], now=clock())
    if not feed.KEEPS_ORIGINAL:
        _let_go_if_ended(held, now=clock())


class _Reading:
    """The original of a run, read once from its beginning."""

    def __init__(self, held: ImportRun) -> None:
        self.held, self.shelf = held, Shelf(held)
        last = ImportSlice.objects.filter(run=held).order_by("-number").values_list("piece", flat=True).first()
        self.several = bool(last)
        self.numbers: dict[str, int] = {}  # of the pieces, from 1, as they come; none where there is one only

    def entries(self, feed: Feed) -> Iterator[Entry]:
        """What the input says; the same every time."""
        assert self.held.organization is not None
        return iter(feed.items(self._pieces(), profile=self.held.profile, code=self.held.organization.code))

    def _pieces(self) -> Iterator[Piece]:
        for number, piece in enumerate(self.shelf.pieces(), 1):
            if self.several:
                self.numbers[piece.name] = number
            yield piece


def _let_go_if_ended(held: ImportRun, *, now: datetime) -> None:
    ended = ImportRun.objects.filter(pk=held.pk, finished_at__isnull=False).exclude(state=State.REPORTED).first()
    if ended:
        holding.let_go(ended, now=now)


def _source(held: ImportRun, feed: Feed, numbers: dict[str, int]) -> Source:
    assert held.organization is not None
    return Source(
        feed=feed, organization=held.organization, by=authority.caller_of(held), sha256=held.sha256, run=held,
        profile=held.profile, numbers=numbers,
    )  # fmt: skip


def _surveyed(held: ImportRun, feed: Feed, rehearsal: Rehearsal | None, *, clock: Clock) -> ImportRun:
    """Read it once to its end, before anything is written: an input that breaks off in the middle leaves nothing."""
    reading, beat, count = _Reading(held), monotonic(), 0
    for entries in _counted(reading.entries(feed)):
        count += _counts(entries)
        for entry in entries:
            if rehearsal:
                rehearsal.look(entry)
        if monotonic() - beat > BEAT:
            beat = monotonic()
            _surveying(held, 0, now=clock())
    return _surveying(held, count, now=clock())


def _surveying(held: ImportRun, total: int, *, now: datetime) -> ImportRun:
    """A sign of life; and how many there are, when that is known."""
    with transaction.atomic():
        current = holding.still_mine(held)
        for name in COUNTS:
            setattr(current, name, 0)
        current.total, current.heartbeat_at, current.problems = total, now, []
        current.save()
    return current


def _commit(held: ImportRun, source: Source, chunk: Sequence[list[Entry]], is_last: bool,
            rehearsal: Rehearsal | None, *, given: int, now: datetime) -> ImportRun:  # fmt: skip
    """Write one chunk and how far the run came, in one transaction; or stop where somebody asked for it."""
    with transaction.atomic():
        run = holding.still_mine(held)
        if run.asked:
            _stop(run, now=now)
            return run
        items = [entry for entries in chunk for entry in entries if isinstance(entry, Item)]
        stored = rehearsal.store(source, items, now=now) if rehearsal else store(source, items, now=now)
        _add_up(run, stored, chunk)
        run.attempts, run.bytes_done, run.heartbeat_at = 1, given, now
        if is_last:
            holding.end(run, State.REPORTED if run.dry else State.DONE, [], now=now)
        else:
            run.save()
    return run


def _stop(run: ImportRun, *, now: datetime) -> None:
    """The run as somebody asked: paused, or cancelled."""
    if run.asked == State.CANCELLED:
        holding.end(run, State.CANCELLED, [say("cancelled")], now=now)
    else:
        run.state, run.claim, run.asked, run.heartbeat_at = State.PAUSED, None, "", now
        run.save()


def _add_up(run: ImportRun, stored: Stored, chunk: Sequence[list[Entry]]) -> None:
    run.created += stored.created
    run.updated += stored.updated
    run.unchanged += stored.unchanged
    run.retracted += stored.retracted
    run.unmatched += sum(result.what == "waiting" for result in stored.results)
    spoilt = [entry for entries in chunk for entry in entries if isinstance(entry, Problem)]
    run.refused_items += sum(result.what == "refused" for result in stored.results)
    run.refused_items += sum(problem.severity == "error" for problem in spoilt)
    run.done += sum(_counts(entries) for entries in chunk)
    run.total = max(run.total, run.done)
    run.chunks += 1
    holding.note(run, [*spoilt, *(problem for result in stored.results for problem in result.problems)])


def _counted(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """What is counted as one (an Item, or a line of which nothing can be used), each with the notes before it.

    Notes at the end go with the last; an input of notes only is one list, which counts nothing. Of many notes in a row
    no more are given than a run keeps.
    """
    held: list[Entry] = []
    for entry in entries:
        counts = _counts([entry])
        if counts and _counts(held):
            yield held
            held = []
        if counts or len(held) <= holding.MOST_PROBLEMS:
            held.append(entry)
    if held:
        yield held


def _counts(entries: Iterable[Entry]) -> bool:
    """Whether there is more in it than notes about the whole."""
    return any(isinstance(entry, Item) or (entry.severity == "error" and entry.line is not None) for entry in entries)


def _chunks(entries: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _with_last(chunks: Iterable[list[T]]) -> Iterator[tuple[list[T], bool]]:
    """Each chunk and whether it is the last; an empty input is one empty chunk."""
    iterator = iter(chunks)
    current = next(iterator, [])
    for following in iterator:
        yield current, False
        current = following
    yield current, True
