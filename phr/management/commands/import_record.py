"""`manage.py import_record PACKAGE --person USERNAME`: a record that moves in from another server (IT-15, IT-23)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent.models import Person
from consent.refusal import Refusal
from consent.signing import signing_key
from phr.trust import receiving, transferring


class Command(BaseCommand):
    help = (
        "持ち運び用パッケージの記録を受け入れます。同じものをもう一度受け入れても何も変わりません。"
        "Brings in a record from a portable package; bringing in the same again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("package", type=Path, metavar="PACKAGE", help="ZIP")
        parser.add_argument(
            "--person", required=True, metavar="USERNAME", help="本人または保護者 / herself or a guardian"
        )
        parser.add_argument("--new-person", metavar="NAME", help="その人をここで登録する / register that person here")
        parser.add_argument(
            "--register-organizations", action="store_true", help="知らない機関を登録する / enter unknown organisations"
        )
        parser.add_argument("--from-key", metavar="HEX", help="移転元の公開鍵 / public key of the trust it comes from")
        parser.add_argument(
            "--receipt", type=Path, metavar="FILE", help="署名した受領書を書く / write a signed receipt"
        )

    def handle(self, *args: Any, package: Path, person: str, **options: Any) -> None:
        try:
            if options["from_key"]:
                transferring.require_signed(package, public_key=options["from_key"])
            done = receiving.receive(
                package, person=self._person(person, options["new_person"]),
                register=options["register_organizations"], clock=timezone.now,
            )  # fmt: skip
        except Refusal as error:
            raise CommandError(error.why) from None
        for problem in done.problems:
            self.stderr.write(f"fhir.ndjson:{problem.line}: {problem.told()}")
        for text in done.left:
            self.stderr.write(text)
        self.stdout.write(
            f"新規 created {done.created:,}、変更なし unchanged {done.unchanged:,}、同意 conditions {done.grants:,}、"
            f"取り込めない行 refused {len(done.problems):,}"
        )
        if done.problems or done.left:
            raise CommandError("取り込めないものがありました。Some of it could not be brought in; the rest is stored.")
        if options["receipt"]:
            signed = transferring.receipt(
                done.manifest, by=settings.PHR_BASE_URL, key=signing_key(settings.PHR_AUDIT_KEY), now=timezone.now()
            )
            options["receipt"].write_text(json.dumps(signed, indent=2), encoding="utf-8")

    def _person(self, username: str, name: str | None) -> Person:
        found = Person.objects.filter(username=username).first()
        if found is None and name:
            found = Person(username=username, name=name)
            found.set_unusable_password()
            found.save(force_insert=True)
        if found is None:
            raise CommandError(f"{username}: 登録されていません（--new-person）。No such person (see --new-person).")
        return found
