"""What leaves is looked at twice: by the SQL form of the scope, and by the Python form row by row."""

from __future__ import annotations

import logging

import pytest
from django.db import connection
from django.utils import timezone

from consent.decide import Capacity
from phr.populate.cast import HANA, OBSTETRIC, PAEDIATRIC, YUKI
from phr.records import histories, reading, searching
from phr.records.gateway import NotFound, Past
from phr.records.search.parse import parse
from tests.family import Neighbourhood, at_home, pressure, weight
from tests.records.test_gateway_sealing import permit, records


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


def disagreements() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM consent_auditentry WHERE event = 'record:disagreed'")
        return int(cursor.fetchone()[0])


def test_a_row_the_sql_lets_through_by_mistake_is_withheld_and_alarms(
    family: Neighbourhood, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = family.mother.made(weight())
    stranger = records(family, PAEDIATRIC.code)
    query = parse("Observation", [("subject", f"Patient/{YUKI}")], now=timezone.now())
    for module in (reading, searching, histories):
        monkeypatch.setattr(module, "scope_sql", lambda *args, **kwargs: "TRUE")
    with caplog.at_level(logging.ERROR, logger="phr.alarm"):
        with pytest.raises(NotFound):
            stranger.read("Observation", made["id"])
        with pytest.raises(NotFound):
            stranger.history(Past("Observation", made["id"]))
        assert disagreements() == 2
        assert stranger.search(query).entries == []
    assert disagreements() > 2
    assert "scope forms disagree" in caplog.text and made["id"] not in caplog.text


@pytest.mark.parametrize(("about", "beside"), [(YUKI, HANA), (HANA, YUKI)], ids=["mother", "child"])
def test_a_search_for_one_finds_what_is_about_two(family: Neighbourhood, about: object, beside: object) -> None:
    """Whichever of the two stands first: the effective rows of both are known to the search."""
    permit(family, HANA, family.demo.clinic.pk, Capacity.GUARDIAN)
    both = pressure(subject={"reference": f"Patient/{about}"}, performer=[{"reference": f"Patient/{beside}"}])
    made = records(family, OBSTETRIC.code).create(both)
    other = family.demo.organizations[PAEDIATRIC.code].pk
    permit(family, YUKI, other, Capacity.SELF)
    permit(family, HANA, other, Capacity.GUARDIAN)
    query = parse("Observation", [("subject", f"Patient/{about}"), ("_count", "50")], now=timezone.now())
    assert made.id in {found.id for found in records(family, PAEDIATRIC.code).search(query).entries}
