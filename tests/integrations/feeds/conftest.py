"""The test feed is installed, and a town has registered the family's children."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from django.conf import settings

from integrations import base
from tests.consent.people import People, people
from tests.integrations.feeds import town


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(settings, "INTEGRATIONS", ["tests.integrations.feeds.doses"])
    base._installed.cache_clear()
    yield
    base._installed.cache_clear()


@pytest.fixture
def family(db: None, now: datetime) -> People:
    made = people(now)
    town.register(made, now)
    return made
