"""The purpose a system signs reaches the decision: a consent for one purpose opens nothing for another."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from consent import grants
from consent.models import AuditEntry, Grant, Subject
from consent.scope import Clause
from phr.populate import personas
from phr.populate.cast import YUKI
from phr.smart import assertion, demo
from tests.family import App, Neighbourhood, pressure


def token(family: Neighbourhood, **b2b: object) -> HttpResponse:
    told = {"version": "1", "organization_id": family.demo.clinic.code, **b2b}
    text = demo.sign(demo.CLINIC, demo.private_key(demo.CLINIC), now=timezone.now(), extensions={"hl7-b2b": told})
    fields = {"grant_type": "client_credentials", "scope": personas.SYSTEM, "client_assertion": text,
              "client_assertion_type": assertion.TYPE}  # fmt: skip
    form = "application/x-www-form-urlencoded"
    return Client().post("/oauth/token", urlencode(fields), content_type=form)  # type: ignore[return-value]


def signed(family: Neighbourhood, purpose: str) -> App:
    answer = token(family, purpose_of_use=[f"urn:oid:2.16.840.1.113883.5.8#{purpose}"])
    assert answer.status_code == 200, answer.content
    return App(answer.json()["access_token"])  # type: ignore[attr-defined]


@pytest.fixture
def place(family: Neighbourhood) -> str:
    """A blood pressure of Yuki's, opened to her clinic for payment only."""
    now, yuki, subject = timezone.now(), family.demo.people["yuki"], Subject.objects.get(pk=YUKI)
    for grant in Grant.objects.filter(subject=subject, state="active"):
        grants.withdraw(grant=grant, by=yuki, reason="", now=now)
    clinic = frozenset({f"org:{family.demo.clinic.pk}"})
    root = Clause(permit=True, actors=clinic, purposes=frozenset({"HPAYMT"}), categories=frozenset({"VITAL"}))
    grants.give(subject=subject, root=root, by=yuki, capacity="self", now=now)
    return f"Observation/{family.mother.made(pressure())['id']}"


@pytest.mark.IT("04")
def test_the_signed_purpose_reaches_the_decision(family: Neighbourhood, place: str) -> None:
    assert signed(family, "HPAYMT").get(place).status == 200
    assert AuditEntry.objects.filter(event="record:read", purpose="HPAYMT").exists()
    for other in ("TREAT", "ETREAT", "HOPERAT"):
        assert signed(family, other).get(place).status == 404


@pytest.mark.IT("25")
@pytest.mark.parametrize("purpose", ["HRESCH", "PUBHLTH", "EMPLOYMENT", "BTG", "XYZ"])
def test_no_system_may_state_a_purpose_that_is_not_its_kinds(family: Neighbourhood, purpose: str) -> None:
    answer = token(family, purpose_of_use=[f"urn:oid:2.16.840.1.113883.5.8#{purpose}"])
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")  # type: ignore[attr-defined]


def test_an_organization_that_is_not_the_clients_is_refused(family: Neighbourhood) -> None:
    other = token(family, purpose_of_use=["urn:oid:2.16.840.1.113883.5.8#TREAT"], organization_id="9919999999")
    assert (other.status_code, other.json()["error"]) == (400, "invalid_grant")  # type: ignore[attr-defined]
