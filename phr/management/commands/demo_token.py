"""`manage.py demo_token PERSONA`: an access token for somebody of the demo, and only there."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from consent.models import Organization
from phr.populate import personas
from phr.populate.cast import OBSTETRIC
from phr.smart.demo import NoToken


class Command(BaseCommand):
    help = "デモの人物のアクセストークンを出します。Prints an access token for somebody of the demo."

    requires_system_checks = [Tags.security]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("persona", choices=personas.NAMES, metavar="PERSONA", help=", ".join(personas.NAMES))
        parser.add_argument("--client", help="クライアント / client id (tsumugi-app; for clinic: clinic)")
        parser.add_argument("--scope", help="SMART v2 scopes, space separated")
        parser.add_argument("--patient", choices=sorted(personas.PATIENTS), help="だれの記録か / whose record to open")

    def handle(self, *args: Any, persona: str, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("デモでだけ使えます。 This works in the demo only (PHR_DEMO, see phr.E107).")
        if not _is_there():
            raise CommandError("先に `manage.py demo` を実行してください。 Run `manage.py demo` first.")
        wanted = {name: options[name] for name in ("client", "scope", "patient")}
        try:
            told = personas.token(persona, now=timezone.now(), **wanted)
        except NoToken as refusal:
            raise CommandError(f"発行できません。 Not issued: {refusal}") from refusal
        about = f", patient {told['patient']}" if "patient" in told else ""
        self.stderr.write(f"# {told['scope']}{about}, {told['expires_in']} s")
        self.stdout.write(told["access_token"])


def _is_there() -> bool:
    tables = connection.introspection.table_names()
    return Organization._meta.db_table in tables and Organization.objects.filter(code=OBSTETRIC.code).exists()
