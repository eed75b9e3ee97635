"""The judgement of one provision: every input, changed alone, refuses by its own reason (IT-07)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from consent.cases import Case, Code, Given, Party, Plan, Side, Wanted
from consent.duo import DS, GRU, HMB, NCU, NPU, Intended, fits, understood
from consent.effective import rows_of
from consent.judgement import INPUTS, judge, turned_away
from consent.scope import ORDINARY, Category, Clause
from tests.conftest import NOON

WHO = UUID(int=7)
GROWTH, PSY = int(Category.GROWTH), int(Category.PSY)
LATER, PAST = NOON + timedelta(days=30), NOON - timedelta(seconds=1)
ACTORS = frozenset({"org:3", "class:research", "class:third-party"})
YES = Clause(permit=True, actors=frozenset({"org:3"}), purposes=frozenset({"HRESCH"}), categories=frozenset({"GROWTH"}))


def rows(*roots: Clause) -> list[Any]:
    return [row for n, root in enumerate(roots, 1) for row in rows_of(n, WHO, root)]


PARTY = Party(state="active", contract_ends_on=LATER.date(), certified_until=LATER, purposes=frozenset({"HRESCH"}))
PLAN = Plan(state="active", approved_until=LATER, purpose="HRESCH", categories=GROWTH | PSY, level=3, duo=(HMB, NPU),
            low=NOON - timedelta(days=1000), high=LATER)  # fmt: skip
WANTED = Wanted(purpose="HRESCH", categories=GROWTH, level=2, low=NOON - timedelta(days=100), high=NOON,
                intended=Intended(use=HMB, profit=False))  # fmt: skip
GIVEN = Given(capacity="guardian")
SIDE = Side(state="active", age=7, mandate=2, terms=2, rows=rows(YES), given=GIVEN, actors=ACTORS)
GOOD = Case(wanted=WANTED, plan=PLAN, party=PARTY, side=SIDE, now=NOON)


def wanted(**more: Any) -> Case:
    return replace(GOOD, wanted=replace(WANTED, **more))


def plan(**more: Any) -> Case:
    return replace(GOOD, plan=replace(PLAN, **more))


def party(**more: Any) -> Case:
    return replace(GOOD, party=replace(PARTY, **more))


def side(**more: Any) -> Case:
    return replace(GOOD, side=replace(SIDE, **more))


def given(**more: Any) -> Case:
    return side(given=replace(GIVEN, **more))


ONWARD = replace(wanted(onward=True, listed=True), plan=replace(PLAN, onward=True))
MUTANTS: dict[Code, tuple[str, Case]] = {
    Code.RECIPIENT_UNKNOWN: ("recipient", replace(GOOD, party=None)),
    Code.RECIPIENT_NOT_ACTIVE: ("recipient", party(state="suspended")),
    Code.CONTRACT_ENDED: ("recipient", party(contract_ends_on=NOON.date() - timedelta(days=1))),
    Code.CERTIFICATE_EXPIRED: ("recipient", party(certified_until=NOON)),
    Code.PROCESSOR_NOT_IN_ORDER: ("processor", replace(GOOD, processor=replace(PARTY, state="ended"))),
    Code.NOT_A_PARTY: ("party", plan(names_recipient=False)),
    Code.PROGRAM_NOT_ACTIVE: ("program", plan(state="stopped")),
    Code.APPROVAL_LAPSED: ("approval", plan(approved_until=NOON)),
    Code.PURPOSE_PROHIBITED: ("purpose", wanted(purpose="UNDERWRITING")),
    Code.PURPOSE_NOT_CONTRACTED: ("purpose", party(purposes=frozenset({"TREAT"}))),
    Code.PURPOSE_DIFFERS: ("purpose", wanted(purpose="TREAT")),
    Code.USE_MISFIT: ("use", wanted(intended=Intended(use=HMB, profit=True))),
    Code.CATEGORIES_TOO_WIDE: ("minimal", wanted(categories=GROWTH | int(Category.VITAL))),
    Code.LEVEL_TOO_HIGH: ("minimal", wanted(categories=GROWTH | PSY, level=2)),
    Code.PERIOD_TOO_WIDE: ("minimal", wanted(low=None)),
    Code.ONWARD_NOT_LISTED: ("onward", wanted(onward=True)),
    Code.ONWARD_NOT_CONSENTED: ("onward", ONWARD),
    Code.PROFILING_UNDECLARED: ("declared", wanted(profiling=True)),
    Code.NO_MANDATE: ("mandate", side(mandate=None)),
    Code.MANDATE_OUTDATED: ("mandate", side(mandate=1)),
    Code.RECORD_NOT_ACTIVE: ("record", side(state="locked")),
    Code.PLACE_PROTECTED: ("place", replace(
        plan(categories=ORDINARY), wanted=replace(WANTED, categories=GROWTH | int(Category.CARE)),
        side=replace(SIDE, place_hidden=True))),
    Code.NO_CONSENT: ("consent", side(rows=[])),
    Code.DENIED: ("consent", side(rows=rows(YES, Clause(permit=False, actors=frozenset({"class:third-party"}))))),
    Code.ANSWER_NO: ("consent", given(asks=True, answer=False)),
    Code.PROFILING_NOT_CONSENTED: ("profiling", plan(profiling=True)),
    Code.GIVER_STOPPED: ("giver", given(giver_stands=False)),
    Code.SECOND_GUARDIAN: ("guardians", given(everybody_agreed=False)),
    Code.OWN_CONSENT: ("own", side(age=16)),
    Code.GUARDIANS_CONSENT: ("own", given(capacity="self")),
}  # fmt: skip


@pytest.mark.IT("07")
def test_the_good_case_is_permitted() -> None:
    found = judge(GOOD)
    assert (found.permits, found.codes, found.categories, found.level, found.grants) == (True, (), GROWTH, 2, (1,))


@pytest.mark.IT("07")
@pytest.mark.G("10", "14")
@pytest.mark.parametrize("code", list(Code))
def test_each_input_has_a_reason_of_its_own(code: Code) -> None:
    """Changed alone it is refused, by that reason; nothing else is found fault with."""
    name, mutant = MUTANTS[code]
    found = judge(mutant)
    assert not found.permits
    faults = {f.input: f.code for f in found.findings if f.code}
    assert faults.pop(name) is code
    # A purpose that is another's is another's for the consent as well.
    assert set(faults) <= ({"consent"} if name == "purpose" and mutant.wanted.purpose != "HRESCH" else set()), faults


@pytest.mark.IT("07")
def test_every_input_is_mutated() -> None:
    assert {name for name, _ in MUTANTS.values()} == set(INPUTS)
    assert set(judge(GOOD).as_json()["findings"]) == set(INPUTS)


@pytest.mark.IT("21")
def test_onward_use_takes_a_listed_case_a_reviewed_program_and_a_yes() -> None:
    consented = replace(ONWARD, side=replace(SIDE, given=replace(GIVEN, onward=True)))
    assert judge(consented).permits
    for less in (
        replace(consented, wanted=replace(consented.wanted, listed=False)),
        replace(consented, plan=replace(consented.plan, onward=False)),
    ):
        assert judge(less).codes == ("onward-not-listed",)


@pytest.mark.IT("08")
def test_profiling_takes_a_yes_of_its_own() -> None:
    scoring = replace(party(profiling=True), plan=replace(PLAN, profiling=True))
    assert judge(scoring).codes == ("profiling-not-consented",)
    assert judge(replace(scoring, side=replace(SIDE, given=replace(GIVEN, profiling=True)))).permits
    # A recipient that profiles, in a program that did not say so.
    assert set(judge(party(profiling=True)).codes) == {"profiling-undeclared", "profiling-not-consented"}


def test_asked_each_time_waits_for_the_answer() -> None:
    waits = judge(given(asks=True))
    assert (waits.permits, waits.waits, waits.codes) == (False, True, ())
    assert judge(given(asks=True, answer=True)).permits
    # What is refused anyway is not asked.
    refused = given(asks=True)
    assert not judge(replace(refused, plan=replace(PLAN, state="stopped"))).waits


def test_it_is_minimised_to_what_the_person_allows() -> None:
    """Asked for two categories, one is permitted; a label comes only by its name; one is denied."""
    two = replace(WANTED, categories=GROWTH | PSY | int(Category.VITAL), level=3)
    wide = replace(GOOD, plan=replace(PLAN, categories=ORDINARY | PSY), wanted=two)
    assert judge(wide).categories == GROWTH
    named = replace(YES, clauses=(Clause(permit=True, labels=frozenset({"PSY"})),))
    assert judge(replace(wide, side=replace(SIDE, rows=rows(named)))).categories & PSY
    anything = replace(YES, categories=None)
    no_vital = Clause(permit=False, actors=frozenset({"org:3"}), categories=frozenset({"VITAL"}))
    kept = judge(replace(wide, side=replace(SIDE, rows=rows(anything, no_vital)))).categories
    assert kept == GROWTH


def test_a_request_is_turned_away_before_anybody_is_looked_at() -> None:
    nobody = replace(GOOD, side=Side(state="", age=None))
    assert turned_away(nobody) == ()
    assert turned_away(replace(nobody, party=replace(PARTY, certified_until=PAST))) == (Code.CERTIFICATE_EXPIRED,)
    assert turned_away(replace(nobody, plan=replace(PLAN, state="review"))) == (Code.PROGRAM_NOT_ACTIVE,)


@pytest.mark.IT("20")
def test_a_certificate_ends_at_the_very_second() -> None:
    for now, permits in ((LATER - timedelta(microseconds=1), True), (LATER, False)):
        assert judge(replace(GOOD, now=now)).permits is permits
    assert judge(replace(GOOD, now=LATER)).codes[0] == "certificate-expired"


def test_uses_nest_and_modifiers_bind() -> None:
    cancer, other = "MONDO:0004992", "MONDO:0005148"
    whole = {"limited": True, "named": True}
    assert fits([GRU], Intended(use=HMB), **whole) and fits([GRU], Intended(use=DS, disease=cancer), **whole)
    assert not fits([HMB], Intended(use=GRU), **whole)
    assert fits([DS, cancer], Intended(use=DS, disease=cancer), **whole)
    assert not fits([DS, cancer], Intended(use=DS, disease=other), **whole)
    assert not fits([DS, cancer], Intended(use=HMB), **whole)
    assert not fits([GRU, NCU], Intended(), **whole) and fits([GRU, NCU], Intended(commercial=False), **whole)
    for codes in ([], [NCU], [GRU, HMB], [GRU, "DUO:9999999"], [DS], [GRU, cancer]):
        assert not understood(codes) and not fits(codes, Intended(), **whole)
    assert not understood([GRU, GRU])


def test_a_moment_is_given_not_asked(now: datetime) -> None:
    assert judge(replace(GOOD, now=now)) == judge(GOOD)
