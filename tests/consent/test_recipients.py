"""The registry of recipients, classes, and what recipients owe (IT-03, IT-20, IT-22, IT-24, IT-25)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from consent import classes, grants, notices, overdue, recipients
from consent.decide import Caller, Capacity, Deny, decide
from consent.in_force import in_force_for
from consent.models import DeletionCertificate, Notice, Provision, Recipient, UsageReport
from consent.refusal import Absent, Because, Refusal
from consent.scope import Clause, Door
from tests.consent.people import People
from tests.institution import Trust, day, one, system_of
from tests.refusals import refused

WEEK, SECOND = timedelta(days=7), timedelta(seconds=1)


def verdict(to: Recipient, provision: Provision, now: datetime) -> str:
    """What decide() says of the caller that hands over: "" = permit."""
    caller: Caller = system_of(to, subject=provision.subject_id, provision=str(provision.pk))
    found = decide(caller, in_force_for(caller, now=now), now)
    return found.because.rule.value if isinstance(found, Deny) else ""


@pytest.fixture
def granted(family: People, institution: Trust) -> tuple[Recipient, Provision]:
    to = institution.recipient()
    program = institution.program(to)
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    return to, one(institution.asked(program, to))


@pytest.mark.IT("20")
def test_expired_is_denied_the_same_second_and_renewed_permits(
    granted: tuple[Recipient, Provision], institution: Trust, now: datetime
) -> None:
    to, provision = granted
    until = now + timedelta(hours=1)
    recipients.renew(recipient=to, certified_until=until, by=institution.clerk, now=now)
    assert verdict(to, provision, until - SECOND) == ""
    assert verdict(to, provision, until) == "L1.recipient-certification-expired"
    recipients.renew(recipient=to, certified_until=until + WEEK, by=institution.clerk, now=until)
    assert verdict(to, provision, until) == ""
    recipients.renew(recipient=to, contract_ends_on=day("2026-04-01"), by=institution.clerk, now=now)
    assert verdict(to, provision, now) == ""  # the last day counts
    assert verdict(to, provision, now + timedelta(days=1)) == "L1.recipient-contract-ended"


@pytest.mark.IT("20")
def test_suspending_stops_at_once_and_raises_the_epoch(
    granted: tuple[Recipient, Provision], institution: Trust, now: datetime
) -> None:
    to, provision = granted
    before = to.consent_epoch
    recipients.suspend(recipient=to, reason="investigation", by=institution.clerk, now=now)
    assert verdict(to, provision, now) == "L1.recipient-not-active"
    to.refresh_from_db()
    assert (to.consent_epoch, to.state_reason) == (before + 1, "investigation")
    assert (
        Notice.objects.filter(organization=to.organization, kind="recipient:changed").count() == 2
    )  # let in by the board, suspended
    recipients.resume(recipient=to, by=institution.clerk, now=now)
    assert verdict(to, provision, now) == ""


@pytest.mark.IT("20", "25")
def test_who_is_not_entered(institution: Trust, family: People, now: datetime) -> None:
    def entry(**more: object) -> Callable[[], object]:
        return lambda: institution.recipient(**more)

    assert refused(entry(purposes=["HRESCH", "UNDERWRITING"])).place == "purposes"
    assert refused(entry(purposes=["EMPLOYMENT"])).place == "purposes"
    assert refused(entry(purposes=[])).place == "purposes"
    assert refused(entry(purposes=["WHATEVER"])).place == "purposes"
    assert refused(entry(legal_number="7000012050003")).place == "legal_number"
    assert refused(entry(contract_ends_on=day("2026-03-31"))).place == "contract_ends_on"
    assert refused(entry(certified_until=now)).place == "certified_until"
    assert refused(entry(by=family.sato)).because is Because.FORBIDDEN
    to = institution.recipient()
    assert refused(entry(organization=to.organization)).because is Because.CONFLICT
    processor = institution.recipient(processor_of=to)
    assert refused(entry(processor_of=processor)).place == "processor_of"
    with pytest.raises(IntegrityError), transaction.atomic():
        Recipient.objects.filter(pk=to.pk).update(contract_ref="")
    with pytest.raises(IntegrityError), transaction.atomic():
        Recipient.objects.filter(pk=to.pk).update(processor_of=to.pk)


@pytest.mark.IT("24")
def test_a_processor_stands_for_its_principal_and_for_nobody_else(
    granted: tuple[Recipient, Provision], institution: Trust, now: datetime
) -> None:
    to, provision = granted
    processor = institution.recipient(processor_of=to)
    asked = institution.asked(provision.program, processor)
    assert (asked.recipient, asked.asked_by, one(asked).state) == (to, processor, "permitted")
    other = institution.recipient()
    others = institution.program(other)
    assert refused(lambda: institution.asked(others, processor)).because is Because.ABSENT
    # Its own systems read nothing under the other's consent: neither by its name nor by a provision of the other's.
    assert verdict(processor, provision, now) == "L5.provision-of-another-recipient-record-or-purpose"
    assert verdict(other, provision, now) == "L5.provision-of-another-recipient-record-or-purpose"
    # It falls with its principal, and the principal's request with it.
    recipients.suspend(recipient=processor, reason="x", by=institution.clerk, now=now)
    assert refused(lambda: institution.asked(provision.program, processor)).place == "processor-not-in-order"
    recipients.resume(recipient=processor, by=institution.clerk, now=now)
    recipients.suspend(recipient=to, reason="x", by=institution.clerk, now=now)
    assert refused(lambda: institution.asked(provision.program, processor)).place == "recipient-not-active"


@pytest.mark.IT("03")
def test_a_newcomer_waits_a_week_and_people_are_told(family: People, institution: Trust, now: datetime) -> None:
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, "class:research")
    newcomer = institution.recipient()
    newcomer.organization.class_from = None
    newcomer.organization.save()
    program = institution.program(newcomer)
    assert not institution.asked(program, newcomer).provisions.exists()  # it is in no class
    since = classes.enter(organization=newcomer.organization, by=institution.clerk, now=now)
    assert since == now + WEEK
    told = [n for n in notices.inbox(family.yuki, now=now) if n.kind == "class:entered"]
    assert [(n.subject_id, n.detail["organization"]) for n in told] == [
        (family.yuki_subject.pk, newcomer.organization_id)
    ]
    assert not [n for n in notices.inbox(family.ichiro, now=now) if n.kind == "class:entered"]
    until = now + timedelta(days=60)
    for moment, seen in ((now, 0), (since - SECOND, 0), (since, 1)):
        request = institution.asked(program, newcomer, now=moment, until=until)
        assert request.provisions.filter(state="permitted").count() == seen, moment
    assert (
        refused(lambda: classes.enter(organization=newcomer.organization, by=institution.clerk, now=now)).because
        is Because.CONFLICT
    )


@pytest.mark.IT("03")
def test_stopped_while_it_waits_it_never_gets_anything(family: People, institution: Trust, now: datetime) -> None:
    institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, "class:research")
    newcomer = institution.recipient()
    newcomer.organization.class_from = None
    newcomer.organization.save()
    program = institution.program(newcomer)
    since = classes.enter(organization=newcomer.organization, by=institution.clerk, now=now)
    # One tap: a deny that names it.
    stop = Clause(permit=False, actors=frozenset({f"org:{newcomer.organization_id}"}))
    grants.give(subject=family.yuki_subject, root=stop, by=family.yuki, capacity="self", now=now + SECOND)
    for later in (since - SECOND, since, since + WEEK):
        request = institution.asked(program, newcomer, now=later)
        assert not request.provisions.filter(state__in=("permitted", "asked")).exists()
    # Another of the class is not stopped.
    other = institution.recipient()
    assert one(institution.asked(institution.program(other), other)).state == "permitted"


@pytest.mark.IT("03")
def test_a_new_clinic_waits_too(family: People, institution: Trust, now: datetime) -> None:
    opened = Clause(
        permit=True, actors=frozenset({"class:clinic"}), purposes=frozenset({"TREAT"}),
        categories=frozenset({"ALLERGY"}), valid_to=now + timedelta(days=100),
    )  # fmt: skip
    grants.give(subject=family.yuki_subject, root=opened, by=family.yuki, capacity="self", now=now)
    clinic = institution.organization("新しい医院", "clinic")
    clinic.class_from = None
    clinic.save()
    since = classes.enter(organization=clinic, by=institution.clerk, now=now)
    assert "class:entered" in {n.kind for n in notices.inbox(family.yuki, now=now)}
    reading = Caller(client="x", capacity=Capacity.SYSTEM, purpose="TREAT", doors=(Door("*", "rs"),),
                     organization=clinic.pk, subject=family.yuki_subject.pk)  # fmt: skip
    for moment, counts in ((since - SECOND, False), (since, True)):
        found = decide(reading, in_force_for(reading, now=moment), moment)
        assert not isinstance(found, Deny)
        assert ("class:clinic" in found.scope.actors) is counts
    with pytest.raises(Refusal):
        classes.enter(organization=family.clinic, by=institution.clerk, now=now)


@pytest.mark.IT("22")
def test_a_late_report_suspends(institution: Trust, now: datetime) -> None:
    to = institution.recipient(report_months=6)
    assert overdue.sweep(now=now).reports == 0
    over = now + timedelta(days=190)
    assert overdue.sweep(now=over).reports == 1
    assert overdue.sweep(now=over).reports == 0  # asked for once
    due = UsageReport.objects.get(recipient=to)
    assert (due.period_from, due.due_on - due.period_to) == (now.date(), timedelta(days=30))
    last = over.replace(year=due.due_on.year, month=due.due_on.month, day=due.due_on.day)
    assert overdue.sweep(now=last).suspended == 0
    assert overdue.sweep(now=last + timedelta(days=1)).suspended == 1
    to.refresh_from_db()
    assert (to.state, to.state_reason) == ("suspended", "report-overdue")
    late = last + timedelta(days=1)
    assert refused(lambda: recipients.resume(recipient=to, by=institution.clerk, now=late)).because is Because.CONFLICT
    overdue.report(recipient=to, period_from=due.period_from, body={"used_for": "study"}, now=late)
    assert recipients.resume(recipient=to, by=institution.clerk, now=late).state == "active"
    with pytest.raises(Refusal):
        overdue.report(recipient=to, period_from=due.period_from, body={"used_for": "again"}, now=late)
    with pytest.raises(Absent):
        overdue.report(recipient=to, period_from=day("2020-01-01"), body={"used_for": "x"}, now=late)


@pytest.mark.IT("11", "22")
def test_withdrawn_it_must_be_deleted_and_that_certified(
    granted: tuple[Recipient, Provision], family: People, now: datetime
) -> None:
    to, provision = granted
    Provision.objects.filter(pk=provision.pk).update(items=["Observation/a/_history/1"], state="delivered")
    assert provision.grant is not None
    grants.withdraw(grant=provision.grant, by=family.yuki, reason="", now=now)
    assert overdue.sweep(now=now).ended == 1
    provision.refresh_from_db()
    assert (provision.state, provision.ended_reason) == ("ended", "consent-ended")
    owed = DeletionCertificate.objects.get(provision=provision)
    assert owed.due_on == now.date() + timedelta(days=30)
    assert Notice.objects.filter(organization=to.organization, kind="deletion:due").count() == 1
    late = now + timedelta(days=31)
    assert overdue.sweep(now=late).suspended == 1
    with pytest.raises(Refusal):
        overdue.certify(provision=provision, recipient=to, method=" ", signed_by="x", now=late)
    overdue.certify(provision=provision, recipient=to, method="shredded", signed_by="例示 太郎", now=late)
    overdue.certify(provision=provision, recipient=to, method="again", signed_by="y", now=late)
    owed.refresh_from_db()
    assert (owed.method, recipients.overdue(to, now=late)) == ("shredded", [])
