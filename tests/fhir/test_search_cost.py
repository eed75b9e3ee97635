"""A search over many persons begins at an index, or is refused where the store is large."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from consent.models import Organization
from phr.populate.cast import YUKI
from phr.records import costing, searching
from phr.records.search.parse import parse
from tests.family import LOINC, Neighbourhood


def culprit(type: str, *pairs: tuple[str, str]) -> str | None:
    return costing.reads_everything(parse(type, pairs, now=timezone.now()))


@pytest.mark.parametrize(
    ("type", "name", "value", "expected"),
    [
        ("Observation", "code", "x", None),
        ("Observation", "identifier", "urn:x|1", None),
        ("Observation", "_id", "x", None),
        ("Observation", "date", "2026-03-01", None),
        ("Observation", "date", "gt2026-03-01", None),
        ("Observation", "_lastUpdated", "gt2026", None),
        ("Observation", "value-quantity", "gt5", None),
        ("Observation", "code:missing", "false", None),
        ("Patient", "name", "見本", None),
        ("Patient", "name:contains", "x", None),
        ("Observation", "subject.name", "x", None),
        ("Patient", "_has:Observation:patient:code", "x", None),
        ("Observation", "_filter", "code eq x or date eq 2026", None),
        ("Observation", "_list", "x", None),
        ("Observation", "_filter", "code eq x and not (date eq 2026)", None),
        ("Observation", "_sort", "-date", None),
        ("Observation", "_sort", "_lastUpdated", None),
        ("Observation", "_count", "5", None),
        ("Observation", "code:not", "x", "code"),
        ("Observation", "code:missing", "true", "code"),
        ("Observation", "date", "ne2026", "date"),
        ("Observation", "subject.identifier:not", "x", "identifier"),
        ("Patient", "_has:Observation:patient:code:not", "x", "_has"),
        ("Observation", "_total", "accurate", "_total"),
        ("Observation", "_filter", "not (code eq x)", "code"),
        ("Observation", "_filter", "code eq x or code pr false", "code"),
        ("Observation", "_summary", "count", "_total"),
        ("Observation", "_count", "0", "_total"),
        ("Patient", "_sort", "name", "_sort"),
        ("Observation", "_sort", "subject:Patient.name", "_sort"),
    ],
)
def test_what_begins_at_an_index(type: str, name: str, value: str, expected: str | None) -> None:
    found = culprit(type, (name, value))
    assert (found is None) == (expected is None), found


def test_one_condition_that_leads_is_enough() -> None:
    assert culprit("Observation", ("code:not", "x"), ("date", "2026"), ("_total", "accurate")) is None
    assert culprit("Observation", ("code:not", "x"), ("date:missing", "true")) is not None


@pytest.mark.parametrize("criteria", ["code:not=x", "_total=accurate", "_sort=subject:Patient.name", "date=ne2026"])
def test_only_a_large_store_refuses(family: Neighbourhood, settings: Any, monkeypatch: Any, criteria: str) -> None:
    clinic = family.clinic
    assert clinic.get(f"Observation?{criteria}").status == 200
    settings.PHR_LARGEST_SCAN = 1000
    monkeypatch.setattr(searching, "stored", lambda: 1001)
    answer = clinic.get(f"Observation?{criteria}")
    assert (answer.status, answer.issue["code"]) == (422, "too-costly")
    assert "1000" in answer.issue["diagnostics"]
    assert clinic.get(f"Observation?{criteria}&patient={YUKI}").status == 200
    assert clinic.get(f"Observation?{criteria}&code={LOINC}|8480-6").status == 200
    assert clinic.get(f"Patient/{YUKI}/Observation?{criteria}").status == 200
    assert family.mother.get(f"Observation?{criteria}").status == 200


def test_an_operator_may_read_everything(family: Neighbourhood, settings: Any, monkeypatch: Any) -> None:
    settings.PHR_LARGEST_SCAN = 1000
    monkeypatch.setattr(searching, "stored", lambda: 1001)
    assert family.clinic.get("Observation?code:not=x").status == 422
    Organization.objects.all().update(kind="operator", class_from=datetime(2020, 4, 1, tzinfo=UTC))
    assert family.clinic.get("Observation?code:not=x").status == 200


def test_the_store_is_counted_by_the_planner(family: Neighbourhood) -> None:
    assert searching.stored() >= -1
