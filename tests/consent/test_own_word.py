"""From 16 on the young person decides what is of weight, before that her guardians together (G-10, G-14)."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from consent import erasures, grants, joint, mandates, proposals, provisions
from consent.fhir_consent import Reading
from consent.models import Erasure, Grant, JointAct, Program, Provision, Recipient
from consent.refusal import Because, Refusal
from consent.scope import Clause
from phr.trust import transferring
from tests.consent.people import People
from tests.institution import Trust, one

FIFTEEN = date(2010, 4, 20)  # 16 a few weeks after the moment the tests stand at
WAIT = timedelta(days=30)


@pytest.fixture
def to(institution: Trust) -> Recipient:
    return institution.recipient()


@pytest.fixture
def program(institution: Trust, to: Recipient) -> Program:
    return institution.program(to)


@pytest.fixture
def young(family: People) -> People:
    family.teen_subject.birth_on = FIFTEEN
    family.teen_subject.save(update_fields=["birth_on"])
    return family


def asked(family: People, institution: Trust, to: Recipient, program: Program) -> Provision:
    """A provision that waits for the answer of a girl of 16, who said: ask me each time."""
    institution.entrusted(family.teen_subject, family.teen)
    institution.given(family.teen_subject, family.teen, f"org:{to.organization_id}", ask=True)
    return one(institution.asked(program, to))


@pytest.mark.G("10", "14")
def test_at_fifteen_nobody_consents_to_research_alone(young: People, institution: Trust, to: Recipient) -> None:
    with pytest.raises(grants.UnableToGive):
        institution.given(young.teen_subject, young.teen, f"org:{to.organization_id}")
    assert not Grant.objects.filter(subject=young.teen_subject).exists()
    stop = Clause(permit=False, actors=frozenset({f"org:{to.organization_id}"}))
    denied = grants.give(subject=young.teen_subject, root=stop, by=young.teen, capacity="self", now=institution.now)
    assert denied.state == "active", "her no needs nobody"


@pytest.mark.G("10", "14")
def test_what_was_given_at_fifteen_alone_provides_nothing(
    family: People, institution: Trust, to: Recipient, program: Program
) -> None:
    institution.entrusted(family.teen_subject, family.teen)
    institution.given(family.teen_subject, family.teen, f"org:{to.organization_id}")
    family.teen_subject.birth_on = FIFTEEN  # the register corrects the birthday
    family.teen_subject.save(update_fields=["birth_on"])
    provision = one(institution.asked(program, to))
    assert (provision.state, provision.judgement["codes"]) == ("refused", ["guardians-consent-needed"])


@pytest.mark.G("10")
def test_to_what_she_gave_herself_only_she_answers(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    provision = asked(family, institution, to, program)
    for guardian in (family.yuki, family.ichiro):
        for yes in (True, False):
            with pytest.raises(Refusal) as no:
                provisions.answer(provision=provision, yes=yes, by=guardian, now=now)
            assert no.value.because is Because.FORBIDDEN
    provision.refresh_from_db()
    assert provision.state == "asked"
    assert provisions.answer(provision=provision, yes=True, by=family.teen, now=now).state == "permitted"


@pytest.mark.G("10")
def test_from_sixteen_no_guardian_accepts_or_ends_the_mandate(
    family: People, institution: Trust, now: datetime
) -> None:
    with pytest.raises(Refusal):
        institution.entrusted(family.teen_subject, family.yuki)
    institution.entrusted(family.teen_subject, family.teen)
    with pytest.raises(Refusal):
        mandates.end(subject=family.teen_subject, by=family.ichiro, now=now)
    assert [m.ended_at for m in mandates.of(family.teen_subject)] == [None]
    mandates.end(subject=family.teen_subject, by=family.teen, now=now)
    assert mandates.of(family.teen_subject)[0].ended_at == now


@pytest.mark.G("10", "14")
@pytest.mark.IT("14")
def test_an_erasure_the_guardians_asked_for_is_not_done_once_she_is_sixteen(young: People, now: datetime) -> None:
    act = erasures.ask(subject=young.teen_subject, by=young.yuki, wait=WAIT, now=now)
    assert isinstance(act, JointAct)
    joint.agree(act=act, by=young.ichiro, now=now)
    erasure = erasures.ask(subject=young.teen_subject, by=young.yuki, wait=WAIT, now=now)
    assert isinstance(erasure, Erasure)
    later = max(erasure.due_at, now + timedelta(days=60))
    assert erasures.still_wanted(Erasure.objects.get(pk=erasure.pk), now=later) == "who asked may not any more"


@pytest.mark.G("10", "14")
@pytest.mark.IT("23")
def test_moving_away_is_hers_from_sixteen_and_her_guardians_before(young: People, now: datetime) -> None:
    def ask(by: str, at: datetime) -> object:
        return transferring.ask(subject=young.teen_subject, by=getattr(young, by), to="https://a.example", now=at)

    with pytest.raises(Refusal):
        ask("teen", now)
    assert isinstance(ask("yuki", now), JointAct)
    later = now + timedelta(days=60)
    for guardian in ("yuki", "ichiro"):
        with pytest.raises(Refusal):
            ask(guardian, later)
    assert not isinstance(ask("teen", later), JointAct)


@pytest.mark.parametrize("deed", ["accept", "retract"])
def test_the_record_is_locked_before_its_consents(family: People, now: datetime, deed: str) -> None:
    """Every deed locks in one order: two at once wait for each other, and never for ever."""
    root = Clause(permit=True, actors=frozenset({f"org:{family.clinic.pk}"}), purposes=frozenset({"TREAT"}))
    grant = proposals.propose(
        subject=family.yuki_subject, reading=Reading(root=root, broken=(), unfit=(), denies=False), by=None,
        organization=family.clinic, consent_id="c", now=now,
    )  # fmt: skip
    with CaptureQueriesContext(connection) as told:
        if deed == "accept":
            proposals.accept(grant=grant, by=family.yuki, capacity="self", now=now)
        else:
            proposals.retract(grant=grant, organization=family.clinic, now=now)
    locks = [q["sql"].split('FROM "')[1].split('"')[0] for q in told if "FOR UPDATE" in q["sql"]]
    assert locks[:2] == ["consent_subject", "consent_grant"]
