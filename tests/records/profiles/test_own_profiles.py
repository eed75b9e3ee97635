"""The project's own draft profiles: sound FHIR, met by the invented families, broken by what they forbid."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from phr import populate
from phr.populate.generate import families
from phr.records import validate
from phr.records.profiles import bundled, conform, judging
from phr.records.systems import OWN
from tests.records.profiles.small import NOW

pytestmark = pytest.mark.django_db
DEMO = Path(populate.__file__).parent / "demo"
OWN_PROFILE = f"{OWN}/StructureDefinition/"
STRUCTURES = sorted(u for u, r in bundled.own().items() if r["resourceType"] == "StructureDefinition")
COMMON = f"{OWN}/CodeSystem/judgement"

CHILD = {"reference": "Patient/1"}
GUARDIAN = {
    "resourceType": "RelatedPerson",
    "extension": [{"url": OWN_PROFILE + "guardian-capacity", "valueCode": "parent"},
                  {"url": OWN_PROFILE + "guardian-matter", "valueCode": "care"},
                  {"url": OWN_PROFILE + "guardian-matter", "valueCode": "sharing"}],
    "active": True,
    "patient": CHILD,
    "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]}],
    "name": [{"text": "見本 雪"}],
    "period": {"start": "2018-11-03"},
}  # fmt: skip
CONSENT = {
    "resourceType": "Consent",
    "status": "active",
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "patient": CHILD,
    "dateTime": "2026-04-01",
    "performer": [{"reference": "RelatedPerson/1"}],
    "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
    "provision": {
        "type": "permit",
        "period": {"start": "2026-04-01", "end": "2027-03-31"},
        "actor": [{"role": {"text": "開示先"}, "reference": {"reference": "Organization/1"}}],
        "action": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "access"}]}],
        "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        "provision": [{"type": "deny", "code": [{"text": "EPDS"}]}],
    },
}
EPISODE = {
    "resourceType": "EpisodeOfCare",
    "status": "active",
    "type": [{"coding": [{"system": f"{OWN}/CodeSystem/visit-kind", "code": "prenatal"}], "text": "妊娠・出産"}],
    "patient": CHILD,
    "period": {"start": "2026-01-10"},
}
JUDGEMENT = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": f"{OWN}/CodeSystem/mch-item", "code": "judge"}]},
    "subject": CHILD,
    "effectiveDateTime": "2026-04-01",
    "performer": [{"display": "見本市"}],
    "valueCodeableConcept": {
        "coding": [{"system": "http://city.example/judgement", "version": "R5", "code": "A"},
                   {"system": COMMON, "code": "ok-or-observe"}],
        "text": "健康・要観察",
    },
}  # fmt: skip
ADVICE = {
    "resourceType": "ImmunizationRecommendation",
    "patient": CHILD,
    "date": "2026-04-01",
    "recommendation": [{
        "targetDisease": {"text": "麻疹"},
        "forecastStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/immunization-recommendation-status",
                                       "code": "due"}]},
        "dateCriterion": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": "30981-5"}]}, "value": "2026-04-01"},
            {"code": {"coding": [{"system": "http://loinc.org", "code": "59777-3"}]}, "value": "2027-03-31"},
        ],
    }],
}  # fmt: skip
EXAMPLES = {
    "guardian": GUARDIAN, "consent": CONSENT, "pregnancy-episode": EPISODE, "checkup-judgement": JUDGEMENT,
    "immunization-recommendation": ADVICE,
}  # fmt: skip


def errors(resource: dict[str, Any], *profiles: str) -> list[str]:
    found = judging.findings(resource, [OWN_PROFILE + p for p in profiles], now=NOW)
    return [p.expression for p in found if p.severity in ("error", "fatal")]


@pytest.mark.parametrize("url", sorted(bundled.own()))
def test_they_are_sound_r4_and_marked_as_drafts(url: str) -> None:
    resource = bundled.own()[url]
    assert validate.check(resource) == []
    assert resource["status"] == "draft"
    assert resource["url"].startswith(OWN)
    name = f"{resource['resourceType']}-{resource['id']}.json"
    assert (Path(bundled.__file__).parent / "own" / name).exists()


@pytest.mark.parametrize("url", STRUCTURES)
def test_they_can_be_walked(url: str) -> None:
    profile = judging.bundled_only().profile(url)
    assert profile is not None
    assert profile.root.children


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_each_conforms(name: str) -> None:
    assert errors(EXAMPLES[name], name) == []


def without(resource: dict[str, Any], *path: str | int) -> dict[str, Any]:
    copy = json.loads(json.dumps(resource))
    node = copy
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    return dict(copy)


@pytest.mark.parametrize(
    ("name", "path", "place"),
    [
        ("guardian", ("period",), "RelatedPerson.period"),
        ("guardian", ("period", "start"), "RelatedPerson.period.start"),
        ("guardian", ("relationship",), "RelatedPerson.relationship"),
        ("guardian", ("active",), "RelatedPerson.active"),
        ("guardian", ("extension", 0), "RelatedPerson.extension"),
        ("consent", ("provision",), "Consent.provision"),
        ("consent", ("provision", "purpose"), "Consent.provision.purpose"),
        ("consent", ("provision", "period", "start"), "Consent.provision.period.start"),
        ("consent", ("performer",), "Consent.performer"),
        ("pregnancy-episode", ("type",), "EpisodeOfCare.type"),
        ("pregnancy-episode", ("period", "start"), "EpisodeOfCare.period.start"),
        ("checkup-judgement", ("valueCodeableConcept", "coding", 1),
         "Observation.value.ofType(CodeableConcept).coding"),
        ("checkup-judgement", ("performer",), "Observation.performer"),
        ("checkup-judgement", ("code", "coding", 0, "code"), "Observation.code.coding"),
        ("immunization-recommendation", ("recommendation", 0, "targetDisease"),
         "ImmunizationRecommendation.recommendation[0].targetDisease"),
        ("immunization-recommendation", ("recommendation", 0, "dateCriterion"),
         "ImmunizationRecommendation.recommendation[0]"),
    ],
)  # fmt: skip
def test_what_is_needed_is_missed(name: str, path: tuple[str | int, ...], place: str) -> None:
    assert place in errors(without(EXAMPLES[name], *path), name)


@pytest.mark.parametrize(
    ("name", "changed", "place"),
    [
        ("guardian", {"extension": [{"url": OWN_PROFILE + "guardian-capacity", "valueCode": "neighbour"}]},
         "RelatedPerson.extension[0].value.ofType(code)"),
        ("guardian", {"patient": {"reference": "Group/1"}}, "RelatedPerson.patient"),
        ("consent", {"provision": CONSENT["provision"] | {"type": "deny"}}, "Consent.provision.type"),
        ("consent", {"provision": CONSENT["provision"] | {"provision": [{"type": "permit"}]}}, "Consent"),
        ("consent", {"scope": {"coding": [{"code": "research"}]}}, "Consent.scope.coding"),
        ("consent", {"performer": [{"reference": "Practitioner/1"}]}, "Consent.performer[0]"),
        ("pregnancy-episode", {"status": "finished"}, "EpisodeOfCare"),
        ("pregnancy-episode", {"type": [{"text": "妊娠"}]}, "EpisodeOfCare.type"),
        ("checkup-judgement", {"valueCodeableConcept": {"coding": [{"system": COMMON, "code": "fine"}]}},
         "Observation.value.ofType(CodeableConcept).coding[0]"),
        ("checkup-judgement", {"component": [{"code": {"text": "所見"}}]}, "Observation.component"),
        ("checkup-judgement", {"effectiveDateTime": None, "effectiveInstant": "2026-04-01T09:00:00+09:00"},
         "Observation.effective.ofType(instant)"),
        ("immunization-recommendation", {"patient": {"reference": "RelatedPerson/1"}},
         "ImmunizationRecommendation.patient"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(name: str, changed: dict[str, Any], place: str) -> None:
    wrong = {k: v for k, v in (EXAMPLES[name] | changed).items() if v is not None}
    assert any(found.startswith(place) for found in errors(wrong, name))


def demo_resources() -> list[dict[str, Any]]:
    bundles = [json.loads(file.read_text()) for file in sorted(DEMO.glob("*.json"))]
    return [entry["resource"] for bundle in bundles for entry in bundle.get("entry", []) if "resource" in entry]


def own_errors(resources: list[dict[str, Any]]) -> tuple[set[str], list[Any]]:
    """(own profiles claimed, errors against them and against R4's own rules)."""
    claimed, wrong = set(), []
    for resource in resources:
        wanted = [c for c in conform.claims_of(resource) if c.startswith(OWN)]
        claimed.update(wanted)
        library = judging.bundled_only()
        found = conform.check(resource, wanted, library=library, member=judging.member, now=NOW, claims=False)
        wrong += [p for p in found if p.severity == "error"]
    return claimed, wrong


def test_the_demo_family_meets_what_it_claims() -> None:
    claimed, wrong = own_errors(demo_resources())
    assert wrong == []
    assert claimed == {OWN_PROFILE + "pregnancy-episode", OWN_PROFILE + "checkup-judgement"}


def test_invented_families_meet_what_they_claim() -> None:
    for family in islice(families(7, 3), 3):
        resources = [resource for sheet in family.sheets for resource in sheet.resources]
        claimed, wrong = own_errors(resources)
        assert wrong == []
        assert claimed
