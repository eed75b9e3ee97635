"""Places are hidden at once; proxies are looked at again; adult proxies have limits (G-06, G-08, G-09, G-18)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from consent import authoring, grants, proxies
from consent.models import Grant, Guardianship, ProtectionCase, Subject
from phr.populate import personas
from phr.populate.cast import HANA, OBSTETRIC, YUKI
from tests.family import App, Neighbourhood, weight
from tests.guardianship.desk import done, freeze, get, new_link, person, post


@pytest.fixture
def places(family: Neighbourhood) -> dict[str, str]:
    """What tells of a place in Hana's record, each in a way of its own; and what tells of none."""
    mother = family.app("mother", patient="hana")
    assigner = {"identifier": [{"system": "urn:x", "value": "1", "assigner": {"display": "見本産婦人科"}}]}
    told: dict[str, dict[str, Any]] = {
        "performer": {"performer": [{"reference": "Organization/x", "display": "見本産婦人科"}]},
        "display": {"performer": [{"display": "見本産婦人科"}]},
        "source": {"meta": {"source": "https://sanka.example/fhir"}},
        "assigner": assigner,
        "plain": {},
    }
    return {name: f"Observation/{mother.made(weight(HANA, **more))['id']}" for name, more in told.items()}


def found(app: App) -> set[str]:
    return {f"Observation/{id}" for page in app.pages("Observation", _count="100") for id in page}


@pytest.mark.G("06")
def test_a_guardians_own_request_hides_places_at_once_and_opens_a_case(
    family: Neighbourhood, places: dict[str, str]
) -> None:
    mother, father = family.app("mother", patient="hana"), family.father
    assert set(places.values()) <= found(father)
    case = done(mother, f"records/{HANA}/protection")["case"]
    assert done(mother, f"records/{HANA}/protection")["case"] == case, "asked twice, one case"
    assert set(places.values()) & found(father) == {places["plain"]}
    assert family.father.get(f"Patient/{HANA}").status == 404  # her address stands there
    assert [row["id"] for row in get(family.officer, "desk/protection-cases").json] == [case]
    assert get(father, "notices").json == []
    assert post(father, f"desk/protection-cases/{case}/close", {"outcome": "unfounded"}).status == 403
    done(family.officer, f"desk/protection-cases/{case}/close", {"outcome": "unfounded"})
    assert set(places.values()) <= found(father)
    assert post(family.officer, f"desk/protection-cases/{case}/close", {"outcome": "unfounded"}).status == 404


@pytest.mark.G("06")
def test_a_case_that_became_a_measure_keeps_places_hidden(family: Neighbourhood, places: dict[str, str]) -> None:
    case = done(family.app("mother", patient="hana"), f"records/{HANA}/protection")["case"]
    done(family.officer, f"desk/protection-cases/{case}/close", {"outcome": "measure"})
    again = done(family.father, f"records/{HANA}/protection")["case"]
    done(family.officer, f"desk/protection-cases/{again}/close", {"outcome": "unfounded"})
    assert Subject.objects.get(pk=HANA).location_hidden
    assert ProtectionCase.objects.filter(closed_at=None).count() == 0


@pytest.mark.G("08")
def test_staff_hide_places_from_all_but_those_who_treat(family: Neighbourhood, places: dict[str, str]) -> None:
    actor = f"org:{family.demo.organizations[OBSTETRIC.code].pk}"
    root = {"permit": True, "purposes": ["TREAT"], "actors": [actor], "categories": ["GROWTH", "IDENTITY"]}
    grants.give(
        subject=Subject.objects.get(pk=HANA), root=grants.clause_from_json(root), by=person("yuki"),
        capacity="guardian", now=timezone.now(),
    )  # fmt: skip
    path = f"desk/records/{HANA}/location"
    for app in (family.father, family.app("mother", patient="hana")):
        assert post(app, path, {"hidden": True, "reason": "support-measure"}).status == 403
    done(family.officer, path, {"hidden": True, "reason": "support-measure"})
    hidden = set(places.values()) - {places["plain"]}
    for app in (family.father, family.app("mother", patient="hana")):
        assert not hidden & found(app)
        assert places["plain"] in found(app)
        assert app.search("Organization", name="見本").status == 200
    assert family.clinic.get(places["performer"]).status == 200, "treating staff see where she is"
    # the source of the log is a place too
    log = get(family.father, f"records/{HANA}/log")
    assert log.status == 200
    assert all(line["organization"] is None for line in log.json["lines"] if line["role"] != "you"), log
    done(family.officer, path, {"hidden": False, "reason": "ended"})
    assert hidden <= found(family.father)


# -- proxies -------------------------------------------------------------------------------------------


def proxy(family: Neighbourhood, username: str = "mei", **more: Any) -> Grant:
    root = {
        "permit": True, "purposes": ["FAMRQT"], "actors": [f"person:{person(username).pk}"],
        "categories": ["GROWTH", "IDENTITY"], "valid_to": (timezone.now() + timedelta(days=500)).isoformat(), **more,
    }  # fmt: skip
    root = {name: value for name, value in root.items() if value is not None}
    return grants.give(
        subject=Subject.objects.get(pk=YUKI), root=grants.clause_from_json(root), by=person("yuki"), capacity="self",
        now=timezone.now(),
    )  # fmt: skip


def aunt_of(family: Neighbourhood) -> App:
    return family.app("aunt", patient="yuki", scope=personas.OWN)


@pytest.mark.G("09")
@pytest.mark.parametrize("why", ["recovery", "password-reset", "card-change"])
def test_when_an_account_changes_no_proxy_counts_until_it_is_confirmed(family: Neighbourhood, why: str) -> None:
    kept, dropped = proxy(family), proxy(family, "ken")
    aunt = aunt_of(family)
    assert aunt.get(f"Patient/{YUKI}").status == 200
    assert proxies.account_changed(person=person("yuki"), why=proxies.Why(why), now=timezone.now()) == 2
    assert aunt.get(f"Patient/{YUKI}").status == 404
    told = get(family.mother, f"records/{YUKI}/proxies").json
    assert [(row["grant"], row["suspended"]) for row in told] == [(kept.pk, why), (dropped.pk, why)]
    assert [n["kind"] for n in get(family.mother, "notices").json] == ["proxies:to-confirm"]
    unknown = post(family.mother, f"records/{YUKI}/proxies/confirm", {"keep": [kept.pk, 2**40]})
    assert unknown.status == 422
    done(family.mother, f"records/{YUKI}/proxies/confirm", {"keep": [kept.pk]})
    assert aunt.get(f"Patient/{YUKI}").status == 200
    dropped.refresh_from_db()
    assert dropped.state == "inactive"


@pytest.mark.G("09")
def test_a_support_measure_suspends_proxies_too(family: Neighbourhood) -> None:
    proxy(family)
    aunt = aunt_of(family)
    done(family.officer, f"desk/records/{YUKI}/location", {"hidden": True, "reason": "support-measure"})
    assert aunt.get(f"Patient/{YUKI}").status == 404
    [row] = get(family.mother, f"records/{YUKI}/proxies").json
    assert row["suspended"] == "support-measure"


@pytest.mark.G("09")
def test_the_principal_alone_cancels_any_proxy(family: Neighbourhood) -> None:
    grant = proxy(family)
    aunt = aunt_of(family)
    for app in (aunt, family.father, family.stranger):
        assert post(app, f"records/{YUKI}/proxies/{grant.pk}/cancel").status == 404
    done(family.mother, f"records/{YUKI}/proxies/{grant.pk}/cancel")
    assert aunt.get(f"Patient/{YUKI}").status == 404
    assert get(family.mother, f"records/{YUKI}/proxies").json == []


@pytest.mark.G("09")
def test_suspending_a_credential_suspends_the_proxies_made_with_it(family: Neighbourhood) -> None:
    proxy(family)
    aunt = aunt_of(family)
    assert post(family.officer, f"desk/persons/{person('yuki').pk}/suspend").status == 204
    assert aunt.get(f"Patient/{YUKI}").status == 404
    assert family.mother.get(f"Patient/{YUKI}").status == 401
    assert post(family.father, f"desk/persons/{person('mei').pk}/suspend").status == 403


@pytest.mark.G("09")
def test_who_is_let_in_by_a_guardian_goes_out_with_her(family: Neighbourhood) -> None:
    until = (timezone.now() + timedelta(days=100)).isoformat()
    root = {
        "permit": True, "purposes": ["FAMRQT"], "actors": [f"person:{person('mei').pk}"],
        "categories": ["GROWTH", "IDENTITY"], "valid_to": until,
    }  # fmt: skip
    grants.give(
        subject=Subject.objects.get(pk=HANA), root=grants.clause_from_json(root), by=person("ichiro"),
        capacity="guardian", now=timezone.now(),
    )  # fmt: skip
    aunt = family.app("aunt", patient="hana", scope=personas.OWN)
    assert aunt.get(f"Patient/{HANA}").status == 200
    freeze(family, "ichiro", HANA)
    assert aunt.get(f"Patient/{HANA}").status == 404


@pytest.mark.G("18")
def test_a_grown_ups_proxy_has_categories_an_end_and_no_level_three_unless_named(family: Neighbourhood) -> None:
    late = (timezone.now() + timedelta(days=600)).isoformat()
    for wrong in ({"categories": None}, {"valid_to": late}, {"valid_to": None}, {"level": 3}):
        with pytest.raises(authoring.OutsideProfile):
            proxy(family, **wrong)
    epds = {"coding": [{"system": "http://loinc.org", "code": "71354-5"}]}
    mental = family.mother.made(weight(code=epds, valueQuantity=None, valueInteger=4))["id"]
    growth = family.mother.made(weight())["id"]
    proxy(family)
    aunt = aunt_of(family)
    assert (aunt.get(f"Observation/{growth}").status, aunt.get(f"Observation/{mental}").status) == (200, 404)
    proxy(family, categories=None, labels=["PSY"])
    assert aunt.get(f"Observation/{mental}").status == 200


@pytest.mark.G("18")
def test_the_partner_of_a_pregnant_woman_is_her_proxy_and_no_guardian(family: Neighbourhood) -> None:
    asked = new_link("ichiro", YUKI, kind="parent", evidence="family-register")
    assert post(family.officer, "desk/guardianships", asked).status == 422
    assert get(family.father, f"records/{YUKI}/proxies").status == 404
    proxy(family, "ichiro", categories=["PREGNANCY", "IDENTITY"])
    partner = family.app("father", patient="yuki")
    assert partner.get(f"Patient/{YUKI}").status == 200
    assert get(partner, f"records/{YUKI}/joint-acts").status == 404, "a proxy decides nothing"
    assert not Guardianship.objects.filter(person=person("ichiro"), subject_id=YUKI).exists()
