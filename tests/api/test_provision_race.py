"""Withdrawing races against handing over: what was begun after the commit hands over nothing (IT-07, IT-11)."""

from __future__ import annotations

from threading import Event, Thread

import pytest
from django.db import connection
from django.utils import timezone

from consent import grants
from consent.models import Grant, Person, Provision, Subject
from phr.populate.cast import YUKI
from tests.api.test_provisions import World, system
from tests.family import at_home, weight
from tests.institution import trust

ROUNDS, READERS = 6, 3
SEEN_FIRST = 2  # pages handed over before it is withdrawn, so that the race is one


@pytest.mark.django_db(transaction=True)
@pytest.mark.IT("07", "11")
def test_nothing_is_handed_over_after_the_commit() -> None:
    family, desk = at_home(), trust(timezone.now())
    to = desk.recipient()
    yuki, subject = Person.objects.get(username="yuki"), Subject.objects.get(pk=YUKI)
    desk.entrusted(subject, yuki)
    for _ in range(3):
        family.mother.made(weight())
    apps = [system(to) for _ in range(READERS)]
    program = desk.program(to)
    leaks: list[str] = []
    handed = 0
    for _ in range(ROUNDS):
        grant: Grant = desk.given(subject, yuki, f"org:{to.organization_id}")
        world = World(desk, to, program, apps[0], yuki, subject, grant)
        [id] = world.handed()
        served, late = _race(apps, id, grant, yuki)
        handed += served
        leaks += late
        kept = Provision.objects.get(pk=id)
        assert len(kept.items) == len(set(kept.items)) == 3
    assert leaks == [] and handed >= ROUNDS * SEEN_FIRST


def _race(apps: list[object], id: str, grant: Grant, yuki: Person) -> tuple[int, list[str]]:
    """How often it was handed over before, and what was handed over by a request that began after the commit."""
    withdrawn, over, served, late = Event(), Event(), [], []

    def read(app: object) -> None:
        try:
            while not over.is_set():
                after = withdrawn.is_set()
                answer = app.ask("GET", f"/api/trust/recipient/provisions/{id}")  # type: ignore[attr-defined]
                if answer.status == 200 and after:
                    late.append(id)
                elif answer.status == 200:
                    served.append(id)
                elif answer.status != 404:
                    late.append(repr(answer))
        finally:
            connection.close()

    readers = [Thread(target=read, args=(app,)) for app in apps]
    for reader in readers:
        reader.start()
    while len(served) < SEEN_FIRST and not late:
        over.wait(0.01)
    grants.withdraw(grant=grant, by=yuki, reason="", now=timezone.now())
    withdrawn.set()
    over.wait(0.5)
    over.set()
    for reader in readers:
        reader.join()
    return len(served), late
