"""A record that is locked or erased shows nothing to anybody, not even to the organisation that wrote in it (L1)."""

from __future__ import annotations

import pytest

from consent.models import Subject
from phr.populate.cast import YUKI
from tests.family import Neighbourhood, at_home, post, rows, weight


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


@pytest.mark.parametrize("state", ["locked", "erased"])
def test_own_words_about_a_locked_person(family: Neighbourhood, state: str) -> None:
    made = family.clinic.made(weight())
    place = f"Observation/{made['id']}"
    assert family.clinic.search("Observation", patient=str(YUKI)).ids
    Subject.objects.filter(pk=YUKI).update(state=state)
    before = rows()
    absent = "Observation/00000000-0000-4000-8000-000000000000"
    assert family.clinic.get(place).status == family.clinic.get(absent).status == 404
    assert family.clinic.get(f"{place}/_history").status == family.clinic.get(f"{place}/_history/1").status == 404
    assert family.clinic.search("Observation", patient=str(YUKI), _total="accurate").json["total"] == 0
    assert family.clinic.search("Observation", _id=made["id"]).ids == []
    assert family.clinic.put(made | {"status": "amended"}).status == 405
    assert family.clinic.create(weight()).status == 422
    assert family.clinic.bundle("transaction", post(weight())).status == 422
    assert family.clinic.delete(place).status == 204  # as for what is not there
    assert rows() == before


def test_others_are_not_touched(family: Neighbourhood) -> None:
    made = family.clinic.made(weight())
    Subject.objects.exclude(pk=YUKI).update(state="locked")
    assert family.clinic.search("Observation", _id=made["id"]).ids == [made["id"]]
    assert family.clinic.create(weight()).status == 201
    family.clinic.made({"resourceType": "Organization", "name": "見本産院"})
    assert family.clinic.search("Organization").ids  # what speaks of nobody stays
