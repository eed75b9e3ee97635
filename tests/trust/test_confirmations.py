"""The records of receiving (IT-41): demanded by the person, kept through an erasure, told no guardian too much."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import provider_records
from consent.models import Confirmation, Organization, Subject
from phr.populate.cast import HANA, YUKI
from phr.trust import disclosing
from tests.family import Neighbourhood
from tests.trust.packages import package
from tests.trust.test_erasure import erase


def received(subject: Any, **more: Any) -> Confirmation:
    clinic = Organization.objects.filter(kind="clinic").order_by("pk").first()
    assert clinic is not None
    told: dict[str, Any] = {"provider": clinic.name, "acquired": "from-care", "organization": clinic}
    return provider_records.confirm(
        **(told | more), subject=Subject.objects.get(pk=subject), resources=3, now=timezone.now()
    )


@pytest.mark.IT("13", "41")
def test_she_can_demand_it(family: Neighbourhood) -> None:
    made = received(YUKI)
    other = received(HANA)
    rows = package(family.mother, f"records/{YUKI}/disclosure").rows("confirmations.ndjson")
    assert [(row["id"], row["provider"], row["acquired"], row["resources"]) for row in rows] == [
        (made.pk, made.provider, "from-care", 3)
    ]
    [row] = package(family.app("mother", patient="hana"), f"records/{HANA}/disclosure").rows("confirmations.ndjson")
    assert row["id"] == other.pk


@pytest.mark.G("08", "12")
@pytest.mark.parametrize("how", ["older", "protected"])
def test_a_guardian_is_not_told_at_whose_door_the_child_was(family: Neighbourhood, how: str) -> None:
    received(HANA)
    own = received(HANA, provider="保護者", acquired="from-the-person", organization=None)
    today = timezone.now().date()
    change: dict[str, Any] = (
        {"birth_on": today - timedelta(days=13 * 366)} if how == "older" else {"location_hidden": True}
    )
    Subject.objects.filter(pk=HANA).update(**change)
    rows = package(family.app("mother", patient="hana"), f"records/{HANA}/disclosure").rows("confirmations.ndjson")
    assert [row["id"] for row in rows] == [own.pk], disclosing.CONFIDING_AGE


@pytest.mark.IT("41")
def test_it_outlives_the_record_under_its_number_alone(family: Neighbourhood) -> None:
    made = received(YUKI)
    erase(family, family.mother, YUKI)
    made.refresh_from_db()
    assert (made.subject_id, made.subject.state, made.subject.birth_on) == (YUKI, "erased", None)
    assert made.resources == 3
