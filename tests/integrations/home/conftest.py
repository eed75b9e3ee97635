"""The family at the doors, in the database of the test."""

from __future__ import annotations

import pytest

from tests.family import Neighbourhood, at_home


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()
