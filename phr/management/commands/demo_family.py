"""`manage.py demo_family`: what the demo does before it opens its doors. May be run again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from phr.populate import demo, institution, personas
from phr.records import vault

PASSWORD = "tsumugi-mihon"  # for all of the demo's people; they are invented and live on one machine


class Command(BaseCommand):
    help = (
        "デモの家族を用意します。Migrates, makes the demo's family once, brings in its records, says who can sign in."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("デモでだけ使えます。 This works in the demo only (PHR_DEMO, see phr.E107).")
        self._say("データベースを準備しています… Preparing the database …")
        call_command("migrate", verbosity=0)
        _prove_keys()
        call_command("grant_roles")
        call_command("collectstatic", interactive=False, verbosity=0)
        self._say("見本の家族と記録を取り込んでいます… Bringing in the family and its records …")
        family = demo.make_family(now=timezone.now(), password=PASSWORD)
        personas.register()
        institution.found(family, now=timezone.now(), password=PASSWORD)
        if _import_records():
            notebook = Path(demo.MEDICATION_NOTEBOOK)
            call_command("import", "jahis-qr", str(notebook), "--subject", str(demo.YUKI), stdout=self.stderr)
            call_command("demo_town", stdout=self.stderr, stderr=self.stderr)
        self.stdout.write(welcome())

    def _say(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()


def _prove_keys() -> None:
    """Raise CommandError, with the hint, when `keys.json` is not the one this database was made with."""
    try:
        vault.prove()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from None


def _import_records() -> int:
    """As `demo.import_records`. Raises CommandError where an older program kept what this one does not open."""
    try:
        return demo.import_records(now=timezone.now())
    except vault.CannotOpen as error:
        anew = "`manage.py demo --reset` で作り直せます。 `manage.py demo --reset` starts anew."
        raise CommandError(f"前の記録を開けません。 What is kept here does not open: {error}. {anew}") from None


def welcome() -> str:
    """Who can sign in, and a line to paste that works."""
    told = personas.token("mother", now=timezone.now())
    people = "\n".join(f"  {cast.username:<8} {cast.name}  {cast.role}" for cast in demo.CAST)
    url = f"{settings.PHR_BASE_URL}/fhir/MedicationDispense?patient={demo.YUKI}&_sort=-whenhandedover&_count=3"
    curl = f"curl -H {shlex.quote('Authorization: Bearer ' + told['access_token'])} {shlex.quote(url)}"
    minutes = round(told["expires_in"] / 60)
    return f"""
サインインできる人（パスワードは全員 {PASSWORD}） Who can sign in, all with the password {PASSWORD}:
{people}

母のアプリとして読む（{minutes} 分間有効） Read as the mother's app (for {minutes} minutes):
{curl}

見本市の健診CSVから：蓮の行は入り、もう1人は本人待ち Of the town's checkup file Ren's row is in, another child's waits:
サインイン sign in as sato: {settings.PHR_BASE_URL}/imports/queue

別のトークン Another token: uv run manage.py demo_token mother|father|aunt|clinic|officer
"""
