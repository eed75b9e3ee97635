"""The records that stay, and what came back: history kept three years, the ledger (IT-40, 41, 51)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from consent import (
    benefits,
    notices,
    overdue,
    programs,
    provider_records,
    provisions,
    tasks,
)
from consent.models import AuditEntry, Benefit, Confirmation, Grant, Notice, Program, Provision, Recipient
from consent.refusal import Absent, Because
from tests.consent.people import People
from tests.institution import Trust, one, system_of
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


@pytest.mark.IT("40")
def test_the_record_of_giving_stays_three_years(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    consent(institution, family, to)
    made = delivered(one(institution.asked(program, to)), to, now)
    kept = (made.recipient, made.subject, made.items, made.grant_id, made.grant_version, made.made_at)
    [grant] = Grant.objects.filter(subject=family.yuki_subject, root__purposes=["HRESCH"])
    assert kept == (to, family.yuki_subject, ["Observation/a/_history/1"], grant.pk, grant.version, now)
    assert (made.judgement["permits"], made.delivered_at) == (True, now)
    overdue.end(provision=made, reason="period-over", by=None, now=now + 90 * DAY)
    over = provider_records.kept_until(now + 90 * DAY)
    assert over.date().year == (now + 90 * DAY).year + 3
    second = timedelta(seconds=1)
    assert refused(lambda: provider_records.discard(provision=made, now=over - second)).because is Because.CONFLICT
    assert provider_records.discard_old(now=over - second) == 0
    assert (
        refused(lambda: provider_records.discard(provision=made, now=over)).because is Because.CONFLICT
    )  # not certified
    overdue.certify(provision=made, recipient=to, method="shredded", signed_by="x", now=now + 91 * DAY)
    assert provider_records.discard_old(now=over) == 1
    assert provider_records.reconcile(family.yuki_subject, shown=0).agrees
    assert provider_records.kept_until(now.replace(year=2024, month=2, day=29)).date().isoformat() == "2027-02-28"


@pytest.mark.IT("41")
def test_what_we_receive_is_confirmed_and_kept(family: People, now: datetime) -> None:
    told: dict[str, Any] = {
        "provider": "見本クリニック",
        "acquired": "from-care",
        "subject": family.hana,
        "resources": 12,
        "now": now,
    }
    run = family.hana.pk
    made = provider_records.confirm(**told, run=run, organization=family.clinic)
    assert provider_records.confirm(**told, run=run) == made
    assert (made.provider, made.resources, made.subject, made.received_at) == ("見本クリニック", 12, family.hana, now)
    assert refused(lambda: provider_records.confirm(**told | {"provider": " "})).place == "provider"
    assert refused(lambda: provider_records.confirm(**told | {"acquired": "bought"})).place == "acquired"
    almost = provider_records.kept_until(now) - timedelta(seconds=1)
    assert (
        refused(lambda: provider_records.discard_confirmation(confirmation=made, now=almost)).because
        is Because.CONFLICT
    )
    provider_records.discard_confirmation(confirmation=made, now=provider_records.kept_until(now))
    assert not Confirmation.objects.exists()


@pytest.mark.IT("41")
def test_the_daily_task_lets_old_records_of_receiving_go(
    family: People, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {
        "provider": "見本クリニック",
        "acquired": "from-care",
        "subject": family.hana,
        "resources": 3,
    }
    later = provider_records.kept_until(now)
    young = provider_records.confirm(**told, now=now + timedelta(seconds=1))
    provider_records.confirm(**told, now=now)
    monkeypatch.setattr(tasks.timezone, "now", lambda: later - timedelta(seconds=1))
    assert tasks.discard_provider_records() == 0
    monkeypatch.setattr(tasks.timezone, "now", lambda: later)
    assert tasks.discard_provider_records() == 1
    assert list(Confirmation.objects.all()) == [young]
    assert AuditEntry.objects.filter(event="confirmation:discarded", subject=family.hana.pk).count() == 1


@pytest.mark.IT("51")
def test_the_ledger_says_what_came_back_and_none_yet(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    consent(institution, family, to)
    first = delivered(one(institution.asked(program, to)), to, now)
    second = delivered(one(institution.asked(program, to)), to, now)
    told = benefits.ledger(family.yuki_subject)
    assert (told.provided, told.none_yet, told.yen) == (2, 2, 0)
    words = {"text_ja": "クーポン", "text_en": "coupon"}
    benefits.record(by=to, program=program, provision=first, kind="coupon", yen=500, now=now, **words)
    told = benefits.ledger(family.yuki_subject)
    assert (told.provided, told.none_yet, told.yen) == (2, 1, 500)
    # A study result comes to everybody: on both lines, counted once.
    benefits.record(by=to, program=program, kind="study-result", yen=100, now=now, **words)
    told = benefits.ledger(family.yuki_subject)
    assert (told.provided, told.none_yet, told.yen) == (2, 0, 600)
    assert told.yen == sum(Benefit.objects.values_list("yen", flat=True))
    assert [len(line.benefits) for line in told.lines if line.provision == second] == [1]
    assert [n.kind for n in notices.inbox(family.yuki, now=now)].count("benefit:came") == 2
    assert benefits.ledger(family.hana).lines == ()
    stranger = institution.recipient()
    with pytest.raises(Absent):
        benefits.record(by=stranger, program=program, kind="coupon", now=now, **words)
    assert refused(lambda: benefits.record(by=to, program=program, kind="thanks", now=now, **words)).place == "kind"


@pytest.mark.IT("51")
def test_a_program_that_gave_nothing_back_is_shown_to_the_board(
    family: People, institution: Trust, to: Recipient, program: Program, now: datetime
) -> None:
    consent(institution, family, to)
    unused, paid = institution.program(to), institution.program(to)
    delivered(one(institution.asked(program, to)), to, now)
    delivered(one(institution.asked(paid, to)), to, now)
    benefits.record(by=to, program=paid, kind="result", text_ja="結果", text_en="result", now=now)
    assert benefits.flag_missing(now=now) == 0  # they still run
    for each in (program, unused, paid):
        programs.close(program=each, by=institution.clerk, now=now)
    assert benefits.flag_missing(now=now) == 1
    assert benefits.flag_missing(now=now) == 0
    program.refresh_from_db()
    assert program.flagged_at == now
    told = Notice.objects.get(kind="benefit:missing")
    assert (told.organization, told.detail) == (institution.clerk.organization, {"program": str(program.pk)})
