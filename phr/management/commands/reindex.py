"""`manage.py reindex`: rebuild the search index from the bodies, and the hashes that cards are found by."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from phr.records import rebuild
from phr.smart import sealed


class Command(BaseCommand):
    help = "検索索引を本文から作り直します。Rebuilds the search index from the bodies. It may be stopped and run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--type", help="この型だけ / this resource type only")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["type"]:
            sealed.rehash()
        done = rebuild.reindex(type=options["type"], progress=self._progress)
        self.stdout.write(f"{done:,} 件を作り直しました。{done:,} resources indexed anew.")

    def _progress(self, done: int) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{done:,} ", ending="")
