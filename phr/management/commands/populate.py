"""`manage.py populate --families N --seed S`: invented, lifelike families through the real write path."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError, connections
from django.utils import timezone

from consent.audit import AuditUnavailable
from phr.populate.facilities import all_facilities
from phr.populate.generate import family
from phr.populate.progress import Progress
from phr.populate.store import Registry, register, store

MOST_FAMILIES = 10_000_000


class Command(BaseCommand):
    help = "架空の家族を作って保存します。Stores invented families; a family already stored is skipped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--families", type=whole(1, MOST_FAMILIES), required=True, help="家族の数 / how many")
        parser.add_argument(
            "--seed", type=whole(0, 2**63 - 1), default=1, help="同じ種は同じ家族 / same seed, same families (1)"
        )
        parser.add_argument(
            "--start", type=whole(0, MOST_FAMILIES), default=0, help="最初の番号 / number of the first (0)"
        )
        parser.add_argument("--processes", type=whole(1, 64), help="並列数 / how many write (the number of CPUs)")
        parser.add_argument(
            "--grants", action="store_true", help="母が産科に開示する / each mother opens her record to her clinic"
        )

    def handle(self, *args: Any, families: int, seed: int, start: int, grants: bool, **options: Any) -> None:
        now = timezone.now()
        processes = min(options["processes"] or os.cpu_count() or 1, families)
        try:
            registry = register(all_facilities(), now=now)
            progress = Progress(families, sys.stderr)
            numbers = range(start, start + families)
            with terminated_as_interrupted():
                for written in stored(numbers, Job(seed, registry, now, grants), processes):
                    progress.step(written)
        except ProgrammingError as error:
            raise CommandError(
                f"表がありません。The tables are not there: run manage.py migrate first. ({error})"
            ) from error
        except (OperationalError, InterfaceError, AuditUnavailable) as error:
            raise CommandError(f"データベースに接続できません。The database cannot be reached: {error}") from error
        except KeyboardInterrupt:
            raise CommandError(
                "中断しました。同じ命令で続きから始まります。Stopped; the same command goes on from here."
            ) from None
        self.stdout.write(progress.finished())


def whole(low: int, high: int) -> Any:
    """A reader of a whole number within bounds, for argparse."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"整数ではありません / not a whole number: {text!r}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{low} 以上 {high} 以下 / from {low} to {high}: {value}")
        return value

    return read


class Job:
    """What every writing process needs to know; called with the number of a family, returns resources written."""

    def __init__(self, seed: int, registry: Registry, now: datetime, with_grant: bool) -> None:
        self.seed, self.registry, self.now, self.with_grant = seed, registry, now, with_grant

    def __call__(self, number: int) -> int:
        return store(family(self.seed, number), self.registry, now=self.now, with_grant=self.with_grant)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM inside the block ends it like Ctrl-C, so that the writing processes are stopped too."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def stored(numbers: range, job: Job, processes: int) -> Iterator[int]:
    """Store the families, here or in processes of their own; yields the resources written for each."""
    if processes == 1:
        yield from map(job, numbers)
        return
    connections.close_all()  # each process opens its own
    with multiprocessing.get_context("fork").Pool(processes, _leave_interrupts_to_the_parent) as pool:
        yield from pool.imap_unordered(job, numbers)
