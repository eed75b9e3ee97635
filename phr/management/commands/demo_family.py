"""What the demo calls before it opens its doors."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "デモの家族を用意します。Migrates, makes the demo's family once and says who can sign in."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("grant_roles")
        call_command("collectstatic", interactive=False, verbosity=0)
