"""What was paused, suspended or agreed stays so whatever else is done to the consent (G-09, G-14, G-15, IT-11)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from consent import grants, joint, proxies, stopping
from consent.guardianship import FreezeReason
from consent.models import EffectiveGrant, Grant, Guardianship, JointAct
from consent.narrowing import Without
from consent.scope import Clause
from phr.smart import severing
from tests.consent.people import People
from tests.institution import Trust, one


def joined(family: People, institution: Trust, actor: str, **more: Any) -> Grant:
    """A consent of both guardians for their daughter."""
    grant = institution.given(family.hana, family.yuki, actor, capacity="guardian", **more)
    joint.agree(act=JointAct.objects.get(grant=grant), by=family.ichiro, now=institution.now)
    grant.refresh_from_db()
    assert grant.state == "active"
    return grant


def aunt(family: People, now: datetime, *names: str) -> Clause:
    return Clause(
        permit=True, actors=frozenset({f"person:{family.mei.pk}"}), purposes=frozenset({"FAMRQT"}),
        categories=frozenset(names or ("GROWTH", "VITAL")), valid_to=now + timedelta(days=90),
    )  # fmt: skip


@pytest.mark.G("15")
@pytest.mark.IT("12")
def test_what_one_guardian_paused_the_other_does_not_resume(family: People, institution: Trust, now: datetime) -> None:
    grant = joined(family, institution, f"org:{institution.recipient().organization_id}")
    stopping.pause(grant=grant, by=family.ichiro, now=now)
    with pytest.raises(grants.UnableToGive):
        stopping.resume(grant=grant, by=family.yuki, now=now)
    grant.refresh_from_db()
    assert (grant.state, EffectiveGrant.objects.filter(grant=grant).exists()) == ("paused", False)
    stopping.resume(grant=grant, by=family.ichiro, now=now)
    assert grant.state == "active"


@pytest.mark.G("15")
def test_the_pause_of_a_guardian_who_may_no_longer_act_is_lifted(
    family: People, institution: Trust, now: datetime
) -> None:
    grant = joined(family, institution, f"org:{institution.recipient().organization_id}")
    stopping.pause(grant=grant, by=family.ichiro, now=now)
    link = Guardianship.objects.get(person=family.ichiro, subject=family.hana)
    severing.freeze(guardianship_id=link.pk, by=family.sato, reason=FreezeReason.COURT_ORDER, now=now)
    stopping.resume(grant=grant, by=family.yuki, now=now)
    assert grant.state == "active"


@pytest.mark.G("15")
@pytest.mark.IT("11")
def test_a_pause_outlasts_a_partial_withdrawal(family: People, institution: Trust, now: datetime) -> None:
    actor = f"org:{institution.recipient().organization_id}"
    grant = joined(family, institution, actor, categories=frozenset({"GROWTH", "VITAL"}))
    stopping.pause(grant=grant, by=family.ichiro, now=now)
    less = Without(categories=frozenset({"VITAL"}))
    made = grants.withdraw_part(grant=grant, without=less, by=family.yuki, reason="", now=now)
    assert made is not None
    assert made.state == "paused"
    with pytest.raises(grants.UnableToGive):
        stopping.resume(grant=made, by=family.yuki, now=now)


@pytest.mark.G("14")
@pytest.mark.IT("11")
def test_what_both_agreed_to_is_still_provided_after_a_part_is_withdrawn(
    family: People, institution: Trust, now: datetime
) -> None:
    to = institution.recipient()
    program = institution.program(to)
    institution.entrusted(family.hana, family.yuki)
    grant = joined(family, institution, f"org:{to.organization_id}", categories=frozenset({"GROWTH", "VITAL"}))
    less = Without(categories=frozenset({"VITAL"}))
    grants.withdraw_part(grant=grant, without=less, by=family.yuki, reason="", now=now)
    provision = one(institution.asked(program, to))
    assert (provision.state, provision.judgement["codes"]) == ("permitted", [])


@pytest.mark.G("09")
def test_a_suspended_proxy_stays_out_whatever_follows(family: People, now: datetime) -> None:
    subject, by = family.yuki_subject, family.yuki
    grant = grants.give(subject=subject, root=aunt(family, now), by=by, capacity="self", now=now)
    assert EffectiveGrant.objects.filter(subject=subject, permit=True).exists()
    proxies.account_changed(person=by, why=proxies.Why.RECOVERY, now=now)
    less = Without(categories=frozenset({"VITAL"}))
    made = grants.withdraw_part(grant=grant, without=less, by=by, reason="", now=now)
    assert made is not None
    for supersedes in (made, None):
        with pytest.raises(grants.UnableToGive):
            grants.give(
                subject=subject, root=aunt(family, now, "GROWTH"), by=by, capacity="self", now=now,
                supersedes=supersedes,
            )  # fmt: skip
    assert not EffectiveGrant.objects.filter(subject=subject, permit=True).exists()
    proxies.confirm(subject=subject, keep=[made.pk], by=by, now=now)
    assert {row.grant_id for row in EffectiveGrant.objects.filter(subject=subject, permit=True)} == {made.pk}
