"""What takes both guardians, what one may do alone, and what happens when they disagree (G-05, G-14, G-15)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import grants, joint
from consent.models import Grant, Guardianship, JointAct, Notice, Person, Subject
from consent.receipts import Terms
from consent.refusal import Refusal
from phr.populate.cast import HANA, OBSTETRIC, RESEARCH
from phr.smart.models import Launch
from tests.family import App, Neighbourhood, weight
from tests.guardianship.desk import done, freeze, get, link_of, person, post
from tests.guardianship.test_adulthood import born, own_app, turned

TOLD = Terms(
    benefit="成長曲線が返ります", profiling=False, onward=False, use_class="public-interest",
    withdrawal="アプリで", contact="03-0000-0000",
)  # fmt: skip


def hana() -> Subject:
    return Subject.objects.get(pk=HANA)


def tree(family: Neighbourhood, *, permit: bool = True, actor: str = "", purpose: str = "HRESCH") -> dict[str, Any]:
    until = timezone.now() + timedelta(days=300)
    return {
        "permit": permit, "purposes": [purpose], "categories": ["GROWTH"], "valid_to": until.isoformat(),
        "actors": [actor or f"org:{family.demo.organizations[RESEARCH.code].pk}"],
        "data_low": "2018-01-01T00:00:00+09:00",
    }  # fmt: skip


def given(family: Neighbourhood, by: str, root: dict[str, Any]) -> Grant:
    return grants.give(
        subject=hana(), root=grants.clause_from_json(root), by=person(by), capacity="guardian", now=timezone.now(),
        terms=TOLD,
    )  # fmt: skip


@pytest.fixture
def mother(family: Neighbourhood) -> App:
    return family.app("mother", patient="hana")


@pytest.mark.G("14")
@pytest.mark.parametrize("actor", ["", "class:research"])
def test_research_waits_for_the_other_guardian(family: Neighbourhood, mother: App, actor: str) -> None:
    grant = given(family, "yuki", tree(family, actor=actor))
    assert (grant.state, grant.rows.count()) == ("proposed", 0)
    [act] = get(family.father, f"records/{HANA}/joint-acts").json
    assert (act["kind"], act["state"], act["mine"], act["grant"]) == ("consent", "pending", False, grant.pk)
    assert act["consent"]["purposes"] == ["HRESCH"]
    answer = get(family.father, f"records/{HANA}/joint-acts")
    for hidden in ("yuki", "見本 雪", "127.0.0.1", str(person("yuki").own_subject_id)):
        assert hidden.encode() not in answer.content
    assert [n["kind"] for n in get(family.father, "notices").json] == ["joint-act:asked"]
    assert get(mother, f"records/{HANA}/joint-acts").json[0]["mine"] is True
    # agreeing again oneself is not the other's yes
    assert done(mother, f"records/{HANA}/joint-acts/{act['id']}/agree")["state"] == "pending"
    assert done(family.father, f"records/{HANA}/joint-acts/{act['id']}/agree")["state"] == "done"
    grant.refresh_from_db()
    assert grant.state == "active"
    assert grant.rows.exists()


@pytest.mark.G("14")
def test_one_guardian_suffices_for_care(family: Neighbourhood, mother: App) -> None:
    actor = f"org:{family.demo.organizations[OBSTETRIC.code].pk}"
    weighed = mother.made(weight(HANA))["id"]
    assert family.clinic.get(f"Observation/{weighed}").status == 404
    assert given(family, "ichiro", tree(family, actor=actor, purpose="TREAT")).state == "active"
    assert family.clinic.get(f"Observation/{weighed}").status == 200
    assert get(mother, f"records/{HANA}/joint-acts").json == []


@pytest.mark.G("14")
def test_either_guardian_withdraws_or_denies_alone(family: Neighbourhood, mother: App) -> None:
    grant = given(family, "yuki", tree(family))
    joint.agree(act=grant.joint_act, by=person("ichiro"), now=timezone.now())
    grants.withdraw(grant=grant, by=person("ichiro"), reason="", now=timezone.now())
    grant.refresh_from_db()
    assert grant.state == "inactive"
    assert given(family, "ichiro", tree(family, permit=False)).state == "active"
    assert get(mother, f"records/{HANA}/joint-acts").json == []


@pytest.mark.G("15")
def test_a_no_settles_it_and_the_desks_are_told(family: Neighbourhood, mother: App) -> None:
    grant = given(family, "yuki", tree(family))
    path = f"records/{HANA}/joint-acts/{grant.joint_act.pk}"
    done(family.father, f"{path}/refuse")
    grant.refresh_from_db()
    assert (grant.state, grant.rows.count()) == ("inactive", 0)
    assert post(mother, f"{path}/agree").status == 409
    told = Notice.objects.filter(kind="guardians:disagree")
    assert {n.organization_id for n in told} == {person("sato").organization_id}
    assert given(family, "yuki", tree(family)).state == "proposed", "it may be asked again"


@pytest.mark.G("15")
@pytest.mark.parametrize("first", [True, False])
def test_when_they_disagree_the_deny_wins_and_staff_are_told(family: Neighbourhood, mother: App, first: bool) -> None:
    actor = f"org:{family.demo.organizations[OBSTETRIC.code].pk}"
    weighed = mother.made(weight(HANA))["id"]
    for permit, by in ((first, "yuki"), (not first, "ichiro")):
        given(family, by, tree(family, permit=permit, actor=actor, purpose="TREAT"))
    assert family.clinic.get(f"Observation/{weighed}").status == 404
    assert Notice.objects.filter(kind="guardians:disagree", organization=person("sato").organization).count() == 1
    deny = Grant.objects.get(subject_id=HANA, root__permit=False)
    other = person("yuki") if deny.given_by == person("ichiro") else person("ichiro")
    with pytest.raises(grants.UnableToWithdraw):
        grants.withdraw(grant=deny, by=other, reason="", now=timezone.now())


@pytest.mark.G("14")
def test_one_guardian_is_enough_only_where_the_register_knows_no_other(family: Neighbourhood) -> None:
    now = timezone.now()
    Guardianship.objects.filter(pk=link_of("ichiro", HANA).pk).update(state="ended")
    assert given(family, "yuki", tree(family)).state == "proposed", "one that is linked is not one that is alone"
    Guardianship.objects.filter(pk=link_of("yuki", HANA).pk).update(sole=True)
    assert given(family, "yuki", tree(family, actor="class:research")).state == "active"
    act = joint.ask(kind=joint.Kind.ERASURE, subject=hana(), by=person("yuki"), now=now)
    assert act.state == "agreed"
    joint.use(act=act, now=now)
    with pytest.raises(Refusal):
        joint.use(act=act, now=now)


@pytest.mark.G("14")
def test_a_frozen_guardian_is_not_asked_and_hears_nothing(family: Neighbourhood, mother: App) -> None:
    father = family.app("father", patient="ren")
    mine = given(family, "ichiro", tree(family))
    freeze(family, "ichiro", HANA)
    mine.refresh_from_db()
    assert mine.state == "inactive", "what he asked waits no longer"
    assert get(mother, f"records/{HANA}/joint-acts").json == []
    assert given(family, "yuki", tree(family)).state == "active"
    assert get(father, "notices").json == []
    assert get(father, f"records/{HANA}/joint-acts").status == 404


@pytest.mark.G("14")
@pytest.mark.parametrize("kind", ["erasure", "transfer", "closing"])
def test_erasing_moving_and_closing_take_both(family: Neighbourhood, kind: str) -> None:
    now = timezone.now()
    act = joint.ask(kind=joint.Kind(kind), subject=hana(), by=person("yuki"), now=now)
    same = joint.ask(kind=joint.Kind(kind), subject=hana(), by=person("yuki"), now=now)
    assert (act.state, act.pk) == ("pending", same.pk)
    with pytest.raises(Refusal):
        joint.use(act=act, now=now)
    done(family.father, f"records/{HANA}/joint-acts/{act.pk}/agree")
    act.refresh_from_db()
    assert act.state == "agreed"
    with pytest.raises(Refusal):
        joint.use(act=act, now=now + timedelta(days=31))
    joint.use(act=act, now=now)


@pytest.mark.G("14")
def test_what_is_not_answered_expires(family: Neighbourhood) -> None:
    grant = given(family, "yuki", tree(family))
    JointAct.objects.filter(pk=grant.joint_act.pk).update(expires_at=timezone.now())
    assert get(family.father, f"records/{HANA}/joint-acts").json == []
    assert post(family.father, f"records/{HANA}/joint-acts/{grant.joint_act.pk}/agree").status == 404


@pytest.mark.G("14")
def test_nobody_else_answers(family: Neighbourhood) -> None:
    act = given(family, "yuki", tree(family)).joint_act
    for app in (family.aunt, family.stranger, family.app("father", patient="ren")):
        assert post(app, f"records/{HANA}/joint-acts/{act.pk}/agree").status == 404
    act.refresh_from_db()
    assert act.state == "pending"


@pytest.mark.G("10")
def test_from_sixteen_a_waiting_consent_cannot_become_active(family: Neighbourhood) -> None:
    grant = given(family, "yuki", tree(family))
    today = timezone.now().date()
    Subject.objects.filter(pk=HANA).update(birth_on=today.replace(year=today.year - 16, day=1))
    answer = post(family.father, f"records/{HANA}/joint-acts/{grant.joint_act.pk}/agree")
    assert answer.status == 409
    grant.refresh_from_db()
    assert grant.state == "proposed"


@pytest.mark.G("14")
def test_the_one_who_asked_cannot_accept_in_place_of_the_other(family: Neighbourhood, mother: App) -> None:
    """Over the consent door: given by one, active by the other's yes alone; a stale proof of who says it is refused."""
    told = {name: value for name, value in TOLD.as_json().items() if name in (
        "benefit", "profiling", "onward", "use_class", "withdrawal", "contact")}  # fmt: skip
    made = done(mother, f"records/{HANA}/consents/give", {"root": tree(family), "terms": told})
    assert made["state"] == "proposed"
    for app in (mother, family.father):
        assert post(app, f"records/{HANA}/consents/{made['id']}/accept", {}).status == 409
    act = get(family.father, f"records/{HANA}/joint-acts").json[0]
    Launch.objects.filter(person=person("ichiro")).update(authenticated_at=timezone.now() - timedelta(hours=1))
    stale = post(family.father, f"records/{HANA}/joint-acts/{act['id']}/agree")
    assert (stale.status, "insufficient_user_authentication" in stale.headers["WWW-Authenticate"]) == (401, True)
    assert Grant.objects.get(pk=made["id"]).state == "proposed"
    assert post(family.father, f"records/{HANA}/joint-acts/{act['id']}/refuse").status == 200, "a no needs no proof"


@pytest.mark.G("10")
def test_from_sixteen_only_the_young_person_consents_to_research(family: Neighbourhood, mother: App) -> None:
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    told = {name: value for name, value in TOLD.as_json().items() if name in (
        "benefit", "profiling", "onward", "use_class", "withdrawal", "contact")}  # fmt: skip
    body = {"root": tree(family), "terms": told}
    born(HANA, turned(16))
    assert post(mother, f"records/{HANA}/consents/give", body).status == 422
    assert done(own_app("hana", HANA), f"records/{HANA}/consents/give", body)["state"] == "active"
