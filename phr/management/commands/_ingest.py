"""The writing processes of `manage.py ingest`, and how far they are."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from django.db import OperationalError, connection, connections
from django.utils import timezone

from consent.decide import Caller
from phr.fhir.resolve import relative
from phr.records import body, ndjson
from phr.records.ingesting import Incoming, Outcome, bring
from phr.records.jobs import Ingest
from phr.trust.consent_records import ConsentRecords

LOCK = "ingest|{}"
EVERY, EVERY_IN_A_FILE = 0.2, 10.0  # seconds between two lines of progress
Done = tuple[ndjson.Batch, Outcome]


class Busy(Exception):
    """Another process brings this file in."""


class Importing(ConsentRecords, Incoming):
    """What an organisation brings in; its Consents wait for the family."""


@dataclass(frozen=True)
class Job:
    """What every writing process needs; called with a batch, it stores what the batch holds."""

    caller: Caller
    base: str
    patients: bool

    def __call__(self, batch: ndjson.Batch) -> tuple[ndjson.Batch, Outcome]:
        for last in (False, False, True):
            try:
                records = Importing.opened_by(self.caller, now=timezone.now())
                done = bring(records, batch.lines, read=self.read, patients=self.patients)
                break
            except OperationalError:  # two processes met in a deadlock: nothing was written
                if last or connection.in_atomic_block:
                    raise
        return ndjson.Batch(batch.number, [], batch.end, batch.last, batch.fraction), done

    def read(self, text: bytes) -> dict[str, Any]:
        return relative(body.received(text), self.base)


@contextmanager
def mapped(job: Job, processes: int) -> Iterator[Callable[[Iterable[ndjson.Batch]], Iterator[Done]]]:
    """The job done for each batch, results in order, here or in processes of their own.

    Batches wait in a pipe, so no more are read than are written.
    """
    if processes == 1:
        yield lambda batches: map(job, batches)
        return
    connections.close_all()  # each process opens its own
    with multiprocessing.get_context("fork").Pool(processes, _begin) as pool:
        yield lambda batches: pool.imap(job, batches)


def _begin() -> None:
    """A writing process: interrupts are the parent's, and garbage is looked for seldom (a tenth of the time)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextmanager
def held(work: Ingest) -> Iterator[None]:
    """One run of a file at a time. Raises Busy where another is under way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 3))", [LOCK.format(work.pk)])
        if not cursor.fetchone()[0]:
            raise Busy
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 3))", [LOCK.format(work.pk)])


class Progress:
    """How far one pass over a file is: percent, resources per second, time left."""

    def __init__(self, file: Path, patients: bool, out: TextIO) -> None:
        self.name = f"{file.name} {'患者 patients' if patients else '記録 records'}"
        self.out, self.live = out, out.isatty()
        self.began = self.drawn = time.monotonic()
        self.first: float | None = None
        self.done = 0

    def step(self, batch: ndjson.Batch, outcome: Outcome) -> None:
        self.first = batch.fraction if self.first is None else self.first
        self.done += outcome.created + outcome.unchanged + outcome.refused
        now = time.monotonic()
        if now - self.drawn >= (EVERY if self.live else EVERY_IN_A_FILE):
            self.drawn = now
            self.out.write(("\r" if self.live else "") + self.line(batch.fraction, now) + ("" if self.live else "\n"))
            self.out.flush()

    def line(self, fraction: float, now: float) -> str:
        spent = max(now - self.began, 1e-9)
        here = fraction - (self.first or 0.0)
        left = int(spent * (1 - fraction) / here) if here > 0 else 0
        return (
            f"{100 * fraction:5.1f}% {self.name} {self.done:,}  {self.done / spent:,.0f} resources/s"
            f"  残り left {left // 60}:{left % 60:02d} "
        )

    def finished(self) -> None:
        if self.live:
            self.out.write("\r" + self.line(1.0, time.monotonic()) + "\n")
