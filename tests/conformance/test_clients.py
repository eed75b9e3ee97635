"""Clients written by others get along with the REST door, over a real connection: fhirclient (SMART's) and fhirpy."""

from __future__ import annotations

from typing import Any

import pytest
from fhirclient import client as smart
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from phr.populate.cast import HANA, YUKI
from tests.conformance.conftest import Live
from tests.family import post, pressure, weight

PAGED = 7  # resources, in pages of three


@pytest.fixture
def fhirclient(live: Live) -> Any:
    """The client of SMART: finds the OAuth endpoints in the CapabilityStatement by itself."""
    made = smart.FHIRClient(settings={"app_id": "tsumugi-app", "api_base": live.base})
    assert not made.ready and made.prepare() is False, "no token yet"
    assert made.server.auth._authorize_uri == live.base.removesuffix("/fhir") + "/oauth/authorize"
    made.server.auth.access_token = live.family.mother.token
    assert made.ready
    return made.server


@pytest.fixture
def fhirpy(live: Live) -> Any:
    return SyncFHIRClient(live.base, authorization=live.authorization)


def plain(resource: dict[str, Any]) -> dict[str, Any]:
    """Numbers as these clients know them."""
    if quantity := resource.get("valueQuantity"):
        resource = resource | {"valueQuantity": quantity | {"value": float(quantity["value"])}}
    return resource


class TestFhirclient:
    def test_create_read_update_delete(self, fhirclient: Any) -> None:
        made = Observation(plain(weight())).create(fhirclient)
        read = Observation.read(made["id"], fhirclient)
        assert (read.valueQuantity.value, read.meta.versionId) == (52.4, "1")
        read.status = "amended"
        assert read.update(fhirclient)["meta"]["versionId"] == "2"
        assert Observation.read(made["id"], fhirclient).status == "amended"
        read.delete(fhirclient)
        with pytest.raises(FHIRNotFoundException):
            Patient.read(str(HANA), fhirclient)

    def test_search_with_chain_include_and_pages(self, fhirclient: Any) -> None:
        for day in range(1, PAGED + 1):
            Observation(plain(weight(on=f"2026-03-0{day}T09:00:00+09:00"))).create(fhirclient)
        asked = {"patient": str(YUKI), "code": "http://loinc.org|29463-7", "_sort": "-date", "_count": "3"}
        found = list(Observation.where(asked).perform_resources_iter(fhirclient))
        assert [r.effectiveDateTime.isostring[:10] for r in found] == [f"2026-03-0{d}" for d in range(PAGED, 0, -1)]
        chained = Observation.where({"patient.birthdate": "lt2030", "date": "gt2026-03-05"})
        assert len(list(chained.perform_resources_iter(fhirclient))) == PAGED - 5
        page = Observation.where(asked).include("subject").perform(fhirclient)
        modes = sorted((entry.search.mode, entry.resource.resource_type) for entry in page.entry)
        assert modes == [("include", "Patient")] + [("match", "Observation")] * 3
        back = Patient.where({"_id": str(YUKI)}).include("subject", Observation, reverse=True).perform(fhirclient)
        assert len(back.entry) == 1 + PAGED

    def test_transaction(self, fhirclient: Any) -> None:
        entries = [post(plain(weight())), post(plain(pressure()))]
        bundle = Bundle({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        answer = Bundle(fhirclient.post_json("", bundle.as_json()).json())
        assert [entry.response.status[:3] for entry in answer.entry] == ["201", "201"]

    def test_the_statement_is_one_it_can_read(self, fhirclient: Any) -> None:
        told = fhirclient.capabilityStatement
        assert told.fhirVersion == "4.0.1" and len(told.rest[0].resource) > 140


class TestFhirpy:
    def test_create_read_update_delete(self, fhirpy: SyncFHIRClient) -> None:
        made = fhirpy.resource("Observation", **plain(weight())).create()
        same = fhirpy.reference("Observation", made.id).to_resource()
        assert same.serialize() == made.serialize()
        same["status"] = "amended"
        same.save()
        assert (same["status"], same["meta"]["versionId"]) == ("amended", "2")
        same.refresh()
        assert same["meta"]["versionId"] == "2"
        same.delete()
        with pytest.raises(ResourceNotFound):
            fhirpy.reference("Observation", made.id).to_resource()

    def test_search_with_chain_has_include_and_pages(self, fhirpy: SyncFHIRClient) -> None:
        for day in range(1, PAGED + 1):
            fhirpy.resource("Observation", **plain(weight(on=f"2026-03-0{day}T09:00:00+09:00"))).create()
        observations = fhirpy.resources("Observation").search(patient=str(YUKI)).sort("date")
        found = observations.limit(3).fetch_all()
        assert [r["effectiveDateTime"][:10] for r in found] == [f"2026-03-0{d}" for d in range(1, PAGED + 1)]
        assert observations.search(date__gt="2026-03-05").count() == PAGED - 5
        assert observations.search(patient__Patient__birthdate__lt="2030").first()["id"] == found[0]["id"]
        heavy = fhirpy.resources("Patient").has("Observation", "subject", code="29463-7")
        assert [r.id for r in heavy.fetch()] == [str(YUKI)]
        page = observations.include("Observation", "subject").limit(2).fetch_raw()
        assert [e["search"]["mode"] for e in page["entry"]] == ["match", "match", "include"]
        back = fhirpy.resources("Patient").search(_id=str(YUKI)).revinclude("Observation", "subject").fetch_raw()
        assert len(back["entry"]) == 1 + PAGED
        assert len(observations.elements("status").first().serialize().keys() - {"meta"}) < 8

    def test_patch(self, live: Live, fhirpy: SyncFHIRClient) -> None:
        made = fhirpy.resource("Observation", **plain(weight())).create()
        patching = SyncFHIRClient(
            live.base, live.authorization, extra_headers={"Content-Type": "application/json-patch+json"}
        )
        steps: Any = [{"op": "replace", "path": "/status", "value": "amended"}]
        patched = patching.execute(f"Observation/{made.id}", method="patch", data=steps)
        assert (patched["status"], patched["meta"]["versionId"]) == ("amended", "2")

    def test_conditional_update_and_delete(self, fhirpy: SyncFHIRClient) -> None:
        named = plain(weight(identifier=[{"system": "urn:test", "value": "1"}]))
        same = fhirpy.resources("Observation").search(identifier="urn:test|1", patient=str(YUKI))
        made, created = same.update(fhirpy.resource("Observation", **named))
        again, created_again = same.update(fhirpy.resource("Observation", **named | {"status": "amended"}))
        assert (created, created_again, again["id"]) == (True, False, made["id"])
        assert same.get()["status"] == "amended"
        same.delete()
        assert same.fetch() == []

    def test_transaction_and_operations(self, fhirpy: SyncFHIRClient) -> None:
        entries = [post(plain(weight())), post(plain(pressure()))]
        told = fhirpy.execute("", data={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert [entry["response"]["status"][:3] for entry in told["entry"]] == ["201", "201"]
        whole = fhirpy.reference("Patient", str(YUKI)).execute("$everything", method="get")
        assert len(whole["entry"]) == 3
        url = "http://hl7.org/fhir/ValueSet/administrative-gender"
        expanded = fhirpy.execute("ValueSet/$expand", method="get", params={"url": url})
        assert len(expanded["expansion"]["contains"]) == 4

    def test_refusals_arrive_as_outcomes(self, fhirpy: SyncFHIRClient) -> None:
        with pytest.raises(OperationOutcome) as refused:
            fhirpy.resource("Observation", **plain(weight(status="nonsense"))).create()
        assert refused.value.resource["issue"][0]["expression"] == ["Observation.status"]
        assert fhirpy.resource("Observation", **plain(weight())).is_valid()
        assert not fhirpy.resource("Observation", **plain(weight(status="nonsense"))).is_valid()
