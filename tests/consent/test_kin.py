"""Nobody of a desk decides about her own family, and none of them learns that a link is frozen (G-06 to G-08)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from consent import complaints, death, glass, guardianship, holds, kin, protection, proxies
from consent.guardianship import FreezeReason
from consent.models import Correction, Guardianship, LegalHold, Organization, Person, ProtectionCase, Subject
from consent.refusal import Absent, Refusal
from phr.trust import adoption, correcting
from phr.trust.acting import staff_caller
from tests.consent.people import People
from tests.institution import Trust


def link_of(person: Person, subject: Subject) -> Guardianship:
    return Guardianship.objects.get(person=person, subject=subject)


def hired(person: Person, office: Organization) -> Person:
    person.organization = office
    person.save()
    return person


def told(deed: Callable[[], object]) -> tuple[type, str]:
    with pytest.raises(Refusal) as found:
        deed()
    return type(found.value), found.value.why


@pytest.fixture
def father(family: People, now: datetime) -> Person:
    """Of the city's staff, and frozen."""
    link = link_of(family.ichiro, family.hana)
    guardianship.set_frozen(guardianship=link, by=family.sato, reason=FreezeReason.SUPPORT_MEASURE, now=now)
    return hired(family.ichiro, family.city)


@pytest.mark.G("06", "07")
def test_no_staff_parent_decides_about_a_link(family: People, now: datetime) -> None:
    mother, link, mei = hired(family.yuki, family.clinic), link_of(family.ichiro, family.hana), family.mei
    review_on, seen = (now + timedelta(days=300)).date(), Guardianship.Evidence.CLINIC_IN_PERSON
    stranger = family.ken  # of a school: entitled to nothing here
    deeds: list[Callable[[Person], object]] = [
        lambda by: guardianship.set_frozen(guardianship=link, by=by, reason=FreezeReason.REVIEW, now=now),
        lambda by: guardianship.end(guardianship=link, by=by, reason="x", now=now),
        lambda by: guardianship.renew(guardianship=link, evidence=seen, review_on=review_on, by=by, now=now),
        lambda by: guardianship.link(
            person=mei, subject=family.hana, kind=Guardianship.Kind.PARENT, evidence=seen, starts_on=now.date(),
            review_on=review_on, by=by, now=now,
        ),
        lambda by: death.record(subject=family.hana, on=now.date(), by=by, now=now),
        lambda by: holds.place(
            subject=family.hana, kind=LegalHold.Kind.LITIGATION, reason="r", until=None, by=by, now=now
        ),
    ]  # fmt: skip
    for deed in deeds:
        assert told(partial(deed, mother)) == told(partial(deed, stranger))
    # whether frozen or not, the answer is the same
    before = [told(partial(d, mother)) for d in deeds[:2]]
    guardianship.set_frozen(guardianship=link, by=family.sato, reason=FreezeReason.SUPPORT_MEASURE, now=now)
    assert [told(partial(d, mother)) for d in deeds[:2]] == before
    assert told(lambda: guardianship.release(guardianship=link, by=mother, now=now)) == told(
        lambda: guardianship.release(guardianship=link, by=stranger, now=now)
    )
    second = family.kondo
    told(lambda: guardianship.unfreeze(guardianship=link, by=second, second=mother, now=now))
    guardianship.end(guardianship=link_of(mother, family.hana), by=mother, reason="own", now=now)  # she may leave
    told(lambda: deeds[1](mother))  # and is kin still


@pytest.mark.G("08")
def test_a_frozen_parent_of_the_staff_shows_no_place(family: People, father: Person, now: datetime) -> None:
    hide: dict[str, Any] = {"subject": family.hana, "now": now}
    protection.set_location(hidden=True, reason=protection.Reason.SUPPORT_MEASURE, by=family.sato, **hide)
    told(lambda: protection.set_location(hidden=False, reason=protection.Reason.ENDED, by=father, **hide))
    case = protection.ask(subject=family.hana, by=family.yuki, now=now)
    told(lambda: protection.close(case=case, outcome=protection.Outcome.UNFOUNDED, by=father, now=now))
    family.hana.refresh_from_db()
    assert family.hana.location_hidden


def test_no_kin_reviews_an_emergency(family: People, father: Person, now: datetime) -> None:
    crew = Organization.objects.create(name="救急", kind="ambulance", code="x1", class_from=now)
    medic = Person.objects.create(username="medic", name="救急", organization=crew)
    access = glass.break_glass(
        subject=family.hana.pk, purpose="BTG", why=glass.Why("unconscious", "意識がありません。搬送します"),
        lasts=timedelta(minutes=30), by=medic, now=now,
    )  # fmt: skip
    assert not glass.to_review(by=father).exists()
    assert list(glass.to_review(by=family.sato)) == [access]
    with pytest.raises(Absent):
        glass.review(access=access, outcome="justified", by=father, now=now)


@pytest.mark.G("19")
def test_no_kin_records_an_adoption_or_touches_a_login(family: People, father: Person, now: datetime) -> None:
    parents = [adoption.Parent(family.mei, Guardianship.Evidence.FAMILY_REGISTER, (now + timedelta(days=300)).date())]
    given: dict[str, Any] = {
        "child": family.ren.pk,
        "name": "x",
        "parents": parents,
        "starts_on": now.date(),
        "now": now,
    }
    assert told(lambda: adoption.record(by=father, **given)) == told(lambda: adoption.record(by=family.ken, **given))
    for deed in (proxies.suspend_credential, proxies.restore_credential):
        with pytest.raises(Absent):
            deed(person=family.yuki, by=father, now=now)
    hold = holds.place(
        subject=family.hana, kind=LegalHold.Kind.LITIGATION, reason="r", until=None, by=family.sato, now=now
    )
    with pytest.raises(Absent):
        holds.lift(hold=hold.pk, by=father, now=now)


def test_who_was_let_in_is_kin(family: People, institution: Trust) -> None:
    assert not kin.is_kin(family.mei, family.yuki_subject.pk)
    institution.given(family.yuki_subject, family.yuki, f"person:{family.mei.pk}", purposes=frozenset({"FAMRQT"}))
    assert kin.is_kin(family.mei, family.yuki_subject.pk)
    assert not kin.is_kin(family.sato, family.yuki_subject.pk)
    assert kin.are_kin(family.ichiro, family.yuki)
    assert not kin.are_kin(family.sato, family.yuki)


@pytest.mark.IT("16")
def test_nobody_answers_her_own_or_her_familys_complaint(family: People, institution: Trust, now: datetime) -> None:
    mother = hired(family.yuki, institution.clerk.organization or family.city)
    asked = complaints.receive(subject=family.yuki_subject, kind="other", text="困っています", by=mother, now=now)
    told(lambda: complaints.take(complaint=asked, by=mother, now=now))
    complaints.take(complaint=asked, by=institution.clerk, now=now)
    told(lambda: complaints.answer(complaint=asked, text="問題ありません", by=mother, now=now))
    father = hired(family.ichiro, institution.clerk.organization or family.city)
    told(lambda: complaints.answer(complaint=asked, text="問題ありません", by=father, now=now))
    assert complaints.answer(complaint=asked, text="直します", by=institution.clerk, now=now).state == "answered"


# -- what protects is undone by who may ----------------------------------------------------------------


@pytest.mark.G("06", "08")
def test_a_closed_case_shows_no_place_that_a_measure_hid(family: People, now: datetime) -> None:
    hide: dict[str, Any] = {"subject": family.hana, "now": now}
    for reason in (protection.Reason.SUPPORT_MEASURE, protection.Reason.COURT_ORDER):
        protection.set_location(hidden=True, reason=reason, by=family.sato, **hide)
        case = protection.ask(subject=family.hana, by=family.ichiro, now=now)
        protection.close(case=case, outcome=protection.Outcome.UNFOUNDED, by=family.sato, now=now)
        family.hana.refresh_from_db()
        assert family.hana.location_hidden, reason
        for other in (family.mori, family.kondo)[: 2 if reason == "support-measure" else 1]:  # a clinic, another city
            told(partial(protection.set_location, hidden=False, reason=protection.Reason.ENDED, by=other, **hide))
        protection.set_location(hidden=False, reason=protection.Reason.ENDED, by=family.sato, **hide)
        family.hana.refresh_from_db()
        assert not family.hana.location_hidden
    case = protection.ask(subject=family.hana, by=family.ichiro, now=now)
    protection.close(case=case, outcome=protection.Outcome.UNFOUNDED, by=family.sato, now=now)
    family.hana.refresh_from_db()
    assert not family.hana.location_hidden  # the measures are over


@pytest.mark.G("06")
def test_no_clinic_takes_back_what_a_municipality_froze(family: People, now: datetime) -> None:
    link = link_of(family.ichiro, family.hana)
    nurse = Person.objects.create(username="nurse", name="看護師", organization=family.clinic)
    for frozen_by, wrong, right in (
        (family.sato, (family.mori, nurse), (family.mori, family.kondo)),
        (family.mori, (family.sato, family.kondo), (nurse, family.mori)),
    ):
        guardianship.set_frozen(guardianship=link, by=frozen_by, reason=FreezeReason.REVIEW, now=now)
        told(partial(guardianship.unfreeze, guardianship=link, by=wrong[0], second=wrong[1], now=now))
        guardianship.unfreeze(guardianship=link, by=right[0], second=right[1], now=now)
        assert link.state == Guardianship.State.ACTIVE


@pytest.mark.G("19")
def test_an_adopted_child_stays_protected(family: People, now: datetime) -> None:
    hide: dict[str, Any] = {"subject": family.hana, "now": now}
    protection.set_location(hidden=True, reason=protection.Reason.SUPPORT_MEASURE, by=family.sato, **hide)
    protection.ask(subject=family.hana, by=family.yuki, now=now)
    holds.place(
        subject=family.hana, kind=LegalHold.Kind.CHILD_PROTECTION, reason="r", until=None, by=family.sato, now=now
    )
    parents = [adoption.Parent(family.mei, Guardianship.Evidence.FAMILY_REGISTER, (now + timedelta(days=300)).date())]
    id, _ = adoption.record(
        child=family.hana.pk, name="x", parents=parents, starts_on=now.date(), by=family.kondo, now=now
    )
    new = Subject.objects.get(pk=id)
    assert new.location_hidden
    assert [hold.kind for hold in holds.standing(new, now=now)] == ["child-protection"]
    [case] = ProtectionCase.objects.filter(subject=new, closed_at=None)
    assert case.asked_by == family.kondo  # nobody of the old family stands in the new record
    protection.close(case=case, outcome=protection.Outcome.WITHDRAWN, by=family.kondo, now=now)
    new.refresh_from_db()
    assert new.location_hidden


@pytest.mark.IT("14")
def test_no_kin_answers_what_is_asked_to_be_corrected(family: People, father: Person, now: datetime) -> None:
    asked = Correction.objects.create(
        subject=family.hana, asked_by=family.yuki, capacity="guardian", organization=family.city, type="Observation",
        fhir_id="x", version=1, asked_at=now, asked_key=1, asked=b"x",
    )  # fmt: skip
    caller = staff_caller(father, purpose="PUBHLTH", client="desk", request="")
    given: dict[str, Any] = {"correction": asked.pk, "caller": caller, "amended": False, "reasons": "", "now": now}
    assert told(lambda: correcting.answer(by=father, **given))[0] is Absent
    assert told(lambda: correcting.answer(by=family.sato, **given))[0] is not Absent
