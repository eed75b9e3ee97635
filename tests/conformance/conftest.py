"""The family at the REST door, in the database of the test; and a server that listens, for clients of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from phr.fhir import capability
from phr.smart import authorize, provider, views
from tests.family import Neighbourhood, at_home


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


@dataclass(frozen=True)
class Live:
    """A server that listens. `base`: its FHIR base; `family`: who is there (their tokens hold here too)."""

    base: str
    family: Neighbourhood

    @property
    def authorization(self) -> str:
        return f"Bearer {self.family.mother.token}"


@pytest.fixture(scope="module")
def _server_threads_let_go(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The threads of the test server keep their connections; the test database must be free to go."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def live(
    _server_threads_let_go: None,
    transactional_db: None,
    live_server: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Live]:
    url = live_server.url.replace("localhost", "127.0.0.1")
    settings.PHR_BASE_URL = url
    for module, name, path in ADDRESSES:
        monkeypatch.setattr(module, name, url + path)
    _forget_the_address()
    yield Live(f"{url}/fhir", at_home())
    _forget_the_address()


# A process has one address, and takes it in when it starts; the server of a test has another port each time.
ADDRESSES = (
    (provider, "FHIR_URL", "/fhir"), (provider, "TOKEN_URL", "/oauth/token"), (authorize, "FHIR_URL", "/fhir"),
    (authorize, "AUTHORIZE_URL", "/oauth/authorize"), (views, "FHIR_URL", "/fhir"),
    (views, "TOKEN_URL", "/oauth/token"),
)  # fmt: skip


def _forget_the_address() -> None:
    capability.statement.cache_clear()
    provider.server.cache_clear()
