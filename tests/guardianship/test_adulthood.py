"""Coming of age, by the Japanese rule: told in time, done to the second, caught up with once (G-10, G-16)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from consent import adulthood, grants, guardianship, rules
from consent.guardianship import FreezeReason
from consent.models import Grant, Guardianship, Milestone, Notice, Person, Subject
from phr.populate import personas
from phr.populate.cast import HANA, OBSTETRIC
from phr.smart import severing
from phr.smart.demo import APP
from phr.smart.demo import person_token as token_of
from phr.smart.models import Launch
from tests.conftest import JST
from tests.family import App, Neighbourhood, weight
from tests.guardianship.desk import done, get, link_of, person, post


def turned(years: int, *, days: int = 0) -> date:
    """The birth date of somebody who turned `years` so many days ago, in Japan."""
    day = rules.today_in_japan(timezone.now()) - timedelta(days=days)
    return day.replace(year=day.year - years) if (day.month, day.day) != (2, 29) else date(day.year - years, 3, 1)


def born(record: UUID, on: date) -> None:
    Subject.objects.filter(pk=record).update(birth_on=on)


def own_app(username: str, record: UUID) -> App:
    told = token_of(
        person(username), client_id=APP, scope=personas.OWN, patient=str(record), now=timezone.now()
    )  # fmt: skip
    return App(told["access_token"])


def consented(family: Neighbourhood, *actors: str) -> Grant:
    """The mother lets somebody into Hana's record."""
    until = (timezone.now() + timedelta(days=300)).isoformat()
    root = {
        "permit": True, "purposes": ["TREAT" if actors[0].startswith("org") else "FAMRQT"], "actors": list(actors),
        "categories": ["GROWTH"], "valid_to": until,
    }  # fmt: skip
    return grants.give(
        subject=Subject.objects.get(pk=HANA), root=grants.clause_from_json(root), by=person("yuki"),
        capacity="guardian", now=timezone.now(),
    )  # fmt: skip


def kinds(username: str) -> list[str]:
    return list(Notice.objects.filter(person__username=username).order_by("pk").values_list("kind", flat=True))


@pytest.mark.G("16")
def test_at_the_boundary_everything_a_guardian_had_ends_and_is_offered_anew(family: Neighbourhood) -> None:
    given = consented(family, f"org:{family.demo.organizations[OBSTETRIC.code].pk}")
    aunt = consented(family, f"person:{person('mei').pk}")
    mother = family.app("mother", patient="hana")
    mother.made(weight(HANA))
    assert mother.get(f"Patient/{HANA}").status == 200
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    born(HANA, turned(18))
    # nothing waits for the sweep
    assert mother.get(f"Patient/{HANA}").status in (401, 404)
    assert family.father.get(f"Patient/{HANA}").status in (401, 404)
    assert severing.catch_up(now=timezone.now()) == 2
    assert severing.catch_up(now=timezone.now()) == 0
    assert {x.state for x in Guardianship.objects.filter(subject_id=HANA)} == {"ended"}
    assert not Launch.objects.filter(subject_id=HANA, capacity="guardian", revoked_at=None).exists()
    for grant in (given, aunt):
        grant.refresh_from_db()
        assert (grant.state, grant.ended_reason) == ("inactive", "adulthood")
    [offered] = Grant.objects.filter(subject_id=HANA, state="proposed")
    assert (offered.root, offered.supersedes, offered.given_by) == (given.root, given, None)
    assert not offered.rows.exists()
    assert kinds("hana") == ["adulthood:reached", "grant:proposed"]
    hana = own_app("hana", HANA)
    assert hana.get(f"Patient/{HANA}").status == 200
    log = get(hana, f"records/{HANA}/log?event=grant:given").json["lines"]
    assert {line["name"] for line in log} == {"見本 雪"}, "who consented in childhood"
    told = get(hana, f"records/{HANA}/childhood").json
    assert sorted(x["name"] for x in told["guardians"]) == ["見本 一郎", "見本 雪"]
    assert [(x["by"], x["grant"]) for x in told["consents"]] == [("見本 雪", given.pk), ("見本 雪", aunt.pk)]
    # it counts again only when she says yes
    assert post(mother, f"records/{HANA}/consents/{offered.pk}/accept").status == 401
    new = done(hana, f"records/{HANA}/consents/{offered.pk}/accept", {})
    assert (new["state"], new["capacity"], new["root"]) == ("active", "self", given.root)


@pytest.mark.G("16")
def test_before_adulthood_nobody_reads_the_childhood(family: Neighbourhood) -> None:
    """It names her guardians, whom a support measure may keep from knowing her, or her from knowing them."""
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    born(HANA, turned(17))
    assert get(own_app("hana", HANA), f"records/{HANA}/childhood").status == 404
    born(HANA, turned(18))
    assert get(own_app("hana", HANA), f"records/{HANA}/childhood").status == 200


@pytest.mark.G("16")
def test_warnings_come_once_each_to_the_child_and_every_standing_guardian(family: Neighbourhood) -> None:
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    severing.freeze(
        guardianship_id=link_of("ichiro", HANA).pk, by=person("sato"), reason=FreezeReason.REVIEW,
        now=timezone.now(),
    )  # fmt: skip
    born(HANA, date(2010, 6, 15))
    for day, told in [
        (date(2027, 12, 16), 0), (date(2027, 12, 18), 1), (date(2027, 12, 19), 1), (date(2028, 5, 16), 2),
        (date(2028, 6, 13), 2), (date(2028, 6, 14), 3), (date(2028, 6, 14), 3),
    ]:  # fmt: skip
        now = datetime(day.year, day.month, day.day, 9, tzinfo=JST)
        Guardianship.objects.filter(subject_id=HANA).update(review_on=day)
        severing.catch_up(now=now)
        assert kinds("yuki").count("adulthood:near") == kinds("hana").count("adulthood:near") == told, day
    assert [n.detail["days"] for n in Notice.objects.filter(person__username="hana").order_by("pk")] == [180, 30, 1]
    assert kinds("ichiro") == []


@pytest.mark.G("16")
def test_after_a_downtime_only_the_nearest_warning_is_given(family: Neighbourhood) -> None:
    born(HANA, date(2010, 6, 15))
    Guardianship.objects.filter(subject_id=HANA).update(review_on=date(2030, 1, 1))
    severing.catch_up(now=datetime(2028, 6, 14, 20, tzinfo=JST))
    assert [n.detail["days"] for n in Notice.objects.filter(person__username="yuki")] == [1]
    severing.catch_up(now=datetime(2029, 1, 1, tzinfo=JST))
    assert {x.ends_on for x in Guardianship.objects.filter(subject_id=HANA)} == {date(2028, 6, 15)}


@pytest.mark.G("16")
@pytest.mark.parametrize(
    ("birth", "first"),
    [
        (date(2008, 2, 29), date(2026, 3, 1)),  # a common year: complete when 28 February ends
        (date(2008, 2, 28), date(2026, 2, 28)),
        (date(2008, 4, 1), date(2026, 4, 1)),
        (date(2008, 1, 1), date(2026, 1, 1)),
    ],
)
def test_the_boundary_is_midnight_in_japan(family: Neighbourhood, birth: date, first: date) -> None:
    born(HANA, birth)
    Guardianship.objects.filter(subject_id=HANA).update(review_on=date(2030, 1, 1), starts_on=birth)
    midnight = datetime(first.year, first.month, first.day, tzinfo=JST)
    subject = Subject.objects.get(pk=HANA)
    before = midnight - timedelta(seconds=1)
    assert guardianship.standing(person("yuki"), subject, before) is not None
    assert severing.catch_up(now=before) == 0
    assert guardianship.standing(person("yuki"), subject, midnight) is None
    assert severing.catch_up(now=midnight.astimezone(timezone.get_fixed_timezone(0))) == 2


@pytest.mark.G("16")
def test_who_has_no_login_yet_is_asked_when_she_has_one(family: Neighbourhood) -> None:
    consented(family, f"org:{family.demo.organizations[OBSTETRIC.code].pk}")
    born(HANA, turned(18, days=3))
    now = timezone.now()
    severing.catch_up(now=now)
    assert not Grant.objects.filter(subject_id=HANA, state="proposed").exists()
    assert list(adulthood.due(now=now)) == []
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    severing.catch_up(now=now)
    severing.catch_up(now=now)
    assert Grant.objects.filter(subject_id=HANA, state="proposed").count() == 1
    assert Milestone.objects.filter(subject_id=HANA).count() == 2


@pytest.mark.G("10")
@pytest.mark.parametrize(("age", "guardian", "own"), [(11, 200, None), (14, 200, None), (15, 200, 200), (17, 200, 200)])
def test_from_fifteen_there_is_an_own_login(family: Neighbourhood, age: int, guardian: int, own: int | None) -> None:
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    born(HANA, turned(age))
    family.apps.clear()
    assert family.app("mother", patient="hana").get(f"Patient/{HANA}").status == guardian
    if own is None:
        from phr.smart.demo import NoToken

        with pytest.raises(NoToken):
            own_app("hana", HANA)
    else:
        assert own_app("hana", HANA).get(f"Patient/{HANA}").status == own


@pytest.mark.G("10")
def test_from_fifteen_a_guardian_sees_the_standard_set(family: Neighbourhood) -> None:
    """And the young person sees what the guardian sees no more; at 14 it is the other way round."""
    mother = family.app("mother", patient="hana")
    pressure = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}
    vital = mother.made(weight(HANA, code=pressure))["id"]
    growth = mother.made(weight(HANA))["id"]
    assert mother.get(f"Observation/{vital}").status == 200
    Person.objects.create(username="hana", name="見本 花", own_subject_id=HANA)
    born(HANA, turned(15))
    assert (mother.get(f"Observation/{vital}").status, mother.get(f"Observation/{growth}").status) == (404, 200)
    hana = own_app("hana", HANA)
    assert (hana.get(f"Observation/{vital}").status, hana.get(f"Observation/{growth}").status) == (200, 200)
