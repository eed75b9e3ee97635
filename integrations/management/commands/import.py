# ruff: noqa: N999  the module is named as the command is typed
"""`manage.py import KIND FILE…`: an input through the deeds the API uses, at once and with progress.

One person's input (`--subject UUID`) is written with the authority of a person (`--as`): the subject herself, a
guardian, or staff of an organisation. An input that names many people (`--organization CODE`) is written for that
organisation; a folder among FILE stands for every file below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction
from django.utils import timezone

from consent import guardianship
from consent.decide import Caller, Capacity
from consent.models import Guardianship, Organization, Person, Subject
from consent.scope import Door, Purpose
from integrations import accepting, folders, running, taking
from integrations.base import Connector, connectors, feeds
from integrations.incoming import Part
from integrations.items import Feed, Piece
from integrations.models import ImportRun
from integrations.problems import Problem
from phr.records.gateway import Forbidden, Gone, NotFound, Refused

PURPOSES = {Capacity.SELF: Purpose.PATRQT, Capacity.GUARDIAN: Purpose.FAMRQT, Capacity.STAFF: Purpose.TREAT}


class Command(BaseCommand):
    help = (
        "ファイルを取り込みます。一人の人の記録へ（--subject）、または機関から届いた多数の人のデータとして（--organization）。"
        "Imports files: into one person's record (--subject), or what an organisation says of many people "
        "(--organization)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", help=f"種類 / kind of input: {', '.join(sorted([*connectors(), *feeds()]))}")
        parser.add_argument(
            "files", nargs="+", type=Path, metavar="FILE", help="1つの入力の部品 / the parts of one input"
        )
        parser.add_argument("--subject", type=UUID, help="取り込み先の人の Patient id / whose record")
        parser.add_argument("--as", dest="username", help="だれの権限で / sign-in name of the person it is done for")

        parser.add_argument(
            "--organization", metavar="CODE", help="どの機関のデータか / code of the organisation it is from"
        )
        parser.add_argument("--profile", default="", help="様式の名前 / source profile of the feed")
        parser.add_argument(
            "--full",
            action="store_true",
            help="フォルダーを始めから読む / read all of a folder, not what was touched since",
        )
        parser.add_argument("--dry-run", action="store_true", help="調べるだけで保存しない / report, store nothing")

    def handle(self, *args: Any, kind: str, files: list[Path], **options: Any) -> None:
        if kind in feeds():
            self._feed(feeds()[kind], files, options, now=timezone.now())
        elif kind in connectors():
            self._connector(connectors()[kind], files, options, now=timezone.now())
        else:
            known = ", ".join(sorted([*connectors(), *feeds()]))
            raise CommandError(f"知らない種類です。Unknown kind: {kind} ({known})")

    def _connector(self, source: Connector, files: list[Path], options: dict[str, Any], *, now: datetime) -> None:
        subject = options["subject"]
        if subject is None or options["organization"] or options["profile"] or options["dry_run"]:
            raise CommandError("--subject だけを指定してください。This kind takes --subject (and --as) only.")
        parts = [Part(self._content(file, source)) for file in files]
        person = self._person(options["username"], subject, now=now)
        self._run(self._accepted(source, parts, subject=subject, by=self._caller(person, subject, now=now), now=now))

    def _feed(self, source: Feed, files: list[Path], options: dict[str, Any], *, now: datetime) -> None:
        if options["subject"] or options["username"] or not options["organization"]:
            raise CommandError("--organization が必要です。This kind takes --organization, and no --subject.")
        office = Organization.objects.filter(code=options["organization"]).first()
        if office is None:
            raise CommandError(f"そのような機関はありません。There is no such organisation: {options['organization']}")
        folder = files[0] if hasattr(source, "folder") and len(files) == 1 and files[0].is_dir() else None
        try:
            run = taking.take(
                source, self._pieces(source, files, folder, office, options), organization=office,
                by=taking.caller_for(office, client="manage.py"), now=now, profile=options["profile"],
                dry=options["dry_run"], wake=False,
            )  # fmt: skip
        except taking.UnknownProfile as error:
            raise CommandError(f"--profile が必要です。Choose a profile: {', '.join(error.known) or '-'}") from None
        except taking.TooLarge:
            raise CommandError(f"大きすぎます。Larger than {source.MAX_BYTES} bytes together.") from None
        except (Forbidden, Refused) as error:
            raise CommandError(
                f"この機関からは取り込めません。Not to be brought by this organisation: {error}"
            ) from None
        except taking.TooMany:
            raise CommandError("取り込みが多すぎます。Too many imports are open.") from None
        except OSError as error:
            raise CommandError(f"{error.filename}: 読めません。Cannot be read: {error.strerror}") from None
        if folder:
            self._mark(run, folder)
        self._run(run)

    def _pieces(
        self, source: Feed, files: list[Path], folder: Path | None, office: Organization, options: dict[str, Any]
    ) -> Iterable[Piece]:
        """The files; or of a storage that is read again and again, what was touched since it was read last."""
        if folder is None:
            return folders.pieces(files)
        full = options["full"]
        since = None if full else folders.read_until(folder, source, office, profile=options["profile"])
        return [cast("Any", source).folder(folder, since=since)]

    def _mark(self, run: ImportRun, folder: Path) -> None:
        try:
            with transaction.atomic():
                ImportRun.objects.filter(pk=run.pk).update(set_key=folders.mark_of(folder))
        except IntegrityError:
            ImportRun.objects.filter(pk=run.pk).update(state=ImportRun.State.CANCELLED)
            raise CommandError(f"{folder}: いま読み込み中です。This folder is being read now.") from None
        run.refresh_from_db()

    def _run(self, run: ImportRun) -> None:
        if run.state == ImportRun.State.DONE:
            self.stdout.write(f"取り込み済みです。変更はありません。 Already imported, nothing changed: {run.pk}")
            return
        running.run(run.pk, clock=timezone.now, tell=self._tell)
        run.refresh_from_db()
        self._report(run)

    def _content(self, file: Path, source: Connector) -> bytes:
        try:
            with file.open("rb") as opened:
                content = opened.read(source.MAX_BYTES + 1)
        except OSError as error:
            raise CommandError(f"{file}: 読めません。Cannot be read: {error.strerror}") from None
        if len(content) > source.MAX_BYTES:
            raise CommandError(f"{file}: 大きすぎます。Larger than {source.MAX_BYTES} bytes.")
        return content

    def _person(self, username: str | None, subject: UUID, *, now: datetime) -> Person:
        """Whose authority: the one named, else the subject herself, else her first guardian in force."""
        if username is not None:
            named = Person.objects.filter(username=username, is_active=True).first()
            if named is None:
                raise CommandError(f"{username}: そのような人はいません。There is no such person.")
            return named
        own = Person.objects.filter(own_subject=subject, is_active=True)
        guardians = Person.objects.filter(
            guardianships__subject=subject, guardianships__state=Guardianship.State.ACTIVE, is_active=True
        ).order_by("guardianships__pk")
        for person in (*own, *guardians):
            if self._capacity(person, subject, now=now):
                return person
        raise CommandError("--as が必要です。Nobody acts for this person: name somebody with --as.")

    def _capacity(self, person: Person, subject: UUID, *, now: datetime) -> Capacity | None:
        whose = Subject.objects.filter(pk=subject).first()
        standing = guardianship.standing(person, whose, now) if whose else None
        return standing or (Capacity.STAFF if person.organization_id else None)

    def _caller(self, person: Person, subject: UUID, *, now: datetime) -> Caller:
        capacity = self._capacity(person, subject, now=now)
        if capacity not in PURPOSES:
            raise CommandError(f"{person.username} はこの人の記録に取り込めません。May not act for this person.")
        return Caller(
            client="manage.py",
            capacity=capacity,
            purpose=PURPOSES[capacity],
            doors=(Door("*", "cruds"),),
            person=person.pk,
            organization=person.organization_id if capacity == Capacity.STAFF else None,
            subject=subject,
        )

    def _accepted(self, source: Connector, parts: list[Part], *, subject: UUID, by: Caller, now: datetime) -> ImportRun:
        try:
            return accepting.accept(source, parts, subject=subject, by=by, now=now, wake=False)
        except (Refused, NotFound, Gone):
            raise CommandError(
                "この人の記録はないか、開けません。There is no such record, or it is not shown."
            ) from None
        except accepting.TooLarge:
            raise CommandError(f"大きすぎます。Larger than {source.MAX_BYTES} bytes together.") from None
        except accepting.TooMany:
            raise CommandError("取り込みが多すぎます。Too many imports are open.") from None

    def _tell(self, run: ImportRun) -> None:
        self.stdout.write(f"\r取り込み中 importing {run.done}/{run.total}", ending="")
        self.stdout.flush()

    def _report(self, run: ImportRun) -> None:
        if run.done:
            self.stdout.write("")
        for problem in (Problem(**p) for p in run.problems):
            place = f"{problem.place()}: " if problem.place() else ""
            self.stderr.write(f"{problem.severity}: {place}{problem.ja} {problem.en}")
        if run.state == ImportRun.State.WAITING:
            wanted = ", ".join(map(str, run.missing))
            self.stdout.write(f"残りの部品を待っています。 Waiting for the missing parts: {wanted} ({run.pk})")
        elif run.state in (ImportRun.State.DONE, ImportRun.State.REPORTED):
            counts = f"新規 created {run.created}, 更新 updated {run.updated}, 変更なし unchanged {run.unchanged}"
            if run.subject_id is None:
                counts += f", 取消 retracted {run.retracted}, 本人待ち waiting {run.unmatched}"
                counts += f", 除外 refused {run.refused_items}"
            word = "完了 done" if run.state == ImportRun.State.DONE else "確認のみ dry run, nothing stored"
            self.stdout.write(f"{word}: {counts} ({run.pk})")
        else:
            raise CommandError(f"取り込みませんでした。 Not imported: {run.state} ({run.pk})")
