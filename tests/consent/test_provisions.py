"""Asking, judging, answering; history and ledger; the records that stay (IT-07, 09, 10, 14, 34, 40, 41, 51)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from consent import (
    grants,
    guardianship,
    joint,
    notices,
    provider_records,
    provisions,
    recipients,
)
from consent.decide import Caller, Capacity
from consent.guardianship import FreezeReason
from consent.models import Guardianship, JointAct, Program, Provision, Recipient, Subject
from consent.refusal import Absent, Because
from consent.scope import Category, Clause
from phr.smart import severing
from tests.consent.people import People, people
from tests.institution import GROWTH, Trust, one, system_of, trust
from tests.refusals import refused

DAY = timedelta(days=1)


@pytest.fixture
def to(institution: Trust) -> Recipient:
    return institution.recipient()


@pytest.fixture
def program(institution: Trust, to: Recipient) -> Program:
    return institution.program(to)


def consent(institution: Trust, family: People, to: Recipient, **more: object) -> None:
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}", **more)


def delivered(provision: Provision, to: Recipient, now: datetime) -> Provision:
    return provisions.delivered(provision=provision, items=["Observation/a/_history/1"], last=True, by=system_of(to),
                                now=now)  # fmt: skip


@pytest.mark.IT("07")
def test_the_judgement_is_stored_with_its_reasons(
    family: People, institution: Trust, to: Recipient, program: Program
) -> None:
    consent(institution, family, to)
    made = one(institution.asked(program, to))
    assert made.judgement["permits"] is True and set(made.judgement["findings"].values()) == {"ok"}
    assert (made.grant_version, made.categories, made.recipient) == (1, GROWTH, to)
    assert made.mandate is not None and made.mandate.subject == family.yuki_subject
    for nothing in (None, {}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Provision.objects.filter(pk=made.pk).update(judgement=nothing)
    with pytest.raises(IntegrityError, match="provision_stands_on_consent"), transaction.atomic():
        Provision.objects.filter(pk=made.pk).update(grant=None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT is_nullable FROM information_schema.columns WHERE table_name = 'consent_provision'"
                       " AND column_name = 'judgement'")  # fmt: skip
        assert cursor.fetchone() == ("NO",)


@pytest.mark.IT("07")
def test_asked_twice_it_is_one_request(family: People, institution: Trust, to: Recipient, program: Program) -> None:
    consent(institution, family, to)
    first = institution.asked(program, to, reference="2026-001")
    assert institution.asked(program, to, reference="2026-001") == first
    assert Provision.objects.count() == 1
    other = refused(lambda: institution.asked(program, to, reference="2026-001", level=3))
    assert (other.because, other.place) == (Because.CONFLICT, "reference")


@pytest.mark.IT("07", "25")
def test_turned_away_as_a_whole(family: People, institution: Trust, to: Recipient, program: Program) -> None:
    consent(institution, family, to)
    wide = GROWTH | int(Category.LABORATORY)
    wrong = {
        "purpose-prohibited": {"purpose": "EMPLOYMENT"}, "purpose-differs": {"purpose": "TREAT"},
        "categories-too-wide": {"categories": wide}, "profiling-undeclared": {"profiling": True},
        "level-too-high": {"categories": GROWTH, "level": 3},
    }  # fmt: skip
    for place, more in wrong.items():
        no = refused(lambda m=more: institution.asked(program, to, **m))
        assert (no.place, no.because) == (place, Because.FORBIDDEN)
    # The purpose its token was signed for is another.
    asking = provisions.Asking(reference="x", program=program.pk, purpose="HRESCH", categories=GROWTH, level=2,
                               until=institution.now + DAY)  # fmt: skip
    treating = system_of(to, purpose="TREAT")
    no = refused(lambda: provisions.ask(asking=asking, by=treating, now=institution.now))
    assert no.place == "purpose-differs"
    draft = institution.proposed(to)
    assert refused(lambda: institution.asked(draft, to)).because is Because.ABSENT
    stranger = Caller(client="x", capacity=Capacity.SYSTEM, purpose="HRESCH", doors=(), organization=family.clinic.pk)
    no = refused(lambda: provisions.ask(asking=asking, by=stranger, now=institution.now))
    assert no.place == "recipient-unknown"
    for until in (institution.now, institution.now + timedelta(days=400)):
        assert refused(lambda u=until: institution.asked(program, to, until=u)).place == "until"
    assert not Provision.objects.exists()


@pytest.mark.IT("09")
def test_the_operator_itself_gets_nothing_without_consent(family: People, institution: Trust) -> None:
    """Own secondary use: its own consent, its own purpose."""
    office = institution.clerk.organization
    assert office is not None
    us = institution.recipient(office)
    analytics = institution.program(us)
    institution.entrusted(family.yuki_subject, family.yuki)
    other = institution.recipient()
    institution.given(family.yuki_subject, family.yuki, f"org:{other.organization_id}")
    assert institution.asked(analytics, us).provisions.count() == 0
    institution.given(family.yuki_subject, family.yuki, f"org:{office.pk}")
    assert one(institution.asked(analytics, us)).state == "permitted"


@pytest.mark.IT("04", "07")
def test_the_person_narrows_it(family: People, institution: Trust, to: Recipient, program: Program) -> None:
    consent(institution, family, to, categories=frozenset({"GROWTH"}))
    made = one(institution.asked(program, to, categories=GROWTH | int(Category.VITAL)))
    assert made.categories == GROWTH  # asked for both, given one
    stop = Clause(permit=False, actors=frozenset({"class:third-party"}))
    grants.give(subject=family.yuki_subject, root=stop, by=family.yuki, capacity="self", now=institution.now)
    denied = one(institution.asked(program, to))
    assert (denied.state, denied.judgement["codes"]) == ("refused", ["denied"])


@pytest.mark.IT("04", "07")
def test_asked_each_time(family: People, institution: Trust, to: Recipient, program: Program, now: datetime) -> None:
    consent(institution, family, to, ask=True)
    first, second = one(institution.asked(program, to)), one(institution.asked(program, to))
    assert (first.state, second.state) == ("asked", "asked")
    assert [n.kind for n in notices.inbox(family.yuki, now=now)].count("provision:asked") == 2
    page, _ = provisions.handed(first.request, after=None, most=10)
    assert page == []  # the recipient does not learn that somebody is being asked
    assert set(provisions.waiting(family.yuki_subject, now=now)) == {first, second}
    yes = provisions.answer(provision=first, yes=True, by=family.yuki, now=now)
    no = provisions.answer(provision=second, yes=False, by=family.yuki, now=now)
    assert (yes.state, no.state, no.judgement["codes"]) == ("permitted", "refused", ["answer-no"])
    assert yes.grant is not None and yes.grant.answered == [first.pk]
    assert provisions.handed(first.request, after=None, most=10)[0] == [yes]
    assert (
        refused(lambda: provisions.answer(provision=first, yes=True, by=family.yuki, now=now)).because
        is Because.CONFLICT
    )
    third = one(institution.asked(program, to))
    assert third.state == "asked"  # a yes is for one provision
    with pytest.raises(Absent):
        provisions.answer(provision=third, yes=True, by=family.ichiro, now=now)


@pytest.mark.G("10", "14")
@pytest.mark.IT("07")
def test_a_child_takes_both_guardians_and_from_16_itself(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    institution.entrusted(family.hana, family.yuki)
    waiting = institution.given(family.hana, family.yuki, f"org:{to.organization_id}", capacity="guardian")
    assert waiting.state == "proposed"
    assert not institution.asked(program, to).provisions.exists()
    act = JointAct.objects.get(grant=waiting)
    joint.agree(act=act, by=family.ichiro, now=now)
    assert one(institution.asked(program, to)).state == "permitted"
    # A third guardian appears who never agreed.
    guardianship.link(
        person=family.mei, subject=family.hana, kind=Guardianship.Kind.ADOPTIVE,
        evidence=Guardianship.Evidence.FAMILY_REGISTER, starts_on=now.date(), review_on=now.date() + DAY,
        by=family.sato, now=now,
    )  # fmt: skip
    lone = one(institution.asked(program, to))
    assert lone.judgement["codes"] == ["second-guardian-missing"]
    # Born 2018-06-01: sixteen from 2034-06-01 on; what guardians gave is not enough any more.
    Subject.objects.filter(pk=family.hana.pk).update(birth_on=now.date().replace(year=2010))
    assert "own-consent-needed" in one(institution.asked(program, to)).judgement["codes"]


@pytest.mark.G("07", "14")
def test_who_gave_it_was_frozen(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    institution.entrusted(family.hana, family.ichiro)
    given = institution.given(family.hana, family.yuki, f"org:{to.organization_id}", capacity="guardian")
    joint.agree(act=JointAct.objects.get(grant=given), by=family.ichiro, now=now)
    link = Guardianship.objects.get(person=family.yuki, subject=family.hana)
    severing.freeze(guardianship_id=link.pk, by=family.sato, reason=FreezeReason.COURT_ORDER, now=now)
    found = institution.asked(program, to)
    assert not found.provisions.filter(state="permitted").exists()
    assert {code for p in found.provisions.all() for code in p.judgement["codes"]} <= {"giver-stopped", "no-consent"}


@pytest.mark.IT("10")
def test_history_holds_every_provision_and_no_others(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    consent(institution, family, to)
    institution.given(family.teen_subject, family.teen, f"org:{to.organization_id}")  # without a mandate
    request = institution.asked(program, to)
    institution.asked(program, to)
    shown = provisions.history(family.yuki_subject)
    assert {p.subject_id for p in shown} == {family.yuki_subject.pk} and len(shown) == 2
    assert [p.state for p in provisions.history(family.teen_subject)] == ["refused", "refused"]
    for subject in (family.yuki_subject, family.teen_subject, family.hana):
        rows = provisions.history(subject)
        told = provider_records.reconcile(subject, shown=len(rows))
        assert told.agrees and told.stored == Provision.objects.filter(subject=subject).count()
    assert not provider_records.reconcile(family.yuki_subject, shown=1).agrees
    # The recipient: of the one, and of nobody else.
    assert [p.subject_id for p in provisions.handed(request, after=None, most=9)[0]] == [family.yuki_subject.pk]
    delivered(one_of(request, family.yuki_subject), to, now)
    assert [n.kind for n in notices.inbox(family.yuki, now=now)].count("provision:made") == 1


def one_of(request: object, subject: Subject) -> Provision:
    return Provision.objects.get(request=request, subject=subject)


def test_pages_of_what_is_handed_over(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    institution.terms()
    for n in range(5):
        subject = Subject.objects.create(birth_on=now.date().replace(year=1980), created_at=now)
        person = type(family.yuki).objects.create(username=f"p{n}", name="x", own_subject=subject)
        institution.entrusted(subject, person)
        institution.given(subject, person, f"org:{to.organization_id}")
    request = institution.asked(program, to)
    seen, after = [], None
    while True:
        page, more = provisions.handed(request, after=after, most=2)
        seen += page
        if not more:
            break
        after = page[-1]
    assert len(seen) == len({p.pk for p in seen}) == 5
    # Who consents later is judged when the recipient looks again.
    consent(institution, family, to)
    provisions.look_again(request, by=system_of(to), now=now + DAY)
    provisions.look_again(request, by=system_of(to), now=now + DAY)
    assert provisions.handed(request, after=seen[-1], most=2)[0] == [one_of(request, family.yuki_subject)]


@pytest.mark.IT("34")
def test_somebody_elses_consent_moves_nothing_of_mine(
    family: People, institution: Trust, to: Recipient, program: Program
) -> None:
    consent(institution, family, to)
    assert {p.subject for p in institution.asked(program, to).provisions.all()} == {family.yuki_subject}


@pytest.mark.IT("21")
def test_onward_use_is_refused_while_no_case_is_listed(
    family: People, institution: Trust, to: Recipient, now: datetime
) -> None:
    program = institution.program(to, onward=True)
    consent(institution, family, to, onward=True)
    refused_one = one(institution.asked(program, to, onward=True))
    assert refused_one.judgement["codes"] == ["onward-not-listed"]
    taker = institution.recipient()
    recipients.list_onward(giver=to, taker=taker, basis="銀行間", valid_until=now + DAY, by=institution.clerk, now=now)
    assert one(institution.asked(program, to, onward=True)).state == "permitted"
    later = one(institution.asked(program, to, onward=True, now=now + DAY))
    assert later.judgement["codes"] == ["onward-not-listed"]


@pytest.mark.IT("08")
def test_a_recipient_that_profiles_wants_a_yes_of_its_own(family: People, institution: Trust) -> None:
    scoring = institution.recipient(profiling=True)
    program = institution.program(scoring, profiling=True)
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{scoring.organization_id}", profiling=False)
    assert one(institution.asked(program, scoring)).judgement["codes"] == ["profiling-not-consented"]
    institution.given(family.yuki_subject, family.yuki, f"org:{scoring.organization_id}", profiling=True)
    assert one(institution.asked(program, scoring)).state == "permitted"


def test_a_consent_that_names_a_program_is_for_that_one(
    family: People, institution: Trust, to: Recipient, program: Program
) -> None:
    other = institution.program(to)
    consent(institution, family, to, program=str(program.pk))
    assert one(institution.asked(program, to)).state == "permitted"
    assert one(institution.asked(other, to)).judgement["codes"] == ["no-consent"]


@pytest.mark.G("14")
@pytest.mark.IT("04")
def test_both_guardians_answer_and_one_no_is_enough(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    institution.entrusted(family.hana, family.yuki)
    actor = f"org:{to.organization_id}"
    given = institution.given(family.hana, family.yuki, actor, capacity="guardian", ask=True)
    joint.agree(act=JointAct.objects.get(grant=given), by=family.ichiro, now=now)
    first, second = one(institution.asked(program, to)), one(institution.asked(program, to))
    assert (first.state, second.state) == ("asked", "asked")
    half = provisions.answer(provision=first, yes=True, by=family.yuki, now=now)
    assert half.state == "asked"  # the other has not said yes
    assert provisions.answer(provision=first, yes=True, by=family.yuki, now=now).state == "asked"  # nor by asking twice
    assert provisions.answer(provision=first, yes=True, by=family.ichiro, now=now).state == "permitted"
    assert provisions.answer(provision=second, yes=False, by=family.ichiro, now=now).state == "refused"
    with pytest.raises(Absent):
        provisions.answer(provision=second, yes=True, by=family.mei, now=now)


@pytest.mark.django_db(transaction=True)
@pytest.mark.IT("07")
def test_asked_at_the_same_time_it_is_one_request(now: datetime) -> None:
    """Four of its workers send the same request at once."""
    house = people(now)
    desk = trust(now)
    to = desk.recipient()
    program = desk.program(to)
    desk.entrusted(house.yuki_subject, house.yuki)
    desk.given(house.yuki_subject, house.yuki, f"org:{to.organization_id}")

    def ask() -> object:
        try:
            return desk.asked(program, to, reference="same").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = {each.result() for each in [pool.submit(ask) for _ in range(4)]}
    assert len(found) == 1 and Provision.objects.count() == 1
    assert provider_records.reconcile(house.yuki_subject, shown=1).agrees
