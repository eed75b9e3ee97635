"""Profiles that hold on every write, as the deployment says; the cost where nothing is claimed is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from phr.records.profiles import conform, enforced, packages
from tests.family import Neighbourhood, at_home, encoded, post, rows, weight
from tests.records.profiles.archives import packed
from tests.records.profiles.small import BASE, HERE, element, profile
from tests.records.profiles.test_own_profiles import EPISODE, OWN_PROFILE

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def family() -> Neighbourhood:
    return at_home()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    packages.forget()
    yield
    packages.forget()


def claiming(resource: dict[str, Any], *urls: str) -> dict[str, Any]:
    return resource | {"meta": {"profile": list(urls)}}


def refused(answer: Any, place: str, url: str) -> None:
    assert answer.status == 400, answer
    told = [(i["expression"], url in i["diagnostics"]) for i in answer.json["issue"]]
    assert ([place], True) in told, told


def test_the_projects_own_profiles_hold_where_they_are_claimed(family: Neighbourhood) -> None:
    own = OWN_PROFILE + "pregnancy-episode"
    sound = EPISODE | {"patient": weight()["subject"]}
    bare = {k: v for k, v in sound.items() if k != "period"}
    assert family.mother.create(bare).status == 201  # claims nothing
    assert family.mother.create(claiming(sound, own)).status == 201
    before = rows()
    refused(family.mother.create(claiming(bare, own)), "EpisodeOfCare.period", own)
    assert rows() == before


def test_an_update_is_held_to_it_too(family: Neighbourhood) -> None:
    own = OWN_PROFILE + "pregnancy-episode"
    made = family.mother.made(claiming(EPISODE | {"patient": weight()["subject"]}, own))
    worse = {k: v for k, v in made.items() if k != "period"}
    refused(family.mother.put(worse), "EpisodeOfCare.period", own)
    assert family.mother.get(f"EpisodeOfCare/{made['id']}").json["meta"]["versionId"] == "1"


def test_a_patch_is_held_to_it_too(family: Neighbourhood) -> None:
    own = OWN_PROFILE + "pregnancy-episode"
    made = family.mother.made(claiming(EPISODE | {"patient": weight()["subject"]}, own))
    remove = encoded([{"op": "remove", "path": "/period"}])
    answer = family.mother.ask("PATCH", f"EpisodeOfCare/{made['id']}", remove, type="application/json-patch+json")
    assert answer.status in (400, 422), answer
    assert "EpisodeOfCare.period" in str(answer.json)
    assert family.mother.get(f"EpisodeOfCare/{made['id']}").json["meta"]["versionId"] == "1"


def test_a_transaction_is_held_to_it_as_a_whole(family: Neighbourhood) -> None:
    sound = claiming(EPISODE | {"patient": weight()["subject"]}, OWN_PROFILE + "pregnancy-episode")
    bare = {k: v for k, v in sound.items() if k != "period"}
    before = rows()
    answer = family.mother.bundle("transaction", post(sound), post(weight()), post(bare))
    assert answer.status == 400, answer
    assert answer.issue["expression"] == ["Bundle.entry[2].resource.period"]
    assert rows() == before


def test_other_profiles_hold_only_where_the_setting_says_so(family: Neighbourhood, settings: Settings) -> None:
    wrong = claiming(weight(category=None), BASE + "bodyweight")
    assert family.mother.create(wrong).status == 201
    settings.PHR_PROFILES_ENFORCED = ["claimed"]
    refused(family.mother.create(wrong), "Observation.category", BASE + "bodyweight")
    assert family.mother.create(claiming(weight(), BASE + "bodyweight")).status == 201
    assert family.mother.create(claiming(weight(), "http://example.org/unknown")).status == 201
    assert family.mother.create(weight(category=None)).status == 201


def test_a_named_profile_holds_for_every_resource_of_its_type(family: Neighbourhood, settings: Settings) -> None:
    noted = profile("noted", "Observation", element("Observation.note", min=1))
    packages.load(packed({"p.json": noted}), now=NOW)
    settings.PHR_PROFILES_ENFORCED = [HERE + "noted"]
    refused(family.mother.create(weight()), "Observation.note", HERE + "noted")
    assert family.mother.create(weight(note=[{"text": "見本"}])).status == 201
    assert family.mother.create(EPISODE | {"patient": weight()["subject"]}).status == 201
    packages.remove("example.guide")
    assert enforced.missing() == [HERE + "noted"]


def test_nothing_is_enforced_where_the_setting_is_empty(family: Neighbourhood, settings: Settings) -> None:
    settings.PHR_PROFILES_ENFORCED = []
    bare = {k: v for k, v in EPISODE.items() if k != "period"} | {"patient": weight()["subject"]}
    assert family.mother.create(claiming(bare, OWN_PROFILE + "pregnancy-episode")).status == 201


def test_what_claims_nothing_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("not to be asked")

    monkeypatch.setattr(conform, "check", never)
    monkeypatch.setattr(packages, "directory", never)
    assert enforced.problems(weight(), now=NOW) == []
    assert enforced.problems(claiming(weight(), "http://jpfhir.jp/unknown"), now=NOW) == []


def test_warnings_refuse_nothing(settings: Settings) -> None:
    rule = {"key": "w-1", "severity": "warning", "human": "見本", "expression": "false"}
    packages.load(packed({"p.json": profile("w", "Observation", element("Observation", constraint=[rule]))}), now=NOW)
    settings.PHR_PROFILES_ENFORCED = [HERE + "w"]
    assert enforced.problems(weight(), now=NOW) == []
