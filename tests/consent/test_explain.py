"""An explanation tells how the verdict of `Scope.covers` came about, and never another one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consent.decide import Deny, Permit, decide
from consent.effective import rows_of
from consent.explain import explain
from consent.reason_words import WORDS
from consent.reasons import Reason, Rule
from consent.scope import LETTERS, Clause, Facts, GrantRow, Mark, Scope
from tests.consent.strategies import HANA, REN, facts, row_lists, scopes
from tests.consent.test_decide import AS_GUARDIAN, CHILD, CLINIC, GUARDIAN, HERSELF, NOW, OF_CLINIC, OWN, thing


@given(scopes(), facts(), row_lists(), st.sampled_from(LETTERS))
def test_it_says_what_the_scope_says(scope: Scope, fact: Facts, rows: list[GrantRow], letter: str) -> None:
    told = explain(Permit(scope, ()), fact, letter=letter, rows=rows)
    assert told.permitted is scope.covers(fact, letter=letter, rows=rows)
    if told.permitted:
        assert told.steps
        assert all(step.permits for step in told.steps)
    else:
        assert any(not step.permits for step in told.steps)


def test_every_rule_has_words() -> None:
    assert set(WORDS) == set(Rule)
    assert all(" / " in words for words in WORDS.values())


def rules(caller: object, in_force: object, fact: Facts, rows: tuple[GrantRow, ...] = ()) -> list[Rule]:
    answer = decide(caller, in_force, NOW)  # type: ignore[arg-type]
    return [step.reason.rule for step in explain(answer, fact, letter="r", rows=rows).steps]


def test_it_names_the_rule_and_the_consent() -> None:
    assert rules(HERSELF, OWN, thing()) == [Rule.OWN_RECORD]
    assert rules(HERSELF, replace(OWN, own=False), thing()) == [Rule.NOT_OWN]
    assert rules(GUARDIAN, AS_GUARDIAN, thing()) == [Rule.GUARDIAN]
    assert rules(GUARDIAN, AS_GUARDIAN, thing(marks=Mark.MINOR_CONFIDENTIAL)) == [Rule.MARKED]
    assert rules(GUARDIAN, CHILD, thing()) == [Rule.NO_LINK]
    grants = replace(OF_CLINIC, grants=True)
    permit, deny = rows_of(3, HANA, Clause(permit=True)), rows_of(4, HANA, Clause(permit=False))
    assert rules(CLINIC, grants, thing(author=8)) == [Rule.NOT_GRANTED]
    assert rules(CLINIC, grants, thing(author=8), permit) == [Rule.GRANTED]
    assert rules(CLINIC, grants, thing(author=8), permit + deny) == [Rule.DENIED]
    assert rules(CLINIC, grants, thing(author=9), permit + deny) == [Rule.OWN_ORGANIZATION]
    answer = decide(CLINIC, grants, NOW)
    told = explain(answer, thing(author=8), letter="r", rows=permit + deny)
    assert told.steps[0].reason == Reason(Rule.DENIED, ("grant:4",))
    two = explain(answer, replace(thing(author=8), subjects=(HANA, REN)), letter="r", rows=permit)
    assert [(s.subject, s.permits) for s in two.steps] == [(HANA, True), (REN, False)]


def test_a_decision_against_is_its_own_explanation() -> None:
    reason = Reason(Rule.SUBJECT_LOCKED)
    told = explain(Deny(reason), thing(), letter="r")
    assert not told.permitted
    assert [step.reason for step in told.steps] == [reason]
