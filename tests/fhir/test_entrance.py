"""FHIR paths are answered before what pages need (phr/fhir/decisions/answered-at-the-entrance.md)."""

from __future__ import annotations

import pytest
from django.test import Client
from django.test.utils import override_settings

from phr.fhir.outcome import FHIR_JSON


def behind(get_response: object) -> object:
    """A middleware that nothing may reach."""

    def answer(request: object) -> object:
        raise AssertionError("reached what stands behind the entrance")

    return answer


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/fhir", "/fhir/", "/fhir/metadata", "/fhir/Patient/1", "/fhir/no/such/place"])
def test_nothing_behind_the_entrance_sees_the_api(path: str) -> None:
    middlewares = ["django.middleware.security.SecurityMiddleware", "phr.fhir.entrance.entrance", f"{__name__}.behind"]
    with override_settings(MIDDLEWARE=middlewares):
        answer = Client().get(path)
    assert answer.headers["Content-Type"] == FHIR_JSON
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/fhirx", "/fhir/.well-known/smart-configuration", "/healthz"])
def test_everything_else_goes_on(path: str) -> None:
    only = override_settings(MIDDLEWARE=["phr.fhir.entrance.entrance", f"{__name__}.behind"])
    with only, pytest.raises(AssertionError, match="behind the entrance"):
        Client().get(path)
