"""What the database says of a provision, and what the decision makes of it the moment something changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from consent import grants, joint
from consent.decide import Caller, Deny, decide
from consent.in_force import in_force_for
from consent.models import Guardianship, JointAct, Organization, Program, Provision, Recipient, Subject
from consent.reasons import Rule
from tests.consent.people import People
from tests.institution import Trust, one, system_of

Change = Callable[[Provision, datetime], object]


def reading(made: Provision) -> Caller:
    return system_of(made.recipient, subject=made.subject_id, provision=str(made.pk))


def rule(caller: Caller, now: datetime) -> Rule | None:
    told = decide(caller, in_force_for(caller, now=now), now)
    return told.because.rule if isinstance(told, Deny) else None


@pytest.fixture
def made(institution: Trust, family: People) -> Provision:
    to = institution.recipient()
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    return one(institution.asked(institution.program(to), to))


def _recipient(**change: object) -> Change:
    return lambda made, now: Recipient.objects.filter(pk=made.recipient_id).update(**change)


def _provision(**change: object) -> Change:
    return lambda made, now: Provision.objects.filter(pk=made.pk).update(**change)


@pytest.mark.IT("11")
@pytest.mark.IT("20")
@pytest.mark.IT("30")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda made, now: Recipient.objects.filter(pk=made.recipient_id).update(certified_until=now),
         Rule.CERTIFICATION_EXPIRED),
        (_recipient(state="suspended"), Rule.RECIPIENT_NOT_ACTIVE),
        (_recipient(purposes=["HOPERAT"]), Rule.RECIPIENT_PURPOSE),
        (lambda made, now: Organization.objects.update(state="suspended"), Rule.ORGANIZATION_NOT_ACTIVE),
        (lambda made, now: Program.objects.update(state="stopped"), Rule.PROGRAM_STOPPED),
        (lambda made, now: Subject.objects.filter(pk=made.subject_id).update(state="locked"), Rule.SUBJECT_LOCKED),
        (_provision(state="ended"), Rule.PROVISION_STATE),
        (lambda made, now: Provision.objects.filter(pk=made.pk).update(until=now), Rule.PROVISION_OVER),
        (lambda made, now: grants.withdraw(grant=made.grant, by=made.grant.given_by, reason="", now=now),
         Rule.CONSENT_GONE),
    ],
)  # fmt: skip
def test_it_ends_the_moment_what_it_stands_on_ends(
    made: Provision, now: datetime, change: Change, expected: Rule
) -> None:
    assert rule(reading(made), now) is None
    change(made, now)
    told = rule(reading(made), now)
    assert told in (expected, Rule.PROVISION_STATE)  # whichever deed also ended the provision itself
    assert told is not None


@pytest.mark.IT("24")
def test_it_is_of_one_recipient_one_person_one_purpose(
    institution: Trust, family: People, made: Provision, now: datetime
) -> None:
    caller, other = reading(made), institution.recipient()
    assert rule(replace(caller, organization=other.organization_id), now) is Rule.PROVISION_MISMATCH
    assert rule(replace(caller, subject=family.hana.pk), now) is Rule.PROVISION_MISMATCH
    assert rule(replace(caller, provision=str(uuid4())), now) is Rule.NO_PROVISION
    assert rule(replace(caller, provision=""), now) is Rule.NO_PROVISION
    assert rule(replace(caller, purpose="TREAT"), now) is Rule.PROVISION_MISMATCH


@pytest.mark.G("14")
@pytest.mark.G("10")
def test_a_childs_takes_both_guardians_until_it_is_sixteen(institution: Trust, family: People, now: datetime) -> None:
    to = institution.recipient()
    program = institution.program(to)
    institution.entrusted(family.hana, family.yuki)
    given = institution.given(family.hana, family.yuki, f"org:{to.organization_id}", capacity="guardian")
    joint.agree(act=JointAct.objects.get(grant=given), by=family.ichiro, now=now)
    caller = reading(one(institution.asked(program, to)))
    assert rule(caller, now) is None
    aunts = Guardianship.objects.get(person=family.ichiro, subject=family.hana)
    Guardianship.objects.create(
        person=family.mei, subject=family.hana, kind="appointed", evidence="court-order", verified_by=family.sato,
        starts_on=aunts.starts_on, review_on=aunts.review_on,
    )  # fmt: skip
    assert rule(caller, now) is Rule.BOTH_GUARDIANS
    Guardianship.objects.filter(person=family.mei).update(state="frozen")
    assert rule(caller, now) is None
    Guardianship.objects.filter(person=family.yuki, subject=family.hana).update(state="frozen")
    assert rule(caller, now) is Rule.CONSENT_GONE
    Guardianship.objects.filter(person=family.yuki, subject=family.hana).update(state="active")
    Subject.objects.filter(pk=family.hana.pk).update(birth_on=(now - timedelta(days=6000)).date())
    assert rule(caller, now) is Rule.OWN_CONSENT
