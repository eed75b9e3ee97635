"""`manage.py self_assessment --to FOLDER`: the evidence list of the yearly self-assessment (IT-31)."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone

from consent.rules import JST
from consent.signing import NoSigningKey, signing_key
from phr.trust import assessing, junit

NO_TESTS = (
    "責務を証明する試験がありません。リリースのチェックアウトから実行してください。"
    "No tests that prove a duty: run this from a checkout of the release (the image carries no tests)."
)
NO_DATABASE = (
    "データベースが使えないか、移行されていません。manage.py migrate を実行してください。"
    "The database is out of reach, or not migrated: run manage.py migrate."
)


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

        parser.add_argument(
            "--results", type=Path, metavar="FILE",
            help='試験の結果 / what pytest said: uv run pytest -m "IT or G" --junitxml=FILE',
        )  # fmt: skip

    def handle(
        self, *args: Any, to: Path, year: int | None, tests: Path, results: Path | None = None, **options: Any
    ) -> None:
        now = timezone.now()
        today = now.astimezone(JST)
        first = year or (today.year if today.month >= 4 else today.year - 1)
        if not 2000 <= first <= 9000:
            raise CommandError(f"{first}: 年度ではありません。No such year.")
        since, until = (datetime(y, 4, 1, tzinfo=JST) for y in (first, first + 1))
        try:
            key = signing_key(settings.PHR_AUDIT_KEY).public_key()
            if not assessing.proofs(tests):
                raise CommandError(f"{tests}: {NO_TESTS}")
            outcomes = _outcomes(results)
            told = assessing.pack(tests=tests, since=since, until=until, now=now, public_key=key, outcomes=outcomes)
            to.mkdir(parents=True, exist_ok=True)
            (to / "self-assessment.json").write_text(json.dumps(told, ensure_ascii=False, indent=2), encoding="utf-8")
            (to / "self-assessment.md").write_text(assessing.as_markdown(told), encoding="utf-8")
        except DatabaseError:
            raise CommandError(NO_DATABASE) from None
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


def _outcomes(results: Path | None) -> dict[str, str] | None:
    try:
        return None if results is None else junit.outcomes(results)
    except (junit.Unreadable, OSError):
        raise CommandError(f"{results}: JUnit の結果ではありません。Not the results of a test run.") from None
