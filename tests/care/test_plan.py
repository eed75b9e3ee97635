"""Properties of every plan: whatever was given, whenever, the table's law is kept."""

from collections.abc import Iterable
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phr.care.courses import DOUBTFUL, Assessed, Given
from phr.care.immunizations import Line, Person, Plan, State, maternal, plan
from phr.care.rules import rules_at
from phr.care.windows import Illness, first_open, windows

RULES = rules_at(date(2026, 4, 1))
PRODUCTS = sorted(set(RULES.products) - {"RSVM"})
DAY = timedelta(days=1)
births = st.dates(date(2005, 1, 1), date(2028, 12, 31))


@st.composite
def people(draw: st.DrawFn) -> tuple[Person, date]:
    """Somebody with whatever doses, sound or not, and a day to ask about."""
    birth = draw(births)
    span = draw(st.integers(1, 17 * 365))
    doses = draw(st.lists(st.tuples(st.sampled_from(PRODUCTS), st.integers(0, span)), max_size=14))
    given_ = tuple(Given(product, birth + timedelta(days=days)) for product, days in doses)
    ended = draw(st.none() | st.integers(30, 4000))
    illnesses = (Illness(birth + timedelta(days=ended)),) if ended else ()
    person = Person(birth, draw(st.sampled_from(["female", "male", "unknown", ""])), given_, illnesses)
    return person, birth + timedelta(days=span)


def assessed(found: Plan, dose: Given) -> list[Assessed]:
    return [a for line in found.lines for a in line.given if a.given is dose]


def sharing(line: Line, lines: Iterable[Line]) -> set[tuple[str, ...]]:
    """What would be given with the same product."""
    return {other.diseases for other in lines if other.vaccines == line.vaccines}


def give(person: Person, line: Line, vaccine: str, day: date) -> tuple[Person, Given]:
    """The person after the dose the line recommends."""
    dose = Given(vaccine, day)
    return Person(person.birth, person.sex, (*person.given, dose), person.illnesses), dose


def day_of(person: Person, line: Line, today: date) -> date | None:
    """The day a family acts on: the recommended one, or, later than that, the next legal one."""
    assert line.next is not None
    found = windows(RULES, RULES.vaccines[line.vaccine], person.birth, person.illnesses)
    return first_open(found, max(today, line.next.recommended))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people(), st.data())
def test_giving_what_is_recommended_never_makes_a_doubtful_dose(case: tuple[Person, date], data: st.DataObject) -> None:
    person, today = case
    lines = [line for line in plan(person, day=today, rules=RULES).lines if line.vaccines]
    if not lines:
        return
    line = data.draw(st.sampled_from(lines))
    vaccine = data.draw(st.sampled_from(line.vaccines))
    day = max(today + DAY, line.next.recommended)  # type: ignore[union-attr]
    again = [
        o for o in plan(person, day=day, rules=RULES).lines if o.vaccines and set(o.diseases) == set(line.diseases)
    ]
    if not again or vaccine not in again[0].vaccines or again[0].state == State.NOT_YET:
        return  # the plan of that very day says otherwise: what counts is asked on the day
    person, dose = give(person, again[0], vaccine, day)
    for found in assessed(plan(person, day=day, rules=RULES), dose):
        assert DOUBTFUL.isdisjoint(found.flags), (line, found)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(births, st.sampled_from(["female", "male"]), st.lists(st.integers(0, 40), min_size=80, max_size=80))
def test_a_child_who_is_given_everything_recommended_is_never_in_doubt(birth: date, sex: str, waits: list[int]) -> None:
    """Follow the plan from birth with any delays: no dose is ever doubtful, and the basic series end complete."""
    person, today = Person(birth, sex), birth
    for wait in waits:
        found = plan(person, day=today, rules=RULES)
        dates = [(day, line) for line in found.lines if line.vaccines and (day := day_of(person, line, today))]
        soonest = min(dates, key=lambda pair: pair[0], default=None)
        if soonest is None:
            break
        today = max(today, soonest[0]) + timedelta(days=wait)
        line = next((o for o in plan(person, day=today, rules=RULES).lines if o.vaccine == soonest[1].vaccine), None)
        if line is None or not line.vaccines or line.state == State.NOT_YET:
            continue
        person, dose = give(person, line, line.vaccines[0], today)
        for one in assessed(plan(person, day=today, rules=RULES), dose):
            assert not one.doubtful, one


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people())
def test_nothing_is_recommended_before_its_time(case: tuple[Person, date]) -> None:
    """The bounds of law, read from the table: age, gap from the dose before, live vaccines."""
    person, today = case
    lives = [g.on for g in person.given if g.on <= today and g.product in RULES.live]
    for line in plan(person, day=today, rules=RULES).lines:
        if line.next is None:
            continue
        vaccine, coming = RULES.vaccines[line.vaccine], line.next
        open_on = windows(RULES, vaccine, person.birth, person.illnesses)
        assert coming.earliest <= coming.recommended
        assert first_open(open_on, coming.earliest) == coming.earliest
        assert first_open(open_on, coming.recommended) == coming.recommended
        assert coming.number <= coming.of
        if line.given:
            assert (coming.earliest - line.given[-1].given.on).days > 6
        if vaccine.type == "live-injectable" and lives:
            assert (coming.earliest - max(lives)).days > 27


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people(), st.integers(1, 900))
def test_time_alone_never_brings_a_dose_nearer(case: tuple[Person, date], days: int) -> None:
    """With nothing given in between, days only stay or move on, and what is over stays over."""
    person, today = case
    kept = tuple(g for g in person.given if g.on <= today)
    person = Person(person.birth, person.sex, kept, person.illnesses)
    before = plan(person, day=today, rules=RULES).lines
    later = {line.vaccine: line for line in plan(person, day=today + timedelta(days=days), rules=RULES).lines}
    for old in before:
        new = later.get(old.vaccine)
        if RULES.vaccines[old.vaccine].season or new is None or old.diseases != new.diseases:
            continue  # a new season; another product begins then, or a second period is reached
        if sharing(old, before) != sharing(new, later.values()):
            continue  # what is given together agrees on a day, and something else is given together by then
        if old.state == State.COMPLETE:
            assert new.state == State.COMPLETE
        if old.state == State.AGED_OUT:
            assert new.state in (State.AGED_OUT, State.COMPLETE)
        if old.next and new.next and old.next.number == new.next.number:
            assert new.next.earliest >= old.next.earliest
            assert new.next.recommended >= old.next.recommended


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people())
def test_no_dose_is_ever_dropped(case: tuple[Person, date]) -> None:
    """Every dose up to the day is on a line for each disease it counts for, or named as counting for none."""
    person, today = case
    found = plan(person, day=today, rules=RULES)
    for dose in person.given:
        if dose.on > today:
            assert not assessed(found, dose)
            continue
        counted = {d for one in assessed(found, dose) for d in one.diseases}
        seasonal = {d for d in RULES.products[dose.product].disease if d == "FLU"}
        held = {"JE", "D", "T", "MEASLES", "RUBELLA"}  # a second period may be held back
        assert dose in found.unplaced or set(RULES.products[dose.product].disease) - counted <= seasonal | held


@given(st.dates(date(2026, 5, 1), date(2030, 1, 1)), st.integers(0, 300))
def test_in_pregnancy_the_window_is_by_days_of_gestation(expected: date, days: int) -> None:
    day = expected - timedelta(days=280 - days)
    lines = maternal(expected, (), day=day, rules=RULES)
    open_now = any(line.state == State.DUE for line in lines)
    assert open_now == (196 <= days <= 258 and day >= date(2026, 4, 1))
    for line in lines:
        if line.next:
            _, last = expected - timedelta(days=84), expected - timedelta(days=22)
            assert line.next.last == last


@pytest.mark.long
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(people(), st.data())
def test_giving_what_is_recommended_many_times(case: tuple[Person, date], data: st.DataObject) -> None:
    test_giving_what_is_recommended_never_makes_a_doubtful_dose.hypothesis.inner_test(case, data)
