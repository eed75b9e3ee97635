"""The CapabilityStatement says exactly what is served (R4 capabilitystatement.html)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from phr.populate.cast import YUKI
from phr.records import validate
from phr.records.definitions import concrete_types
from phr.records.profiles import bundled
from phr.records.search.params import SearchParam, params_for
from phr.smart.models import Application
from tests.family import Neighbourhood, encoded, entry, pressure

# What a search value of each parameter type may look like
SAMPLES = {"token": "x", "reference": "x", "date": "2026", "number": "1", "string": "mihon", "uri": "urn:x",
           "quantity": "5", "special": "35|139|1|km"}  # fmt: skip
ROOT = Path(__file__).parents[2]
SOME = ("Observation", "Patient", "ValueSet", "CodeSystem", "ConceptMap", "Group", "DocumentReference")
NO_PARAMETERS = encoded({"resourceType": "Parameters"})


def sample(param: SearchParam) -> str:
    """A value that a parameter understands; of a composite, one for each part."""
    known = params_for(param.base)
    return "$".join(SAMPLES[known[name].type] for name, _ in param.components) or SAMPLES[param.type]


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


LOG = "AuditEvent"  # made from the log: nobody writes it


@pytest.mark.spec("FHIR R4", "3.1.1.3", "every listed search parameter is answered, every other is not")
def test_every_listed_parameter_is_answered(family: Neighbourhood, told: dict[str, Any]) -> None:
    mother, wrong = family.mother, []
    for resource in told["rest"][0]["resource"]:
        name = resource["type"]
        listed = {p["name"]: p["type"] for p in resource["searchParam"]}
        for param, kind in listed.items():
            value = quote(sample(params_for(name)[param]))
            asked = mother.ask("GET", f"{name}?{param}={value}", headers={"Prefer": "handling=strict"})
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


@pytest.mark.spec("FHIR R4", "capabilitystatement", "every listed interaction is served, at every level")
def test_every_listed_interaction_works(family: Neighbourhood, told: dict[str, Any]) -> None:
    observation = next(r for r in told["rest"][0]["resource"] if r["type"] == "Observation")
    mother = family.mother
    made = mother.made(pressure())
    path = f"Observation/{made['id']}"
    patch = b'[{"op": "replace", "path": "/status", "value": "amended"}]'
    does = {
        "read": lambda: mother.get(path).status == 200,
        "vread": lambda: mother.get(f"{path}/_history/1").status == 200,
        "update": lambda: mother.put(made | {"status": "amended"}).status == 200,
        "patch": lambda: mother.ask("PATCH", path, patch, type="application/json-patch+json").status == 200,
        "history-instance": lambda: mother.get(f"{path}/_history").status == 200,
        "history-type": lambda: mother.get("Observation/_history").status == 200,
        "create": lambda: mother.create(pressure()).status == 201,
        "search-type": lambda: mother.search("Observation").status == 200,
        "delete": lambda: mother.delete(path).status == 204,
    }
    all_of_it = tuple(i["code"] for i in observation["interaction"])
    kept = tuple(code for code in all_of_it if code != "delete")
    for r in told["rest"][0]["resource"]:  # alike, but that a Patient is not deleted and the log not written
        if r["type"] == LOG:
            assert [i["code"] for i in r["interaction"]] == ["read", "search-type"]
            continue
        assert tuple(i["code"] for i in r["interaction"]) == (kept if r["type"] == "Patient" else all_of_it)
    assert mother.delete(f"Patient/{YUKI}").status == mother.delete(f"Patient?_id={YUKI}").status == 405
    listed = [i["code"] for i in observation["interaction"]]
    assert set(listed) == set(does)
    assert all(does[code]() for code in sorted(listed, key=list(does).index))
    wide = {
        "transaction": lambda: mother.bundle("transaction", entry("GET", f"Patient/{YUKI}")).status == 200,
        "batch": lambda: mother.bundle("batch", entry("GET", f"Patient/{YUKI}")).status == 200,
        "search-system": lambda: mother.get("?_type=Patient,Observation").ids != [],
        "history-system": lambda: mother.get("_history").status == 200,
    }
    assert [i["code"] for i in told["rest"][0]["interaction"]] == list(wide)
    assert all(answers() for answers in wide.values())


@pytest.mark.spec("FHIR R4", "capabilitystatement", "what is said of versions, conditions and ids is so")
def test_what_is_said_of_each_type_is_so(family: Neighbourhood, told: dict[str, Any]) -> None:
    mother = family.mother
    said = {r["type"]: r for r in told["rest"][0]["resource"]}
    log = said.pop(LOG)
    assert (log["versioning"], log["updateCreate"], log["conditionalCreate"]) == ("no-version", False, False)
    assert mother.create({"resourceType": LOG}).status == 405
    for type, resource in said.items():
        claims = {
            "versioning": "versioned-update", "readHistory": True, "conditionalCreate": True,
            "conditionalRead": "full-support", "conditionalUpdate": True,
            "conditionalDelete": "not-supported" if type == "Patient" else "single",
            "updateCreate": type != "Patient",
        }  # fmt: skip
        assert {name: resource[name] for name in claims} == claims
    named = pressure(identifier=[{"system": "urn:x", "value": "1"}])
    made = mother.create(named, if_none_exist="identifier=urn:x|1")
    assert (made.status, mother.create(named, if_none_exist="identifier=urn:x|1").status) == (201, 200)
    path = f"Observation/{made.id}"
    assert mother.get(path, if_none_match=made.headers["ETag"]).status == 304
    assert mother.get(path, if_modified_since=made.headers["Last-Modified"]).status == 304
    assert mother.put(made.json | {"status": "amended"}, if_match='W/"9"').status == 412
    where = f"Observation?patient={YUKI}&identifier=urn:x|1"
    assert mother.ask("PUT", where, encoded(named | {"status": "corrected"})).json["meta"]["versionId"] == "2"
    assert (mother.delete(where).status, mother.get(path).status) == (204, 410)
    new = pressure(id="not-mine")
    refused = mother.put(new)
    assert refused.status == 405
    prefix = refused.issue["diagnostics"].rsplit(" ", 1)[-1]
    assert mother.put(pressure(id=f"{prefix}1")).status == 201
    patient = {"resourceType": "Patient", "id": f"{prefix}1"}
    assert mother.put(patient).status == 405


@pytest.mark.spec("FHIR R4", "3.1.1.5", "every listed _include and _revinclude is answered, every other is refused")
def test_every_listed_inclusion_is_answered(family: Neighbourhood, told: dict[str, Any]) -> None:
    """Some of each type, all of Observation and Patient; one search asks for as many as it may."""
    wrong = []
    for resource in told["rest"][0]["resource"]:
        type = resource["type"]
        few = slice(None) if type in ("Observation", "Patient") else slice(0, 4)
        for name, listed in (("_include", resource.get("searchInclude", [])[few]),
                             ("_revinclude", resource.get("searchRevInclude", [])[few])):  # fmt: skip
            for group in (listed[n : n + 20] for n in range(0, len(listed), 20)):
                answer = family.mother.search(type, *[(name, value) for value in group], _id="none")
                if answer.status != 200:
                    wrong.append(f"{type} {name}={group}: {answer}")
        listed = resource.get("searchInclude", [])
        unlisted = [p.name for p in params_for(type).values() if f"{type}:{p.name}" not in listed]
        others = [n for n in unlisted if params_for(type)[n].type != "reference"][:1]
        wrong += [f"{type}:{n} is answered, not listed" for n in others
                  if family.mother.search(type, _include=f"{type}:{n}").status != 400]  # fmt: skip
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.spec("FHIR R4", "3.1.1.4", "what every search understands is answered")
def test_every_listed_control_is_answered(family: Neighbourhood, told: dict[str, Any]) -> None:
    values = {
        "_filter": "status eq final", "_has": None, "_list": "none", "_type": "Observation", "_sort": "-_lastUpdated",
        "_count": "1", "_total": "accurate", "_summary": "true", "_elements": "status", "_include": "*",
        "_revinclude": "*", "_contained": "false",
    }  # fmt: skip
    assert {p["name"] for p in told["rest"][0]["searchParam"]} == set(values)
    for name, value in values.items():
        asked = {name: value} if value else {"_has:Provenance:target:recorded": "2026"}
        answer = family.mother.get(f"Observation?{urlencode(asked)}", prefer="handling=strict")
        assert answer.status == 200, (name, answer)


@pytest.mark.spec("FHIR R4", "3.2.0.1", "every listed operation is there, with its definition; every other is not")
def test_every_listed_operation_is_there(family: Neighbourhood, told: dict[str, Any]) -> None:
    """Called without parameters each says what it needs, or answers; what is not there says that nothing is."""
    rest, count = told["rest"][0], 0
    places = [("", o) for o in rest["operation"]]
    places += [(r["type"], o) for r in rest["resource"] if r["type"] in SOME for o in r.get("operation", [])]
    for type, operation in places:
        count += 1
        assert operation["definition"].startswith("http"), operation
        found = (
            [f"{type}/${operation['name']}", f"{type}/none/${operation['name']}"] if type else [f"${operation['name']}"]
        )
        answers = [family.clinic.ask("POST", path, NO_PARAMETERS) for path in found]
        assert any("There is no operation" not in str(a) for a in answers), (type, operation, answers)
        assert all(a.status < 500 for a in answers), answers
    assert count > 15
    assert "There is no operation" in str(family.clinic.ask("POST", "Observation/$expand", NO_PARAMETERS))


@pytest.mark.spec("FHIR R4", "compartmentdefinition", "every listed compartment is answered, every other is refused")
def test_every_listed_compartment_is_answered(family: Neighbourhood, told: dict[str, Any]) -> None:
    owners = {url.rsplit("/", 1)[-1].lower() for url in told["rest"][0]["compartment"]}
    for type in sorted(concrete_types()):
        place = f"{type}/{YUKI}/Observation" if type == "Patient" else f"{type}/none/Observation"
        answer = family.mother.get(place)
        nothing = "not-supported" if type.lower() not in owners else "not-found"
        assert answer.status == 200 if type == "Patient" else (answer.issue["code"] == nothing), (type, answer)


def test_supported_profiles_are_those_of_the_project(family: Neighbourhood, told: dict[str, Any]) -> None:
    listed = {url for r in told["rest"][0]["resource"] for url in r.get("supportedProfile", [])}
    own = {p["url"] for p in bundled.own().values() if p["resourceType"] == "StructureDefinition"}
    assert listed and listed <= own
    for url in sorted(listed):
        type = next(r["type"] for r in told["rest"][0]["resource"] if url in r.get("supportedProfile", []))
        assert "not-found" not in _said_of(family, type, url)
        assert "not-found" in _said_of(family, type, f"{url}-that-nobody-wrote")


def _said_of(family: Neighbourhood, type: str, profile: str) -> set[str]:
    """The codes of what is said of an empty resource under a profile; an unknown profile is `not-found`."""
    answer = family.mother.ask("POST", f"{type}/$validate?profile={profile}", encoded({"resourceType": type}))
    assert (answer.status, answer.json["resourceType"]) == (200, "OperationOutcome"), answer
    return {issue["code"] for issue in answer.json["issue"]}


def test_the_release_is_told_alike_everywhere(told: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert told["software"]["version"] == told["version"] == project["version"]
    assert told["date"] == told["software"]["releaseDate"]


@pytest.mark.spec("FHIR R4", "3.1.0.10", "mode=terminology: the code systems at hand, and how they can be asked")
def test_the_terminology_is_told(family: Neighbourhood) -> None:
    told = family.anonymous.get("metadata?mode=terminology").json
    assert (told["resourceType"], validate.check(told)) == ("TerminologyCapabilities", [])
    for system in [s for s in told["codeSystem"] if "v3-" in s["uri"] or "hl7.org/fhir/" in s["uri"]][::25]:
        version = next(v["code"] for v in system["version"] if v["isDefault"])
        asked = {"url": system["uri"], "version": version, "code": "no such"}
        answer = family.mother.get(f"CodeSystem/$validate-code?{urlencode(asked)}")
        assert answer.status == 200 or answer.issue["code"] == "not-supported", (system, answer)
    for parameter in told["expansion"]["parameter"]:
        asked = {"url": "http://hl7.org/fhir/ValueSet/administrative-gender", parameter["name"]: "x y"}
        refused = family.mother.get(f"ValueSet/$expand?{urlencode(asked)}")
        assert refused.status == 200 or refused.issue["code"] == "invalid", (parameter, refused)


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
