"""SMART's own client launches by itself: discovery, PKCE, the code, the token, the patient, a refresh, a refusal."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from fhirclient import client as smart
from fhirclient.server import FHIRNotFoundException
from requests import HTTPError

from consent.models import Guardianship, Person
from phr.populate.cast import HANA, YUKI
from phr.smart.demo import APP, CALLBACK
from tests.conformance.conftest import Live


@pytest.fixture
def app(live: Live) -> Any:
    """An app that knows the address of the record and its own name, nothing else."""
    return smart.FHIRClient(
        settings={
            "app_id": APP, "api_base": live.base, "redirect_uri": CALLBACK,
            "scope": "openid fhirUser patient/*.cruds offline_access",
        }
    )  # fmt: skip


def decided(app: Any, role: str, decision: str = "allow") -> str:
    """What comes back to the app when the mother, signed in, has decided on the pages it sends her to."""
    browser = Client()
    browser.force_login(Person.objects.get(username="yuki"))
    page = browser.get("/" + app.authorize_url.split("/", 3)[3])
    assert page.status_code == 302, page.content.decode()
    answer = browser.post(page["Location"], {"decision": decision, "role": role})
    assert answer.status_code == 302, page["Location"]
    assert answer["Location"].startswith(CALLBACK)
    return str(answer["Location"])


@pytest.mark.spec("SMART App Launch 2.2", "2.1", "SMART's own client launches, reads its patient, and refreshes")
def test_a_launch_from_the_first_step_to_the_last(app: Any) -> None:
    assert not app.ready
    app.handle_callback(decided(app, "self"))
    assert app.ready and app.patient_id == str(YUKI)
    assert app.launch_context["scope"].split()
    assert app.patient.id == str(YUKI) and app.patient.name[0].family
    first = app.server.auth.access_token
    assert app.reauthorize()
    assert app.server.auth.access_token != first
    assert app.server.request_json(f"Patient/{YUKI}")["id"] == str(YUKI)


@pytest.mark.spec("SMART App Launch 2.2", "2.1.3", "a launch for one child opens that child's record, and no other")
def test_a_launch_for_a_child(app: Any) -> None:
    link = Guardianship.objects.get(person__username="yuki", subject_id=HANA)
    app.handle_callback(decided(app, f"guardian-{link.pk}"))
    assert app.patient_id == str(HANA) == app.patient.id
    with pytest.raises(FHIRNotFoundException):
        app.server.request_json(f"Patient/{YUKI}")


@pytest.mark.spec("SMART App Launch 2.2", "2.1.2", "a person's No arrives at the app, and no token with it")
def test_a_refusal(app: Any) -> None:
    with pytest.raises(Exception, match="refused"):
        app.handle_callback(decided(app, "self", "deny"))
    assert not app.ready


@pytest.mark.spec("RFC 7636", "4.6", "the code is of no use without the verifier")
def test_a_stolen_code(app: Any, live: Live) -> None:
    url = decided(app, "self")
    app.server.auth.code_verifier = "x" * 64
    with pytest.raises(HTTPError, match="400"):
        app.handle_callback(url)
