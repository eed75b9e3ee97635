"""`manage.py watch_imports`: look into PHR_IMPORT_WATCH once, as beat does every minute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from integrations import watching


class Command(BaseCommand):
    help = "監視フォルダのファイルを取り込みます。Takes in what lies in the watched folder."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", type=Path, help="PHR_IMPORT_WATCH の代わり / instead of PHR_IMPORT_WATCH")

    def handle(self, *args: Any, folder: Path | None, **_: Any) -> None:
        root = folder or (Path(settings.PHR_IMPORT_WATCH) if settings.PHR_IMPORT_WATCH else None)
        if root is None or not root.is_dir():
            raise CommandError("PHR_IMPORT_WATCH のフォルダがありません。There is no folder to watch.")
        moved = watching.scan(root, now=timezone.now())
        self.stdout.write(f"動かした入力 moved: {moved}")
        for place in watching.unheard(root):
            self.stderr.write(
                f"{place}: 機関コード・種類・様式のフォルダではないため取り込みません。"
                " Nothing is taken here: no folder of a known organisation, kind and profile."
            )
