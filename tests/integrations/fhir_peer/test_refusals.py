"""What a peer does not take: its own resource stops, with a reason; the queue goes on; what may pass is tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import grants
from consent.decide import Caller, Capacity
from consent.models import AuditEntry
from consent.scope import Door
from integrations.fhir_peer import pushing, registry, syncing
from integrations.models import DeadLetter, Peer, PeerDelivery
from phr.records.gateway import Records
from tests.consent.people import People
from tests.integrations.fhir_peer.conftest import Ticking
from tests.integrations.fhir_peer.moves import link, registered, weight
from tests.integrations.fhir_peer.test_sending import allow, changed, own_words, written
from tests.integrations.fhir_peer.wire import HERS, KEY, Told, Wire

pytestmark = pytest.mark.django_db(transaction=True)

Judge = Callable[[dict[str, Any]], int]  # an entry -> the status of the whole transaction it is in


class Taker:
    """A peer that keeps what it takes, by identifier; an entry it judges otherwise fails the whole transaction."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.judge, self.bundles = wire, (lambda entry: 200), 0
        self.kept: dict[str, list[float]] = {}
        wire.answers["/fhir"] = self.take

    def take(self, path: str) -> Told:
        bundle = json.loads(self.wire.bodies[-1])
        self.bundles += 1
        worst = max(self.judge(entry) for entry in bundle["entry"])
        if worst >= 300:
            return worst, {"Retry-After": "600"} if worst == 429 else {}, b"{}"
        told = [{"response": {"status": self._one(entry)}} for entry in bundle["entry"]]
        return 200, {}, json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": told}).encode()

    def _one(self, entry: dict[str, Any]) -> str:
        if entry["request"]["method"] == "DELETE":
            return "204 No Content"
        name = entry["resource"]["identifier"][-1]["value"]
        there = name in self.kept
        if not (there and entry["request"]["method"] == "POST"):
            self.kept.setdefault(name, []).append(entry["resource"]["valueQuantity"]["value"])
        return "200 OK" if there else "201 Created"


@pytest.fixture
def taker(wire: Wire) -> Taker:
    return Taker(wire)


@pytest.fixture
def peer(family: People, wire: Wire, taker: Taker, clock: Ticking, settings: Any) -> Peer:
    settings.DEMO = True
    made = registered(wire.base, KEY, family.clinic, now=clock(), types=("Observation",), pulls=False, pushes=True)
    link(made, family.yuki_subject.pk, HERS, now=clock())
    return made


def sync(peer: Peer, clock: Ticking) -> str:
    Peer.objects.filter(pk=peer.pk).update(next_at=clock())
    syncing.sync(peer.pk, clock=clock, draw=lambda: 0.5)
    peer.refresh_from_db()
    return peer.problem


def valued(value: float) -> Judge:
    return lambda entry: 422 if entry.get("resource", {}).get("valueQuantity", {}).get("value") == value else 200


def states() -> list[str]:
    return sorted(PeerDelivery.objects.values_list("state", flat=True))


def test_a_refusal_stops_its_own_resource_only(family: People, taker: Taker, peer: Peer, clock: Ticking) -> None:
    allow(family, clock)
    made = [written(family, clock, 50 + n) for n in range(5)]
    taker.judge = valued(52)
    assert sync(peer, clock) == ""
    assert states() == ["dead", "sent", "sent", "sent", "sent"] and len(taker.kept) == 4
    dead = PeerDelivery.objects.get(state="dead")
    assert (dead.ours, dead.reason) == (made[2]["id"], "status-422")
    letter = DeadLetter.objects.get()
    assert (letter.reference, letter.reason) == (str(dead.pk), "status-422")
    assert AuditEntry.objects.filter(event="peer:stopped", subject=family.yuki_subject.pk).count() == 1

    before = taker.bundles
    assert sync(peer, clock) == "" and taker.bundles == before, "it is not sent again by itself"
    changed(family, clock, made[2], 53.5)
    assert sync(peer, clock) == ""
    assert states() == ["sent"] * 5, "changed here, it is another try"
    taker.judge = lambda entry: 200
    PeerDelivery.objects.filter(pk=dead.pk).update(state="dead", sent=0)
    pushing.retry(dead.pk, now=clock())
    assert sync(peer, clock) == "" and states() == ["sent"] * 5


def test_one_that_breaks_them_does_not_hold_up_the_others(
    family: People, taker: Taker, peer: Peer, clock: Ticking
) -> None:
    allow(family, clock)
    for n in range(4):
        written(family, clock, 50 + n)
    taker.judge = lambda entry: 500 if entry["resource"]["valueQuantity"]["value"] == 51 else 200
    for _ in range(pushing.ALONE):
        assert sync(peer, clock) == "status-500"
    assert sync(peer, clock) == ""
    assert states() == ["due", "sent", "sent", "sent"]
    for _ in range(pushing.MOST_ATTEMPTS):
        clock.ahead += timedelta(hours=7)
        assert sync(peer, clock) == ""
    assert states() == ["dead", "sent", "sent", "sent"]
    assert PeerDelivery.objects.get(state="dead").reason == "gave-up"


def test_an_outage_gives_nothing_up(family: People, taker: Taker, peer: Peer, clock: Ticking) -> None:
    allow(family, clock)
    written(family, clock, 50)
    taker.judge = lambda entry: 503
    for _ in range(3 * pushing.MOST_ATTEMPTS):
        clock.ahead += timedelta(hours=7)
        assert sync(peer, clock) == "status-503"
    taker.judge = lambda entry: 429
    assert sync(peer, clock) == "status-429"
    assert peer.next_at - clock() >= timedelta(seconds=590)
    assert states() == ["due"] and not DeadLetter.objects.exists()
    taker.judge = lambda entry: 200
    assert sync(peer, clock) == "" and states() == ["sent"]


def test_withdrawn_between_two_tries_it_does_not_go(family: People, taker: Taker, peer: Peer, clock: Ticking) -> None:
    given_ = allow(family, clock)
    written(family, clock, 50)
    taker.judge = lambda entry: 503
    assert sync(peer, clock) == "status-503"
    grants.withdraw(grant=given_, by=family.yuki, reason="withdrawn", now=clock())
    before = taker.bundles
    taker.judge = lambda entry: 200
    assert sync(peer, clock) == "" and taker.bundles == before and not taker.kept
    assert states() == ["withheld"]
    allow(family, clock)
    assert sync(peer, clock) == "" and states() == ["sent"]


def test_only_the_category_that_is_permitted_goes(family: People, taker: Taker, peer: Peer, clock: Ticking) -> None:
    allow(family, clock, categories=frozenset({"IMMUNIZATION"}))
    written(family, clock, 50)
    assert sync(peer, clock) == "" and states() == ["withheld"] and not taker.kept
    assert not AuditEntry.objects.filter(event="record:refused").exists(), "no refusal in anybody's statistics"


def test_what_is_deleted_here_is_deleted_there(family: People, taker: Taker, peer: Peer, clock: Ticking) -> None:
    allow(family, clock)
    one = written(family, clock, 50)
    assert sync(peer, clock) == ""
    own_words(family, clock).delete("Observation", one["id"])
    heard: list[dict[str, Any]] = []
    taker.judge = lambda entry: heard.append(entry["request"]) or 200  # type: ignore[func-returns-value]
    assert sync(peer, clock) == ""
    assert heard[0]["method"] == "DELETE" and heard[0]["url"].startswith("Observation?identifier=")
    assert sync(peer, clock) == "" and len(heard) == 1


def test_unlinked_nothing_goes(family: People, taker: Taker, peer: Peer, clock: Ticking) -> None:
    allow(family, clock)
    written(family, clock, 50)
    registry.numbers(peer).update(until=clock())
    assert sync(peer, clock) == "" and not taker.kept and not taker.bundles


def test_nobody_elses_record_goes(family: People, taker: Taker, peer: Peer, clock: Ticking) -> None:
    """Ren is not linked; what is written of Ren is not even queued."""
    allow(family, clock)
    mother = Caller(client="app", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=(Door("*", "cruds"),),
                    person=family.yuki.pk, subject=family.ren.pk)  # fmt: skip
    Records.opened_by(mother, now=clock()).create(weight(str(family.ren.pk), 5))
    assert sync(peer, clock) == "" and not PeerDelivery.objects.exists() and not taker.bundles


@given(failures=st.integers(0, 1000), after=st.none() | st.integers(0, 86_400), share=st.floats(0, 1))
def test_pauses_grow_to_a_limit_and_are_never_shorter_than_asked(
    failures: int, after: int | None, share: float
) -> None:
    found = registry.pause(failures, after=after, share=share)
    assert found >= timedelta(seconds=max(after or 0, 15))
    assert found <= max(registry.LONGEST, timedelta(seconds=after or 0))
    assert registry.pause(failures + 1, after=after, share=share) >= found


def test_what_was_there_before_the_peer_and_the_link_goes_too(
    family: People, wire: Wire, taker: Taker, clock: Ticking, settings: Any
) -> None:
    """A new peer does not read the past of everybody: each link brings its own."""
    settings.DEMO = True
    allow(family, clock)
    written(family, clock, 50)
    peer = registered(wire.base, KEY, family.clinic, now=clock(), types=("Observation",), pulls=False, pushes=True)
    assert sync(peer, clock) == "" and not PeerDelivery.objects.exists()
    written(family, clock, 51)
    assert sync(peer, clock) == "" and not PeerDelivery.objects.exists()
    link(peer, family.yuki_subject.pk, HERS, now=clock())
    written(family, clock, 52)
    assert sync(peer, clock) == "" and states() == ["sent"] * 3


def test_labels_do_not_leave(family: People, wire: Wire, taker: Taker, peer: Peer, clock: Ticking) -> None:
    """Sensitivity labels stay, as at every door, and so do our id and version."""
    allow(family, clock)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
    own_words(family, clock).create(weight(str(family.yuki_subject.pk), 50, meta={"security": [label]}))
    assert sync(peer, clock) == "" and states() == ["sent"]
    [sent] = [json.loads(b)["entry"][0]["resource"] for b in wire.bodies if b.startswith(b"{")]
    assert "security" not in sent["meta"] and not {"versionId", "lastUpdated"} & set(sent["meta"]) and "id" not in sent
    assert sent["subject"] == {"reference": f"Patient/{HERS}"}
