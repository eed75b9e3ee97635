"""The demo's town: the row of a linked child goes in, that of an unknown one waits."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from consent.models import Organization
from integrations.models import ImportRun, LocalNumber, Unlinked, WaitingItem
from phr.populate.cast import CITY_A, REN
from tests.family import at_home

pytestmark = pytest.mark.django_db


def test_the_town_brings_ren_and_somebody_waits(settings: Any) -> None:
    settings.DEMO = True
    family, out = at_home(), StringIO()
    call_command("demo_town", stdout=out, stderr=out)
    run = ImportRun.objects.get()
    assert (run.state, run.unmatched, run.refused_items) == ("done", 1, 0), out.getvalue()
    assert {problem["severity"] for problem in run.problems} <= {"information"}
    town = Organization.objects.get(code=CITY_A.code)
    assert LocalNumber.objects.get(organization=town, until=None).subject_id == REN
    assert WaitingItem.objects.get().case == Unlinked.objects.get(organization=town, state=Unlinked.State.WAITING)
    weights = family.app("mother", patient="ren").search("Observation", code="29463-7", date="2026-04-08")
    assert [e["resource"]["valueQuantity"]["value"] for e in weights.json["entry"]] == [Decimal("6.4")]


def test_there_is_no_such_town_outside_the_demo(settings: Any) -> None:
    settings.DEMO = False
    with pytest.raises(CommandError, match="demo only"):
        call_command("demo_town")
