"""The family with their apps, and the trust at work beside them."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.family import Neighbourhood, at_home
from tests.institution import Trust, trust


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


@pytest.fixture
def institution(family: Neighbourhood) -> Trust:
    return trust(timezone.now())
