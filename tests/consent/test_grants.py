"""Giving and withdrawing: who may, what it may say, and that it counts at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import authoring, effective, grants, joint
from consent.authoring import OutsideProfile
from consent.clauses import Malformed, clause_from_json, clause_to_json
from consent.grants import UnableToGive, UnableToWithdraw
from consent.guardianship import FreezeReason
from consent.models import AuditEntry, EffectiveGrant, Grant, JointAct, Subject
from consent.receipts import Terms
from consent.scope import Clause
from phr.smart import severing
from tests.consent import strategies as draw
from tests.consent.people import People
from tests.lines import told_by

TREAT = frozenset({"TREAT"})


def only(*values: str) -> frozenset[str]:
    return frozenset(values)


def to_clinic(family: People, **more: object) -> Clause:
    stated: dict[str, object] = {"actors": only(f"org:{family.clinic.pk}"), "purposes": TREAT} | more
    return Clause(permit=True, **stated)  # type: ignore[arg-type]


def epoch(subject: Subject) -> int:
    return Subject.objects.get(pk=subject.pk).consent_epoch


def test_a_mother_gives_and_withdraws(family: People, now: datetime) -> None:
    before = epoch(family.yuki_subject)
    root = to_clinic(family)
    grant = grants.give(subject=family.yuki_subject, root=root, by=family.yuki, capacity="self", now=now)
    stored = Grant.objects.get()
    assert clause_from_json(stored.root) == root
    assert (stored.state, stored.version, stored.capacity, stored.given_at) == ("active", 1, "self", now)
    rows = effective.rows_for([family.yuki_subject.pk], [f"org:{family.clinic.pk}"])
    assert rows == list(effective.rows_of(grant.pk, family.yuki_subject.pk, root))
    assert epoch(family.yuki_subject) == before + 1

    grants.withdraw(grant=grant, by=family.yuki, reason="もう通っていません", now=now)
    assert (grant.state, grant.ended_reason) == ("inactive", "もう通っていません")
    assert not EffectiveGrant.objects.exists()
    assert epoch(family.yuki_subject) == before + 2
    grants.withdraw(grant=grant, by=family.yuki, reason="again", now=now)
    assert epoch(family.yuki_subject) == before + 2
    lines = AuditEntry.objects.filter(event__startswith="grant:").order_by("id")
    assert [(e.event, e.person, e.subject, told_by(e)["grant"]) for e in lines] == [
        ("grant:given", family.yuki.pk, family.yuki_subject.pk, grant.pk),
        ("grant:withdrawn", family.yuki.pk, family.yuki_subject.pk, grant.pk),
    ]
    assert "もう" not in str(list(lines.values_list("detail", flat=True)))


def test_a_new_version_supersedes_the_old(family: People, now: datetime) -> None:
    first = grants.give(subject=family.hana, root=to_clinic(family), by=family.yuki, capacity="guardian", now=now)
    narrower = to_clinic(family, categories=only("ALLERGY"))
    second = grants.give(
        subject=family.hana, root=narrower, by=family.yuki, capacity="guardian", now=now, supersedes=first
    )
    first.refresh_from_db()
    assert (first.state, second.version, second.supersedes_id) == ("inactive", 2, first.pk)
    assert {row.grant_id for row in EffectiveGrant.objects.all()} == {second.pk}
    for wrong in (first, Grant(pk=second.pk + 99)):
        with pytest.raises((UnableToGive, Grant.DoesNotExist)):
            grants.give(
                subject=family.hana, root=narrower, by=family.yuki, capacity="guardian", now=now, supersedes=wrong
            )
    with pytest.raises(UnableToGive):
        grants.give(subject=family.ren, root=narrower, by=family.yuki, capacity="guardian", now=now, supersedes=second)


@pytest.mark.G("04")
def test_who_may_give(family: People, now: datetime) -> None:
    root = to_clinic(family)
    refused = [
        (family.hana, family.mei, "guardian"),
        (family.hana, family.mei, "self"),
        (family.hana, family.sato, "guardian"),
        (family.hana, family.yuki, "self"),
        (family.yuki_subject, family.ichiro, "guardian"),
        (family.yuki_subject, family.yuki, "guardian"),
    ]
    for subject, by, capacity in refused:
        with pytest.raises(UnableToGive):
            grants.give(subject=subject, root=root, by=by, capacity=capacity, now=now)
    severing.freeze(
        guardianship_id=family.ichiro.guardianships.get(subject=family.hana).pk, by=family.sato,
        reason=FreezeReason.SUPPORT_MEASURE, now=now,
    )  # fmt: skip
    with pytest.raises(UnableToGive):
        grants.give(subject=family.hana, root=root, by=family.ichiro, capacity="guardian", now=now)
    Subject.objects.filter(pk=family.hana.pk).update(state="locked")
    with pytest.raises(UnableToGive):
        grants.give(subject=family.hana, root=root, by=family.yuki, capacity="guardian", now=now)
    assert not Grant.objects.exists()


@pytest.mark.G("10")
def test_from_sixteen_the_young_person_consents(family: People, now: datetime) -> None:
    with pytest.raises(OutsideProfile):
        grants.give(subject=family.teen_subject, root=to_clinic(family), by=family.yuki, capacity="guardian", now=now)
    deny = Clause(permit=False, actors=only("class:third-party"))
    grants.give(subject=family.teen_subject, root=deny, by=family.yuki, capacity="guardian", now=now)
    own = grants.give(subject=family.teen_subject, root=to_clinic(family), by=family.teen, capacity="self", now=now)
    with pytest.raises(UnableToWithdraw):
        grants.withdraw(grant=own, by=family.yuki, reason="", now=now)
    grants.withdraw(grant=own, by=family.teen, reason="", now=now)


@pytest.mark.G("10")
def test_at_fifteen_a_guardian_consents_within_the_standard_set(family: People, now: datetime) -> None:
    Subject.objects.filter(pk=family.hana.pk).update(birth_on=(now - timedelta(days=365 * 15 + 60)).date())
    give = {"subject": family.hana, "by": family.yuki, "capacity": "guardian", "now": now}
    for wider in (to_clinic(family), to_clinic(family, categories=only("LABORATORY"))):
        with pytest.raises(OutsideProfile):
            grants.give(root=wider, **give)  # type: ignore[arg-type]
    grants.give(root=to_clinic(family, categories=only("ALLERGY", "GROWTH")), **give)  # type: ignore[arg-type]


BEYOND_CARE = Terms(
    benefit="結果をお知らせします", profiling=False, onward=False, use_class="public-interest",
    withdrawal="アプリの「同意」から", contact="desk@example.test",
)  # fmt: skip


@pytest.mark.G("14")
def test_what_takes_both_guardians_waits_for_the_other(family: People, now: datetime) -> None:
    year = {"valid_to": now + timedelta(days=100)}
    study = {"purposes": only("HRESCH"), "categories": only("GROWTH"), "data_low": now - timedelta(days=900)}
    give = {"subject": family.hana, "by": family.yuki, "capacity": "guardian", "now": now, "terms": BEYOND_CARE}
    for root in (
        to_clinic(family, **study, **year),
        to_clinic(family, actors=only("class:clinic"), categories=only("GROWTH"), **year),
    ):
        grant = grants.give(root=root, **give)  # type: ignore[arg-type]
        assert (grant.state, effective.rows_of_stored(grant) != ()) == ("proposed", True)
        assert not EffectiveGrant.objects.filter(grant=grant).exists()
        with pytest.raises(UnableToGive):  # it waits for one thing, and is not replaced meanwhile
            grants.give(root=root, supersedes=grant, **give)  # type: ignore[arg-type]
        joint.agree(act=JointAct.objects.get(grant=grant), by=family.ichiro, now=now)
        grant.refresh_from_db()
        assert grant.state == "active"
        assert EffectiveGrant.objects.filter(grant=grant).exists()


@pytest.mark.G("14")
def test_what_no_guardian_gives(family: People, now: datetime) -> None:
    with pytest.raises(OutsideProfile):
        grants.give(
            subject=family.hana, root=to_clinic(family, labels=only("SDV")), by=family.yuki, capacity="guardian",
            now=now,
        )  # fmt: skip


@pytest.mark.G("06")
def test_no_guardian_can_shut_out_the_other(family: People, now: datetime) -> None:
    for actors in (None, only(f"person:{family.ichiro.pk}"), only("class:third-party", f"person:{family.ichiro.pk}")):
        with pytest.raises(OutsideProfile):
            grants.give(
                subject=family.hana, root=Clause(permit=False, actors=actors), by=family.yuki, capacity="guardian",
                now=now,
            )  # fmt: skip


@pytest.mark.G("15")
def test_what_one_guardian_denied_the_other_cannot_undo(family: People, now: datetime) -> None:
    deny = Clause(permit=False, actors=only(f"org:{family.school.pk}"))
    denied = grants.give(subject=family.hana, root=deny, by=family.yuki, capacity="guardian", now=now)
    permitted = grants.give(subject=family.hana, root=to_clinic(family), by=family.yuki, capacity="guardian", now=now)
    give = {"subject": family.hana, "by": family.ichiro, "capacity": "guardian", "now": now}
    with pytest.raises(UnableToWithdraw):
        grants.withdraw(grant=denied, by=family.ichiro, reason="", now=now)
    with pytest.raises(UnableToGive):
        grants.give(root=to_clinic(family), supersedes=denied, **give)  # type: ignore[arg-type]
    grants.withdraw(grant=permitted, by=family.ichiro, reason="", now=now)
    for nobody in (family.mei, family.sato, family.kondo):
        with pytest.raises(UnableToWithdraw):
            grants.withdraw(grant=denied, by=nobody, reason="", now=now)


def test_actors_must_be_registered(family: People, now: datetime) -> None:
    for actor in ("org:999999", "person:999999"):
        with pytest.raises(OutsideProfile):
            grants.give(
                subject=family.yuki_subject, by=family.yuki, capacity="self", now=now,
                root=Clause(permit=False, actors=only(actor)),
            )  # fmt: skip


GOOD = Clause(permit=True, actors=only("org:1"), purposes=TREAT)
DENY = Clause(permit=False)


def soon(now: datetime, days: int) -> datetime:
    return now + timedelta(days=days)


@pytest.mark.IT("03")
def test_the_authoring_profile_accepts(now: datetime) -> None:
    accepted = [
        GOOD,
        DENY,
        replace(GOOD, level=2, categories=only("ALLERGY")),
        replace(GOOD, clauses=(DENY,)),
        replace(GOOD, clauses=(replace(DENY, clauses=(Clause(permit=True, purposes=only("PATRQT")),)),)),
        replace(GOOD, categories=only("ALLERGY"), clauses=(Clause(permit=True, labels=only("PSY")),)),
        replace(GOOD, labels=only("PSY", "UNCLASSIFIED"), level=4),
        replace(GOOD, actors=only("class:clinic"), categories=only("ALLERGY"), valid_to=soon(now, 365)),
        replace(GOOD, actors=only("person:3"), categories=only("ALLERGY"), valid_to=soon(now, 500)),
    ]
    for root in accepted:
        authoring.check(root, now=now)


def _refused(now: datetime) -> dict[str, Clause]:
    third = replace(DENY, clauses=(replace(GOOD, clauses=(DENY,)),))
    return {
        "too deep": replace(GOOD, clauses=(third,)),
        "deny in deny": replace(DENY, clauses=(DENY,)),
        "permit in permit": replace(GOOD, clauses=(GOOD,)),
        "permit in permit below a deny": replace(
            DENY, clauses=(replace(GOOD, clauses=(Clause(permit=True, labels=only("PSY")),)),)
        ),
        "no actor": replace(GOOD, actors=None),
        "no purpose": replace(GOOD, purposes=None),
        "empty set": replace(GOOD, categories=frozenset()),
        "unknown purpose": replace(GOOD, purposes=only("???")),
        "prohibited purpose": replace(GOOD, purposes=only("EMPLOYMENT")),
        "unknown actor": replace(GOOD, actors=only("somebody")),
        "unknown class": replace(GOOD, actors=only("class:bank")),
        "unknown action": replace(GOOD, actions=only("sell")),
        "label as category": replace(GOOD, categories=only("PSY")),
        "category as label": replace(GOOD, labels=only("ALLERGY")),
        "unknown deny": replace(DENY, categories=only("???")),
        "level 5": replace(GOOD, level=5),
        "level 3 by wildcard": replace(GOOD, level=3),
        "both kinds of category": replace(GOOD, categories=only("ALLERGY"), labels=only("PSY")),
        "author 0": replace(GOOD, authors=frozenset({0})),
        "item": replace(GOOD, items=only("../etc")),
        "period": replace(GOOD, valid_from=soon(now, 2), valid_to=soon(now, 1)),
        "naive time": replace(GOOD, valid_to=datetime(2026, 1, 1)),  # noqa: DTZ001
        "data period": replace(GOOD, data_low=now, data_high=now),
        "class without end": replace(GOOD, actors=only("class:clinic"), categories=only("ALLERGY")),
        "class for every category": replace(GOOD, actors=only("class:clinic"), valid_to=soon(now, 30)),
        "class for too long": replace(
            GOOD, actors=only("class:clinic"), categories=only("ALLERGY"), valid_to=soon(now, 400)
        ),
        "class with a label": replace(GOOD, actors=only("class:clinic"), valid_to=soon(now, 30), labels=only("PSY")),
        "everybody": replace(GOOD, actors=only("class:third-party"), valid_to=soon(now, 30)),
        "proxy without end": replace(GOOD, actors=only("person:3"), categories=only("ALLERGY")),
        "proxy for too long": replace(
            GOOD, actors=only("person:3"), categories=only("ALLERGY"), valid_to=soon(now, 560)
        ),
        "proxy for everything": replace(GOOD, actors=only("person:3"), valid_to=soon(now, 30)),
        "too many rows": replace(
            GOOD, items=frozenset(f"Observation/{n}" for n in range(600)), purposes=only("TREAT", "PATRQT")
        ),
    }


@pytest.mark.parametrize("case", list(_refused(draw.NOW)))
@pytest.mark.IT("03")
def test_the_authoring_profile_refuses(case: str, now: datetime) -> None:
    with pytest.raises(OutsideProfile):
        authoring.check(_refused(now)[case], now=now)


@given(draw.clauses())
def test_json_there_and_back(root: Clause) -> None:
    assert clause_from_json(clause_to_json(root)) == root


@pytest.mark.parametrize(
    "told",
    [
        None, [], "x", {}, {"permit": "true"}, {"permit": None}, {"permit": 1}, {"permit": True, "actor": ["x"]},
        {"permit": True, "actors": []}, {"permit": True, "actors": "org:1"}, {"permit": True, "actors": [1]},
        {"permit": True, "actors": [""]}, {"permit": True, "actors": ["x" * 200]}, {"permit": True, "level": "2"},
        {"permit": True, "level": True}, {"permit": True, "authors": ["1"]}, {"permit": True, "purposes": None},
        {"permit": True, "valid_to": "2026-01-01T00:00:00"}, {"permit": True, "valid_to": "soon"},
        {"permit": True, "clauses": {}}, {"permit": True, "clauses": [1]}, {"permit": True, "clauses": None},
    ],
)  # fmt: skip
def test_a_malformed_tree_is_refused_with_its_place(told: object) -> None:
    with pytest.raises(Malformed, match=r"^root"):
        clause_from_json(told)


def test_a_tree_nested_without_end_is_refused() -> None:
    told: dict[str, object] = {"permit": True}
    for _ in range(5000):
        told = {"permit": True, "clauses": [told]}
    with pytest.raises(Malformed, match="too deeply"):
        clause_from_json(told)


@pytest.mark.parametrize(
    ("root", "denies"),
    [
        ({"permit": True, "unknown": 1}, False),
        ({"permit": True, "unknown": 1, "clauses": [{"permit": True}]}, False),
        ({"permit": True, "unknown": 1, "clauses": [{"permit": False}]}, True),
        ({"permit": False, "unknown": 1}, True),
        ({"unknown": 1}, True),
        ([], True),
    ],
)
def test_a_malformed_grant_that_denies_denies_third_parties(
    family: People, now: datetime, root: object, denies: bool
) -> None:
    grant = Grant.objects.create(subject=family.hana, given_by=family.yuki, capacity="self", root=root, given_at=now)
    effective.rebuild(grant)
    rows = effective.rows_for([family.hana.pk], ["class:third-party"])
    assert [(r.permit, r.grantees) for r in rows] == ([(False, ("class:third-party",))] if denies else [])


def test_a_locked_subject_has_no_rows(family: People, now: datetime) -> None:
    grants.give(subject=family.hana, root=to_clinic(family), by=family.yuki, capacity="guardian", now=now)
    assert effective.rebuild(family.hana) == 1
    family.hana.state = "locked"
    assert effective.rebuild(family.hana) == 0
    assert not EffectiveGrant.objects.exists()


@pytest.mark.django_db
@given(root=draw.clauses(2), actors=st.frozensets(st.sampled_from(draw.ACTORS)))
def test_rows_come_back_from_the_table_as_they_went_in(root: Clause, actors: frozenset[str]) -> None:
    from django.db import transaction

    from consent.models import Person

    with transaction.atomic():
        subject = Subject.objects.create(created_at=draw.NOW)
        giver = Person.objects.create(username="giver", name="見本")
        grant = Grant.objects.create(
            subject=subject, given_by=giver, capacity="self", root=clause_to_json(root), given_at=draw.NOW
        )
        effective.rebuild(grant)
        found = effective.rows_for([subject.pk], actors)
        transaction.set_rollback(True)
    expected = effective.rows_of(grant.pk, subject.pk, root)
    assert set(found) <= set(expected)
    assert {r for r in expected if actors.issuperset(r.grantees)} <= set(found)
