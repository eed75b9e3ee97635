"""Sealed bodies at the gateway: two subjects, two keys, two permits; the commons key; nothing in the clear."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone

from consent import grants
from consent.decide import Capacity
from consent.models import Subject
from consent.scope import Clause
from phr.populate.cast import HANA, OBSTETRIC, PAEDIATRIC, YUKI
from phr.populate.store import EVERY_DOOR, for_organization
from phr.records import vault
from phr.records.gateway import NotFound, Records, Stored
from tests.family import Neighbourhood, at_home, organization, pressure


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


def permit(family: Neighbourhood, subject: UUID, to: int, capacity: Capacity) -> None:
    root = Clause(
        permit=True, purposes=frozenset({"TREAT"}), actors=frozenset({f"org:{to}"}), actions=frozenset({"access"}),
        categories=frozenset({"HOME", "VITAL", "IDENTITY"}),
    )  # fmt: skip
    by = family.demo.people["yuki"]
    grants.give(subject=Subject.objects.get(id=subject), root=root, by=by, capacity=capacity, now=timezone.now())


def records(family: Neighbourhood, code: str) -> Records:
    return Records.opened_by(for_organization(family.demo.organizations[code].pk), now=timezone.now())


def shared(family: Neighbourhood) -> Stored:
    """A pressure of Yuki's that Hana is said to have measured: about both."""
    permit(family, HANA, family.demo.clinic.pk, Capacity.GUARDIAN)
    both: dict[str, Any] = pressure(performer=[{"reference": f"Patient/{HANA}"}])
    return records(family, OBSTETRIC.code).create(both)


def test_both_subjects_must_permit(family: Neighbourhood) -> None:
    made = shared(family)
    assert set(made.facts.subjects) == {YUKI, HANA}
    other = family.demo.organizations[PAEDIATRIC.code].pk
    for subject, capacity, seen in ((None, None, False), (YUKI, Capacity.SELF, False), (HANA, Capacity.GUARDIAN, True)):
        if subject and capacity:
            permit(family, subject, other, capacity)
        reader = records(family, PAEDIATRIC.code)
        if seen:
            assert reader.read("Observation", made.id).body == made.body
        else:
            with pytest.raises(NotFound):
                reader.read("Observation", made.id)


def test_a_parent_bound_to_one_child_does_not_see_what_is_about_two(family: Neighbourhood) -> None:
    made = shared(family)
    for app in (family.mother, family.app("mother", patient="hana"), family.father):
        assert app.get(f"Observation/{made.id}").status == 404
        assert app.search("Observation", _total="accurate").json["total"] == 0


def test_either_key_opens_what_is_about_two(family: Neighbourhood) -> None:
    made = shared(family)
    reader = records(family, OBSTETRIC.code)
    for shredded in made.facts.subjects:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM consent_datakey WHERE subject_id = %s", [shredded])
            assert reader.read("Observation", made.id).body == made.body
            transaction.set_rollback(True)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM consent_datakey WHERE subject_id = ANY(%s)", [list(made.facts.subjects)])
    with pytest.raises(vault.CannotOpen):
        reader.read("Observation", made.id)


def test_a_body_cannot_be_moved_or_altered(family: Neighbourhood) -> None:
    one, two = (family.mother.made(pressure())["id"] for _ in range(2))
    swap = "UPDATE phr_resource SET body = (SELECT body FROM phr_resource WHERE fhir_id = %s) WHERE fhir_id = %s"
    flip = "UPDATE phr_resource SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE fhir_id = %s"
    for sql, values in ((swap, [one, two]), (flip, [two])):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
            answer = family.mother.get(f"Observation/{two}")
            assert answer.status == 500
            assert b"118" not in answer.content
            transaction.set_rollback(True)
    assert family.mother.get(f"Observation/{two}").status == 200


def test_no_body_is_stored_in_the_clear(family: Neighbourhood) -> None:
    family.mother.made(pressure(note=[{"text": "見本のひみつ"}]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT r::text, r.body FROM phr_resource r")
        for text, body in cursor.fetchall():
            assert "見本のひみつ" not in text
            assert "見本のひみつ".encode() not in bytes(body)


def test_a_commons_key_of_a_rolled_back_transaction_is_forgotten(family: Neighbourhood) -> None:
    with transaction.atomic():
        assert family.clinic.get(f"Organization/{family.clinic.made(organization())['id']}").status == 200
        transaction.set_rollback(True)
    made = family.clinic.made(organization())
    assert family.mother.get(f"Organization/{made['id']}").status == 200
    assert EVERY_DOOR
