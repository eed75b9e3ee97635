"""$validate: always possible, stores nothing, says where and by which rule (R4 resource-operation-validate)."""

from __future__ import annotations

from typing import Any

import pytest

from consent.models import AuditEntry
from phr.records.models import Resource
from tests.family import LOINC, App, Neighbourhood, encoded, secret, weight

pytestmark = pytest.mark.django_db

BASE = "http://hl7.org/fhir/StructureDefinition/"


def parameters(resource: Any = None, **simple: str) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"name": "resource", "resource": resource}] if resource is not None else []
    kinds = {"mode": "valueCode", "profile": "valueUri"}
    listed += [{"name": name, kinds[name]: value} for name, value in simple.items()]
    return {"resourceType": "Parameters", "parameter": listed}


def post(app: App, path: str, content: Any) -> Any:
    return app.ask("POST", path, encoded(content))


def errors(answer: Any) -> list[dict[str, Any]]:
    assert answer.status == 200, answer
    assert answer.json["resourceType"] == "OperationOutcome"
    assert answer.json["issue"]
    return [i for i in answer.json["issue"] if i["severity"] in ("error", "fatal")]


@pytest.mark.spec("FHIR R4", "resource-operation-validate", "a resource without faults is answered 200, without errors")
def test_a_sound_resource_has_no_errors(family: Neighbourhood) -> None:
    for content in (weight(), parameters(weight())):
        assert errors(post(family.mother, "Observation/$validate", content)) == []


@pytest.mark.spec("FHIR R4", "resource-operation-validate", "validation failures are issues of a 200 answer")
def test_faults_are_issues_that_name_place_and_rule(family: Neighbourhood) -> None:
    told = errors(post(family.mother, "Observation/$validate", weight(status="sealed", effectiveDateTime="then")))
    assert {i["expression"][0] for i in told} == {"Observation.status", "Observation.effective.ofType(dateTime)"}
    [broken] = errors(post(family.mother, "Observation/$validate", weight(dataAbsentReason={"text": "見本"})))
    assert broken["code"] == "invariant"
    assert "obs-6" in broken["diagnostics"]


@pytest.mark.spec("FHIR R4", "resource-operation-validate", "profile: the resource is validated against it")
def test_a_profile_is_checked_when_asked_for(family: Neighbourhood) -> None:
    wrong = weight(category=None)
    assert errors(post(family.mother, "Observation/$validate", wrong)) == []
    for path, content in (
        ("Observation/$validate", parameters(wrong, profile=BASE + "bodyweight")),
        (f"Observation/$validate?profile={BASE}bodyweight", wrong),
        ("Observation/$validate", parameters(wrong, profile=BASE + "bodyweight", mode="profile")),
    ):
        told = errors(post(family.mother, path, content))
        assert any(
            i["expression"] == ["Observation.category"] and BASE + "bodyweight" in i["diagnostics"] for i in told
        )
    assert errors(post(family.mother, "Observation/$validate", parameters(weight(), profile=BASE + "bodyweight"))) == []


@pytest.mark.spec("FHIR R4", "validation", "meta.profile: what a resource claims is checked")
def test_claims_are_checked(family: Neighbourhood) -> None:
    claimed = {"meta": {"profile": [BASE + "bodyweight"]}}
    assert errors(post(family.mother, "Observation/$validate", weight(**claimed))) == []
    assert errors(post(family.mother, "Observation/$validate", weight(category=None, **claimed)))


def test_an_unknown_profile_is_told_as_such(family: Neighbourhood) -> None:
    [told] = errors(post(family.mother, "Observation/$validate", parameters(weight(), profile="http://example.org/p")))
    assert told["code"] == "not-found"
    assert "http://example.org/p" in told["diagnostics"]
    claimed = weight(meta={"profile": ["http://example.org/p"]})
    answer = post(family.mother, "Observation/$validate", claimed)
    assert errors(answer) == []
    assert any(i["severity"] == "warning" and i["code"] == "not-found" for i in answer.json["issue"])


@pytest.mark.spec("FHIR R4", "resource-operation-validate", "at an instance, what is stored is validated")
def test_what_is_stored_can_be_validated_where_it_may_be_read(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}/$validate"
    assert errors(family.mother.get(path)) == []
    assert errors(family.mother.get(f"{path}?profile={BASE}bp"))
    assert errors(post(family.mother, path, parameters(profile=BASE + "bodyweight", mode="profile"))) == []
    hidden, absent = family.father.get(path), family.father.get("Observation/none-such/$validate")
    assert hidden.told() == absent.told()
    assert hidden.status == 404


def test_reading_what_is_stored_is_logged_and_validating_else_is_not(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    before = AuditEntry.objects.count(), Resource.objects.count()
    assert errors(post(family.mother, "Observation/$validate", weight())) == []
    assert (AuditEntry.objects.count(), Resource.objects.count()) == before
    family.mother.get(f"Observation/{made['id']}/$validate")
    assert AuditEntry.objects.count() == before[0] + 1
    assert Resource.objects.count() == before[1]


def test_what_is_hidden_by_a_label_stays_hidden(family: Neighbourhood) -> None:
    made = family.mother.made(secret())
    path = f"Observation/{made['id']}/$validate"
    hidden, absent = family.clinic.get(path), family.clinic.get("Observation/none-such/$validate")
    assert hidden.told() == absent.told()
    assert errors(family.mother.get(path)) == []


@pytest.mark.spec(
    "FHIR R4", "resource-operation-validate", "mode: whether the interaction would be expected to succeed"
)
def test_modes(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}/$validate"
    for mode in ("create", "update"):
        assert errors(post(family.mother, "Observation/$validate", parameters(weight(), mode=mode))) == []
    assert errors(post(family.mother, path, parameters(made, mode="update"))) == []
    [other] = errors(post(family.mother, path, parameters(weight(id="another"), mode="update")))
    assert other["expression"] == ["Observation.id"]
    assert errors(post(family.mother, path, parameters(mode="delete"))) == []
    [told] = errors(post(family.aunt, "Observation/$validate", parameters(weight(), mode="create")))
    assert told["code"] == "forbidden"


@pytest.mark.parametrize(
    ("path", "content", "place"),
    [
        ("Observation/$validate", {"resourceType": "Parameters"}, "resource"),
        ("Observation/$validate", parameters(mode="create"), "resource"),
        ("Observation/$validate?mode=guess", parameters({"resourceType": "Observation"}), "mode"),
        ("Observation/$validate", parameters({"resourceType": "Observation"}, mode="profile"), "profile"),
        ("Observation/$validate?nonsense=1", parameters({"resourceType": "Observation"}), "nonsense"),
    ],
)
def test_calls_that_make_no_sense_are_refused(family: Neighbourhood, path: str, content: Any, place: str) -> None:
    answer = post(family.mother, path, content)
    assert answer.status == 400, answer
    assert place in answer.issue["diagnostics"] or place in str(answer.issue.get("expression"))


def test_get_on_a_type_has_nothing_to_validate(family: Neighbourhood) -> None:
    assert family.mother.get("Observation/$validate").status == 400


def test_nobody_validates_without_a_token(family: Neighbourhood) -> None:
    assert post(App(), "Observation/$validate", weight()).status == 401


HOSTILE: list[Any] = [
    {"resourceType": "Observation"},
    {"resourceType": "Nonsense"},
    {"resourceType": ["Observation"]},
    {"resourceType": "Patient", "id": "x"},
    {"resourceType": "Observation", "meta": {"profile": BASE + "bp"}},
    {"resourceType": "Observation", "meta": {"profile": [BASE + "bp", 7, None, {"a": 1}, "x" * 5000]}},
    {"resourceType": "Observation", "meta": {"profile": [BASE + "bp"] * 500}},
    {"resourceType": "Observation", "component": {"code": []}, "category": "x", "meta": {"profile": [BASE + "bp"]}},
    {"resourceType": "Observation", "component": [{"code": {"coding": {"code": "8480-6"}}}, None, 7]},
    {"resourceType": "Observation", "contained": [{"resourceType": "Bundle", "entry": [{"resource": {}}]}]},
    {"resourceType": "Observation", "extension": [{"url": 7}, {"url": "http://hl7.org/fhir/StructureDefinition/bp"}]},
    {"resourceType": "Observation", "valueQuantity": {"value": 1e400}},
    {"resourceType": "Observation", "code": {"text": "\ufffe"}, "status": "\x00"},
]


@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("wrapped", [False, True])
def test_hostile_resources_get_findings_or_a_refusal(family: Neighbourhood, content: Any, wrapped: bool) -> None:
    answer = post(family.mother, f"Observation/$validate?profile={BASE}bp", parameters(content) if wrapped else content)
    assert answer.status in (200, 400), answer
    assert answer.json["issue"]
    if answer.status == 200:
        assert errors(answer)


def test_a_large_resource_ends_in_time(family: Neighbourhood) -> None:
    component = {"code": {"coding": [{"system": LOINC, "code": "8480-6"}]}, "valueQuantity": {"value": 1}}
    answer = post(
        family.mother,
        f"Observation/$validate?profile={BASE}bp",
        weight(valueQuantity=None, component=[component] * 20_000),
    )
    assert errors(answer)
    assert any(i["code"] == "too-costly" for i in answer.json["issue"])
