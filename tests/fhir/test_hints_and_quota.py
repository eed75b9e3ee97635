"""What families' apps write: hints at unlikely measurements, and a quota per app and person (RFC 6585 §4)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consent.decide import Caller, Capacity
from phr.fhir.patching import JSON_PATCH
from phr.records.plausibility import TAG_SYSTEM
from phr.smart import quota, sweep
from phr.smart.quota_models import AppWrites
from tests.family import Neighbourhood, encoded, entry, post, weight

ODD = weight(value="5240")
TAG = {"system": TAG_SYSTEM, "code": "unlikely"}
NOON = datetime(2026, 4, 1, 3, 0, 10, tzinfo=UTC)  # noon in Japan
SYSTEM = {"capacity": Capacity.SYSTEM, "organization": 1, "person": None}


def app(**changes: Any) -> Caller:
    told = {"client": "app", "capacity": Capacity.SELF, "purpose": "PATRQT", "doors": (), "person": 7}
    return Caller(**(told | changes))


# -- hints ---------------------------------------------------------------------------------------------


def test_an_unlikely_weight_is_stored_tagged_and_told(family: Neighbourhood) -> None:
    answer = family.mother.create(ODD, prefer="return=OperationOutcome")
    assert answer.status == 201, answer
    severities = [(i["severity"], i.get("expression")) for i in answer.json["issue"]]
    assert severities == [("information", None), ("warning", ["Observation.value"])]
    id = answer.headers["Location"].split("/")[-3]
    stored = family.mother.get(f"Observation/{id}").json
    assert stored["meta"]["tag"] == [TAG]
    assert family.mother.search("Observation", _tag=f"{TAG_SYSTEM}|unlikely").ids == [id]
    mended = family.mother.put(stored | {"valueQuantity": weight()["valueQuantity"]})
    assert mended.status == 200 and "tag" not in mended.json["meta"]


def test_a_usual_weight_is_stored_as_it_came(family: Neighbourhood) -> None:
    assert "tag" not in family.mother.made(weight())["meta"]
    answer = family.mother.create(weight(), prefer="return=OperationOutcome")
    assert [i["severity"] for i in answer.json["issue"]] == ["information"]


def test_what_an_organisation_measures_is_its_own_matter(family: Neighbourhood) -> None:
    made = family.clinic.made(ODD | {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}})
    assert "tag" not in made["meta"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_bundles_tell_the_hints_of_each_entry(family: Neighbourhood, kind: str) -> None:
    answer = family.mother.bundle(kind, post(weight()), post(ODD))
    assert answer.status == 200, answer
    usual, odd = (e["response"] for e in answer.json["entry"])
    assert "outcome" not in usual
    assert [i["severity"] for i in odd["outcome"]["issue"]] == ["warning"]


# -- the quota -----------------------------------------------------------------------------------------


@pytest.fixture
def narrow(settings: Any) -> None:
    settings.PHR_APP_WRITES_PER_MINUTE, settings.PHR_APP_WRITES_PER_DAY = 3, 5


@pytest.mark.usefixtures("db", "narrow")
def test_by_minute_and_by_day() -> None:
    for _ in range(3):
        quota.spend(app(), 1, now=NOON)
    with pytest.raises(quota.Spent) as told:
        quota.spend(app(), 1, now=NOON)
    assert 45 <= told.value.wait <= 51
    later = NOON + timedelta(minutes=1)
    quota.spend(app(), 1, now=later)
    quota.spend(app(), 1, now=later)
    with pytest.raises(quota.Spent) as told:
        quota.spend(app(), 1, now=later + timedelta(minutes=1))
    assert 11 * 3600 < told.value.wait <= 12 * 3600
    quota.spend(app(), 1, now=NOON + timedelta(hours=12))  # the next day in Japan


@pytest.mark.usefixtures("db", "narrow")
def test_apps_and_people_are_counted_apart_and_systems_not_at_all() -> None:
    quota.spend(app(), 3, now=NOON)
    with pytest.raises(quota.Spent):
        quota.spend(app(), 1, now=NOON)
    quota.spend(app(client="other"), 1, now=NOON)
    quota.spend(app(person=8), 1, now=NOON)
    for _ in range(10):
        quota.spend(app(**SYSTEM), 100, now=NOON)
    assert AppWrites.objects.count() == 3
    quota.spend(app(person=9), 100, now=NOON, requests=1)  # an upload goes on while there is room at all
    with pytest.raises(quota.Spent):
        quota.spend(app(person=9), 1, now=NOON, requests=0)
    sweep.forget(now=NOON + timedelta(days=3))
    assert AppWrites.objects.count() == 0


@pytest.mark.usefixtures("db", "narrow")
def test_what_does_not_fit_is_refused_before_anything_is_done() -> None:
    quota.spend(app(), 2, now=NOON)
    with pytest.raises(quota.Spent) as told:
        quota.spend(app(), 2, now=NOON)
    assert told.value.wait <= 60
    quota.spend(app(), 1, now=NOON)  # what was refused was not counted
    later = NOON + timedelta(minutes=1)
    with pytest.raises(quota.Spent) as told:
        quota.spend(app(), 3, now=later)
    assert told.value.wait > 3600, "there is room in the minute, not in the day"
    quota.spend(app(person=8), 4, now=NOON)  # more than any minute holds: it has this one for itself
    with pytest.raises(quota.Spent):
        quota.spend(app(person=8), 1, now=NOON)
    for person in (8, 9):
        with pytest.raises(quota.Spent) as told:
            quota.spend(app(person=person), 6, now=later)
        assert told.value.most == 5


@pytest.mark.usefixtures("narrow")
def test_the_door_says_when_to_come_again(family: Neighbourhood) -> None:
    assert [family.mother.create(weight()).status for _ in range(3)] == [201] * 3
    for answer in (
        family.mother.create(weight()),
        family.mother.bundle("transaction", post(weight())),
        family.mother.bundle("batch", post(weight())),
        family.mother.ask("PUT", "Observation?_id=none", encoded(weight())),
    ):
        assert (answer.status, answer.issue["code"]) == (429, "throttled")
        assert 1 <= int(answer.headers["Retry-After"]) <= 61
    assert family.mother.search("Observation").status == 200  # reading goes on
    assert family.mother.bundle("batch", entry("GET", "Observation")).status == 200
    assert [family.clinic.create(weight(code={"coding": [{"system": "http://loinc.org", "code": "8480-6"}]})).status
            for _ in range(5)] == [201] * 5  # fmt: skip


@pytest.mark.usefixtures("narrow")
def test_a_bundle_counts_what_it_may_create(family: Neighbourhood) -> None:
    assert family.mother.bundle("batch", *[post(weight()) for _ in range(4)]).status == 200
    assert family.mother.create(weight()).status == 429
    answer = family.father.bundle("batch", *[post(weight()) for _ in range(6)])
    assert answer.status == 429 and " 5," in answer.issue["diagnostics"], "it can never fit: the limit is named"


def test_a_patch_counts(family: Neighbourhood, settings: Any) -> None:
    id = family.mother.made(weight())["id"]
    settings.PHR_APP_WRITES_PER_MINUTE, settings.PHR_APP_WRITES_PER_DAY = 4, 4
    body = encoded([{"op": "replace", "path": "/valueQuantity/value", "value": 3.2}])
    packed = {"resourceType": "Binary", "contentType": JSON_PATCH, "data": base64.b64encode(body).decode()}

    def patch() -> int:
        return family.mother.ask("PATCH", f"Observation/{id}", body, type=JSON_PATCH).status

    assert patch() == 200
    assert family.mother.bundle("batch", entry("PATCH", f"Observation/{id}", packed)).status == 200
    assert patch() == 200
    assert family.mother.ask("PATCH", "Observation?_id=none", body, type=JSON_PATCH).status in (404, 429)
    assert patch() == 429


@pytest.mark.parametrize("entries", [None, 1, "x", [1, None, {"request": 1, "resource": {}}], [{"resource": {}}]])
def test_what_is_no_bundle_is_no_matter_of_the_quota(family: Neighbourhood, entries: Any) -> None:
    answer = family.mother.ask("POST", "", encoded({"resourceType": "Bundle", "type": "batch", "entry": entries}))
    assert answer.status in (200, 400), answer
