"""The SQL of a search means what the pure form says: one rule, two forms, for ranges, order and plans."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.models import Subject
from phr.populate.cast import YUKI
from phr.records import vault
from phr.records.scoping import Params
from phr.records.search import ranges
from phr.records.search.compile import page_sql
from phr.records.search.parse import PREFIXES, parse
from phr.records.search.query import Span
from phr.records.search.single import bounds, in_span
from tests.family import Neighbourhood, at_home, weight

POINTS = st.sampled_from([ranges.date_range(text) for text in
                          ("2026", "2026-03", "2026-03-01", "2026-03-01T09:30:00+09:00", "2025-12-31", "0002", "9998",
                           "2026-03-01T09:30:00.5Z")])  # fmt: skip
OPEN = st.sampled_from([(ranges.EVER, 1.7e15), (1.7e15, ranges.FOREVER), (ranges.EVER, ranges.FOREVER)])
NUMBERS = st.tuples(st.floats(-1e6, 1e6), st.floats(0, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def by_sql(sql: str, values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from(sorted(PREFIXES)), POINTS, POINTS | OPEN)
def test_dates_mean_the_same_in_both_forms(prefix: str, asked: ranges.Range, kept: ranges.Range) -> None:
    p = Params()
    span = Span(prefix, *asked)
    columns = f"(SELECT {p(kept[0])}::float8 AS low, {p(kept[1])}::float8 AS high) x"
    low, high = p(ranges.moment(kept[0])), p(ranges.moment(kept[1]))
    clinical = f"(SELECT {low}::timestamptz AS clinical_low, {high}::timestamptz AS clinical_high) r"
    necessary = bounds(span, p).removesuffix(" AND ") or "TRUE"
    answers = in_span(span, "x.low", "x.high", p)
    holds, possible = by_sql(f"SELECT {answers}, {necessary} FROM {columns}, {clinical}", p.values)
    assert holds == ranges.holds(prefix, asked, kept)
    assert possible or not holds  # what the walk is cut by never cuts off an answer


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from(sorted(PREFIXES)), NUMBERS, NUMBERS)
def test_numbers_mean_the_same_in_both_forms(prefix: str, asked: ranges.Range, kept: ranges.Range) -> None:
    p = Params()
    columns = f"(SELECT {p(kept[0])}::float8 AS low, {p(kept[1])}::float8 AS high) x"
    [holds] = by_sql(f"SELECT {in_span(Span(prefix, *asked), 'x.low', 'x.high', p)} FROM {columns}", p.values)
    assert holds == ranges.holds(prefix, asked, kept)


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


def plan(text: str, now: Any) -> str:
    pairs = [tuple(part.split("=")) for part in text.split("&")]
    query = parse("Observation", pairs, now=now)  # type: ignore[arg-type]
    p = Params()
    [turn] = page_sql(query, lambda alias, *, same=False, common=True: "TRUE", p, None, key=vault.index_key())
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {turn.sql}", p.values)
        return "\n".join(row[0] for row in cursor.fetchall())


def crowd(family: Neighbourhood) -> None:
    """Two thousand weights of two hundred others: every row has the same common terms."""
    made = family.mother.made(weight())
    others = [Subject(id=uuid4(), created_at=family.now) for _ in range(200)]
    Subject.objects.bulk_create(others)
    copied = (
        "updated_at, deleted, key_version, body, categories, level, clinical_low, clinical_high, author, marks, terms"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO phr_resource (type, version, fhir_id, named, subject_id, {copied})"
            f" SELECT type, version, gen_random_uuid()::text, named, s.id, {copied} FROM phr_resource r,"
            " unnest(%s::uuid[]) AS s(id), generate_series(1, 10) WHERE r.fhir_id = %s",
            [[s.pk for s in others], made["id"]],
        )
        cursor.execute("ANALYZE phr_resource")


def test_a_patients_search_by_a_common_term_walks_the_record(family: Neighbourhood) -> None:
    """Every row has the term; a plan that begins with it reads the whole store."""
    crowd(family)
    for text in (f"patient={YUKI}&code=29463-7&_sort=-date", f"subject=Patient/{YUKI}&category=vital-signs"):
        told = plan(text, family.now)
        assert "record_walk" in told, told
        assert "record_terms" not in told, told


def test_a_search_without_a_patient_begins_with_the_terms(family: Neighbourhood) -> None:
    crowd(family)
    family.mother.made(weight(identifier=[{"system": "urn:x", "value": "7"}]))
    assert "record_terms" in plan("identifier=urn:x|7", family.now)
