"""`manage.py ingest FILE… --organization CODE`: NDJSON files into the record, as written by an organisation.

First all Patients, then the rest, so that lines may refer to each other in any order. How far a file came stands
in the database under its digest: stopped or killed, the same command goes on from there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.utils import timezone

from consent.audit import AuditUnavailable
from consent.decide import Caller, Capacity
from consent.models import Organization
from consent.scope import Door
from phr.fhir import wire
from phr.management.commands._ingest import Busy, Job, Progress, held, mapped
from phr.management.commands.populate import terminated_as_interrupted, whole
from phr.records import ndjson
from phr.records.ingesting import Outcome
from phr.records.jobs import Ingest
from phr.records.reading import Refused
from phr.smart.launches import PURPOSES

LINES, BYTES = 500, 8 << 20  # of a batch: one transaction
SHOWN = 200  # problems on the terminal
MOST_REFUSED = 10_000  # lines; beyond, the file is not what it should be
CLIENT = "manage.py"


class Command(BaseCommand):
    help = (
        "NDJSON ファイル（.gz も可）を組織の記録として取り込みます。中断しても同じ命令で続きから始まります。"
        "Brings NDJSON files (also .gz) into the record, as written by an organisation; may be stopped and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="NDJSON")
        parser.add_argument(
            "--organization", required=True, metavar="CODE", help="書いた組織の番号 / code of the organisation"
        )
        parser.add_argument("--processes", type=whole(1, 64), default=2, help="並列数 / how many write (2)")
        parser.add_argument(
            "--problems", type=Path, metavar="FILE",
            help="取り込めない行をすべて書き出す / write every problem to this file too",
        )  # fmt: skip

        parser.add_argument(
            "--again", action="store_true", help="済んだファイルも読み直す / read files again that are done"
        )

    def handle(self, *args: Any, files: list[Path], organization: str, processes: int, **options: Any) -> None:
        self.told = 0
        self.list = self._listing(options["problems"])
        try:
            owner = self._owner(organization)
            caller = _caller(owner)
            works = [self._begun(file, owner, again=options["again"]) for file in files]
            with terminated_as_interrupted():
                for patients in (True, False):
                    for file, work in zip(files, works, strict=True):
                        self._pass(file, work, Job(caller, wire.base(), patients), processes)
        except ProgrammingError as error:
            raise CommandError(f"表がありません。Run manage.py migrate first. ({error})") from error
        except (OperationalError, InterfaceError, AuditUnavailable) as error:
            raise CommandError(f"データベースに接続できません。The database cannot be reached: {error}") from error
        except Refused as error:
            raise CommandError(f"この組織は書き込めません。This organisation may not write: {error}") from None
        except KeyboardInterrupt:
            text = "中断しました。同じ命令で続きから始まります。Stopped; the same command goes on from here."
            raise CommandError(text) from None
        self._report(files, works)

    def _listing(self, path: Path | None) -> TextIO | None:
        try:
            return Path(path).open("w", encoding="utf-8") if path else None
        except OSError as error:
            raise CommandError(f"{path}: 書けません。Cannot be written: {error.strerror}") from None

    def _owner(self, code: str) -> Organization:
        found = Organization.objects.filter(code=code).first()
        if found is None:
            raise CommandError(f"{code}: そのような組織はありません。There is no such organisation.")
        return found

    def _begun(self, file: Path, owner: Organization, *, again: bool) -> Ingest:
        """How far the file came before. One that is done is not read again, unless asked."""
        try:
            digest = ndjson.digest(file)
        except OSError as error:
            raise CommandError(f"{file}: 読めません。Cannot be read: {error.strerror}") from None
        work, _ = Ingest.objects.get_or_create(
            organization=owner, sha256=digest, defaults={"started_at": timezone.now()}
        )
        if work.finished_at and again:
            work.delete()
            return self._begun(file, owner, again=False)
        if work.finished_at:
            at = timezone.localtime(work.finished_at).strftime("%Y-%m-%d %H:%M")
            self.stdout.write(f"{file}: {at} に取り込み済みです。Brought in already (--again reads it again).")
        elif work.offset or work.patients_done:
            self.stdout.write(f"{file}: {work.line + 1} 行目から続けます。Going on from line {work.line + 1}.")
        return work

    def _pass(self, file: Path, work: Ingest, job: Job, processes: int) -> None:
        """All Patients of one file, or all the rest; from where the last run stopped."""
        if work.finished_at or (work.patients_done and job.patients):
            return
        progress = Progress(file, job.patients, sys.stderr)
        found = ndjson.batches(
            file, offset=work.offset, line=work.line, longest=settings.PHR_MAX_BODY, most=LINES, most_bytes=BYTES
        )
        try:
            with mapped(job, processes) as each, held(work):
                for batch, outcome in each(found):
                    self._keep(file, work, batch, outcome)
                    progress.step(batch, outcome)
        except Busy:
            raise CommandError(
                "このファイルは取り込み中です。This file is being brought in by another process."
            ) from None
        except (ndjson.Broken, OSError) as error:
            where = f":{error.line}" if isinstance(error, ndjson.Broken) else ""
            text = f"{file}{where}: ファイルがここで切れています。The file cannot be read on from here ({error})."
            raise CommandError(text) from None
        if job.patients:
            work.patients_done, work.offset, work.line = True, 0, 0
        else:
            work.finished_at = timezone.now()
        work.save()
        progress.finished()

    def _keep(self, file: Path, work: Ingest, batch: ndjson.Batch, outcome: Outcome) -> None:
        work.offset, work.line = batch.end, batch.last
        work.created += outcome.created
        work.unchanged += outcome.unchanged
        work.refused += outcome.refused
        work.save()
        for problem in outcome.problems:
            self.told += 1
            text = f"{file}:{problem.line}: {problem.told()}"
            if self.told <= SHOWN:
                self.stderr.write(text)
            if self.list:
                self.list.write(text + "\n")
        if work.refused > MOST_REFUSED:
            text = f"{file}: 取り込めない行が {MOST_REFUSED} を超えました。More than {MOST_REFUSED} lines are refused."
            raise CommandError(text)

    def _report(self, files: list[Path], works: list[Ingest]) -> None:
        if self.list:
            self.list.close()
        for file, work in zip(files, works, strict=True):
            self.stdout.write(
                f"{file}: 新規 created {work.created:,}、変更なし unchanged {work.unchanged:,}、"
                f"取り込めない行 refused {work.refused:,}"
            )
        if self.told > SHOWN:
            self.stderr.write(f"… ほか {self.told - SHOWN:,} 件。And {self.told - SHOWN:,} more (--problems FILE).")
        if any(work.refused for work in works):
            raise CommandError("取り込めない行がありました。Some lines were refused; the others are stored.")


def _caller(owner: Organization) -> Caller:
    """The organisation's own system."""
    return Caller(
        client=CLIENT, capacity=Capacity.SYSTEM, purpose=PURPOSES[owner.kind][0], doors=(Door("*", "cruds"),),
        organization=owner.pk,
    )  # fmt: skip
