"""The CapabilityStatement says exactly what is served (R4 capabilitystatement.html)."""

from __future__ import annotations

from typing import Any

import pytest

from phr.populate.cast import YUKI
from phr.records import validate
from phr.records.definitions import concrete_types
from phr.records.search.params import params_for
from phr.smart.models import Application
from tests.family import Neighbourhood, entry, pressure

AMENDING = b'[{"op":"replace","path":"/status","value":"corrected"}]'
# What a search value of each parameter type may look like
SAMPLES = {"token": "x", "reference": "x", "date": "2026", "number": "1", "string": "x", "uri": "urn:x"}


@pytest.fixture
def told(family: Neighbourhood) -> dict[str, Any]:
    return dict(family.anonymous.get("metadata").json)


@pytest.mark.spec("FHIR R4", "3.1.0.10", "GET [base]/metadata is a sound CapabilityStatement, for everybody")
def test_the_statement_is_sound(told: dict[str, Any]) -> None:
    assert validate.check(told) == []
    assert told["fhirVersion"] == "4.0.1"
    assert told["format"] == ["application/fhir+json", "json"]


def test_every_type_of_r4_is_served(told: dict[str, Any]) -> None:
    assert {r["type"] for r in told["rest"][0]["resource"]} == set(concrete_types())


@pytest.mark.spec("FHIR R4", "3.1.1.3", "every listed search parameter is answered, every other is not")
def test_every_listed_parameter_is_answered(family: Neighbourhood, told: dict[str, Any]) -> None:
    mother, wrong = family.mother, []
    for resource in told["rest"][0]["resource"]:
        name = resource["type"]
        listed = {p["name"]: p["type"] for p in resource["searchParam"]}
        for param, kind in listed.items():
            asked = mother.ask("GET", f"{name}?{param}={SAMPLES[kind]}", headers={"Prefer": "handling=strict"})
            if asked.status != 200 and kind != "reference":
                wrong.append(f"{name}.{param}: {asked}")
        unlisted = params_for(name).keys() - listed.keys()
        wrong += [f"{name}.{p}: answered, not listed" for p in unlisted if mother.get(f"{name}?{p}=x").status != 400]
    assert not wrong, "\n".join(wrong[:20])


def test_listed_references_are_answered(family: Neighbourhood, told: dict[str, Any]) -> None:
    for resource in told["rest"][0]["resource"]:
        for listed in resource["searchParam"]:
            if listed["type"] == "reference":
                param = params_for(resource["type"])[listed["name"]]
                value = "x" if "Reference" in param.types else "https://example.org/x"
                answer = family.mother.search(resource["type"], **{listed["name"]: value})
                assert answer.status == 200, (resource["type"], listed, answer)


def test_every_listed_interaction_works(family: Neighbourhood, told: dict[str, Any]) -> None:
    observation = next(r for r in told["rest"][0]["resource"] if r["type"] == "Observation")
    mother = family.mother
    made = mother.made(pressure())
    path = f"Observation/{made['id']}"
    does = {
        "read": lambda: mother.get(path).status == 200,
        "vread": lambda: mother.get(f"{path}/_history/1").status == 200,
        "update": lambda: mother.put(made | {"status": "amended"}).status == 200,
        "patch": lambda: mother.ask("PATCH", path, AMENDING, type=told["patchFormat"][0]).status == 200,
        "history-instance": lambda: mother.get(f"{path}/_history").status == 200,
        "create": lambda: mother.create(pressure()).status == 201,
        "search-type": lambda: mother.search("Observation").status == 200,
        "delete": lambda: mother.delete(path).status == 204,
    }
    listed = [i["code"] for i in observation["interaction"]]
    assert set(listed) == set(does)
    assert all(does[code]() for code in sorted(listed, key=list(does).index))
    assert [i["code"] for i in told["rest"][0]["interaction"]] == ["transaction", "batch"]
    for kind in ("transaction", "batch"):
        assert mother.bundle(kind, entry("GET", f"Patient/{YUKI}")).status == 200


def test_what_is_said_not_to_be_served_is_not(family: Neighbourhood, told: dict[str, Any]) -> None:
    mother, resource = family.mother, told["rest"][0]["resource"][0]
    assert resource["conditionalDelete"] == "single"
    several = [mother.made(pressure(identifier=[{"system": "urn:x", "value": "1"}]))["id"] for _ in range(2)]
    assert mother.delete("Observation?identifier=urn:x|1").status == 412
    assert sorted(mother.search("Observation", identifier="urn:x|1").ids) == sorted(several)


def test_the_security_part_names_endpoints_that_are_there(family: Neighbourhood, told: dict[str, Any]) -> None:
    security = told["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    for extension in security["extension"][0]["extension"]:
        answer = family.anonymous.get(extension["valueUri"])
        assert answer.status != 404, extension


@pytest.mark.spec("Fetch", "3.2", "CORS: a registered origin may read answers, no other; preflights carry no token")
def test_cors(family: Neighbourhood, told: dict[str, Any]) -> None:
    assert told["rest"][0]["security"]["cors"] is True
    Application.objects.filter(client_id="tsumugi-app").update(allowed_origins="https://app.example")
    good, bad = {"Origin": "https://app.example"}, {"Origin": "https://evil.example"}
    preflight = family.anonymous.ask("OPTIONS", "Observation", headers=good)
    assert (preflight.status, preflight.headers["Access-Control-Allow-Origin"]) == (204, "https://app.example")
    assert "If-None-Exist" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in family.anonymous.ask("OPTIONS", "Observation", headers=bad).headers
    for path in ("Observation", "Observation/none"):
        answer = family.mother.ask("GET", path, headers=good)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Origin" not in family.mother.ask("GET", path, headers=bad).headers


def test_health(family: Neighbourhood) -> None:
    for path in ("/healthz", "/readyz"):
        answer = family.anonymous.get(path)
        assert (answer.status, answer.content) == (200, b"ok\n")
