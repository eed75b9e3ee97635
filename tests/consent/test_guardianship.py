"""Links are verified by staff, stopped by staff, and silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from consent import effective, grants, guardianship
from consent.decide import Caller, Capacity, Deny, Permit, decide
from consent.guardianship import FreezeReason, UnableToChangeLink, UnableToLink
from consent.in_force import in_force_for
from consent.models import AuditEntry, EffectiveGrant, Grant, Guardianship, Organization, Person, Subject
from consent.reasons import Rule
from consent.scope import Clause, Door
from tests.consent.people import People
from tests.lines import told_by

E = Guardianship.Evidence
DOORS = (Door("*", "rs"),)


def link_of(person: Person, subject: Subject) -> Guardianship:
    return Guardianship.objects.get(person=person, subject=subject)


def epoch(subject: Subject) -> int:
    return Subject.objects.get(pk=subject.pk).consent_epoch


def link(family: People, now: datetime, **more: object) -> Guardianship:
    stated: dict[str, object] = {
        "person": family.mei, "subject": family.hana, "kind": Guardianship.Kind.APPOINTED, "evidence": E.COURT_ORDER,
        "starts_on": date(2026, 4, 1), "review_on": date(2028, 4, 1), "by": family.sato, "now": now,
    }  # fmt: skip
    return guardianship.link(**(stated | more))  # type: ignore[arg-type]


def test_a_verified_link_counts_from_its_first_day(family: People, now: datetime) -> None:
    before = epoch(family.hana)
    assert guardianship.standing(family.mei, family.hana, now) is None
    link(family, now)
    assert guardianship.standing(family.mei, family.hana, now) is not None
    assert guardianship.standing(family.mei, family.hana, now - timedelta(days=1)) is None
    assert guardianship.standing(family.mei, family.ren, now) is None
    assert epoch(family.hana) == before + 1
    line = AuditEntry.objects.filter(event="guardianship:linked", subject=family.hana.pk).latest("id")
    assert (line.person, line.organization) == (family.sato.pk, family.city.pk)
    assert told_by(line)["evidence"] == "court-order"


@pytest.mark.G("04")
@pytest.mark.parametrize(
    "change",
    [
        lambda f: {"by": f.yuki},
        lambda f: {"by": f.mei},
        lambda f: {"by": f.ken, "evidence": E.CLINIC_IN_PERSON},
        lambda f: {"by": f.mori, "evidence": E.FAMILY_REGISTER},
        lambda f: {"person": f.sato},
        lambda f: {"subject": f.yuki_subject},
        lambda f: {"person": f.teen, "subject": f.teen_subject},
        lambda f: {"review_on": date(2028, 4, 2)},
        lambda f: {"review_on": date(2026, 3, 31)},
        lambda f: {"ends_on": date(2026, 4, 1)},
        lambda f: {"person": f.yuki},
    ],
)
def test_links_that_are_not_made(family: People, now: datetime, change: object) -> None:
    count = Guardianship.objects.count()
    with pytest.raises(UnableToLink):
        link(family, now, **change(family))  # type: ignore[operator]
    assert Guardianship.objects.count() == count


@pytest.mark.G("04")
def test_a_review_is_due_in_24_months_at_the_latest_to_the_day(family: People, now: datetime) -> None:
    latest = date(2028, 4, 1)
    assert link(family, now, review_on=latest).review_on == latest
    renewed = link_of(family.yuki, family.hana)
    told: dict[str, Any] = {"guardianship": renewed, "evidence": E.FAMILY_REGISTER, "by": family.sato, "now": now}
    with pytest.raises(UnableToLink):
        guardianship.renew(review_on=latest + timedelta(days=1), **told)
    guardianship.renew(review_on=latest, **told)
    assert renewed.review_on == latest


def test_a_clinic_verifies_in_person_unless_suspended(family: People, now: datetime) -> None:
    Organization.objects.filter(pk=family.city.pk).update(state="suspended")
    with pytest.raises(UnableToLink):
        link(family, now, by=Person.objects.get(pk=family.sato.pk))
    assert link(family, now, by=family.mori, evidence=E.CLINIC_IN_PERSON).pk


def test_no_link_to_somebody_of_unknown_age(family: People, now: datetime) -> None:
    with pytest.raises(UnableToLink):
        link(family, now, subject=Subject.objects.create(created_at=now))


def as_guardian(person: Person, subject: Subject) -> Caller:
    return Caller(
        client="app", capacity=Capacity.GUARDIAN, purpose="FAMRQT", doors=DOORS, person=person.pk, subject=subject.pk
    )


def answer(caller: Caller, now: datetime) -> Permit | Deny:
    return decide(caller, in_force_for(caller, now=now), now)


def refusal(caller: Caller, now: datetime) -> Rule | None:
    told = answer(caller, now)
    return told.because.rule if isinstance(told, Deny) else None


@pytest.mark.G("06")
@pytest.mark.G("07")
def test_a_freeze_stops_one_guardian_at_once_and_not_the_other(family: People, now: datetime) -> None:
    frozen = link_of(family.ichiro, family.hana)
    assert isinstance(answer(as_guardian(family.ichiro, family.hana), now), Permit)
    before = epoch(family.hana)
    guardianship.set_frozen(guardianship=frozen, by=family.sato, reason=FreezeReason.SUPPORT_MEASURE, now=now)
    assert refusal(as_guardian(family.ichiro, family.hana), now) is Rule.LINK_FROZEN
    assert guardianship.standing(family.ichiro, family.hana, now) is None
    assert guardianship.standing(family.ichiro, family.ren, now) is not None
    assert guardianship.standing(family.yuki, family.hana, now) is not None
    assert (epoch(family.hana), frozen.state) == (before + 1, "frozen")
    guardianship.set_frozen(guardianship=frozen, by=family.sato, reason=FreezeReason.COURT_ORDER, now=now)
    assert epoch(family.hana) == before + 1
    with pytest.raises(UnableToLink):
        link(family, now, person=family.ichiro)


@pytest.mark.G("06")
def test_no_guardian_removes_the_other(family: People, now: datetime) -> None:
    fathers = link_of(family.ichiro, family.hana)
    for nobody in (family.yuki, family.mei, family.ken, family.ichiro):
        with pytest.raises(UnableToChangeLink):
            guardianship.set_frozen(guardianship=fathers, by=nobody, reason=FreezeReason.REVIEW, now=now)
    for nobody in (family.yuki, family.mei, family.ken):
        with pytest.raises(UnableToChangeLink):
            guardianship.end(guardianship=fathers, by=nobody, reason="request", now=now)
    guardianship.end(guardianship=fathers, by=family.ichiro, reason="request", now=now)
    assert refusal(as_guardian(family.ichiro, family.hana), now) is Rule.LINK_ENDED
    before = epoch(family.hana)
    guardianship.end(guardianship=fathers, by=family.sato, reason="again", now=now)
    assert epoch(family.hana) == before
    assert link(family, now, person=family.ichiro).pk != fathers.pk
    assert isinstance(answer(as_guardian(family.ichiro, family.hana), now), Permit)


@pytest.mark.G("09")
def test_persons_a_guardian_let_in_go_out_with_the_guardian(family: People, now: datetime) -> None:
    to_aunt = Clause(
        permit=True, actors=frozenset({f"person:{family.mei.pk}"}), purposes=frozenset({"FAMRQT"}),
        categories=frozenset({"ALLERGY"}), valid_to=now + timedelta(days=30),
    )  # fmt: skip
    to_clinic = Clause(permit=True, actors=frozenset({f"org:{family.clinic.pk}"}), purposes=frozenset({"TREAT"}))
    fathers, mothers, clinics = (
        grants.give(subject=family.hana, root=root, by=by, capacity="guardian", now=now)
        for root, by in ((to_aunt, family.ichiro), (to_aunt, family.yuki), (to_clinic, family.ichiro))
    )
    frozen = link_of(family.ichiro, family.hana)
    guardianship.set_frozen(guardianship=frozen, by=family.sato, reason=FreezeReason.COURT_ORDER, now=now)
    assert set(EffectiveGrant.objects.values_list("grant_id", flat=True)) == {mothers.pk, clinics.pk}
    fathers.refresh_from_db()
    assert (fathers.state, fathers.ended_reason) == ("inactive", "guardian stopped")


@pytest.mark.G("16")
def test_what_a_guardian_gave_ends_the_second_the_child_is_grown_up(family: People, now: datetime) -> None:
    root = Clause(permit=True, actors=frozenset({f"org:{family.clinic.pk}"}), purposes=frozenset({"TREAT"}))
    grants.give(subject=family.hana, root=root, by=family.yuki, capacity="guardian", now=now)
    (row,) = EffectiveGrant.objects.all()
    assert row.valid_to == datetime(2036, 5, 31, 15, 0, tzinfo=UTC)  # born on 1 June 2018; midnight in Japan


@pytest.mark.G("06")
def test_unfreezing_takes_two(family: People, now: datetime) -> None:
    frozen = link_of(family.ichiro, family.hana)
    with pytest.raises(UnableToChangeLink):
        guardianship.unfreeze(guardianship=frozen, by=family.sato, second=family.kondo, now=now)
    guardianship.set_frozen(guardianship=frozen, by=family.sato, reason=FreezeReason.REVIEW, now=now)
    for by, second in ((family.sato, family.sato), (family.sato, family.ken), (family.yuki, family.sato)):
        with pytest.raises(UnableToChangeLink):
            guardianship.unfreeze(guardianship=frozen, by=by, second=second, now=now)
    guardianship.unfreeze(guardianship=frozen, by=family.sato, second=family.kondo, now=now)
    assert guardianship.standing(family.ichiro, family.hana, now) is not None


# --- what is in force, read from the tables -----------------------------------------------------------------------


def test_everything_about_a_caller_is_one_query(family: People, now: datetime, round_trips: list[str]) -> None:
    caller = as_guardian(family.yuki, family.hana)
    round_trips.clear()
    in_force = in_force_for(caller, now=now)
    assert len(round_trips) == 1
    assert in_force.subject_state == "active"
    assert in_force.birth_on == family.hana.birth_on
    assert in_force.guardianship is not None
    assert in_force.guardianship.id == link_of(family.yuki, family.hana).pk
    assert (in_force.own, in_force.person_active, in_force.organization_state) == (False, True, None)
    own = replace(caller, capacity=Capacity.SELF, subject=family.yuki_subject.pk)
    assert in_force_for(own, now=now).own
    nobody = replace(caller, person=10**9, subject=None)
    assert not in_force_for(nobody, now=now).person_active
    staff = replace(caller, capacity=Capacity.STAFF, person=family.mori.pk, organization=family.clinic.pk, subject=None)
    in_force = in_force_for(staff, now=now)
    assert (in_force.organization_kind, in_force.person_organization) == ("clinic", family.clinic.pk)


@pytest.mark.G("18")
def test_the_aunt_gets_in_by_a_grant_only(family: People, now: datetime) -> None:
    aunt = replace(as_guardian(family.mei, family.yuki_subject), capacity=Capacity.PROXY)
    assert refusal(aunt, now) is Rule.NO_GRANT
    root = Clause(
        permit=True, actors=frozenset({f"person:{family.mei.pk}"}), purposes=frozenset({"FAMRQT"}),
        categories=frozenset({"ALLERGY"}), valid_to=now + timedelta(days=30),
    )  # fmt: skip
    grant = grants.give(subject=family.yuki_subject, root=root, by=family.yuki, capacity="self", now=now)
    assert isinstance(answer(aunt, now), Permit)
    assert refusal(replace(aunt, subject=family.hana.pk), now) is Rule.NO_GRANT
    assert refusal(aunt, now + timedelta(days=30)) is Rule.NO_GRANT
    grants.withdraw(grant=grant, by=family.yuki, reason="", now=now)
    assert refusal(aunt, now) is Rule.NO_GRANT


def test_a_permit_to_anyone_makes_nobody_a_proxy(family: People, now: datetime) -> None:
    """Nobody can write one here; but a tree from elsewhere may say so."""
    grant = Grant.objects.create(
        subject=family.hana, given_by=family.yuki, capacity="self", root={"permit": True}, given_at=now
    )
    effective.rebuild(grant)
    aunt = replace(as_guardian(family.mei, family.hana), capacity=Capacity.PROXY)
    assert refusal(aunt, now) is Rule.NO_GRANT


def test_grants_to_a_class_reach_its_organizations(family: People, now: datetime) -> None:
    system = Caller(
        client="c", capacity=Capacity.SYSTEM, purpose="TREAT", doors=DOORS, organization=family.clinic.pk
    )  # fmt: skip
    assert not in_force_for(system, now=now).grants
    root = Clause(
        permit=True, actors=frozenset({"class:clinic"}), purposes=frozenset({"TREAT"}),
        categories=frozenset({"GROWTH"}), valid_to=now + timedelta(days=30),
    )  # fmt: skip
    grants.give(subject=family.yuki_subject, root=root, by=family.yuki, capacity="self", now=now)
    assert in_force_for(system, now=now).grants
    assert in_force_for(replace(system, subject=family.yuki_subject.pk), now=now).grants
    assert not in_force_for(replace(system, subject=family.hana.pk), now=now).grants
    assert not in_force_for(replace(system, organization=family.school.pk), now=now).grants
    aunt = replace(as_guardian(family.mei, family.yuki_subject), capacity=Capacity.PROXY)
    assert not in_force_for(aunt, now=now).grants
