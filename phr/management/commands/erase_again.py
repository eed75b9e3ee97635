"""`manage.py erase_again FILE`: after a backup was restored, erase whoever had been erased since it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from phr.smart import leaving
from phr.trust import erasing


class Command(BaseCommand):
    help = (
        "復元したバックアップに残る、消去済みの人の記録をもう一度消します。"
        "Erases again, after a restore, whoever a list of deploy/backup/keys.sh tells was erased."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="….keys.erased")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            listed = [UUID(line) for line in file.read_text(encoding="ascii").split()]
        except (OSError, ValueError) as error:
            raise CommandError(f"{file}: 読めません。Cannot be read ({type(error).__name__}).") from None
        done = sum(erasing.again(subject, now=timezone.now(), forget=leaving.forget) for subject in listed)
        self.stdout.write(f"もう一度消去 erased again: {done} / {len(listed)}")
