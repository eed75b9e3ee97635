"""Who gets in, and how far: every capacity, from values alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from consent.decide import Caller, Capacity, Deny, InForce, Link, Permit, decide
from consent.effective import rows_of
from consent.reasons import Rule
from consent.rules import JST
from consent.scope import Category, Clause, Door, Facts, GrantRow, Mark, level_of
from tests.consent.strategies import HANA, REN

NOW = datetime(2026, 4, 1, 12, 0, tzinfo=JST)
DOORS = (Door("*", "cruds"),)
LINK = Link(id=5, state="active", starts_on=date(2026, 1, 1), ends_on=None, review_on=date(2027, 1, 1))

HERSELF = Caller(client="app", capacity=Capacity.SELF, purpose="PATRQT", doors=DOORS, person=1, subject=HANA)
GUARDIAN = replace(HERSELF, capacity=Capacity.GUARDIAN, purpose="FAMRQT", person=2)
AUNT = replace(HERSELF, capacity=Capacity.PROXY, purpose="FAMRQT", person=3)
CLINIC = Caller(client="clinic", capacity=Capacity.SYSTEM, purpose="TREAT", doors=DOORS, organization=9)
DOCTOR = replace(CLINIC, capacity=Capacity.STAFF, person=4)
OFFICER = replace(DOCTOR, purpose="PUBHLTH")

CHILD = InForce(subject_state="active", birth_on=date(2018, 6, 1), person_active=True)
OWN = replace(CHILD, birth_on=date(1990, 5, 5), own=True)
AS_GUARDIAN = replace(CHILD, guardianship=LINK)
OF_CLINIC = InForce(
    person_active=True, person_organization=9, organization_state="active", organization_kind="clinic",
    class_from=datetime(2026, 1, 1, tzinfo=JST),
)  # fmt: skip
OF_CITY = replace(OF_CLINIC, organization_kind="municipality")


def thing(*names: str, author: int | None = 9, marks: int = 0, declared: int = 0, subject: object = HANA) -> Facts:
    mask = int(sum(Category[n] for n in names or ("LABORATORY",)))
    level = level_of(mask, declared=declared)
    return Facts("Observation", "a", (subject,), mask, level, author=author, marks=marks)  # type: ignore[arg-type]


def sees(
    caller: Caller, in_force: InForce, facts: Facts, letter: str = "r", rows: tuple[GrantRow, ...] = (),
    now: datetime = NOW,
) -> bool:  # fmt: skip
    match decide(caller, in_force, now):
        case Permit(scope=scope):
            return scope.covers(facts, letter=letter, rows=rows)
        case Deny():
            return False
    raise AssertionError


def refusal(caller: Caller, in_force: InForce, now: datetime = NOW) -> Rule | None:
    answer = decide(caller, in_force, now)
    return answer.because.rule if isinstance(answer, Deny) else None


EVERYBODY = [(HERSELF, OWN), (GUARDIAN, AS_GUARDIAN), (AUNT, replace(CHILD, grants=True)), (CLINIC, OF_CLINIC),
             (DOCTOR, OF_CLINIC), (OFFICER, OF_CITY)]  # fmt: skip


@pytest.mark.parametrize(("caller", "in_force"), EVERYBODY)
def test_what_no_grant_overrides(caller: Caller, in_force: InForce) -> None:
    in_force = replace(in_force, grants=True)
    assert refusal(caller, in_force) is None
    assert refusal(replace(caller, doors=()), in_force) == Rule.NO_DOOR
    assert refusal(replace(caller, purpose="EMPLOYMENT"), in_force) == Rule.PURPOSE_PROHIBITED
    assert refusal(replace(caller, purpose="???"), in_force) == Rule.PURPOSE_UNKNOWN
    with_patient = replace(caller, subject=HANA)
    for state in ("locked", "erased", None):
        assert refusal(with_patient, replace(in_force, subject_state=state)) == f"L1.subject-{state or 'unknown'}"
    if caller.person is not None:
        assert refusal(caller, replace(in_force, person_active=False)) == Rule.PERSON_NOT_ACTIVE
    if caller.organization is not None:
        for state in ("suspended", None):
            assert refusal(caller, replace(in_force, organization_state=state)) == Rule.ORGANIZATION_NOT_ACTIVE


def test_a_resource_without_a_subject_is_nobodys() -> None:
    nobodys = replace(thing(), subjects=())
    assert not any(sees(caller, in_force, nobodys) for caller, in_force in EVERYBODY)


def test_open_types_are_read_by_all_and_written_by_organizations() -> None:
    organization = replace(thing(), type="Organization", subjects=())
    assert all(sees(caller, in_force, organization) for caller, in_force in EVERYBODY)
    writers = {caller.capacity for caller, in_force in EVERYBODY if sees(caller, in_force, organization, "c")}
    assert writers == {Capacity.STAFF, Capacity.SYSTEM}
    assert not any(sees(caller, in_force, organization, "d") for caller, in_force in EVERYBODY)


def test_own_record() -> None:
    assert sees(HERSELF, OWN, thing("PSY"), "r")
    assert sees(HERSELF, OWN, thing(author=None), "u")
    assert sees(HERSELF, OWN, thing(author=None), "d")
    assert not sees(HERSELF, OWN, thing(author=9), "u")
    assert not sees(HERSELF, OWN, thing(author=9), "d")
    assert not sees(HERSELF, OWN, thing(subject=REN))
    assert refusal(HERSELF, replace(OWN, own=False)) == Rule.NOT_OWN


def test_own_record_beats_denies() -> None:
    rows = rows_of(1, HANA, Clause(permit=False))
    assert sees(HERSELF, OWN, thing(), "r", rows)
    assert sees(HERSELF, OWN, thing(author=None), "d", rows)


@pytest.mark.G("13")
def test_a_child_protection_mark_is_not_shown_to_the_young_person() -> None:
    marked = thing(marks=Mark.CHILD_PROTECTION)
    assert not sees(HERSELF, replace(OWN, birth_on=date(2008, 4, 2)), marked)
    assert not sees(HERSELF, replace(OWN, birth_on=None), marked)
    assert sees(HERSELF, replace(OWN, birth_on=date(2008, 4, 1)), marked)


@pytest.mark.G("10")
def test_own_login_from_fifteen() -> None:
    assert refusal(HERSELF, replace(OWN, birth_on=date(2011, 4, 2))) == Rule.TOO_YOUNG
    assert refusal(HERSELF, replace(OWN, birth_on=date(2011, 4, 1))) is None


@pytest.mark.G("10")
@pytest.mark.parametrize(
    ("names", "at_11", "at_14", "at_15", "at_17"),
    [
        (("IMMUNIZATION",), True, True, True, True),
        (("MEDICATION",), True, True, True, True),
        (("MEDICATION", "PSY"), True, True, False, False),
        (("LABORATORY",), True, True, False, False),
        (("MEDICATION", "LABORATORY"), True, True, False, False),
        (("PSY",), True, True, False, False),
        (("UNCLASSIFIED",), True, True, False, False),
        (("SDV",), False, False, False, False),
    ],
)
def test_guardian_by_age(names: tuple[str, ...], at_11: bool, at_14: bool, at_15: bool, at_17: bool) -> None:
    for born, visible in ((2014, at_11), (2011, at_14), (2010, at_15), (2008, at_17)):
        in_force = replace(AS_GUARDIAN, birth_on=date(born, 6, 1))
        assert sees(GUARDIAN, in_force, thing(*names)) is visible, born


@pytest.mark.G("10")
def test_a_guardian_at_the_second_of_the_boundary() -> None:
    lab, midnight = thing("LABORATORY"), datetime(2026, 4, 1, tzinfo=JST)
    before = midnight - timedelta(seconds=1)
    fifteen = replace(AS_GUARDIAN, birth_on=date(2011, 4, 1))
    assert sees(GUARDIAN, fifteen, lab, now=before)
    assert not sees(GUARDIAN, fifteen, lab, now=midnight)
    adult = replace(AS_GUARDIAN, birth_on=date(2008, 4, 1))
    assert refusal(GUARDIAN, adult, before) is None
    assert refusal(GUARDIAN, adult, midnight) == Rule.GROWN_UP


@pytest.mark.G("16")
def test_a_child_of_29_february_is_adult_when_28_february_ends() -> None:
    leap = replace(AS_GUARDIAN, birth_on=date(2008, 2, 29))
    assert refusal(GUARDIAN, leap, datetime(2026, 2, 28, 23, 59, 59, tzinfo=JST)) is None
    assert refusal(GUARDIAN, leap, datetime(2026, 3, 1, tzinfo=JST)) == Rule.GROWN_UP


def test_a_guardian_of_a_child_of_unknown_age_sees_nothing() -> None:
    assert refusal(GUARDIAN, replace(AS_GUARDIAN, birth_on=None)) == Rule.AGE_UNKNOWN


@pytest.mark.G("07")
@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"state": "frozen"}, Rule.LINK_FROZEN),
        ({"state": "ended"}, Rule.LINK_ENDED),
        ({"starts_on": date(2026, 4, 2)}, Rule.LINK_NOT_BEGUN),
        ({"ends_on": date(2026, 4, 1)}, Rule.LINK_ENDED),
        ({"ends_on": date(2026, 4, 2)}, None),
        ({"review_on": date(2026, 3, 31)}, Rule.LINK_OVERDUE),
        ({"review_on": date(2026, 4, 1)}, None),
    ],
)
def test_a_link_that_does_not_stand(change: dict[str, object], because: str | None) -> None:
    in_force = replace(AS_GUARDIAN, guardianship=replace(LINK, **change), grants=True)
    assert refusal(GUARDIAN, in_force) == because


def test_a_guardian_changes_only_what_the_family_wrote() -> None:
    assert sees(GUARDIAN, AS_GUARDIAN, thing(author=None), "u")
    assert not sees(GUARDIAN, AS_GUARDIAN, thing(author=9), "u")
    assert sees(GUARDIAN, AS_GUARDIAN, thing(author=None), "c")


@pytest.mark.G("12")
def test_marks_a_guardian_never_sees() -> None:
    for mark in (Mark.MINOR_CONFIDENTIAL, Mark.CHILD_PROTECTION):
        assert not sees(GUARDIAN, AS_GUARDIAN, thing(marks=mark))
    assert sees(GUARDIAN, AS_GUARDIAN, thing(marks=Mark.LOCATION))
    assert not sees(GUARDIAN, replace(AS_GUARDIAN, location_hidden=True), thing(marks=Mark.LOCATION))


def test_a_deny_of_the_young_person_binds_the_guardian() -> None:
    rows = rows_of(1, HANA, Clause(permit=False, categories=frozenset({"LABORATORY"})))
    assert not sees(GUARDIAN, AS_GUARDIAN, thing(), rows=rows)
    assert sees(GUARDIAN, AS_GUARDIAN, thing("ALLERGY"), rows=rows)


def test_a_person_without_any_link_is_denied() -> None:
    assert refusal(AUNT, CHILD) == Rule.NO_GRANT
    assert refusal(replace(AUNT, capacity=Capacity.GUARDIAN), CHILD) == Rule.NO_LINK
    assert refusal(replace(AUNT, subject=None), replace(CHILD, grants=True)) == Rule.NO_GRANT


@pytest.mark.G("18")
def test_a_proxy_sees_what_was_granted_and_nothing_else() -> None:
    grants = replace(CHILD, grants=True)
    rows = rows_of(1, HANA, Clause(permit=True, actors=frozenset({"person:3"}), categories=frozenset({"ALLERGY"})))
    assert sees(AUNT, grants, thing("ALLERGY"), rows=rows)
    assert not sees(AUNT, grants, thing("LABORATORY"), rows=rows)
    assert not sees(AUNT, grants, thing("ALLERGY"))
    assert not sees(AUNT, grants, thing("ALLERGY", marks=Mark.MINOR_CONFIDENTIAL), rows=rows)


def test_an_organization_sees_its_own_record_for_treatment() -> None:
    for caller in (CLINIC, DOCTOR):
        assert sees(caller, OF_CLINIC, thing("PSY"), "r", rows_of(1, HANA, Clause(permit=False)))
        assert sees(caller, OF_CLINIC, thing(), "u")
        assert not sees(caller, OF_CLINIC, thing(author=8))
        assert not sees(caller, OF_CLINIC, thing(author=None))
        assert refusal(replace(caller, purpose="HPAYMT"), OF_CLINIC) == Rule.NO_GRANT
        assert refusal(replace(caller, organization=None), OF_CLINIC) == Rule.NO_ORGANIZATION


def test_a_patient_in_context_binds_an_organization() -> None:
    bound = replace(OF_CLINIC, subject_state="active")
    assert sees(replace(CLINIC, subject=HANA), bound, thing())
    assert not sees(replace(CLINIC, subject=HANA), bound, thing(subject=REN))


def test_only_a_municipality_uses_its_own_record_for_public_health() -> None:
    assert sees(OFFICER, OF_CITY, thing())
    assert refusal(OFFICER, OF_CLINIC) == Rule.NO_GRANT
    assert refusal(DOCTOR, replace(OF_CLINIC, person_organization=8)) == Rule.NOT_STAFF


def test_a_grant_opens_what_another_wrote() -> None:
    rows = rows_of(1, HANA, Clause(permit=True, actors=frozenset({"class:clinic"}), purposes=frozenset({"TREAT"})))
    grants = replace(OF_CLINIC, grants=True)
    assert sees(CLINIC, grants, thing(author=8), rows=rows)
    assert not sees(CLINIC, grants, thing("PSY", author=8), rows=rows)
    assert not sees(CLINIC, replace(grants, organization_kind="school"), thing(author=8), rows=rows)
    deny = rows_of(2, HANA, Clause(permit=False, actors=frozenset({"class:third-party"})))
    assert not sees(CLINIC, grants, thing(author=8), rows=rows + deny)
    assert sees(CLINIC, grants, thing(author=9), rows=rows + deny)


def test_a_member_of_a_family_is_no_third_party() -> None:
    deny = rows_of(2, HANA, Clause(permit=False, actors=frozenset({"class:third-party"})))
    assert sees(GUARDIAN, AS_GUARDIAN, thing(), rows=deny)


def test_research_needs_a_grant_and_its_purpose() -> None:
    researcher = replace(DOCTOR, capacity=Capacity.RESEARCHER, purpose="HRESCH")
    assert refusal(researcher, OF_CLINIC) == Rule.NO_PROVISION
    assert refusal(replace(researcher, purpose="TREAT"), replace(OF_CLINIC, grants=True)) == Rule.NO_PROVISION
    assert not sees(researcher, replace(OF_CLINIC, grants=True), thing())


@pytest.mark.G("03")
def test_a_resource_about_two_needs_both() -> None:
    both = replace(thing(), subjects=(HANA, REN))
    rows = rows_of(1, HANA, Clause(permit=True, actors=frozenset({"org:9"})))
    other = replace(both, author=8)
    grants = replace(OF_CLINIC, grants=True)
    assert not sees(CLINIC, grants, other, rows=rows)
    assert sees(CLINIC, grants, other, rows=rows + rows_of(2, REN, Clause(permit=True)))
    assert not sees(GUARDIAN, AS_GUARDIAN, both)
