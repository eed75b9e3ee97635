"""`manage.py propose_profile FILE`: a first draft of the source profile of a municipal CSV file, printed as TOML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.municipal_csv import proposing
from integrations.problems import Unreadable


class Command(BaseCommand):
    help = "見本のCSVからプロファイルを提案します。Proposes a source profile from a sample of a municipal CSV file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="見本のファイル / the sample")
        parser.add_argument("--id", default="", help="id（ファイル名） / id of the profile, its file's name")

    def handle(self, *args: Any, file: Path, id: str, **_: Any) -> None:
        if id and not re.fullmatch(r"[a-z0-9][a-z0-9.\-]{0,62}", id):
            raise CommandError("id は英小文字・数字・- です。An id has lower case letters, digits and hyphens.")
        try:
            with file.open("rb") as opened:
                content = opened.read(proposing.MOST_BYTES)
        except OSError as error:
            raise CommandError(f"{file}: 読めません。Cannot be read: {error.strerror}") from None
        try:
            proposed = proposing.propose(content, id=id or _id(file))
        except Unreadable as error:
            raise CommandError("\n".join(f"{p.place()} {p.ja} {p.en}".strip() for p in error.problems)) from None
        self.stdout.write(proposed, ending="")


def _id(file: Path) -> str:
    return re.sub(r"[^a-z0-9\-]+", "-", file.stem.lower()).strip("-")[:63] or "my-profile"
