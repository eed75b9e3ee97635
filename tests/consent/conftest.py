"""The family, in the database of the test."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from consent import prepared
from tests.consent.people import People, people
from tests.institution import Trust, trust


@pytest.fixture
def family(db: None, now: datetime) -> People:
    return people(now)


@pytest.fixture
def institution(family: People, now: datetime) -> Trust:
    return trust(now)


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prepared statements that were sent (Django's own query log does not see them)."""
    sent: list[str] = []
    for name in ("fetch", "execute"):
        plain = getattr(prepared, name)

        def counted(sql: str, params: Any, plain: Any = plain) -> Any:
            sent.append(sql)
            return plain(sql, params)

        monkeypatch.setattr(prepared, name, counted)
    return sent
