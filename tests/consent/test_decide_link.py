"""Link requests: who may ask who is who, and that such a request opens nothing else. From values alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consent.decide import Caller, Capacity, Deny, InForce, Permit, decide, decide_link
from consent.scope import Category, Clause, Facts, Mark, Purpose, level_of
from tests.consent.strategies import HANA
from tests.consent.test_decide import CLINIC, DOCTOR, NOW, OF_CLINIC, REN, rows_of

LINKER = replace(CLINIC, purpose=Purpose.PATADMIN)


def identity(*more: str, marks: int = 0, declared: int = 0, type: str = "Patient") -> Facts:
    mask = int(sum(Category[name] for name in ("IDENTITY", *more)))
    return Facts(type, str(HANA), (HANA,), mask, level_of(mask, declared=declared), author=3, marks=marks)


def found(caller: Caller, in_force: InForce, facts: Facts, letter: str = "s") -> bool:
    match decide_link(caller, in_force, NOW):
        case Permit(scope=scope):
            return scope.covers(facts, letter=letter)
        case Deny():
            return False
    raise AssertionError


def test_identities_and_nothing_else() -> None:
    assert found(LINKER, OF_CLINIC, identity())
    assert found(LINKER, OF_CLINIC, identity(marks=Mark.LOCATION))  # every address is one
    assert not found(LINKER, OF_CLINIC, identity("PREGNANCY"))
    assert not found(LINKER, OF_CLINIC, replace(identity(), categories=int(Category.ALLERGY)))


@pytest.mark.parametrize("letter", "rcud")
def test_only_searched(letter: str) -> None:
    assert not found(LINKER, OF_CLINIC, identity(), letter)


@pytest.mark.parametrize("mark", [Mark.MINOR_CONFIDENTIAL, Mark.CHILD_PROTECTION])
def test_not_the_protected_nor_the_restricted(mark: Mark) -> None:
    assert not found(LINKER, OF_CLINIC, identity(marks=mark))
    assert not found(LINKER, OF_CLINIC, identity(declared=3))


@pytest.mark.parametrize(
    ("caller", "in_force"),
    [
        (CLINIC, OF_CLINIC),
        (replace(CLINIC, purpose="HOPERAT"), OF_CLINIC),
        (replace(DOCTOR, purpose=Purpose.PATADMIN), OF_CLINIC),
        (replace(LINKER, capacity=Capacity.RESEARCHER), OF_CLINIC),
        (LINKER, replace(OF_CLINIC, organization_state="suspended")),
        (replace(LINKER, organization=None), OF_CLINIC),
        (replace(LINKER, doors=()), OF_CLINIC),
    ],
)
def test_everybody_else_is_denied(caller: Caller, in_force: InForce) -> None:
    assert isinstance(decide_link(caller, in_force, NOW), Deny)


def test_a_link_request_opens_no_record() -> None:
    """Neither what its organisation wrote, nor what was granted to it, nor what belongs to nobody."""
    everything = Clause(permit=True, actors=frozenset({"org:9"}))
    rows = rows_of(1, HANA, everything) + rows_of(2, REN, everything)
    answer = decide(LINKER, replace(OF_CLINIC, grants=True), NOW)
    assert isinstance(answer, Permit)
    mine = replace(identity(), author=9)
    nobodys = Facts("Organization", "x", (), int(Category.ADMINISTRATIVE), 2, author=9)
    for facts in (identity(), mine, nobodys, replace(mine, type="Observation")):
        assert not any(answer.scope.covers(facts, letter=letter, rows=rows) for letter in "cruds")
