"""Ending the contract for a record (解約): both guardians, nothing new, a copy first, and a way back (G-14)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from consent import audit, grants, holds
from consent.models import AuditEntry, Erasure, Grant, Guardianship, LegalHold, Mandate, Notice, Subject
from consent.scope import Clause
from phr.populate.cast import HANA, OBSTETRIC, PAEDIATRIC, YUKI
from phr.smart import leaving
from phr.smart.models import Launch
from phr.trust import erasing
from tests.family import App, Neighbourhood, pressure, weight
from tests.guardianship.desk import done, freeze, get, link_of, person, post
from tests.institution import trust

ASK, CANCEL = f"records/{HANA}/closing/ask", f"records/{HANA}/closing/cancel"
LATER = timedelta(days=settings.PHR_CLOSING_DAYS, minutes=1)
OWN = f"records/{YUKI}/closing"


@pytest.fixture
def mother(family: Neighbourhood) -> App:
    return family.app("mother", patient="hana")


def agreed(family: Neighbourhood, mother: App) -> dict[str, Any]:
    """Both guardians have said yes, and one asked once more."""
    act = done(mother, ASK)["joint_act"]
    done(family.father, f"records/{HANA}/joint-acts/{act}/agree")
    told: dict[str, Any] = done(mother, ASK)
    return told


def swept(*, after: timedelta = LATER) -> int:
    return erasing.run_due(now=timezone.now() + after, forget=leaving.forget)


def permit(family: Neighbourhood, *, permit: bool = True, office: str = OBSTETRIC.code) -> Grant:
    """Of the father, for care; a deny of his counts too."""
    actor = f"org:{family.demo.organizations[office].pk}"
    root = Clause(
        permit=permit, actors=frozenset({actor}), purposes=frozenset({"TREAT"}), categories=frozenset({"GROWTH"})
    )
    subject = Subject.objects.get(pk=HANA)
    return grants.give(subject=subject, root=root, by=person("ichiro"), capacity="guardian", now=timezone.now())


@pytest.mark.G("14")
def test_it_takes_both_guardians(family: Neighbourhood, mother: App) -> None:
    asked = done(mother, ASK)
    assert (asked["state"], asked["due_at"]) == ("joint", None)
    assert done(mother, ASK)["joint_act"] == asked["joint_act"], "asking again is not the other's yes"
    assert done(mother, f"records/{HANA}/joint-acts/{asked['joint_act']}/agree")["state"] == "pending"
    assert mother.made(weight(HANA))["id"], "until both agree nothing has changed"
    [act] = get(family.father, f"records/{HANA}/joint-acts").json
    assert (act["kind"], act["mine"]) == ("closing", False)
    told = agreed(family, mother)
    assert told["state"] == "waiting"
    assert told["due_at"] > timezone.now().isoformat()
    assert get(family.father, f"records/{HANA}/closing").json == told
    assert post(mother, ASK).status == 409


@pytest.mark.G("14")
def test_one_no_is_enough_against_it(family: Neighbourhood, mother: App) -> None:
    act = done(mother, ASK)["joint_act"]
    done(family.father, f"records/{HANA}/joint-acts/{act}/refuse")
    assert not Erasure.objects.filter(subject=HANA).exists()
    assert done(mother, ASK)["state"] == "joint", "it may be asked again, and waits again"


@pytest.mark.G("14")
def test_it_needs_a_fresh_sign_in(family: Neighbourhood) -> None:
    Launch.objects.filter(person__username="yuki").update(authenticated_at=timezone.now() - timedelta(hours=1))
    answer = post(family.mother, f"{OWN}/ask")
    assert (answer.status, "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]) == (401, True)
    assert get(family.mother, OWN).json["state"] == "none"


@pytest.mark.G("14")
@pytest.mark.IT("11")
def test_what_permits_ends_and_denies_stay(family: Neighbourhood, mother: App) -> None:
    weighed = mother.made(weight(HANA))["id"]
    grant, deny = permit(family), permit(family, permit=False, office=PAEDIATRIC.code)
    assert family.clinic.get(f"Observation/{weighed}").status == 200
    agreed(family, mother)
    assert family.clinic.get(f"Observation/{weighed}").status == 404
    grant.refresh_from_db()
    deny.refresh_from_db()
    assert (grant.state, deny.state) == ("inactive", "active")
    assert not Grant.objects.filter(subject=HANA, state="active", root__permit=True).exists()
    told = Notice.objects.filter(kind="grant:ended", organization=family.demo.clinic, detail__because="closing")
    assert told.exists()
    with pytest.raises(grants.Refusal, match="解約"):
        permit(family)
    permit(family, permit=False), "a deny may always be given"


@pytest.mark.G("14")
def test_nothing_new_is_taken_and_a_copy_is_offered(family: Neighbourhood, mother: App) -> None:
    kept = mother.made(weight(HANA))
    told = agreed(family, mother)
    refused = mother.create(weight(HANA))
    assert refused.status == 422, refused
    assert "解約" in refused.json["issue"][0]["diagnostics"]
    assert mother.put(kept).status == 422
    assert mother.get(f"Observation/{kept['id']}").status == 200, "the family goes on reading"
    for offered in (told["disclosure"], told["portability"]):
        assert family.father.ask("GET", offered).status == 200
    [notice] = [n for n in get(family.father, "notices").json if n["kind"] == "closing:asked"]
    assert datetime.fromisoformat(notice["detail"]["until"]) == datetime.fromisoformat(told["due_at"])
    assert family.mother.made(pressure()), "the mother's own record is another contract"


@pytest.mark.G("14")
@pytest.mark.IT("01", "22")
def test_mandate_and_provisions_end_with_it(family: Neighbourhood, now: Any) -> None:
    institution = trust(timezone.now())
    yuki = Subject.objects.get(pk=YUKI)
    institution.entrusted(yuki, person("yuki"))
    assert Mandate.objects.filter(subject=YUKI, ended_at=None).exists()
    done(family.mother, f"{OWN}/ask")
    assert not Mandate.objects.filter(subject=YUKI, ended_at=None).exists()
    with pytest.raises(grants.Refusal, match="解約"):
        institution.entrusted(yuki, person("yuki"))


@pytest.mark.G("14")
def test_either_guardian_takes_it_back_until_it_is_due(family: Neighbourhood, mother: App) -> None:
    agreed(family, mother)
    assert swept(after=LATER - timedelta(minutes=5)) == 0
    assert done(family.father, CANCEL)["state"] == "none"
    assert mother.made(weight(HANA))["id"]
    assert swept() == 0
    assert Subject.objects.get(pk=HANA).state == "active"
    assert post(mother, CANCEL).status == 404
    assert {n["kind"] for n in get(mother, "notices").json} >= {"closing:asked", "closing:cancelled"}
    events = AuditEntry.objects.filter(subject=HANA, event__startswith="closing:").order_by("id")
    assert [line.event for line in events] == ["closing:asked", "closing:cancelled"]
    assert "erasure" in (audit.opened(events)[0] or {})


@pytest.mark.G("14")
@pytest.mark.IT("14")
def test_when_it_is_due_the_record_is_erased(family: Neighbourhood, mother: App) -> None:
    weighed = mother.made(weight(HANA))["id"]
    agreed(family, mother)
    assert swept() == 1
    assert Subject.objects.get(pk=HANA).state == "erased"
    assert mother.get(f"Observation/{weighed}").status in (401, 404)
    assert get(mother, f"records/{HANA}/closing").status in (401, 404)


@pytest.mark.G("14")
@pytest.mark.IT("14")
def test_what_a_law_bids_to_keep_is_locked_and_erased_when_that_is_over(family: Neighbourhood, mother: App) -> None:
    weighed = mother.made(weight(HANA))["id"]
    hold = holds.place(
        subject=Subject.objects.get(pk=HANA), kind=LegalHold.Kind.MEDICAL_RECORD, reason="診療録", until=None,
        by=person("sato"), now=timezone.now(),
    )  # fmt: skip
    assert agreed(family, mother)["held"]
    assert swept() == 0
    assert Subject.objects.get(pk=HANA).state == "locked"
    for app in (mother, family.father, family.clinic):
        assert app.get(f"Observation/{weighed}").status == 404
    assert swept() == 0
    assert Notice.objects.filter(kind="record:closed").count() == 2
    holds.lift(hold=hold.pk, by=person("sato"), now=timezone.now())
    assert swept() == 1
    assert Subject.objects.get(pk=HANA).state == "erased"


@pytest.mark.G("14")
def test_a_frozen_guardian_need_not_agree_and_what_he_asked_is_not_done(family: Neighbourhood, mother: App) -> None:
    agreed(family, mother)
    Erasure.objects.update(asked_by=person("ichiro"))
    freeze(family, "ichiro", HANA)
    assert swept() == 0
    assert Erasure.objects.get(subject=HANA).state == "cancelled"
    assert Subject.objects.get(pk=HANA).state == "active"
    assert done(mother, ASK)["state"] == "waiting", "the other is frozen: one is enough"


@pytest.mark.G("10", "14")
def test_from_sixteen_it_is_the_young_persons_own(family: Neighbourhood, mother: App) -> None:
    today = timezone.now().date()
    Subject.objects.filter(pk=HANA).update(birth_on=today.replace(year=today.year - 17, day=1))
    assert Guardianship.objects.filter(pk=link_of("yuki", HANA).pk, state="active").exists()
    assert post(mother, ASK).status == 403
    assert not Erasure.objects.filter(subject=HANA).exists()
