"""Two writers at once: a condition creates once, one If-Match wins; an insert that waits is not lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from phr.populate.cast import HANA
from tests.family import Answer, App, Neighbourhood, at_home, encoded, entry, post, rows, weight

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 4


@pytest.fixture
def family() -> Neighbourhood:
    return at_home()


def together(ask: Callable[[App, int], Answer], token: str) -> list[Answer]:
    """What several callers get who ask at the same moment."""
    gate = Barrier(AT_ONCE)

    def one(number: int) -> Answer:
        app = App(token)
        try:
            gate.wait(300)
            return ask(app, number)
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


@pytest.mark.spec("FHIR R4", "3.1.0.8.2", "conditional create: only one of several at once creates")
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_condition_creates_once(family: Neighbourhood, inside: bool) -> None:
    named: dict[str, Any] = weight(identifier=[{"system": "urn:x", "value": "1"}])

    def ask(app: App, number: int) -> Answer:
        if inside:
            return app.bundle("transaction", post(named, ifNoneExist="identifier=urn:x|1"))
        return app.create(named, if_none_exist="identifier=urn:x|1")

    answers = together(ask, family.mother.token)
    found = [a.json["entry"][0]["response"]["status"] if inside else str(a.status) for a in answers]
    assert sorted(found) == ["200"] * (AT_ONCE - 1) + ["201"]
    assert len(family.mother.search("Observation", identifier="urn:x|1").ids) == 1


def test_conditions_in_each_others_way(family: Neighbourhood) -> None:
    def ask(app: App, number: int) -> Answer:
        pair = ["1", "2"] if number % 2 else ["2", "1"]
        named = {v: weight(identifier=[{"system": "urn:y", "value": v}]) for v in pair}
        return app.bundle("transaction", *(post(named[v], ifNoneExist=f"identifier=urn:y|{v}") for v in pair))

    assert [a.status for a in together(ask, family.mother.token)] == [200] * AT_ONCE
    assert len(family.mother.search("Observation", identifier="urn:y|1,urn:y|2").ids) == 2


@pytest.mark.spec("FHIR R4", "3.1.0.5", "of several updates with one If-Match, one wins")
def test_one_if_match_wins(family: Neighbourhood) -> None:
    made = family.mother.made(weight())

    def ask(app: App, number: int) -> Answer:
        return app.put(weight(value=f"{number}.0") | {"id": made["id"]}, if_match='W/"1"')

    answers = together(ask, family.mother.token)
    assert sorted(a.status for a in answers) == [200] + [412] * (AT_ONCE - 1)
    winner = next(a for a in answers if a.status == 200)
    assert family.mother.get(f"Observation/{made['id']}").content == winner.content
    assert rows()["phr_version"] == 1


def test_updates_without_if_match_all_count(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    answers = together(lambda app, n: app.put(weight(value=f"{n}.5") | {"id": made["id"]}), family.mother.token)
    assert sorted(a.headers["ETag"] for a in answers) == [f'W/"{n}"' for n in range(2, 2 + AT_ONCE)]
    history = family.mother.get(f"Observation/{made['id']}/_history").json["entry"]
    assert [e["response"]["etag"] for e in history] == [f'W/"{n}"' for n in range(1 + AT_ONCE, 0, -1)]


def test_deleting_at_once(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    answers = together(lambda app, n: app.delete(f"Observation/{made['id']}"), family.mother.token)
    assert [(a.status, a.headers["ETag"]) for a in answers] == [(204, 'W/"2"')] * AT_ONCE


def test_transactions_in_each_others_way_never_break(family: Neighbourhood) -> None:
    """Each takes its locks by name, whatever the order of its entries: they follow each other, none is half done."""
    one, two = (family.mother.made(weight()) for _ in range(2))

    def ask(app: App, number: int) -> Answer:
        pair = [one, two] if number % 2 else [two, one]
        return app.bundle(
            "transaction",
            *(entry("PUT", f"Observation/{x['id']}", weight(value=f"{number}.25") | {"id": x["id"]}) for x in pair),
        )

    answers = together(ask, family.mother.token)
    assert [a.status for a in answers] == [200] * AT_ONCE
    values = []
    for made in (one, two):
        seen = family.mother.get(f"Observation/{made['id']}")
        assert seen.headers["ETag"] == f'W/"{1 + AT_ONCE}"'
        values.append(seen.json["valueQuantity"])
    assert values[0] == values[1]


def test_a_first_key_made_at_once(family: Neighbourhood) -> None:
    """Two first writers of one record make one data key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM consent_datakey")
        before = cursor.fetchone()[0]
    hana = family.app("mother", patient="hana")
    body = encoded(weight(of=HANA))
    answers = together(lambda app, n: app.ask("POST", "Observation", body), hana.token)
    assert {a.status for a in answers} == {201}
    assert all(hana.get(f"Observation/{a.id}").status == 200 for a in answers)
    assert rows()["consent_datakey"] == before
