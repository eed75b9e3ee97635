"""Conditional writes at once, names taken at once, deletions in between, and a server that dies in the middle."""

from __future__ import annotations

import os
import signal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from phr.populate.cast import YUKI
from phr.records import locks
from phr.records.locks import Wanted
from tests.family import Answer, App, Neighbourhood, at_home, encoded, entry, organization, post, rows, weight
from tests.fhir.test_update_as_create import prefix
from tests.records.test_gateway_races import AT_ONCE, together

pytestmark = pytest.mark.django_db(transaction=True)
# Different spellings of one condition
SPELLINGS = ["identifier=urn:x|1", f"patient={YUKI}&identifier=urn:x|1", "identifier=urn%3Ax%7C1&status=final,amended",
             f"identifier=urn:x|1&subject=Patient/{YUKI}"]  # fmt: skip


# Who waits for a lock in the database of this test; others run beside it on the same server.
WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def family() -> Neighbourhood:
    return at_home()


def named(**more: Any) -> dict[str, Any]:
    return weight(identifier=[{"system": "urn:x", "value": "1"}], **more)


def put(app: App, resource: dict[str, Any], spelling: str) -> Answer:
    return app.ask("PUT", f"Observation?{spelling}", encoded(resource))


@pytest.mark.spec(
    "FHIR R4", "3.1.0.4.3", "conditional updates at once, spelled differently: one creates, the rest update"
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_conditional_updates_at_once(family: Neighbourhood, inside: bool) -> None:
    def ask(app: App, number: int) -> Answer:
        resource = named(value=f"{number}.5")
        if inside:
            return app.bundle("transaction", entry("PUT", f"Observation?{SPELLINGS[number]}", resource))
        return put(app, resource, SPELLINGS[number])

    answers = together(ask, family.mother.token)
    found = [a.json["entry"][0]["response"]["status"] if inside else str(a.status) for a in answers]
    assert sorted(found) == ["200"] * (AT_ONCE - 1) + ["201"], answers
    [id] = family.mother.search("Observation", identifier="urn:x|1").ids
    assert family.mother.get(f"Observation/{id}").headers["ETag"] == f'W/"{AT_ONCE}"'


@pytest.mark.spec("FHIR R4", "3.1.0.8.2", "conditional creates at once, spelled differently: one creates")
def test_conditional_creates_spelled_differently(family: Neighbourhood) -> None:
    answers = together(lambda app, n: app.create(named(), if_none_exist=SPELLINGS[n]), family.mother.token)
    assert sorted(a.status for a in answers) == [200] * (AT_ONCE - 1) + [201]
    assert len({a.id for a in answers}) == 1


def test_what_belongs_to_nobody(family: Neighbourhood) -> None:
    """Types without a person are locked as a whole: no condition says whom it is about."""
    there = organization() | {"identifier": [{"system": "urn:x", "value": "1"}]}
    spelled = [
        "identifier=urn:x|1",
        "identifier=urn:x|1&active=true",
        "identifier=urn:x|1,urn:x|2",
        "identifier=urn%3Ax|1",
    ]
    answers = together(lambda app, n: app.create(there, if_none_exist=spelled[n]), family.clinic.token)
    assert sorted(a.status for a in answers) == [200] * (AT_ONCE - 1) + [201]


def test_create_patch_and_delete_by_one_condition(family: Neighbourhood) -> None:
    """Whatever order they get, each sees none or one, never half of another."""
    change = b'[{"op":"replace","path":"/status","value":"amended"}]'

    def ask(app: App, number: int) -> Answer:
        place = f"Observation?{SPELLINGS[number]}"
        if number == 0:
            return app.delete(place)
        if number == 1:
            return app.ask("PATCH", place, change, type="application/json-patch+json")
        return put(app, named(), SPELLINGS[number])

    answers = together(ask, family.mother.token)
    assert answers[0].status == 204
    assert answers[1].status in (200, 404)
    assert {a.status for a in answers[2:]} <= {200, 201}
    assert len(family.mother.search("Observation", identifier="urn:x|1").ids) <= 1


@pytest.mark.spec("FHIR R4", "3.1.0.4.1", "one name given by several at once is created once")
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_one_name_at_once(family: Neighbourhood, inside: bool) -> None:
    id = prefix(family.mother) + "1"

    def ask(app: App, number: int) -> Answer:
        resource = weight(value=f"{number}.5") | {"id": id}
        if inside:
            return app.bundle("transaction", entry("PUT", f"Observation/{id}", resource), post(weight()))
        return app.put(resource)

    answers = together(ask, family.mother.token)
    found = [a.json["entry"][0]["response"]["status"] if inside else str(a.status) for a in answers]
    assert sorted(found) == ["200"] * (AT_ONCE - 1) + ["201"], answers
    assert family.mother.get(f"Observation/{id}").headers["ETag"] == f'W/"{AT_ONCE}"'


def test_a_match_that_changes_before_it_is_locked(family: Neighbourhood) -> None:
    """What a condition found is asked again when it is locked: an update in between is not overwritten blindly."""
    made = family.mother.made(named())
    away = weight() | {"id": made["id"]}

    def ask(app: App, number: int) -> Answer:
        return app.put(away) if number % 2 else put(app, named(status="amended"), SPELLINGS[0])

    answers = together(ask, family.mother.token)
    assert {a.status for a in answers[1::2]} == {200}
    assert {a.status for a in answers[0::2]} <= {200, 201, 409}
    created = [a.id for a in answers[0::2] if a.status == 201]
    found = family.mother.search("Observation", identifier="urn:x|1").ids
    assert set(found) <= {made["id"], *created}
    assert len(created) <= 1


def test_deletions_and_updates_crosswise(family: Neighbourhood) -> None:
    """Two transactions, each deleting what the other updates: both lock in one order, so neither is stuck."""
    one, two = (family.mother.made(weight()) for _ in range(2))

    def ask(app: App, number: int) -> Answer:
        gone, kept = (one, two) if number % 2 else (two, one)
        return app.bundle(
            "transaction", entry("DELETE", f"Observation/{gone['id']}"),
            entry("PUT", f"Observation/{kept['id']}", weight(value=f"{number}.5") | {"id": kept["id"]}),
        )  # fmt: skip

    answers = together(ask, family.mother.token)
    assert [a.status for a in answers] == [200] * AT_ONCE, answers
    alive = [family.mother.get(f"Observation/{x['id']}").status for x in (one, two)]
    assert sorted(alive) == [200, 410]


def test_many_conditions_crosswise(family: Neighbourhood) -> None:
    """Conditions about a person, about nobody and about anybody, in any order in one transaction."""
    there = organization() | {"identifier": [{"system": "urn:x", "value": "1"}]}

    def ask(app: App, number: int) -> Answer:
        entries = [
            entry("PUT", f"Observation?{SPELLINGS[number]}", named(value=f"{number}.5")),
            post(there, ifNoneExist="identifier=urn:x|1"),
            entry("PUT", "Observation?identifier=urn:x|2", weight(identifier=[{"system": "urn:x", "value": "2"}])),
        ]
        return app.bundle("transaction", *(entries if number % 2 else entries[::-1]))

    answers = together(ask, family.clinic.token)
    assert [a.status for a in answers] == [200] * AT_ONCE, answers
    assert len(family.clinic.search("Organization", identifier="urn:x|1").ids) == 1
    assert len(family.clinic.search("Observation", identifier="urn:x|1,urn:x|2").ids) == 2


def test_persons_do_not_wait_for_each_other() -> None:
    """A conditional write about one person leaves those about others alone, and is kept off by one about anybody."""
    here, there = UUID(int=1), UUID(int=2)
    with transaction.atomic():
        locks.hold([Wanted("Observation", frozenset({here}))])
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                free = {name: _free(cursor, steps) for name, steps in {
                    "same person": locks.steps([Wanted("Observation", frozenset({here}))]),
                    "other person": locks.steps([Wanted("Observation", frozenset({there}))]),
                    "other type": locks.steps([Wanted("Condition", frozenset({here}))]),
                    "anybody": locks.steps([Wanted("Observation", None)]),
                    "two persons": locks.steps([Wanted("Observation", frozenset({here, there}))]),
                }.items()}  # fmt: skip
        finally:
            other.close()
    assert free == {
        "same person": False, "other person": True, "other type": True, "anybody": False, "two persons": False,
    }  # fmt: skip


def _free(cursor: Any, steps: list[tuple[str, str]]) -> bool:
    asked = ", ".join(f"{lock.replace('pg_', 'pg_try_', 1)}({locks.number(name)})" for name, lock in steps)
    cursor.execute("BEGIN")
    cursor.execute(f"SELECT {asked}")
    got = cursor.fetchone()
    cursor.execute("ROLLBACK")
    return all(got)


def test_a_server_that_dies_in_the_middle_has_written_nothing(family: Neighbourhood) -> None:
    """The backend is killed while a transaction's last entry waits; what its first entries did is gone."""
    kept, blocked = family.mother.made(weight()), family.mother.made(weight())
    before = rows()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM phr_resource WHERE fhir_id = %s FOR UPDATE", [blocked["id"]])
        child = os.fork()
        if child == 0:
            _ask_and_wait(family, kept, blocked)
        _wait_until_blocked(cursor)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        cursor.execute(f"SELECT pg_terminate_backend(pid) {WAITING}")
    assert rows() == before
    assert family.mother.get(f"Observation/{kept['id']}").headers["ETag"] == 'W/"1"'
    assert family.mother.delete(f"Observation/{blocked['id']}").status == 204  # nothing stays locked


def _ask_and_wait(family: Neighbourhood, kept: dict[str, Any], blocked: dict[str, Any]) -> None:
    connection.connection = None  # the parent's; a child opens its own
    family.mother.bundle(
        "transaction", post(weight()), entry("PUT", f"Observation/{kept['id']}", kept | {"status": "amended"}),
        post(named(), ifNoneExist="identifier=urn:x|1"), entry("DELETE", f"Observation/{blocked['id']}"),
    )  # fmt: skip
    os._exit(0)


def _wait_until_blocked(cursor: Any) -> None:
    for _ in range(200):
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # what is looked at once in a transaction stays as it was
        cursor.execute(f"SELECT count(*) {WAITING}")
        if cursor.fetchone()[0]:
            return
        cursor.execute("SELECT pg_sleep(0.05)")
    raise AssertionError("the other transaction never came to the lock")
