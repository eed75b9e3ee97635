"""The complaint desk (IT-16)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography.exceptions import InvalidTag

from consent import complaints, notices
from consent.models import Complaint, DataKey, Subject
from consent.refusal import Absent, Because
from tests.consent.people import People
from tests.institution import Trust
from tests.refusals import refused

DAY = timedelta(days=1)
WORDS = "なぜ提供されたのか分かりません"


def complaint(family: People, now: datetime) -> Complaint:
    return complaints.receive(subject=family.yuki_subject, kind="provision", text=WORDS, by=family.yuki, now=now)


@pytest.mark.IT("16")
def test_a_ticket_goes_its_way(family: People, institution: Trust, now: datetime) -> None:
    ticket = complaint(family, now)
    assert (ticket.state, ticket.review_due_at, ticket.answer_due_at) == ("received", now + 3 * DAY, now + 30 * DAY)
    early = refused(lambda: complaints.answer(complaint=ticket, text="はい", by=institution.clerk, now=now))
    assert early.because is Because.CONFLICT
    assert refused(lambda: complaints.take(complaint=ticket, by=family.sato, now=now)).because is Because.FORBIDDEN
    taken = complaints.take(complaint=ticket, by=institution.clerk, now=now + DAY)
    assert (taken.state, taken.handled_by) == ("in-review", institution.clerk)
    done = complaints.answer(complaint=ticket, text="説明します", by=institution.clerk, now=now + 2 * DAY)
    assert [n.kind for n in notices.inbox(family.yuki, now=now)] == ["case:answered"]
    assert (complaints.told(done, "text"), complaints.told(done, "answer")) == (WORDS, "説明します")
    again = complaints.reopen(complaint=done, by=family.yuki, now=now + 3 * DAY)
    assert (again.state, again.answer_due_at) == ("received", now + 33 * DAY)
    complaints.take(complaint=ticket, by=institution.clerk, now=now + 4 * DAY)
    complaints.answer(complaint=ticket, text="詳しく説明します", by=institution.clerk, now=now + 5 * DAY)
    assert complaints.close(complaint=ticket, by=family.yuki, now=now + 6 * DAY).state == "closed"
    assert refused(lambda: complaints.reopen(complaint=ticket, by=family.yuki, now=now)).because is Because.CONFLICT


@pytest.mark.IT("16")
def test_the_report_counts_what_was_late(family: People, institution: Trust, now: datetime) -> None:
    slow, good, open_ = (complaint(family, now) for _ in range(3))
    for ticket, took in ((slow, 40), (good, 2)):
        complaints.take(complaint=ticket, by=institution.clerk, now=now + took * DAY - timedelta(hours=1))
        complaints.answer(complaint=ticket, text="はい", by=institution.clerk, now=now + took * DAY)
    told = complaints.report(since=now, until=now + DAY, now=now + 41 * DAY)
    assert (told.received, told.reviewed_late, told.answered_late, told.open_overdue) == (3, 2, 2, 1)
    assert (told.by_state, told.by_kind) == ({"answered": 2, "received": 1}, {"provision": 3})
    assert told.median_days == 40.0 and open_.state == "received"
    earlier = complaints.report(since=now - DAY, until=now, now=now)
    assert (earlier.received, earlier.median_days) == (0, None)


@pytest.mark.IT("16")
@pytest.mark.G("05")
def test_words_are_sealed_and_nobody_elses(family: People, institution: Trust, now: datetime) -> None:
    about = complaints.receive(subject=family.hana, kind="consent", text=WORDS, by=family.yuki, now=now)
    assert complaints.of(family.hana, family.ichiro) == []
    assert complaints.of(family.hana, family.yuki) == [about]
    stored = Complaint.objects.get(pk=about.pk)
    assert WORDS.encode() not in bytes(stored.text)
    moved = Complaint(pk=complaint(family, now).pk, subject=family.hana, text=stored.text)
    with pytest.raises(InvalidTag):
        complaints.told(moved, "text")
    DataKey.objects.filter(subject=family.hana).delete()
    assert complaints.told(stored, "text") is None
    with pytest.raises(Absent):
        complaints.receive(subject=family.hana, kind="consent", text=WORDS, by=family.mei, now=now)
    for kind, words, place in (("rumour", WORDS, "kind"), ("other", " ", "text"), ("other", "x" * 4001, "text")):
        no = refused(lambda k=kind, w=words: complaints.receive(
            subject=family.yuki_subject, kind=k, text=w, by=family.yuki, now=now))  # fmt: skip
        assert no.place == place


@pytest.mark.IT("14")
@pytest.mark.IT("16")
def test_an_erased_persons_ticket_seals_nothing_any_more(family: People, institution: Trust, now: datetime) -> None:
    """Else her key would be made again by the answer."""
    ticket = complaint(family, now)
    complaints.take(complaint=ticket, by=institution.clerk, now=now)
    DataKey.objects.filter(subject=family.yuki_subject).delete()
    Subject.objects.filter(pk=family.yuki_subject.pk).update(state="erased")
    for deed in (
        lambda: complaints.answer(complaint=ticket, text="はい", by=institution.clerk, now=now),
        lambda: complaint(family, now),
    ):
        assert refused(deed).because is Because.ABSENT
    assert not DataKey.objects.filter(subject=family.yuki_subject).exists()
