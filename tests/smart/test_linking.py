"""Tokens for link requests: the trust marks the client, the client signs the purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from phr.smart.models import AccessToken, Application, Launch

Ask = Callable[..., Any]
SIGNED = {"version": "1", "organization_id": "9919000001", "purpose_of_use": ["urn:oid:2.16.840.1.113883.5.8#PATADMIN"]}


@pytest.mark.spec("HL7 UDAP Security", "5.2.1.1", "hl7-b2b purpose of use: PATADMIN where the trust allows linking")
def test_a_client_that_may_link_gets_such_a_token(ask_system: Ask, clinic: Application) -> None:
    Application.objects.filter(pk=clinic.pk).update(may_link=True)
    assert ask_system(extensions={"hl7-b2b": SIGNED}).status_code == 200
    assert Launch.objects.get().purpose == "PATADMIN"


def test_any_other_client_does_not(ask_system: Ask, clinic: Application) -> None:
    assert ask_system(extensions={"hl7-b2b": SIGNED}).status_code == 400
    assert not AccessToken.objects.exists()


def test_it_is_never_the_purpose_of_one_that_signs_nothing(ask_system: Ask, clinic: Application) -> None:
    Application.objects.filter(pk=clinic.pk).update(may_link=True)
    assert ask_system().status_code == 200
    assert Launch.objects.get().purpose == "TREAT"
