"""Check the whole audit log against its sealed batches."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from consent import heads as published
from consent.models import AuditBatch
from consent.sealing import unsealed, verify
from consent.signing import NoSigningKey, signing_key

WITHIN = timedelta(days=1)  # a line may be told as written so long before the seal that went before it


class Command(BaseCommand):
    help = "監査ログが改ざんされていないか調べます。Finds any changed, removed, inserted or reordered line of the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--public-key", help="base64 of 32 bytes; without it, that of PHR_AUDIT_KEY")
        parser.add_argument(
            "--old-key", action="append", default=[], help="public key of an earlier signing key; may be repeated"
        )
        parser.add_argument(
            "--heads", type=Path, metavar="FILE", help="a file of published heads (PHR_AUDIT_HEADS_FILE)"
        )
        parser.add_argument(
            "--head", action="append", default=[], metavar="SEQUENCE:ROOT", help="a head kept outside; may be repeated"
        )

    def handle(
        self,
        *args: Any,
        public_key: str | None,
        old_key: list[str],
        heads: Path | None,
        head: list[str],
        **options: Any,
    ) -> None:
        try:
            key = _public(public_key) if public_key else signing_key(settings.PHR_AUDIT_KEY).public_key()
            known = published.read(heads) if heads else {}
            known |= {int(sequence): bytes.fromhex(root) for sequence, _, root in (h.partition(":") for h in head)}
            within = None if settings.DEMO else WITHIN  # a demo's lives are written with their own dates
            older = [_public(k) for k in old_key]
            problems = verify(public_key=key, older_keys=older, heads=known, within=within)
        except (NoSigningKey, ValueError, OSError, binascii.Error) as error:
            raise CommandError(str(error)) from None
        for problem in problems:
            self.stderr.write(problem)
        if problems:
            raise CommandError(f"改ざんの疑い {len(problems)} 件 / {len(problems)} problems", returncode=1)
        last = AuditBatch.objects.order_by("-sequence").first()
        self.stdout.write(f"問題なし / no problem: {last.sequence if last else 0} batches, {unsealed()} not yet sealed")
        if last:
            self.stdout.write(f"head {last.sequence}:{bytes(last.root).hex()}")


def _public(told: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(told, validate=True))
