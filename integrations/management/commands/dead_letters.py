"""`manage.py dead_letters`: what was given up, to be tried again or let go."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from integrations import dead_letters
from integrations.models import DeadLetter


class Command(BaseCommand):
    help = "諦めた処理を一覧し、再試行または破棄します。Lists work that was given up; tries it again or lets it go."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("deed", nargs="?", choices=("list", "retry", "discard"), default="list")
        parser.add_argument("ids", nargs="*", type=int, help="of the letters; for retry and discard also --all")
        parser.add_argument("--all", action="store_true", help="every letter that waits")
        parser.add_argument("--reason", help="only letters of this reason")

    def handle(self, *args: Any, **options: Any) -> None:
        waiting = dead_letters.waiting()
        if options["reason"]:
            waiting = waiting.filter(reason=options["reason"])
        if options["deed"] == "list":
            self._list(list(waiting))
            return
        ids = list(waiting.values_list("pk", flat=True)) if options["all"] else options["ids"]
        if not ids:
            raise CommandError("どれですか。Which ones? Name ids, or --all.")
        deed = dead_letters.retry if options["deed"] == "retry" else dead_letters.discard
        for id in ids:
            try:
                letter = deed(id, now=timezone.now())
            except DeadLetter.DoesNotExist:
                raise CommandError(f"{id}: 待っている記録ではありません。No letter {id} waits.") from None
            print(f"{letter.pk} {letter.task} {letter.reference}: {letter.state}")

    def _list(self, letters: list[DeadLetter]) -> None:
        for one in letters:
            since = timezone.localtime(one.since).isoformat(timespec="seconds")
            print(f"{one.pk} {since} {one.task} {one.reference} {one.reason} {one.error} x{one.times}")
        print(f"{len(letters)} 件 waiting")
