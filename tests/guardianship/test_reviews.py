"""What a desk looks at again: links whose review is due, and every freeze, afterwards (G-04, G-06)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import rules
from consent.models import AuditEntry, Guardianship, Subject
from phr.populate.cast import HANA, REN, YUKI
from tests.family import Neighbourhood
from tests.guardianship.desk import done, freeze, get, link_of, new_link, person, post

REVIEWS = "desk/reviews"


def listed(family: Neighbourhood) -> dict[int, str]:
    answer = get(family.officer, REVIEWS)
    assert answer.status == 200, answer
    return {row["id"]: row["state"] for row in answer.json}


@pytest.mark.G("06")
def test_a_freeze_is_at_once_and_looked_at_afterwards(family: Neighbourhood) -> None:
    link = link_of("ichiro", HANA)
    assert link.pk not in listed(family)
    freeze(family, "ichiro", HANA)
    assert family.father.get(f"Patient/{HANA}").status in (401, 404)
    assert listed(family)[link.pk] == "frozen"
    Guardianship.objects.filter(pk=link.pk).update(review_on=rules.today_in_japan(timezone.now()) + timedelta(days=700))
    assert listed(family)[link.pk] == "frozen", "however far its ordinary review is"
    path = f"desk/guardianships/{link.pk}/release"
    done(family.officer, path)
    assert listed(family)[link.pk] == "frozen", "one of two has asked: it is not over"
    done(family.app("obstetrician"), path)
    assert link.pk not in listed(family)


@pytest.mark.G("06")
def test_a_freeze_by_a_clinic_is_looked_at_by_the_desk_that_verified_the_link(family: Neighbourhood) -> None:
    link = link_of("ichiro", HANA)
    done(family.app("obstetrician"), f"desk/guardianships/{link.pk}/freeze", {"reason": "child-protection"})
    assert listed(family)[link.pk] == "frozen"


@pytest.mark.G("06")
def test_an_ended_link_needs_no_look_any_more(family: Neighbourhood) -> None:
    link = link_of("ichiro", HANA)
    freeze(family, "ichiro", HANA)
    done(family.officer, f"desk/guardianships/{link.pk}/end", {"reason": "court-order"})
    assert link.pk not in listed(family)


@pytest.mark.G("04")
@pytest.mark.IT("10")
def test_looking_leaves_a_line_for_each_child(family: Neighbourhood) -> None:
    for record in (HANA, REN):
        Guardianship.objects.filter(pk=link_of("ichiro", record).pk).update(
            review_on=rules.today_in_japan(timezone.now()) + timedelta(days=10)
        )
    before = timezone.now()
    assert listed(family)
    lines = AuditEntry.objects.filter(at__gte=before, event="guardianship:read")
    assert set(lines.values_list("subject", flat=True)) == {HANA, REN}
    assert set(lines.values_list("person", flat=True)) == {person("sato").pk}


# -- before the birth (G-19) ----------------------------------------------------------------------------


@pytest.mark.G("18", "19")
@pytest.mark.parametrize("evidence", ["birth-notice", "resident-record", "family-register", "court-order"])
@pytest.mark.parametrize("kind", ["parent", "adoptive", "foster", "appointed", "institution"])
def test_nobody_is_guardian_of_a_pregnancy(family: Neighbourhood, kind: str, evidence: str) -> None:
    """The unborn have no record: what is known of them is the mother's."""
    asked = new_link("ichiro", YUKI, kind=kind, evidence=evidence)
    assert post(family.officer, "desk/guardianships", asked).status == 422
    assert not Guardianship.objects.filter(subject=YUKI).exists()


@pytest.mark.G("19")
def test_a_record_kept_ahead_of_the_birth_is_linked_to_nobody(family: Neighbourhood) -> None:
    today = rules.today_in_japan(timezone.now())
    Subject.objects.filter(pk=HANA).update(birth_on=today + timedelta(days=30))
    answer = post(family.officer, "desk/guardianships", new_link("mei", HANA))
    assert answer.status == 422, answer
    assert not Guardianship.objects.filter(person=person("mei")).exists()


@pytest.mark.G("19")
@pytest.mark.parametrize(("days", "status"), [(-1, 422), (0, 201)])
def test_a_link_begins_with_the_birth_at_the_earliest(family: Neighbourhood, days: int, status: int) -> None:
    today = rules.today_in_japan(timezone.now())
    born = today - timedelta(days=20)
    Subject.objects.filter(pk=HANA).update(birth_on=born)
    told: dict[str, Any] = {"starts_on": str(born + timedelta(days=days))}
    answer = post(family.officer, "desk/guardianships", new_link("mei", HANA, **told))
    assert answer.status == status, answer
    assert status == 201 or answer.json["place"] == "starts_on"
