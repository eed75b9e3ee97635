"""What the tests of peers do again and again on our side."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.test import Client
from django.utils import timezone
from jwcrypto.jwk import JWK

from consent import prepared
from consent.models import Organization
from integrations import resolving
from integrations.depositing import Depositing
from integrations.fhir_peer import client, keys, registry
from integrations.items import Identity
from integrations.models import LocalNumber, Peer
from phr.records import body, store, vault
from phr.records.models import Resource
from phr.smart import assertion, demo
from phr.smart.models import Application

LOINC = "http://loinc.org"
TYPES = ("AllergyIntolerance", "Encounter", "Observation")


def weight(patient: str, value: float = 58.1, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "code": {"coding": [{"system": LOINC, "code": "29463-7"}]},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "vital-signs"}]}],
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": "2026-03-01",
        "valueQuantity": {"value": value, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}, **more,
    }  # fmt: skip


def registered(base: str, key: JWK, organization: Organization, *, now: datetime, **more: Any) -> Peer:
    """A peer with a key it knows already."""
    found = client.Configured(f"{base.removesuffix('/fhir')}/oauth/token", ("ES384",), "")
    told: dict[str, Any] = {
        "code": "second", "name": "となり", "base": base, "client_id": "tsumugi", "organization": organization,
        "found": found, "origins": registry.origins_of(base, []), "algorithm": "ES384", "types": TYPES,
        "categories": [], "purpose": "TREAT", "pulls": True, "pushes": False, "bulk": "", "now": now,
    }  # fmt: skip
    peer = registry.add(**(told | more))
    commons = vault.keys_for([None])[None]
    peer.kid, peer.public = key["kid"], json.loads(key.export_public())
    place = keys._place(peer)
    peer.sealed = vault.seal(key.export_private().encode(), place=place, subjects=(), keys=(commons,))
    peer.save()
    client._tokens.clear()
    return peer


def link(peer: Peer, subject: UUID, patient: str, *, now: datetime) -> LocalNumber:
    identity = Identity(registry.system(peer.base), patient)
    records = Depositing.opened_for(registry.caller(peer, "cu"), now=now)
    digest = resolving.digest_of(identity.system, identity.value)
    made = resolving.make(records, {digest: (identity, subject)}, now=now, ground=LocalNumber.Ground.CODE)
    return LocalNumber.objects.get(pk=made[digest])


def stored(subject: UUID, *types: str) -> list[dict[str, Any]]:
    """What stands in a record, whoever may see it."""
    rows = Resource.objects.filter(subject_id=subject, type__in=types, deleted=False).order_by("pk")
    found = prepared.fetch(f"{store.select()} WHERE r.id = ANY(%s) ORDER BY r.id", [[r.pk for r in rows]])
    return [body.parse(store.stored(row, store.facts_of_row(row)).body or b"{}") for row in found]


def system_token(organization: Organization, key: JWK, *, now: datetime | None = None) -> str:
    """A token of an organisation's own system, from the real endpoint."""
    made = Application(
        client_id=f"system-{organization.pk}", name="system", client_type="confidential", organization=organization,
        authorization_grant_type="client-credentials", token_endpoint_auth_method="private_key_jwt",
        system_scopes="system/*.cruds", client_jwks={"keys": [json.loads(key.export_public())]},
    )  # fmt: skip
    made.full_clean()
    made.save()
    form = urlencode({
        "grant_type": "client_credentials", "scope": "system/*.cruds", "client_assertion_type": assertion.TYPE,
        "client_assertion": demo.sign(made.client_id, key, now=now or timezone.now()),
    })  # fmt: skip
    answer = Client().generic("POST", "/oauth/token", form, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])
