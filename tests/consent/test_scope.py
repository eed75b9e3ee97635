"""A Scope is a conjunction: whatever is empty lets nothing through."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from consent.scope import ALL_CATEGORIES, LABELS, OPEN_TYPES, ORDINARY, Basis, Category, Door, Facts, GrantRow, Scope
from consent.scope import level_of as level
from tests.consent import strategies as draw

LETTERS = "cruds"


def lets_through(scope: Scope, facts: Facts, rows: list[GrantRow]) -> set[str]:
    return {letter for letter in LETTERS if scope.covers(facts, letter=letter, rows=rows)}


@given(draw.scopes(), draw.facts(), draw.row_lists())
def test_what_is_empty_is_no_missing_filter(scope: Scope, facts: Facts, rows: list[GrantRow]) -> None:
    assert not lets_through(replace(scope, doors=()), facts, rows)
    assert not lets_through(replace(scope, subjects=frozenset()), facts, rows)
    assert not lets_through(replace(scope, bases=(), grants=False), facts, rows)
    assert not lets_through(replace(scope, bases=()), facts, [])
    assert not lets_through(scope, replace(facts, subjects=()), rows)
    assert not lets_through(replace(scope, doors=(Door("*", LETTERS, (frozenset(),)),)), facts, rows)


@given(draw.scopes(), draw.facts(), draw.row_lists())
def test_narrowing_any_part_never_widens(scope: Scope, facts: Facts, rows: list[GrantRow]) -> None:
    wide = lets_through(scope, facts, rows)
    assert lets_through(replace(scope, doors=scope.doors[:1]), facts, rows) <= wide
    assert lets_through(replace(scope, bases=scope.bases[:1]), facts, rows) <= wide
    assert lets_through(replace(scope, barred_marks=7), facts, rows) <= wide
    assert lets_through(replace(scope, subjects=frozenset({draw.HANA})), facts, rows) <= wide or scope.subjects
    assert lets_through(scope, facts, [row for row in rows if not row.permit]) <= wide


@given(draw.scopes(), draw.facts(), draw.row_lists())
def test_one_more_subject_never_widens(scope: Scope, facts: Facts, rows: list[GrantRow]) -> None:
    both = replace(facts, subjects=tuple(draw.SUBJECTS))
    for subject in draw.SUBJECTS:
        assert lets_through(scope, both, rows) <= lets_through(scope, replace(facts, subjects=(subject,)), rows)


@given(draw.scopes(), draw.facts(), draw.row_lists())
def test_rows_of_another_subject_say_nothing(scope: Scope, facts: Facts, rows: list[GrantRow]) -> None:
    alone = replace(facts, subjects=(draw.HANA,))
    hers = [row for row in rows if row.subject == draw.HANA]
    assert lets_through(scope, alone, rows) == lets_through(scope, alone, hers)


@given(draw.scopes(), draw.facts(), draw.row_lists())
def test_own_record_is_beyond_any_deny(scope: Scope, facts: Facts, rows: list[GrantRow]) -> None:
    own = tuple(Basis("own", subject, beats_deny=True) for subject in draw.SUBJECTS)
    open_to_her = replace(
        scope, doors=(Door("*", LETTERS),), bases=own, subjects=None, barred_marks=0
    )  # fmt: skip
    assert lets_through(open_to_her, facts, rows) == set(LETTERS)


def test_levels() -> None:
    assert [level(int(c)) for c in (Category.HOME, Category.GROWTH, Category.PSY)] == [1, 2, 3]
    assert level(Category.HOME | Category.GROWTH) == 2
    assert level(0) == level(Category.UNCLASSIFIED) == 3
    assert (level(Category.HOME, declared=3), level(Category.PSY, declared=4), level(Category.PSY, declared=1)) == (
        3,
        4,
        3,
    )
    assert ALL_CATEGORIES == LABELS | ORDINARY
    assert not LABELS & ORDINARY
    assert ALL_CATEGORIES < 1 << 63


def test_no_open_type_is_about_a_patient() -> None:
    assert not OPEN_TYPES & {
        "Patient",
        "Observation",
        "Group",
        "List",
        "Composition",
        "Provenance",
        "AuditEvent",
        "Binary",
    }
