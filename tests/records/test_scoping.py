"""M-5: the Python form and the SQL form of a scope are the same rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.effective import _stored
from consent.models import EffectiveGrant, Grant, Person, Subject
from consent.scope import LETTERS, OPEN_TYPES, Facts, GrantRow, Scope
from phr.records.models import Resource
from phr.records.scoping import Params, scope_sql
from phr.records.store import fact_values
from tests.consent.strategies import AUTHORS, NOW, SUBJECTS, facts, row_lists, scopes


@st.composite
def free_facts(draw: st.DrawFn) -> Facts:
    """A resource without a Subject: of a type that may stand alone, of one that may not, a list of its author's."""
    author = draw(st.sampled_from([None, *AUTHORS]))
    type = draw(st.sampled_from(["Organization", "Observation", "Group", "Group"]))
    return Facts(type, draw(st.sampled_from("cd")), author=author)


def store(records: Sequence[Facts], rows: Sequence[GrantRow]) -> dict[int, Facts]:
    named = {(f.type, f.id): f for f in records}
    made = {}
    for f in named.values():
        s, s2, categories, level, low, high, author, marks = fact_values(f)
        made[
            Resource.objects.create(
                type=f.type, fhir_id=f.id, named=0, updated_at=NOW, key_version=1, body=b"", subject_id=s,
                subject2_id=s2, categories=categories, level=level, clinical_low=low, clinical_high=high,
                author=author, marks=marks, terms=sorted(f.terms),
            ).pk
        ] = f  # fmt: skip
    giver = Person.objects.get(username="giver")
    for number in {r.grant for r in rows}:
        subject = next(r.subject for r in rows if r.grant == number)
        Grant.objects.create(pk=number + 1, subject_id=subject, given_by=giver, root={}, given_at=NOW)
    for row in rows:
        stored = _stored(row)
        stored.grant_id = row.grant + 1
        EffectiveGrant.objects.bulk_create([stored])
    return made


def by_sql(scope: Scope, letter: str, **more: Any) -> set[int]:
    p = Params()
    sql = f"SELECT r.id FROM phr_resource r WHERE {scope_sql(scope, letter, p, **more)}"
    with connection.cursor() as cursor:
        cursor.execute(sql, p.values)
        return {row[0] for row in cursor.fetchall()}


@pytest.fixture
def people(db: None) -> None:
    Subject.objects.bulk_create([Subject(id=s, created_at=NOW) for s in SUBJECTS])
    Person.objects.create_user("giver", name="見本 与")


def agree(records: Sequence[Facts], rows: Sequence[GrantRow], scope: Scope, letter: str) -> None:
    with transaction.atomic():
        made = store(records, rows)
        python = {pk for pk, f in made.items() if scope.covers(f, letter=letter, rows=rows)}
        sql = by_sql(scope, letter)
        known = {s: [r for r in rows if r.subject == s] for s in SUBJECTS}
        sql_of_known_rows = by_sql(scope, letter, known=known)
        transaction.set_rollback(True)
    assert sql == python
    assert sql_of_known_rows == python


CASES = {
    "records": st.lists(st.one_of(facts(), facts(), free_facts()), min_size=1, max_size=8),
    "rows": row_lists(),
    "scope": scopes(),
    "letter": st.sampled_from(LETTERS),
}
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=300, suppress_health_check=QUIET)
@given(**CASES)
def test_python_and_sql_agree(
    people: None, records: list[Facts], rows: list[GrantRow], scope: Scope, letter: str
) -> None:
    agree(records, rows, scope, letter)


@pytest.mark.long
@settings(max_examples=20_000, suppress_health_check=QUIET)
@given(**CASES)
def test_python_and_sql_agree_at_length(
    people: None, records: list[Facts], rows: list[GrantRow], scope: Scope, letter: str
) -> None:
    agree(records, rows, scope, letter)


def test_an_empty_scope_is_false() -> None:
    nothing = Scope((), (), frozenset(), "TREAT", NOW)
    assert scope_sql(nothing, "r", Params()) == "FALSE"
    assert "Observation" not in OPEN_TYPES
