"""Times a peer tells, and the time it takes: neither keeps anybody waiting for long."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from integrations.fhir_peer import client, exporting, parse, syncing
from integrations.models import Peer, PeerCursor
from tests.consent.people import People
from tests.integrations.fhir_peer.conftest import Ticking
from tests.integrations.fhir_peer.moves import link, stored
from tests.integrations.fhir_peer.test_hostile import OBSERVATIONS, peer, sync, theirs
from tests.integrations.fhir_peer.wire import HERS, Told, Wire, page

__all__ = ["peer"]
HIS = "p-7"


@pytest.mark.parametrize("told", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1899-12-31T00:00:00+00:00"])
def test_a_time_nobody_can_reckon_with_is_none(told: str) -> None:
    assert parse.instant(told) is None
    assert parse.date_header("Fri, 31 Dec 9999 00:00:00 GMT") is None


def test_the_year_one_stops_nothing(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    first = {"versionId": "1", "lastUpdated": "0001-01-01T00:00:00Z"}
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs(meta=first)))
    assert sync(peer, clock) == "" and sync(peer, clock) == ""
    wire.answers[OBSERVATIONS] = (200, {}, page(theirs("w-2")))
    assert sync(peer, clock) == ""
    assert len(stored(family.yuki_subject.pk, "Observation")) == 2
    wire.answers["/fhir/Group/ours/$export"] = (202, {"Content-Location": f"{wire.base}/jobs/1"}, b"")
    wire.answers["/fhir/jobs/1"] = (200, {}, json.dumps({"transactionTime": first["lastUpdated"]}).encode())
    Peer.objects.filter(pk=peer.pk).update(bulk="Group/ours")
    assert (sync(peer, clock), sync(peer, clock)) == ("", "export-unusable")
    assert peer.export_since is None


def test_a_version_from_the_future_keeps_out_no_later_one(
    family: People, wire: Wire, peer: Peer, clock: Ticking
) -> None:
    for version, at, value in (("1", "2199-01-01T00:00:00Z", 51), ("2", "2026-03-02T00:00:00Z", 52)):
        said = theirs(meta={"versionId": version, "lastUpdated": at}, valueQuantity={"value": value, "unit": "kg"})
        wire.answers[OBSERVATIONS] = (200, {"Date": "Fri, 01 Jan 2199 00:00:00 GMT"}, page(said))
        assert sync(peer, clock) == ""
        assert PeerCursor.objects.get().since <= clock() + parse.AHEAD
    [here] = stored(family.yuki_subject.pk, "Observation")
    assert here["valueQuantity"]["value"] == 52


def test_what_is_wrong_about_one_keeps_no_other_waiting(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    link(peer, family.hana.pk, HIS, now=clock())

    def told(path: str) -> Told:
        return (200, {}, b"<html>" if HERS in path else page(theirs(subject={"reference": f"Patient/{HIS}"})))

    wire.answers[OBSERVATIONS] = told
    for _ in range(3):  # whoever comes first
        assert sync(peer, clock) == "not-json"
    assert len(stored(family.hana.pk, "Observation")) == 1


@pytest.fixture
def slow(wire: Wire, clock: Ticking, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Every page takes half a minute, and there is always another one. Who is due to others meanwhile."""
    due: list[list[int]] = []
    ask = client.get

    def get(peer: Peer, url: str, *, clock: Ticking) -> Any:
        clock.ahead += timedelta(seconds=29)
        due.append(syncing.due(now=clock()))
        return ask(peer, url, clock=clock)

    def endless(path: str) -> Told:
        return 200, {}, page(link=[{"relation": "next", "url": f"{wire.base}/Observation?page={len(due)}"}])

    monkeypatch.setattr(client, "get", get)
    wire.answers[OBSERVATIONS] = endless
    return due


def test_a_slow_peer_has_its_turn_and_no_more(peer: Peer, clock: Ticking, slow: list[list[int]]) -> None:
    assert sync(peer, clock) == "out-of-time"
    assert 50 < len(slow) < 70, "half an hour"
    assert not any(slow), "nobody else comes in while it is at it"
    assert peer.failures == 0 and peer.next_at <= clock() + timedelta(minutes=2), "it goes on at its next turn"


def test_a_long_download_is_not_taken_for_dead(
    family: People, peer: Peer, clock: Ticking, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was taken in one turn is not asked for again in the next."""
    Peer.objects.filter(pk=peer.pk).update(bulk="Group/ours", export_url=f"{wire.base}/jobs/1")
    files = [{"type": "Observation", "url": f"{wire.base}/files/{n}"} for n in range(3)]
    told = {"transactionTime": "2026-03-31T00:00:00Z", "output": files}
    wire.answers["/fhir/jobs/1"] = (200, {}, json.dumps(told).encode())
    for n in range(3):
        wire.answers[f"/fhir/files/{n}"] = (200, {}, json.dumps(theirs(f"w-{n}")).encode())
    due: list[list[int]] = []
    write = exporting._Beating.write

    def slowly(self: Any, piece: bytes) -> int:
        for _ in range(4):
            clock.ahead += timedelta(minutes=4)
            write(self, b"")
            due.append(syncing.due(now=clock()))
        return write(self, piece)

    monkeypatch.setattr(exporting._Beating, "write", slowly)
    assert sync(peer, clock) == "out-of-time"
    assert sync(peer, clock) == "out-of-time"
    assert sync(peer, clock) == ""
    assert due and not any(due)
    asked = [a.rpartition("/")[2] for a in wire.asked if "/files/" in a]
    assert asked == ["0", "1", "1", "2", "2"], "a file that was taken is not taken again"
    peer.refresh_from_db()
    assert (peer.export_url, peer.export_taken) == ("", [])
    assert len(stored(family.yuki_subject.pk, "Observation")) == 3
