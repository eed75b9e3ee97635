"""Granular SMART scopes at the REST door: a token narrowed by a query sees that part only, at every door."""

from __future__ import annotations

import pytest

from phr.populate.cast import YUKI
from tests.family import App, Neighbourhood, entry, post, pressure, rows, weight

SCOPE = "launch/patient patient/Observation.cruds?code=http://loinc.org|8480-6"


@pytest.fixture
def narrow(family: Neighbourhood) -> App:
    return family.app("mother", scope=SCOPE)


@pytest.mark.spec("SMART App Launch 2.2", "3.0.2.3", "a scope with a query admits only resources that answer it")
def test_only_what_the_query_names_is_there(family: Neighbourhood, narrow: App) -> None:
    inside, outside = family.mother.made(pressure()), family.mother.made(weight())
    assert narrow.search("Observation", _total="accurate").json["total"] == 1
    assert narrow.search("Observation").ids == [inside["id"]]
    assert narrow.search("Observation", patient=str(YUKI), _sort="-date").ids == [inside["id"]]
    assert narrow.get(f"Observation/{inside['id']}").status == 200
    for below in ("", "/_history", "/_history/1"):
        there = narrow.get(f"Observation/{outside['id']}{below}")
        assert there.told() == narrow.get(f"Observation/nobody{below}").told()
    assert narrow.get(f"Patient/{YUKI}").status == 403


def test_writing_stays_within_the_query(family: Neighbourhood, narrow: App) -> None:
    outside = family.mother.made(weight())
    inside = narrow.made(pressure())
    before = rows()
    assert narrow.create(weight()).status == 403
    assert narrow.put(inside | {"code": weight()["code"]}).status == 403  # nor can it be moved outside
    assert narrow.put(outside | {"status": "amended"}).status == 405
    assert narrow.delete(f"Observation/{outside['id']}").status == 204  # as for one that is not there
    answer = narrow.bundle("transaction", post(pressure()), post(weight()))
    assert (answer.status, answer.issue["expression"]) == (403, ["Bundle.entry[1]"])
    assert rows() == before
    assert family.mother.get(f"Observation/{outside['id']}").status == 200
    assert narrow.put(inside | {"status": "amended"}).status == 200


def test_history_shows_only_versions_inside(family: Neighbourhood, narrow: App) -> None:
    made = family.mother.made(weight())
    assert family.mother.put(pressure() | {"id": made["id"]}).status == 200
    told = narrow.get(f"Observation/{made['id']}/_history").json["entry"]
    assert [e["response"]["etag"] for e in told] == ['W/"2"']
    assert narrow.get(f"Observation/{made['id']}/_history/1").status == 404
    batch = narrow.bundle("batch", entry("GET", f"Observation/{made['id']}/_history/1"))
    assert batch.json["entry"][0]["response"]["status"] == "404"
