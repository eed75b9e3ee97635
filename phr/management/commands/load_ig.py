"""`manage.py load_ig PACKAGE.tgz`: definitions of an implementation guide, from a FHIR NPM package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from phr.records.profiles import archive, judging, packages
from phr.records.profiles.structure import Unwalkable


class Command(BaseCommand):
    help = (
        "実装ガイドのパッケージを読み込みます。同じ名前のものは置き換わります。"
        "Loads a FHIR package (.tgz), all of it or nothing; one of the same name is replaced."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        wish = parser.add_mutually_exclusive_group(required=True)
        wish.add_argument("package", nargs="?", type=Path, metavar="PACKAGE.tgz", help="パッケージ / the package")
        wish.add_argument("--list", action="store_true", help="読み込み済みの一覧 / what is loaded")
        wish.add_argument("--remove", metavar="NAME", help="取り除く / remove the package of this name")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
        elif options["remove"]:
            self._remove(options["remove"])
        else:
            self._load(options["package"])

    def _load(self, file: Path) -> None:
        try:
            if file.stat().st_size > archive.MOST_ARCHIVE:
                raise CommandError(f"{file}: 大きすぎます。Larger than {archive.MOST_ARCHIVE} bytes.")
            done = packages.load(file.read_bytes(), now=timezone.now())
        except OSError as error:
            raise CommandError(f"{file}: 読めません。Cannot be read: {error.strerror}.") from None
        except archive.Unloadable as error:
            raise CommandError(f"{file.name}: {error} 何も変えていません。Nothing was changed.") from None
        named = f"{done.name} {done.version}"
        if not done.changed:
            self.stdout.write(f"{named} は読み込み済みです。{named} is loaded already.")
            return
        instead = f" ({done.before} の代わり / instead of {done.before})" if done.before else ""
        text = f"{named} を読み込みました: {done.resources} 件。{named} loaded: {done.resources} resources.{instead}"
        self.stdout.write(text)
        for name in done.needs:
            self.stderr.write(f"{name} は読み込まれていません。It builds on {name}, which is not loaded.")
        for url in done.structures:
            try:
                judging.at_hand().profile(url)
            except Unwalkable as error:
                self.stderr.write(f"確かめられないプロファイル / cannot be checked: {error}")

    def _list(self) -> None:
        for name, version, resources, loaded_at in packages.listed():
            at = timezone.localtime(loaded_at).isoformat(timespec="seconds")
            self.stdout.write(f"{name}\t{version}\t{resources}\t{at}")

    def _remove(self, name: str) -> None:
        if not packages.remove(name):
            raise CommandError(f"{name} は読み込まれていません。{name} is not loaded.")
        self.stdout.write(f"{name} を取り除きました。{name} removed.")
