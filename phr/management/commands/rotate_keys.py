"""`manage.py rotate_keys`: wrap every data key by the current key-encryption key; with --data also renew data keys."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent import audit
from consent.audit import Event
from phr.records import rotation, vault
from phr.smart import sealed as account_secrets


class Command(BaseCommand):
    help = (
        "鍵を更新します。PHR_KEYS の先頭に新しい鍵を置いてから実行してください。"
        "Rotates keys: put the new key first in PHR_KEYS, keep the old ones, then run this. It may be run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data", action="store_true",
            help="データ鍵も新しくし、本文を封じ直す / also renew the data keys and seal every body anew",
        )  # fmt: skip

    def handle(self, *args: Any, data: bool, **options: Any) -> None:
        try:
            wrapped = vault.rewrap() + rotation.rewrap_exports() + account_secrets.rewrap()
            sealed = rotation.reseal(progress=self._progress) if data else 0
        except vault.CannotOpen as error:
            raise CommandError(f"開けない鍵があります。A key does not open: {error}. {vault.HINT}") from error
        current = vault.keyring().current
        audit.record(Event.KEYS_ROTATED, by=None, now=timezone.now(), detail={"key_id": current, "count": wrapped})
        self.stdout.write(
            f"データ鍵 {wrapped} 本を {current} で包み直しました。{wrapped} data keys now wrapped by {current}."
            + (f" 本文 {sealed} 件を封じ直しました。{sealed} bodies sealed anew." if data else "")
        )

    def _progress(self, done: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done:,} ", ending="")
