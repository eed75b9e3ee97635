"""A second server of ours as the peer: in and out, through outages, without duplicates, as the consents stand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from integrations.fhir_peer import syncing
from integrations.models import Peer, PeerKnown, PeerPerson
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.fhir_peer.conftest import Second, Ticking
from tests.integrations.fhir_peer.moves import link, registered, stored, weight


@pytest.fixture
def peer(family: People, second: Second, clock: Ticking, settings: object) -> Peer:
    settings.DEMO = True  # type: ignore[attr-defined]
    made = registered(second.base, second.key, family.clinic, now=clock())
    link(made, family.yuki_subject.pk, second.patients["hana"], now=clock())
    return made


def sync(peer: Peer, clock: Ticking) -> bool:
    Peer.objects.filter(pk=peer.pk).update(next_at=clock())
    return syncing.sync(peer.pk, clock=clock, draw=lambda: 0.5)


def test_what_they_have_of_her_comes_once_and_stays_in_step(
    family: People, second: Second, peer: Peer, clock: Ticking
) -> None:
    hana, subject = second.patients["hana"], family.yuki_subject.pk
    visit = second.write({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
                          "subject": {"reference": f"Patient/{hana}"}})  # fmt: skip
    first = second.write(weight(hana, 58.1, encounter={"reference": f"Encounter/{visit['id']}"},
                                identifier=[{"system": "urn:theirs", "value": "7"}]))  # fmt: skip
    second.write(weight(second.patients["stranger"], 77))
    assert sync(peer, clock), Peer.objects.get().problem

    [here] = stored(subject, "Observation")
    [encounter] = stored(subject, "Encounter")
    assert here["subject"]["reference"] == f"Patient/{subject}"
    assert here["encounter"]["reference"] == f"Encounter/{encounter['id']}"
    assert here["identifier"] == [{"system": "urn:theirs", "value": "7"}]
    assert here["meta"]["source"] == f"{second.base}/Observation/{first['id']}"
    assert PeerKnown.objects.get(type="Observation").version == "1"
    [trail] = [p for p in stored(subject, "Provenance") if f"Observation/{here['id']}" in str(p["target"])]
    assert trail["agent"][0]["who"]["identifier"]["value"] == family.clinic.code
    assert trail["entity"][0]["what"]["identifier"]["value"].endswith("/_history/1")

    before = Resource.objects.count()
    assert sync(peer, clock)
    assert Resource.objects.count() == before, "again changes nothing"
    second.write(first | {"valueQuantity": first["valueQuantity"] | {"value": 59}})
    assert sync(peer, clock)
    [here] = stored(subject, "Observation")
    assert (here["valueQuantity"]["value"], here["meta"]["versionId"]) == (59, "2")

    assert second.ask("DELETE", f"Observation/{first['id']}")[0] == 204
    PeerPerson.objects.update(reconciled_at=clock() - timedelta(hours=7))
    assert sync(peer, clock)
    [here] = stored(subject, "Observation")
    assert (here["status"], here["meta"]["versionId"]) == ("entered-in-error", "3")
    assert PeerKnown.objects.get(type="Observation").gone
