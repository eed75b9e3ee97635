"""Feeds and connectors are found by their KIND, and two of one name are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from integrations import base


@pytest.fixture
def afresh() -> Iterator[None]:
    base._installed.cache_clear()
    yield
    base._installed.cache_clear()


def test_two_modules_of_one_kind_are_refused_by_name(afresh: None, settings: Any) -> None:
    first, second = "integrations.municipal_csv.connector", "integrations.municipal_csv.making"  # both municipal-csv
    settings.INTEGRATIONS = [*settings.INTEGRATIONS, second]
    with pytest.raises(ImproperlyConfigured) as refused:
        base.feeds()
    assert all(said in str(refused.value) for said in (first, second, "municipal-csv"))


def test_every_feed_of_the_product_has_a_kind_of_its_own(settings: Any) -> None:
    assert len(base.feeds()) + len(base.connectors()) == len(settings.INTEGRATIONS)
