"""A leak drill (IT-33): who is concerned is known from the log by one query, and told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent import incidents
from consent.models import Notice, Organization
from consent.scope import ALL_CATEGORIES
from phr.populate.cast import HANA, YUKI
from phr.smart import demo
from phr.smart.models import Application
from tests.family import Neighbourhood, pressure, weight
from tests.institution import Trust, trust


@pytest.mark.IT("33", "32")
def test_everybody_whose_data_was_read_and_nobody_else(family: Neighbourhood) -> None:
    """The clinic's system leaks for an hour: it has read Yuki's record then; Hana's was read by her father only."""
    began = timezone.now()
    desk: Trust = trust(began)
    made = family.clinic.made(weight())
    family.father.made(pressure(HANA))
    recipient = desk.recipient(_office(), purposes=["TREAT"])
    assert family.clinic.get(f"Observation/{made['id']}").status == 200
    now = timezone.now()
    leak = incidents.report(
        kind="leak", recipient=recipient, happened_from=began, happened_to=now + timedelta(minutes=1),
        categories=ALL_CATEGORIES, summary_ja="訓練", summary_en="drill", by=desk.clerk, now=now,
    )  # fmt: skip
    with CaptureQueriesContext(connection) as asked:
        found = incidents.affected(leak)
    assert len(asked) == 1, "one query"
    assert {one.subject for one in found} == {YUKI}
    assert incidents.tell_persons(incident=leak, by=desk.clerk, now=now) == 1
    told = Notice.objects.filter(kind="incident:leak")
    assert {(notice.person and notice.person.username, notice.subject_id) for notice in told} == {("yuki", YUKI)}


@pytest.mark.IT("33")
def test_what_was_read_before_it_began_is_not_concerned(family: Neighbourhood) -> None:
    desk: Trust = trust(timezone.now())
    family.clinic.made(weight())
    began = timezone.now() + timedelta(seconds=1)
    leak = incidents.report(
        kind="leak", recipient=desk.recipient(_office(), purposes=["TREAT"]),
        happened_from=began, happened_to=began + timedelta(hours=1), categories=ALL_CATEGORIES, summary_ja="訓練",
        summary_en="drill", by=desk.clerk, now=began + timedelta(hours=1),
    )  # fmt: skip
    assert incidents.affected(leak) == []


def _office() -> Organization:
    """The organisation of the clinic's system."""
    found = Application.objects.get(client_id=demo.CLINIC).organization
    assert found is not None
    return found
