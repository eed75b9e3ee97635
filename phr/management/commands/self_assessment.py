"""`manage.py self_assessment --to FOLDER`: the evidence list of the yearly self-assessment (IT-31)."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consent.rules import JST
from consent.signing import NoSigningKey, signing_key
from phr.trust import assessing


class Command(BaseCommand):
    help = (
        "年次の自己点検の資料（責務ごとの試験と、一年の数値）を Markdown と JSON で書き出します。"
        "Writes the evidence of the yearly self-assessment: each duty's tests, and the year's figures."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
        parser.add_argument("--year", type=int, metavar="YYYY", help="年度（4月から）/ the year from April; this one")
        parser.add_argument(
            "--tests", type=Path, default=settings.BASE_DIR / "tests", metavar="FOLDER", help="試験の場所 / the tests"
        )

    def handle(self, *args: Any, to: Path, year: int | None, tests: Path, **options: Any) -> None:
        now = timezone.now()
        today = now.astimezone(JST)
        first = year or (today.year if today.month >= 4 else today.year - 1)
        if not 2000 <= first <= 9000:
            raise CommandError(f"{first}: 年度ではありません。No such year.")
        since, until = (datetime(y, 4, 1, tzinfo=JST) for y in (first, first + 1))
        try:
            key = signing_key(settings.PHR_AUDIT_KEY).public_key()
            told = assessing.pack(tests=tests, since=since, until=until, now=now, public_key=key)
            to.mkdir(parents=True, exist_ok=True)
            (to / "self-assessment.json").write_text(json.dumps(told, ensure_ascii=False, indent=2), encoding="utf-8")
            (to / "self-assessment.md").write_text(assessing.as_markdown(told), encoding="utf-8")
        except NoSigningKey as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{to}: 書けません。Cannot be written: {error.strerror}") from None
        proved = len(told["duties"]) - len(told["unproved"])
        log = told["figures"]["log"]
        self.stdout.write(
            f"{to}: 責務 duties {proved}/{len(told['duties'])}、"
            f"監査ログ log {'問題なし no problem' if log['verified'] else '問題あり PROBLEMS'}"
        )
