"""What the family allows goes to a second server of ours: once, in its latest version, and only while it is allowed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from consent import audit, grants
from consent.decide import Caller, Capacity
from consent.models import AuditEntry, Grant
from consent.scope import Clause, Door
from integrations.fhir_peer import client, parse, pushing, queueing, registry, syncing
from integrations.models import Peer, PeerDelivery
from phr.records import body
from phr.records.gateway import Records
from tests.consent.people import People
from tests.integrations.fhir_peer.conftest import Second, Ticking
from tests.integrations.fhir_peer.moves import link, registered, stored, weight
from tests.integrations.test_killed import own_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def peer(family: People, second: Second, clock: Ticking, settings: Any) -> Peer:
    settings.DEMO = True
    settings.PHR_BASE_URL = f"https://ours-{os.urandom(6).hex()}.example"  # each test is another server to the second
    made = registered(second.base, second.key, family.clinic, now=clock(), pushes=True, pulls=False)
    link(made, family.yuki_subject.pk, second.patients["hana"], now=clock())
    return made


def sync(peer: Peer, clock: Ticking) -> bool:
    Peer.objects.filter(pk=peer.pk).update(next_at=clock())
    return syncing.sync(peer.pk, clock=clock, draw=lambda: 0.5)


def allow(family: People, clock: Ticking, **more: Any) -> Grant:
    told: dict[str, Any] = {
        "actors": frozenset({f"org:{family.clinic.pk}"}),
        "purposes": frozenset({"TREAT"}),
        "level": 2,
    }
    root = Clause(permit=True, **(told | more))
    return grants.give(subject=family.yuki_subject, root=root, by=family.yuki, capacity="self", now=clock())


def own_words(family: People, clock: Ticking) -> Records:
    who = Caller(client="app", capacity=Capacity.SELF, purpose="PATRQT", doors=(Door("*", "cruds"),),
                 person=family.yuki.pk, subject=family.yuki_subject.pk)  # fmt: skip
    return Records.opened_by(who, now=clock())


def changed(family: People, clock: Ticking, one: dict[str, Any], value: float) -> None:
    content = one | {"valueQuantity": one["valueQuantity"] | {"value": value}}
    own_words(family, clock).update("Observation", one["id"], content)


def written(family: People, clock: Ticking, value: float = 60) -> dict[str, Any]:
    made = own_words(family, clock).create(weight(str(family.yuki_subject.pk), value))
    return body.parse(made.body or b"{}")


def over_there(peer: Peer, clock: Ticking, *, most: int = 100) -> list[dict[str, Any]]:
    """What the second server has from this very server, asked with our own right there."""
    url, found = f"{peer.base}/Observation?_count=200&_sort=-_lastUpdated", []
    while url and len(found) < most:
        page = parse.searchset(client.get(Peer.objects.get(pk=peer.pk), url, clock=clock).body, at=url)
        found, url = [*found, *page.entries], page.next
    return [f for f in found if str(f["meta"].get("source", "")).startswith(registry.own_base())]


def test_it_goes_when_she_allows_it_and_in_its_latest_version(
    family: People, second: Second, peer: Peer, clock: Ticking, settings: Any
) -> None:
    first = written(family, clock, 60)
    assert sync(peer, clock)
    assert PeerDelivery.objects.get().state == "withheld", "nobody has allowed it"
    assert not AuditEntry.objects.filter(event="peer:sent").exists()

    given = allow(family, clock)
    assert sync(peer, clock)
    changed(family, clock, first, 61)
    assert sync(peer, clock) and sync(peer, clock)
    [there] = over_there(peer, clock)
    assert there["valueQuantity"]["value"] in (61, "61")
    assert there["subject"]["reference"] == f"Patient/{second.patients['hana']}"
    assert there["meta"]["versionId"] == "2"
    lines = AuditEntry.objects.filter(event="peer:sent", subject=family.yuki_subject.pk)
    told = [d["resources"] for d in audit.opened(lines.order_by("pk")) if d]
    assert told == [[f"Observation/{first['id']}/1"], [f"Observation/{first['id']}/2"]]

    grants.withdraw(grant=given, by=family.yuki, reason="withdrawn", now=clock())
    changed(family, clock, first, 62)
    written(family, clock, 70)
    assert sync(peer, clock)
    [there] = over_there(peer, clock)
    assert there["meta"]["versionId"] == "2", "nothing went after she withdrew"
    assert set(PeerDelivery.objects.values_list("state", flat=True)) == {"withheld"}


def test_an_outage_passes_and_an_answer_that_was_lost_doubles_nothing(
    family: People, second: Second, peer: Peer, clock: Ticking, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(family, clock)
    made = [written(family, clock, 50 + n) for n in range(3)]
    second.kill()
    assert not sync(peer, clock)
    peer.refresh_from_db()
    assert (peer.problem, peer.failures) == ("unreachable", 1)
    assert peer.next_at >= clock() + timedelta(seconds=15)
    assert set(PeerDelivery.objects.values_list("state", flat=True)) == {"due"}
    second.start()

    def lost(*args: Any, **options: Any) -> None:
        raise RuntimeError("killed before the answer was read")

    with monkeypatch.context() as patched:
        patched.setattr(pushing, "_settled", lost)
        assert not sync(peer, clock)
    assert len(over_there(peer, clock)) == 3
    own_words(family, clock).update("Observation", made[0]["id"], made[0] | {"status": "amended"})
    assert sync(peer, clock)
    there = over_there(peer, clock)
    assert len(there) == 3, "each once"
    assert sorted(o["status"] for o in there) == ["amended", "final", "final"]
    assert set(PeerDelivery.objects.values_list("state", flat=True)) == {"sent"}


WORKER = """
import os, signal, sys
import django
django.setup()
from django.utils import timezone
from integrations.fhir_peer import pushing, syncing
pushing._settled = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
syncing.sync(int(sys.argv[1]), clock=timezone.now)
"""


def test_a_killed_worker_doubles_nothing(
    family: People, second: Second, peer: Peer, clock: Ticking, settings: Any
) -> None:
    allow(family, clock)
    written(family, clock, 55)
    environment = {**os.environ, "DATABASE_URL": own_database(), "PHR_DEMO": "1", "PHR_BASE_URL": settings.PHR_BASE_URL}
    killed = subprocess.run(
        [sys.executable, "-c", WORKER, str(peer.pk)], env=environment, cwd=Path(__file__).parents[3], check=False,
        timeout=120,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert len(over_there(peer, clock)) == 1, "it was there before the worker died"
    assert not sync(peer, clock), "a peer whose worker may be alive is left to it"
    Peer.objects.update(claimed_at=timezone.now() - timedelta(hours=1))
    assert sync(peer, clock)
    assert PeerDelivery.objects.get().state == "sent"
    assert len(over_there(peer, clock)) == 1


def test_what_came_from_them_does_not_go_back_and_what_went_does_not_come_back(
    family: People, second: Second, peer: Peer, clock: Ticking, settings: Any
) -> None:
    Peer.objects.update(pulls=True)
    allow(family, clock)
    theirs = second.write(weight(second.patients["hana"], 44))
    written(family, clock, 66)
    assert sync(peer, clock) and sync(peer, clock) and sync(peer, clock)
    subject = family.yuki_subject.pk
    here = [o["valueQuantity"]["value"] for o in stored(subject, "Observation")]
    assert sorted(here).count(44) == 1 and here.count(66) == 1
    sent = PeerDelivery.objects.filter(state="sent")
    assert sent.count() == 1 and queueing.State.SENT == "sent"
    assert len(over_there(peer, clock)) == 1
    assert second.ask("GET", f"Observation/{theirs['id']}")[1]["meta"]["versionId"] == "1"


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.long)])
def test_killed_again_and_again_the_peer_has_each_once(
    family: People, second: Second, peer: Peer, clock: Ticking, kills: int
) -> None:
    """kill -9 of their server at any moment, also while it writes: in the end each resource is there, once."""
    allow(family, clock)
    dice, expected = random.Random(kills), 0
    for turn in range(kills):
        own_words(family, clock).create_all([weight(str(family.yuki_subject.pk), 40 + n) for n in range(40)])
        expected += 40
        killer = threading.Timer(dice.uniform(0.02, 0.8), second.kill)
        killer.start()
        sync(peer, clock)
        killer.join()
        if second.child is None:
            second.start()
        assert turn < kills
    for _ in range(20):
        if sync(peer, clock):
            break
    assert set(PeerDelivery.objects.values_list("state", flat=True)) == {"sent"}
    there = [o["meta"]["source"] for o in over_there(peer, clock, most=expected + 100)]
    assert (len(there), len(set(there))) == (expected, expected)
