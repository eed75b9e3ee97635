"""The log names routes and requests, never what was typed into a path."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from phr.logs import Nameless

TYPED = ("/fhir/Observation/hanako-hiv-positive", "/fhir/hanako-hiv-positive", "/hanako-hiv-positive",
         "/fhir/Patient/hanako-hiv-positive/$everything", "/fhir/Patient?name=hanako-hiv-positive")  # fmt: skip


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """A handler like the server's own."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.addFilter(Nameless())
    root = logging.getLogger()
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)


def test_every_handler_of_the_server_has_the_filter() -> None:
    told: dict[str, Any] = dict(settings.LOGGING)
    assert told["filters"]["nameless"]["()"] == "phr.logs.Nameless"
    assert told["handlers"]
    assert all("nameless" in handler["filters"] for handler in told["handlers"].values())


@pytest.mark.parametrize("path", TYPED)
def test_no_path_is_logged(db: None, written: io.StringIO, path: str) -> None:
    answer = Client(raise_request_exception=False).get(path, headers={"X-Request-Id": "the-request-of-this-test"})
    assert answer.status_code in (401, 404)
    text = written.getvalue()
    assert "hanako" not in text
    assert "the-request-of-this-test" in text and str(answer.status_code) in text
