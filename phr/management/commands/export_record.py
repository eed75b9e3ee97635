"""`manage.py export_record ID --person USERNAME --to FILE`: one record as a portable package (IT-15)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent import guardianship
from consent.models import Person, Subject
from phr.trust import porting
from phr.trust.acting import caller_for


class Command(BaseCommand):
    help = (
        "一人分の記録と同意を、ほかのサーバーで受け入れられる形で書き出します。"
        "Writes one person's record and consents as a package that another server can bring in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("record", type=UUID, metavar="ID", help="Patient の id / the Patient's id")
        parser.add_argument("--person", required=True, metavar="USERNAME", help="申し出た人 / on whose instruction")
        parser.add_argument("--to", required=True, type=Path, metavar="FILE")

    def handle(self, *args: Any, record: UUID, person: str, to: Path, **options: Any) -> None:
        subject, by = Subject.objects.filter(pk=record).first(), Person.objects.filter(username=person).first()
        capacity = guardianship.standing(by, subject, timezone.now()) if by and subject else None
        if subject is None or by is None or capacity is None:
            raise CommandError("この人の記録ではありません。This person is not entitled to this record.")
        caller = caller_for(by, record, capacity, client="manage.py")
        parts = porting.export(subject, capacity=capacity, caller=caller, clock=timezone.now)
        write_private(to, parts)
        self.stdout.write(str(to))


def write_private(to: Path, parts: Any) -> None:
    """Write a file only its owner reads; whole, or not at all. Raises CommandError."""
    part = to.with_name(f"{to.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for piece in parts:
                file.write(piece)
        part.replace(to)
    except OSError as error:
        raise CommandError(f"{to}: 書けません。Cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
