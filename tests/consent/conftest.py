"""The family, in the database of the test."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.consent.people import People, people


@pytest.fixture
def family(db: None, now: datetime) -> People:
    return people(now)
