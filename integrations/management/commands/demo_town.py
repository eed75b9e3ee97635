"""`manage.py demo_town`: the demo's town brings its file of checkups, as any town would.

The mother shows the town a one-time code for Ren, so his number there is linked and his row goes in. Nobody is known
by the other row's number: it waits in the town's queue.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from consent.models import Organization, Person
from integrations import linking, taking
from integrations.items import Identity
from phr.populate.bundles import FOLDER
from phr.populate.cast import CITY_A, REN
from phr.records import systems

CHECKUPS = FOLDER / "kenshin-3-4m.csv"  # CP932, the standard layout
NUMBER = "0000000004"  # Ren's at the town


class Command(BaseCommand):
    help = "デモの市が健診のCSVを取り込みます。The demo's town brings in its checkups, for whom it is linked with."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("デモでだけ使えます。 This works in the demo only (PHR_DEMO, see phr.E107).")
        now = timezone.now()
        town = Organization.objects.get(code=CITY_A.code)
        code, _ = linking.make_code(subject=REN, by=Person.objects.get(username="yuki"), now=now)
        ren = Identity(f"{systems.PERSON_AT_MUNICIPALITY}/{town.code}", NUMBER)
        linking.link_by_code(identity=ren, code=code, by=taking.caller_for(town, client="demo"), now=now)
        told = {"organization": town.code, "profile": "infant-3-4m"}
        call_command("import", "municipal-csv", str(CHECKUPS), **told, stdout=self.stdout, stderr=self.stderr)
