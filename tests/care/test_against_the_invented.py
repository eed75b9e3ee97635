"""Two readings of one table: what invented families are given by it is never in doubt by the plan."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from phr.care.courses import Given
from phr.care.immunizations import Person, State, plan
from phr.care.rules import rules_at
from phr.populate.dice import Dice
from phr.populate.vaccination import doses

DAY = date(2026, 4, 1)
RULES = rules_at(DAY)


@settings(max_examples=250, deadline=None)
@given(st.dates(date(2011, 1, 1), DAY - timedelta(days=1)), st.sampled_from(["female", "male"]), st.integers(0, 10**6))
def test_no_invented_dose_is_doubtful_and_each_is_counted(birth: date, sex: str, seed: int) -> None:
    invented = doses(birth, sex, DAY, Dice(seed, 0))
    given_ = tuple(Given(dose.vaccine, dose.on, str(n)) for n, dose in enumerate(invented))
    found = plan(Person(birth, sex, given_), day=DAY, rules=RULES)
    assessed = [one for line in found.lines for one in line.given]
    assert not [one for one in assessed if one.doubtful]
    assert {one.given.reference for one in assessed} == {one.reference for one in given_}
    for dose, given_dose in zip(invented, given_, strict=True):
        numbers = {one.number for one in assessed if one.given is given_dose}
        assert numbers == {dose.number}, (dose, numbers)


@settings(max_examples=100, deadline=None)
@given(st.dates(date(2011, 1, 1), DAY - timedelta(days=1)), st.sampled_from(["female", "male"]), st.integers(0, 10**6))
def test_who_came_for_everything_has_it_complete(birth: date, sex: str, seed: int) -> None:
    """A series whose every dose was given says so, whatever else stands open."""
    invented = doses(birth, sex, DAY, Dice(seed, 0))
    given_ = tuple(Given(dose.vaccine, dose.on) for dose in invented)
    found = plan(Person(birth, sex, given_), day=DAY, rules=RULES)
    for line in found.lines:
        if line.state == State.COMPLETE:
            assert line.given
        if line.next:
            assert line.next.number == len(line.given) + 1
