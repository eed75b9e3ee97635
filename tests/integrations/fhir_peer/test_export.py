"""Fetching by Bulk Data Export: what is of linked persons is stored, everything else is passed over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.fhir_peer import client
from integrations.models import Peer, PeerKnown
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.fhir_peer.conftest import Ticking
from tests.integrations.fhir_peer.moves import link, registered, stored
from tests.integrations.fhir_peer.test_hostile import other, sync, theirs
from tests.integrations.fhir_peer.wire import HERS, KEY, Wire


@pytest.fixture
def peer(family: People, wire: Wire, clock: Ticking, settings: Any) -> Peer:
    settings.DEMO = True
    made = registered(wire.base, KEY, family.clinic, now=clock(), types=("Observation",), bulk="Group/ours")
    link(made, family.yuki_subject.pk, HERS, now=clock())
    return made


def ndjson(*resources: Any) -> bytes:
    return b"".join(json.dumps(r).encode() + b"\n" for r in resources)


def ready(wire: Wire, *files: dict[str, str], **more: Any) -> None:
    manifest = {"transactionTime": "2026-03-31T00:00:00Z", "request": "x", "output": list(files), "error": [], **more}
    wire.answers["/fhir/jobs/1"] = (200, {}, json.dumps(manifest).encode())


def kicked_off(wire: Wire, peer: Peer, clock: Ticking) -> None:
    place = {"Content-Location": f"{wire.base}/jobs/1"}
    wire.answers["/fhir/Group/ours/$export"] = (202, place, b"")
    wire.answers["/fhir/jobs/1"] = (202, {"X-Progress": "half"}, b"")
    assert sync(peer, clock) == ""


@pytest.mark.spec("Bulk Data Access", "export", "kick-off, status, complete status response, deleted")
def test_an_export_is_kicked_off_looked_after_and_taken_in(
    family: People, wire: Wire, peer: Peer, clock: Ticking
) -> None:
    kicked_off(wire, peer, clock)
    assert sync(peer, clock) == "" and not Resource.objects.filter(type="Observation").exists()
    wire.answers["/fhir/files/1"] = (200, {}, ndjson(theirs("a"), theirs("b"), theirs("c", subject=other("p-2"))))
    ready(wire, {"type": "Observation", "url": f"{wire.base}/files/1"}, {"type": "Patient", "url": f"{wire.base}/no"})
    assert sync(peer, clock) == ""
    assert len(stored(family.yuki_subject.pk, "Observation")) == 2
    assert sorted(PeerKnown.objects.values_list("theirs", flat=True)) == ["a", "b"], "nothing is kept of the others"
    assert wire.asked[-1] == "DELETE /fhir/jobs/1" and not any("/no" in a for a in wire.asked)

    kicked_off(wire, peer, clock)
    assert "_since=2026-03-30T23%3A55" in wire.asked[-1]
    deleted = {"resourceType": "Bundle", "type": "transaction",
               "entry": [{"request": {"method": "DELETE", "url": "Observation/a"}}]}  # fmt: skip
    wire.answers["/fhir/files/2"] = (200, {}, ndjson(deleted, {"resourceType": "Bundle", "entry": [7]}))
    ready(wire, deleted=[{"type": "Bundle", "url": f"{wire.base}/files/2"}])
    assert sync(peer, clock) == ""
    statuses = {o["meta"]["source"][-1]: o["status"] for o in stored(family.yuki_subject.pk, "Observation")}
    assert statuses == {"a": "entered-in-error", "b": "final"}


@pytest.mark.parametrize(
    ("manifest", "code"),
    [({"transactionTime": "x"}, "export-unusable"), ({"output": {}}, "export-unusable"),
     ({"output": [{"type": "Observation"}]}, "export-unusable"),
     ({"output": [{"type": "Observation", "url": "https://evil.example/1"}]}, "other-host"),
     ({"output": [{"type": "Observation", "url": "gopher:1"}]}, "not-an-address")],
)  # fmt: skip
def test_a_manifest_that_leads_nowhere(
    family: People, wire: Wire, peer: Peer, clock: Ticking, manifest: dict[str, Any], code: str
) -> None:
    kicked_off(wire, peer, clock)
    ready(wire, **manifest)
    assert sync(peer, clock) == code
    peer.refresh_from_db()
    assert peer.export_since is None


def test_a_file_that_breaks_in_the_middle_is_taken_again_from_its_beginning(
    family: People, wire: Wire, peer: Peer, clock: Ticking
) -> None:
    kicked_off(wire, peer, clock)
    lines = [theirs(f"n{n}") for n in range(250)]
    wire.answers["/fhir/files/1"] = (200, {}, ndjson(*lines) + b'{"resourceType": "Obs')
    ready(wire, {"type": "Observation", "url": f"{wire.base}/files/1"})
    assert sync(peer, clock) == "not-json"
    assert len(stored(family.yuki_subject.pk, "Observation")) == 200, "whole slices stay"
    wire.answers["/fhir/files/1"] = (200, {}, ndjson(*lines))
    assert sync(peer, clock) == ""
    assert len(stored(family.yuki_subject.pk, "Observation")) == 250


def test_an_export_that_is_gone_there_begins_anew(family: People, wire: Wire, peer: Peer, clock: Ticking) -> None:
    kicked_off(wire, peer, clock)
    wire.answers["/fhir/jobs/1"] = (404, {}, b"")
    assert sync(peer, clock) == "export-404"
    peer.refresh_from_db()
    assert peer.export_url == ""
    wire.answers["/fhir/Group/ours/$export"] = (202, {"Content-Location": "https://evil.example/1"}, b"")
    client.forget_token(peer)
    assert sync(peer, clock) == "other-host"
