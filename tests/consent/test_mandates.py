"""Entrusting a record on a version of the terms (IT-01)."""

from __future__ import annotations

from datetime import datetime

import pytest

from consent import mandates
from consent.decide import Caller, Capacity, Permit, decide
from consent.in_force import in_force_for
from consent.models import Mandate
from consent.refusal import Absent, Because, Refusal
from consent.scope import Door
from tests.consent.people import People
from tests.institution import Trust, one


@pytest.mark.IT("01")
def test_without_a_mandate_nothing_is_provided(family: People, institution: Trust) -> None:
    to = institution.recipient()
    program = institution.program(to)
    institution.terms()
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    refused = one(institution.asked(program, to))
    assert (refused.state, refused.judgement["codes"]) == ("refused", ["no-mandate"])
    institution.entrusted(family.yuki_subject, family.yuki)
    assert one(institution.asked(program, to)).state == "permitted"


@pytest.mark.IT("01")
def test_new_terms_stop_new_provisions_not_reading(family: People, institution: Trust, now: datetime) -> None:
    to = institution.recipient()
    program = institution.program(to)
    first = institution.entrusted(family.yuki_subject, family.yuki)
    institution.given(family.yuki_subject, family.yuki, f"org:{to.organization_id}")
    before = one(institution.asked(program, to))
    institution.terms("第二版")
    blocked = one(institution.asked(program, to))
    assert (blocked.state, blocked.judgement["codes"]) == ("refused", ["mandate-outdated"])
    own = Caller(client="app", capacity=Capacity.SELF, purpose="PATRQT", doors=(Door("*", "rs"),),
                 person=family.yuki.pk, subject=family.yuki_subject.pk)  # fmt: skip
    assert isinstance(decide(own, in_force_for(own, now=now), now), Permit)
    institution.entrusted(family.yuki_subject, family.yuki)
    assert one(institution.asked(program, to)).state == "permitted"
    # What was provided before still tells by which words.
    assert before.mandate == first
    assert mandates.text_of(first.sha256)[2] == "第一版"
    assert mandates.text_of(first.sha256)[0].version == 1


@pytest.mark.IT("01")
def test_one_mandate_stands_and_earlier_ones_stay(family: People, institution: Trust, now: datetime) -> None:
    institution.entrusted(family.hana, family.yuki)
    again = institution.entrusted(family.hana, family.ichiro)
    assert again.person == family.yuki  # the same version: nothing new
    institution.terms("第二版")
    institution.entrusted(family.hana, family.ichiro)
    rows = mandates.of(family.hana)
    assert [(m.terms.version, m.ended_at is None, m.capacity) for m in rows] == [
        (2, True, "guardian"),
        (1, False, "guardian"),
    ]
    mandates.end(subject=family.hana, by=family.yuki, now=now)
    mandates.end(subject=family.hana, by=family.yuki, now=now)
    assert not Mandate.objects.filter(subject=family.hana, ended_at=None).exists()


def test_who_may_not(family: People, institution: Trust, now: datetime) -> None:
    sha256 = institution.terms()
    with pytest.raises(Absent):
        mandates.accept(subject=family.hana, sha256=sha256, by=family.mei, now=now)
    with pytest.raises(Refusal) as not_these:
        mandates.accept(subject=family.yuki_subject, sha256="0" * 64, by=family.yuki, now=now)
    assert not_these.value.because is Because.CONFLICT
    with pytest.raises(Refusal) as no_clerk:
        mandates.publish(text_ja="x", text_en="y", by=family.sato, now=now)
    assert no_clerk.value.because is Because.FORBIDDEN
    with pytest.raises(Refusal):
        mandates.publish(text_ja="第一版", text_en="other", by=institution.clerk, now=now)


def test_a_changed_text_is_noticed(institution: Trust) -> None:
    sha256 = institution.terms()
    found = mandates.current()
    assert found is not None
    found.text_ja = "書き換え"
    found.save()
    with pytest.raises(Refusal):
        mandates.text_of(sha256)
    with pytest.raises(Absent):
        mandates.text_of("f" * 64)
