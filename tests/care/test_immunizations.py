"""What the table says in particular cases."""

from datetime import date

import pytest

from phr.care.courses import Given
from phr.care.immunizations import Line, Person, State, plan
from phr.care.rules import rules_at
from phr.care.windows import Illness

D = date.fromisoformat
RULES = rules_at(date(2026, 4, 1))


def line(found: str, birth: str, today: str, *given: tuple[str, str], sex: str = "female", ill: str = "") -> Line:
    """The line of a vaccine (or of a disease)."""
    doses = tuple(Given(product, D(day)) for product, day in given)
    illnesses = (Illness(D(ill)),) if ill else ()
    lines = plan(Person(D(birth), sex, doses, illnesses), day=D(today), rules=RULES).lines
    return next(o for o in lines if found in (o.vaccine, *o.diseases))


def earliest(of: Line) -> str:
    assert of.next is not None
    return of.next.earliest.isoformat()


def flags(of: Line) -> list[tuple[str, ...]]:
    return [one.flags for one in of.given]


def test_a_girl_with_one_4valent_dose_is_advised_the_9valent_one() -> None:
    of = line("HPV", "2013-06-01", "2026-04-15", ("HPV4", "2025-12-01"))
    assert (of.vaccines, of.next and (of.next.number, of.next.of), earliest(of)) == (("HPV9",), (2, 3), "2026-01-01")
    of = line("HPV", "2013-06-01", "2026-08-01", ("HPV4", "2025-12-01"), ("HPV9", "2026-04-15"))
    assert (of.vaccines, of.next and of.next.number, earliest(of)) == (("HPV9",), 3, "2026-07-15")


def test_before_the_change_the_series_goes_on_as_it_began() -> None:
    of = line("HPV", "2013-06-01", "2026-01-15", ("HPV4", "2025-12-01"))
    assert of.vaccines == ("HPV4",)


def test_a_4valent_dose_after_its_end_is_remarked() -> None:
    of = line("HPV", "2013-06-01", "2026-06-01", ("HPV4", "2025-12-01"), ("HPV4", "2026-05-01"))
    assert flags(of) == [(), ("product-ended",)]


@pytest.mark.parametrize(
    ("second", "state", "flagged", "third"),
    [
        ("2026-10-01", State.COMPLETE, (), None),
        ("2026-09-30", State.NOT_YET, ("third-needed",), "2026-12-30"),
        ("2026-05-20", State.DUE, ("early-gap", "third-needed"), "2026-08-20"),
    ],
)
def test_two_doses_of_hpv9_five_months_apart_or_three(
    second: str, state: State, flagged: tuple[str, ...], third: str | None
) -> None:
    of = line("HPV", "2013-06-01", "2026-11-01", ("HPV9", "2026-05-01"), ("HPV9", second))
    assert flags(of)[1] == flagged
    assert of.state == state
    assert third is None or earliest(of) == third


def test_hpv9_begun_at_fifteen_takes_three() -> None:
    of = line("HPV", "2011-05-01", "2026-06-10", ("HPV9", "2026-05-10"))
    assert (of.next and of.next.of, earliest(of)) == (3, "2026-06-10")
    of = line("HPV", "2011-05-11", "2026-06-10", ("HPV9", "2026-05-10"))  # the day before the fifteenth birthday
    assert of.next and of.next.of == 2


def test_a_boy_has_no_hpv_line_until_a_dose_is_recorded() -> None:
    with pytest.raises(StopIteration):
        line("HPV", "2013-06-01", "2026-06-01", sex="male")
    assert line("HPV", "2013-06-01", "2026-06-01", ("HPV9", "2026-05-01"), sex="male").vaccines == ()


def test_four_in_one_and_hib_and_five_in_one_count_for_each_disease() -> None:
    mixed = [
        ("DPTIPV", "2023-12-01"), ("HIB", "2023-12-01"), ("DPTIPV", "2024-01-05"), ("HIB", "2024-01-05"),
        ("DPTIPVHIB", "2024-05-05"),
    ]  # fmt: skip
    polio = line("POLIO", "2023-10-01", "2024-06-15", *mixed)
    hib = line("HIB", "2023-10-01", "2024-06-15", *mixed)
    assert (polio.vaccine, polio.next and polio.next.number, earliest(polio)) == ("DPTIPV", 4, "2024-11-05")
    assert (hib.vaccine, hib.next and hib.next.number, earliest(hib)) == ("HIB", 4, "2024-12-05")


def test_hib_alone_where_the_rest_was_given_apart() -> None:
    fours = [("DPTIPV", day) for day in ("2024-01-10", "2024-02-10", "2024-03-10", "2024-10-10")]
    assert line("POLIO", "2023-10-10", "2025-01-10", *fours).state == State.COMPLETE
    assert line("HIB", "2023-10-10", "2025-01-10", *fours).vaccines == ("HIB",)


def test_a_newborn_is_offered_five_in_one_and_either_rotavirus_product() -> None:
    assert line("POLIO", "2026-04-10", "2026-06-10").vaccines == ("DPTIPVHIB",)
    assert line("RV", "2026-04-10", "2026-06-10").vaccines == ("ROTA1", "ROTA5")


def test_rotavirus_keeps_its_product() -> None:
    of = line("RV", "2026-04-10", "2026-07-20", ("ROTA5", "2026-06-10"))
    assert of.vaccines == ("ROTA5",)
    of = line("RV", "2026-04-10", "2026-07-20", ("ROTA5", "2026-06-10"), ("ROTA1", "2026-07-10"))
    assert flags(of) == [(), ("product-changed",)]


def test_rotavirus_is_not_begun_late_but_what_was_given_counts() -> None:
    assert line("RV", "2026-04-10", "2026-07-24").state == State.NOT_ADVISED
    of = line("RV", "2026-04-10", "2026-07-30", ("ROTA1", "2026-07-24"))
    assert (flags(of), of.vaccines) == ([("begun-late",)], ("ROTA1",))


def test_pcv_skips_the_third_dose_when_the_second_came_after_the_first_birthday() -> None:
    of = line("PCV", "2025-01-10", "2026-05-01", ("PCV", "2025-03-10"), ("PCV", "2026-04-01"))
    assert (of.next and (of.next.number, of.next.of), earliest(of)) == ((3, 3), "2026-06-01")


def test_pcv_not_done_by_two_years_still_has_its_booster() -> None:
    of = line("PCV", "2024-01-10", "2026-02-01", ("PCV", "2024-03-10"))
    assert of.next and (of.next.number, of.next.of) == (2, 2)
    assert of.state == State.OVERDUE


@pytest.mark.parametrize(("start", "of"), [("2025-08-09", 4), ("2025-08-10", 3), ("2026-01-10", 2), ("2027-01-10", 1)])
def test_pcv_by_the_age_it_begins(start: str, of: int) -> None:
    """An edge day belongs to the earlier range: seven months are attained on 9 August."""
    found = line("PCV", "2025-01-10", start, ("PCV", start))
    assert (found.next.of if found.next else 1) == of


def test_an_early_dose_is_flagged_and_counts() -> None:
    of = line("POLIO", "2026-04-10", "2026-08-01", ("DPTIPVHIB", "2026-06-10"), ("DPTIPVHIB", "2026-06-30"))
    assert flags(of) == [(), ("early-gap",)]
    assert of.given[1].doubtful
    assert of.next and of.next.number == 3


def test_a_late_dose_within_the_legal_age_is_sound_and_after_it_flagged() -> None:
    assert flags(line("BCG", "2025-04-10", "2026-06-01", ("BCG", "2026-04-09"))) == [()]
    assert flags(line("BCG", "2025-04-10", "2026-06-01", ("BCG", "2026-04-10"))) == [("late-age",)]


def test_injectable_live_vaccines_wait_and_oral_and_inactivated_ones_do_not() -> None:
    doses = [("MR1", "2026-04-20"), ("VAR", "2026-05-17")]
    assert flags(line("VAR", "2025-04-15", "2026-06-01", *doses)) == [("live-gap",)]
    assert flags(line("VAR", "2025-04-15", "2026-06-01", ("MR1", "2026-04-20"), ("VAR", "2026-05-18"))) == [()]
    assert flags(line("VAR", "2025-04-15", "2026-06-01", ("MR1", "2026-04-20"), ("VAR", "2026-04-20"))) == [()]
    assert earliest(line("PCV", "2025-04-15", "2026-04-21", ("MR1", "2026-04-20"))) == "2025-06-14"


@pytest.mark.parametrize(
    ("birth", "today", "number", "held"),
    [
        ("2006-10-01", "2026-06-01", 2, True),
        ("2009-09-01", "2022-06-01", 2, True),
        ("2009-10-02", "2022-06-01", 0, False),
    ],
)
def test_cohorts_may_catch_up_japanese_encephalitis(birth: str, today: str, number: int, held: bool) -> None:
    """One dose at four: the cohorts are offered the second of the first period; who was born later is not."""
    dose = (("JE", f"{int(birth[:4]) + 4}{birth[4:]}"),)
    of = line("JE1", birth, today, *dose)
    assert (of.next.number if of.next else 0) == number
    lines = plan(Person(D(birth), "male", (Given("JE", D(dose[0][1])),)), day=D(today), rules=RULES).lines
    assert held != any(o.vaccine == "JE2" for o in lines)


def test_in_the_cohorts_doses_fill_the_first_period_first() -> None:
    doses = [("JE", "2012-05-01"), ("JE", "2012-05-20"), ("JE", "2022-05-01"), ("JE", "2026-05-10")]
    assert line("JE1", "2006-10-01", "2026-06-01", *doses).state == State.COMPLETE
    assert line("JE2", "2006-10-01", "2026-06-01", *doses).state == State.COMPLETE


def test_a_product_without_a_period_is_placed_by_its_day() -> None:
    doses = [("MR", "2021-06-01"), ("MR", "2026-05-01")]
    assert [len(line(v, "2020-05-01", "2026-06-01", *doses).given) for v in ("MR1", "MR2")] == [1, 1]


@pytest.mark.parametrize(("birth", "open_"), [("2022-04-01", False), ("2022-04-02", True), ("2023-04-01", True)])
def test_a_shortage_extends_the_window_of_those_born_in_its_range(birth: str, open_: bool) -> None:
    of = line("MR1", birth, "2026-06-01")
    assert (of.state == State.DUE) == open_
    if open_:
        assert of.next and of.next.last == date(2027, 3, 31)
        assert flags(line("MR1", birth, "2026-06-01", ("MR1", "2026-05-01"))) == [()]


def test_long_illness_opens_two_years_up_to_the_upper_age_and_not_for_rotavirus() -> None:
    of = line("BCG", "2023-04-10", "2026-06-01", ill="2026-05-01")
    assert of.next and of.next.last == date(2027, 4, 9)  # four years
    of = line("PCV", "2020-05-10", "2026-05-01", ill="2026-04-15")
    assert of.next and of.next.last == date(2026, 5, 9)  # six years
    assert line("RV", "2025-04-10", "2026-06-01", ill="2026-05-01").state == State.AGED_OUT


def test_only_doses_up_to_the_day_count() -> None:
    assert line("BCG", "2026-01-10", "2026-05-31", ("BCG", "2026-06-01")).given == ()
    assert line("BCG", "2026-01-10", "2026-06-01", ("BCG", "2026-06-01")).state == State.COMPLETE


def test_influenza_begins_anew_each_season() -> None:
    doses = [("FLU", "2025-10-20"), ("FLU", "2025-11-10")]
    assert line("FLU", "2023-04-10", "2026-03-01", *doses).state == State.COMPLETE
    of = line("FLU", "2023-04-10", "2026-11-01", *doses)
    assert (of.state, of.next and of.next.of) == (State.DUE, 2)


def test_unknown_products_are_named_and_count_for_nothing() -> None:
    person = Person(D("2025-04-10"), "male", (Given("TYPHOID", D("2026-01-01")),))
    assert [g.product for g in plan(person, day=D("2026-02-01"), rules=RULES).unplaced] == ["TYPHOID"]


def test_nobody_is_told_of_a_vaccine_that_was_not_given_in_their_time() -> None:
    lines = plan(Person(D("2010-05-01"), "male"), day=D("2026-06-01"), rules=RULES).lines
    assert not {"HEPB", "ROTA1", "ROTA5"} & {o.vaccine for o in lines}
