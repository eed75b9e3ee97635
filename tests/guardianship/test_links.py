"""Links are verified, looked at again, frozen in silence, released by two (G-04 to G-07, G-17, G-19)."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from consent import grants, joint
from consent.models import Guardianship, Organization, Person, Subject
from consent.scope import Clause
from phr.populate import personas
from phr.populate.cast import HANA, REN, YUKI
from phr.smart.demo import APP
from phr.smart.demo import person_token as token_of
from phr.smart.models import Launch
from tests.access.row import FORM
from tests.family import App, Neighbourhood, weight
from tests.guardianship.desk import done, freeze, get, link_of, new_link, person, post, seen


@pytest.mark.G("04")
def test_a_desk_links_on_evidence_and_nobody_links_herself(family: Neighbourhood) -> None:
    asked = new_link("mei", HANA)
    for app in (family.mother, family.father, family.aunt):
        assert post(app, "desk/guardianships", asked).status == 403
    made = done(family.officer, "desk/guardianships", asked)
    assert (made["state"], made["evidence"], made["overdue"]) == ("active", "court-order", False)
    assert link_of("mei", HANA).verified_by == person("sato")
    aunt = family.app("aunt", patient="hana", scope=personas.OWN)
    assert aunt.get(f"Patient/{HANA}").status == 200
    assert aunt.get(f"Patient/{REN}").status == 404


@pytest.mark.G("04")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"evidence": "trust me"}, 422),
        ({"evidence": "resident-record"}, 422),  # shows no appointed guardian
        ({"review_on": "2199-01-01"}, 422),
        ({"person": 2**40}, 404),
        ({"record": "00000000-0000-4000-8000-000000000000"}, 404),
        ({"kind": "parent", "evidence": "birth-notice", "sole": True}, 422),  # a birth notice does not show it
        ({"starts_on": "soon"}, 422),
    ],
)
def test_what_is_not_shown_is_not_linked(family: Neighbourhood, change: dict[str, object], status: int) -> None:
    before = Guardianship.objects.count()
    assert post(family.officer, "desk/guardianships", new_link("mei", HANA) | change).status == status
    assert Guardianship.objects.count() == before


@pytest.mark.G("04")
def test_a_review_that_is_due_stands_in_the_queue_until_it_is_renewed(family: Neighbourhood) -> None:
    link = link_of("yuki", HANA)
    assert link.pk not in {row["id"] for row in get(family.officer, "desk/reviews").json}
    Guardianship.objects.filter(pk=link.pk).update(review_on=timezone.now().date() - timedelta(days=2))
    mother = family.app("mother", patient="ren")
    row = next(row for row in get(family.officer, "desk/reviews").json if row["id"] == link.pk)
    assert row["overdue"]
    assert get(mother, f"records/{HANA}/joint-acts").status == 404
    again = {"evidence": "family-register", "review_on": str(timezone.now().date() + timedelta(days=400))}
    done(family.officer, f"desk/guardianships/{link.pk}/renew", again)
    assert link.pk not in {row["id"] for row in get(family.officer, "desk/reviews").json}
    assert family.app("mother", patient="hana").get(f"Patient/{HANA}").status == 200


@pytest.mark.G("05")
def test_parents_are_equal_and_learn_nothing_of_each_other(family: Neighbourhood) -> None:
    mother, father = family.app("mother", patient="hana"), family.father
    assert mother.create(weight(HANA)).status == 201
    assert seen(mother, HANA) == seen(father, HANA) != set()
    yuki, hana, now = person("yuki"), Subject.objects.get(pk=HANA), timezone.now()
    aunt = Clause(
        permit=True, actors=frozenset({f"person:{person('mei').pk}"}), purposes=frozenset({"FAMRQT"}),
        categories=frozenset({"GROWTH"}), valid_to=now + timedelta(days=30),
    )  # fmt: skip
    let_in = grants.give(subject=hana, root=aunt, by=yuki, capacity="guardian", now=now)
    act = joint.ask(kind=joint.Kind.CLOSING, subject=hana, by=yuki, now=now)
    lists = {name: get(father, f"records/{HANA}/{name}") for name in ("joint-acts", "proxies", "consents", "log")}
    assert [a["id"] for a in lists["joint-acts"].json] == [act.pk]
    assert [p["grant"] for p in get(mother, f"records/{HANA}/proxies").json] == [let_in.pk]
    assert lists["proxies"].json == [], "whom she let in is hers to know"
    for name, answer in lists.items():
        assert answer.status == 200, (name, answer)
        for private in ("yuki", yuki.name, str(YUKI), f'"person":{yuki.pk},'):
            assert private not in answer.content.decode(), (name, private)


@pytest.mark.G("06")
def test_no_guardian_removes_another_and_releasing_takes_two(family: Neighbourhood) -> None:
    link = link_of("ichiro", HANA)
    for deed in ("freeze", "end", "release"):
        body = {"reason": "support-measure"}
        assert post(family.app("mother", patient="hana"), f"desk/guardianships/{link.pk}/{deed}", body).status == 403
    assert family.father.get(f"Patient/{HANA}").status == 200
    freeze(family, "ichiro", HANA)
    path = f"desk/guardianships/{link.pk}/release"
    assert done(family.officer, path) == {"released": False}
    assert done(family.officer, path) == {"released": False}  # the same person is not two
    Person.objects.create(username="second", name="窓口 二", organization=Organization.objects.get(code="999001"))
    assert done(family.app("obstetrician"), path) == {"released": True}
    assert link_of("ichiro", HANA).state == "active"


@pytest.mark.G("07")
def test_a_freeze_is_silent_and_takes_everything_at_once(family: Neighbourhood) -> None:
    father = family.father
    assert father.get(f"Patient/{HANA}").status == 200
    nowhere = "11111111-0000-4000-8000-000000000000"
    never = [father.get(f"Patient/{nowhere}"), get(father, f"records/{nowhere}/proxies")]
    other = family.app("father", patient="ren")
    assert other.get(f"Patient/{REN}").status == 200
    download = get(father, f"records/{HANA}/disclosure")
    assert download.status == 200
    asked = joint.ask(
        kind=joint.Kind.ERASURE, subject=Subject.objects.get(pk=HANA), by=person("ichiro"), now=timezone.now()
    )  # fmt: skip
    freeze(family, "ichiro", HANA)
    asked.refresh_from_db()
    assert asked.state == "refused", "what he asked for waits no longer"
    assert get(other, f"records/{HANA}/disclosure").status == 404
    assert get(father, f"records/{HANA}/disclosure").status == 401
    tokenless = App("no such token")
    assert father.get(f"Patient/{HANA}").told()[:1] == tokenless.get(f"Patient/{HANA}").told()[:1] == (401,)
    assert never[0].status == never[1].status == 404
    assert other.get(f"Patient/{REN}").status == 200, "the link to the other child stands"
    # a token for another record tells nothing either
    assert get(other, f"records/{HANA}/proxies").told() == get(other, f"records/{nowhere}/proxies").told()
    assert not Launch.objects.filter(person=person("ichiro"), subject_id=HANA, revoked_at=None).exists()
    assert get(other, "notices").json == []


@pytest.mark.G("07")
def test_tokens_do_not_come_back_with_the_link(family: Neighbourhood) -> None:
    old = family.father
    freeze(family, "ichiro", HANA)
    path = f"desk/guardianships/{link_of('ichiro', HANA).pk}/release"
    done(family.officer, path)
    done(family.app("obstetrician"), path)
    assert old.get(f"Patient/{HANA}").status == 401
    family.apps.clear()
    assert family.father.get(f"Patient/{HANA}").status == 200


@pytest.mark.G("17")
def test_no_token_spans_two_children(family: Neighbourhood) -> None:
    app = family.app("mother", patient="hana")
    assert app.get(f"Patient/{HANA}").status == 200
    for other in (REN, YUKI):
        assert app.get(f"Patient/{other}").status == 404
        assert app.create(weight(other)).status == 422
        assert get(app, f"records/{other}/proxies").status == 404
    launch = Launch.objects.get(person=person("yuki"), subject_id=HANA)
    assert (launch.capacity, launch.guardianship) == ("guardian", link_of("yuki", HANA))


@pytest.mark.G("19")
@pytest.mark.parametrize(
    ("kind", "evidence", "status"),
    [
        ("adoptive", "family-register", 201), ("adoptive", "birth-notice", 422),
        ("foster", "resident-record", 201), ("foster", "family-register", 422),
        ("appointed", "court-order", 201), ("appointed", "birth-notice", 422),
        ("institution", "court-order", 201), ("institution", "resident-record", 422),
    ],
)  # fmt: skip
def test_each_kind_of_link_has_evidence_of_its_own(
    family: Neighbourhood, kind: str, evidence: str, status: int
) -> None:
    asked = new_link("mei", HANA, kind=kind, evidence=evidence)
    assert post(family.officer, "desk/guardianships", asked).status == status


@pytest.mark.G("04")
def test_linking_needs_a_fresh_proof_of_who_verifies(family: Neighbourhood) -> None:
    officer = family.officer
    Launch.objects.filter(person=person("sato")).update(authenticated_at=timezone.now() - timedelta(minutes=6))
    answer = post(officer, "desk/guardianships", new_link("mei", HANA))
    assert answer.status == 401
    assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    assert not Guardianship.objects.filter(person=person("mei")).exists()


@pytest.mark.G("06")
def test_a_guardian_leaves_by_herself(family: Neighbourhood) -> None:
    done(family.father, f"records/{HANA}/guardianship/leave")
    assert family.father.get(f"Patient/{HANA}").status == 401
    assert link_of("ichiro", HANA).state == "ended"
    assert family.app("mother", patient="hana").get(f"Patient/{HANA}").status == 200


@pytest.mark.G("07")
def test_a_refresh_token_dies_with_the_link(family: Neighbourhood) -> None:
    told = token_of(
        person("ichiro"), client_id=APP, scope=f"{personas.OWN} offline_access", patient=str(HANA), now=timezone.now()
    )  # fmt: skip
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"], "client_id": APP}

    def refreshed() -> int:
        return App().ask("POST", "/oauth/token", urlencode(form).encode(), type=FORM).status

    freeze(family, "ichiro", HANA)
    assert refreshed() == 400
    path = f"desk/guardianships/{link_of('ichiro', HANA).pk}/release"
    done(family.officer, path)
    done(family.app("obstetrician"), path)
    assert refreshed() == 400, "and does not come back with it"
