"""`manage.py transfer_record`: hand a record over to another trust as its person instructed, and keep the receipt."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent.models import Transfer
from consent.refusal import Refusal
from consent.signing import signing_key
from phr.trust import transferring


class Command(BaseCommand):
    help = (
        "本人（子どもは保護者二人）の指示どおり、記録を別の信託へ移します。引数なしで指示の一覧を示します。"
        "Moves a record to another trust as instructed; without arguments it lists the instructions."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--pack", type=UUID, metavar="ID", help="この指示のパッケージを作り、記録を止める / hand over"
        )
        parser.add_argument(
            "--to", type=Path, metavar="FILE", help="パッケージの書き込み先 / where to write the package"
        )
        parser.add_argument(
            "--receipt", type=Path, metavar="FILE", help="移転先の受領書を確かめて残す / keep a receipt"
        )
        parser.add_argument("--key", metavar="HEX", help="移転先の公開鍵 / public key of the other trust")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["pack"]:
                self._pack(options["pack"], options["to"])
            elif options["receipt"]:
                self._confirm(options["receipt"], options["key"])
            else:
                for asked in Transfer.objects.filter(state=Transfer.State.ASKED).order_by("asked_at"):
                    self.stdout.write(f"{asked.pk} {asked.asked_at:%Y-%m-%d} {asked.to}")
        except Refusal as error:
            raise CommandError(error.why) from None

    def _pack(self, id: UUID, to: Path | None) -> None:
        found = Transfer.objects.filter(pk=id).first()
        if found is None or to is None:
            raise CommandError("指示と --to が必要です。Which instruction, and --to where?")
        key, part = signing_key(settings.PHR_AUDIT_KEY), to.with_name(f"{to.name}.part")
        try:
            with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
                done = transferring.pack(found, into=file, by=settings.PHR_BASE_URL, key=key, clock=timezone.now)
                os.fsync(file.fileno())
            part.replace(to)
        except OSError as error:
            raise CommandError(f"{to}: 書けません。Cannot be written: {error.strerror}") from None
        self.stdout.write(f"{to}: {done.state}; 公開鍵 public key {key.public_key().public_bytes_raw().hex()}")

    def _confirm(self, receipt: Path, key: str | None) -> None:
        try:
            told = json.loads(receipt.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise CommandError(f"{receipt}: 読めません。Cannot be read.") from None
        if not isinstance(told, dict) or not key:
            raise CommandError("受領書と --key が必要です。A receipt and --key, please.")
        done = transferring.confirm(receipt=told, public_key=key, now=timezone.now())
        self.stdout.write(f"{done.pk}: {done.state}")
