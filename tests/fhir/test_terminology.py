"""Terminology operations at the REST door (R4 terminology-service.html, OperationDefinitions)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.family import Answer, App, Neighbourhood, encoded

V3_GENDER = "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender"
GENDER = "http://hl7.org/fhir/administrative-gender"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
STATUS = "http://hl7.org/fhir/ValueSet/observation-status"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
OURS = "https://tsumugi.example/fhir/CodeSystem/test-fruit"
SET = "https://tsumugi.example/fhir/ValueSet/test-fruit"


def ask(app: App, place: str, **named: Any) -> Answer:
    """GET with simple parameters; `__` stands for `-` in a name; a list repeats it."""
    pairs = [
        (n.replace("__", "-"), v) for n, value in named.items() for v in (value if isinstance(value, list) else [value])
    ]
    return app.get(f"{place}?" + "&".join(f"{n}={quote(str(v), safe='')}" for n, v in pairs))


def send(app: App, place: str, *parameters: dict[str, Any]) -> Answer:
    return app.ask("POST", place, encoded({"resourceType": "Parameters", "parameter": list(parameters)}))


def told(answer: Answer) -> dict[str, Any]:
    """Simple out-parameters by name."""
    assert answer.status == 200, answer
    assert answer.json["resourceType"] == "Parameters"
    rows = answer.json["parameter"]
    return {r["name"]: next(v for k, v in r.items() if k.startswith("value")) for r in rows if "part" not in r}


def parts(answer: Answer, name: str) -> list[dict[str, Any]]:
    """Out-parameters with parts: each as name -> value."""
    rows = [r["part"] for r in answer.json["parameter"] if r["name"] == name]
    return [
        {p["name"]: next((v for k, v in p.items() if k.startswith("value")), p.get("part")) for p in row}
        for row in rows
    ]


def codes(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    return [row["code"] for row in answer.json["expansion"].get("contains", [])]


def fruit(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "CodeSystem", "url": OURS, "version": "1", "status": "draft", "content": "complete",
        "concept": [
            {"code": "citrus", "display": "柑橘", "concept": [
                {"code": "lemon", "display": "レモン", "designation": [{"language": "en", "value": "Lemon"}]},
                {"code": "yuzu", "display": "ゆず"}]},
            {"code": "apple", "display": "りんご", "property": [{"code": "inactive", "valueBoolean": True}]},
        ],
    } | more  # fmt: skip


def basket(**compose: Any) -> dict[str, Any]:
    compose = compose or {"include": [{"system": OURS}]}
    return {"resourceType": "ValueSet", "url": SET, "version": "1", "status": "draft", "compose": compose}


# -- $expand ---------------------------------------------------------------------------------------


@pytest.mark.spec(
    "FHIR R4", "ValueSet $expand", "the expansion lists the members, with total, offset and what was used"
)
def test_expand_by_url(family: Neighbourhood) -> None:
    answer = ask(family.mother, "ValueSet/$expand", url=STATUS)
    assert codes(answer) == [
        "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown",
    ]  # fmt: skip
    expansion = answer.json["expansion"]
    assert (expansion["total"], expansion["offset"]) == (8, 0)
    assert {"name": "version", "valueUri": "http://hl7.org/fhir/observation-status|4.0.1"} in expansion["parameter"]
    assert "compose" not in answer.json and answer.json["url"] == STATUS


@pytest.mark.spec("FHIR R4", "ValueSet $expand", "offset and count page through the same expansion")
def test_expand_in_pages(family: Neighbourhood) -> None:
    whole = codes(ask(family.mother, "ValueSet/$expand", url=STATUS))
    pages = [ask(family.mother, "ValueSet/$expand", url=STATUS, offset=n, count=3) for n in (0, 3, 6, 9)]
    assert [c for page in pages for c in codes(page)] == whole
    assert {page.json["expansion"]["total"] for page in pages} == {8}
    assert len({page.json["expansion"]["identifier"] for page in pages}) == 1
    assert codes(ask(family.mother, "ValueSet/$expand", url=STATUS, count=0)) == []


@pytest.mark.spec(
    "FHIR R4", "ValueSet $expand", "filter restricts by text; activeOnly, excludeNotForUI, exclude-system"
)
def test_expand_narrowed(family: Neighbourhood) -> None:
    assert codes(ask(family.mother, "ValueSet/$expand", url=STATUS, filter="ＥＲＲＯＲ")) == ["entered-in-error"]
    act = ask(family.mother, "ValueSet/$expand", url="http://terminology.hl7.org/ValueSet/v3-ActEncounterCode")
    assert "_ActEncounterCode" not in codes(act) and "AMB" in codes(act)
    inline = basket(include=[{"system": OURS}, {"system": GENDER}])
    family.clinic.made(fruit())
    sets = [{"name": "valueSet", "resource": inline}]
    assert codes(send(family.mother, "ValueSet/$expand", *sets))[:4] == ["citrus", "lemon", "yuzu", "apple"]
    active = send(family.mother, "ValueSet/$expand", *sets, {"name": "activeOnly", "valueBoolean": True})
    assert codes(active)[:4] == ["citrus", "lemon", "yuzu", "male"]
    without = send(family.mother, "ValueSet/$expand", *sets, {"name": "exclude-system", "valueUri": f"{OURS}|1"})
    assert codes(without) == ["male", "female", "other", "unknown"]
    hiragana = send(family.mother, "ValueSet/$expand", *sets, {"name": "filter", "valueString": "れもん"})
    assert codes(hiragana) == ["lemon"]


@pytest.mark.spec("FHIR R4", "ValueSet $expand", "displayLanguage, includeDesignations, designation, includeDefinition")
def test_expand_in_a_language(family: Neighbourhood) -> None:
    family.clinic.made(fruit())
    made = family.clinic.made(basket())
    place = f"ValueSet/{made['id']}/$expand"
    plain = ask(family.mother, place).json["expansion"]["contains"][1]
    assert plain == {"system": OURS, "version": "1", "code": "lemon", "display": "レモン"}
    english = ask(family.mother, place, displayLanguage="en", includeDesignations="true", includeDefinition="true")
    assert english.json["expansion"]["contains"][1]["display"] == "Lemon"
    assert english.json["expansion"]["contains"][1]["designation"] == [{"language": "en", "value": "Lemon"}]
    assert english.json["compose"] == {"include": [{"system": OURS}]}
    german = ask(family.mother, place, designation="de").json["expansion"]["contains"][1]
    assert (german["display"], german.get("designation")) == ("レモン", None)


@pytest.mark.spec("FHIR R4", "ValueSet $expand", "system-version, check-system-version and force-system-version")
def test_expand_with_versions(family: Neighbourhood) -> None:
    inline = {"name": "valueSet", "resource": basket(include=[{"system": GENDER}])}
    for name, version, status in (
        ("system-version", "4.0.1", 200), ("system-version", "9", 422), ("force-system-version", "9", 422),
        ("check-system-version", "4.0.1", 200), ("check-system-version", "9", 422),
    ):  # fmt: skip
        answer = send(family.mother, "ValueSet/$expand", inline, {"name": name, "valueUri": f"{GENDER}|{version}"})
        assert answer.status == status, (name, version, answer)
    pinned = {"name": "valueSet", "resource": basket(include=[{"system": GENDER, "version": "4.0.1"}])}
    clash = send(family.mother, "ValueSet/$expand", pinned, {"name": "check-system-version", "valueUri": f"{GENDER}|9"})
    assert clash.status == 422
    bare = send(family.mother, "ValueSet/$expand", pinned, {"name": "system-version", "valueUri": GENDER})
    assert (bare.status, bare.issue["expression"]) == (400, ["http.system-version"])


def test_what_cannot_be_listed_is_refused_with_the_missing_system(family: Neighbourhood) -> None:
    answer = ask(family.mother, "ValueSet/$expand", url="http://hl7.org/fhir/ValueSet/body-site")
    assert (answer.status, answer.issue["code"]) == (422, "not-supported")
    assert "http://snomed.info/sct" in answer.issue["diagnostics"]
    answer = ask(family.mother, "ValueSet/$expand", url="http://hl7.org/fhir/ValueSet/no-such")
    assert (answer.status, answer.issue["code"]) == (404, "not-found")
    unclosed = ask(family.mother, "ValueSet/$expand", url="http://hl7.org/fhir/ValueSet/service-category")
    assert unclosed.json["expansion"]["extension"][0]["url"].endswith("valueset-unclosed")


# -- $validate-code --------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "ValueSet $validate-code", "result, message and display for a code, a coding, a concept")
def test_validate_in_a_value_set(family: Neighbourhood) -> None:
    system = "http://hl7.org/fhir/observation-status"
    right = told(ask(family.mother, "ValueSet/$validate-code", url=STATUS, system=system, code="final"))
    assert right == {"result": True, "display": "Final"}
    wrong = told(ask(family.mother, "ValueSet/$validate-code", url=STATUS, system=system, code="finished"))
    assert wrong["result"] is False and STATUS in wrong["message"]
    shown = told(
        ask(family.mother, "ValueSet/$validate-code", url=STATUS, system=system, code="final", display="Draft")
    )
    assert (shown["result"], shown["display"]) == (False, "Final")
    coding = {"name": "coding", "valueCoding": {"system": system, "code": "final", "display": "final"}}
    assert told(send(family.mother, "ValueSet/$validate-code", {"name": "url", "valueUri": STATUS}, coding))["result"]
    several = {"coding": [{"system": "urn:x", "code": "1"}, {"system": system, "code": "amended"}]}
    concept = {"name": "codeableConcept", "valueCodeableConcept": several}
    assert told(send(family.mother, "ValueSet/$validate-code", {"name": "url", "valueUri": STATUS}, concept))["result"]


@pytest.mark.spec(
    "FHIR R4", "ValueSet $validate-code", "a code that no part of the set can hold is false without its system"
)
def test_validate_asks_only_for_what_decides(family: Neighbourhood) -> None:
    sites = "http://hl7.org/fhir/ValueSet/body-site"  # all of SNOMED CT below one concept
    answer = told(ask(family.mother, "ValueSet/$validate-code", url=sites, system="urn:x", code="1"))
    assert answer["result"] is False
    unsure = ask(family.mother, "ValueSet/$validate-code", url=sites, system="http://snomed.info/sct", code="1")
    assert (unsure.status, unsure.issue["code"]) == (422, "not-supported")


@pytest.mark.spec(
    "FHIR R4", "CodeSystem $validate-code", "result and display; abstract codes only where they are wanted"
)
def test_validate_in_a_code_system(family: Neighbourhood) -> None:
    place = "CodeSystem/$validate-code"
    assert told(ask(family.mother, place, url=GENDER, code="female")) == {"result": True, "display": "Female"}
    assert told(ask(family.mother, place, url=GENDER, code="FEMALE"))["result"] is False
    assert told(ask(family.mother, place, url=ACT, code="_ActEncounterCode"))["result"] is False
    assert told(ask(family.mother, place, url=ACT, code="_ActEncounterCode", abstract="true"))["result"] is True
    coding = {"name": "coding", "valueCoding": {"system": GENDER, "code": "male"}}
    assert told(send(family.mother, place, coding))["result"] is True
    inline = {"name": "codeSystem", "resource": fruit()}
    assert told(send(family.mother, place, inline, {"name": "code", "valueCode": "yuzu"}))["display"] == "ゆず"
    old = told(send(family.mother, place, inline, {"name": "code", "valueCode": "apple"}))
    assert old["result"] is True and "inactive" in old["message"]
    assert ask(family.mother, place, url="urn:nowhere", code="1").status == 404


UNITS = "http://unitsofmeasure.org"


@pytest.mark.spec("FHIR R4", "terminologies-systems", "units, languages and media types are judged by their grammar")
@pytest.mark.parametrize(
    ("system", "valueset", "right", "wrong"),
    [(UNITS, "ucum-units", ["kg", "mm[Hg]", "10*3/uL", "{beats}/min"], ["kilo", "kg kg", "", "m." * 90]),
     ("urn:ietf:bcp:47", "all-languages", ["ja", "ja-JP", "zh-Hant-TW", "en-x-sakura"], ["j", "ja_JP", "日本語"]),
     ("urn:ietf:bcp:13", "mimetypes", ["text/plain", "application/fhir+json; charset=utf-8"], ["text", "x/y"])],
)  # fmt: skip
def test_codes_of_a_grammar(
    family: Neighbourhood, system: str, valueset: str, right: list[str], wrong: list[str]
) -> None:
    for code in right + wrong:
        coding = {"name": "coding", "valueCoding": {"system": system, "code": code or "{"}}
        in_set = {"name": "url", "valueUri": f"http://hl7.org/fhir/ValueSet/{valueset}"}
        for answer in (
            send(family.mother, "CodeSystem/$validate-code", coding),
            ask(family.mother, "CodeSystem/$validate-code", url=system, code=code or "{"),
            send(family.mother, "ValueSet/$validate-code", in_set, coding),
        ):
            assert told(answer)["result"] is (code in right), (code, answer)
    assert ask(family.mother, "ValueSet/$expand", url=in_set["valueUri"]).status == 422


# -- $lookup, $subsumes ----------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "CodeSystem $lookup", "name, version, display, designations and properties of a code")
def test_lookup(family: Neighbourhood) -> None:
    answer = ask(family.mother, "CodeSystem/$lookup", system=CLINICAL, code="recurrence")
    assert told(answer)["display"] == "Recurrence"
    found = {(p["code"], p["value"]) for p in parts(answer, "property")}
    assert ("parent", "active") in found and ("inactive", False) in found
    only = ask(family.mother, "CodeSystem/$lookup", system=CLINICAL, code="active", property=["child", "nonsense"])
    assert {p["code"] for p in parts(only, "property")} == {"child"}
    missing = ask(family.mother, "CodeSystem/$lookup", system=CLINICAL, code="none")
    assert (missing.status, missing.issue["code"]) == (404, "not-found")
    family.clinic.made(fruit())
    coding = {"name": "coding", "valueCoding": {"system": OURS, "code": "lemon"}}
    japanese = send(family.mother, "CodeSystem/$lookup", coding)
    assert parts(japanese, "designation") == [{"language": "en", "value": "Lemon"}]
    english = send(family.mother, "CodeSystem/$lookup", coding, {"name": "displayLanguage", "valueCode": "en-GB"})
    assert told(english)["display"] == "Lemon"


def test_a_supplement_adds_designations(family: Neighbourhood) -> None:
    answer = ask(family.mother, "CodeSystem/$lookup", system="http://hl7.org/fhir/CodeSystem/example", code="chol-mmol")
    assert answer.status == 200
    assert told(answer)["display"] == "SChol (mmol/L)"
    assert "From ACME POC Testing" in {p["value"] for p in parts(answer, "designation")}


@pytest.mark.spec("FHIR R4", "CodeSystem $subsumes", "equivalent, subsumes, subsumed-by, not-subsumed")
@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [("active", "active", "equivalent"), ("active", "relapse", "subsumes"), ("relapse", "active", "subsumed-by"),
     ("relapse", "inactive", "not-subsumed")],
)  # fmt: skip
def test_subsumes(family: Neighbourhood, a: str, b: str, outcome: str) -> None:
    by_code = ask(family.mother, "CodeSystem/$subsumes", system=CLINICAL, codeA=a, codeB=b)
    assert told(by_code) == {"outcome": outcome}
    codings = [{"name": f"coding{n}", "valueCoding": {"system": CLINICAL, "code": c}} for n, c in (("A", a), ("B", b))]
    assert told(send(family.mother, "CodeSystem/$subsumes", *codings)) == {"outcome": outcome}


def test_subsumes_at_an_instance(family: Neighbourhood) -> None:
    made = family.clinic.made(fruit())
    answer = ask(family.mother, f"CodeSystem/{made['id']}/$subsumes", codeA="citrus", codeB="yuzu")
    assert told(answer) == {"outcome": "subsumes"}
    two = [{"name": "codingA", "valueCoding": {"system": OURS, "code": "yuzu"}},
           {"name": "codingB", "valueCoding": {"system": GENDER, "code": "male"}}]  # fmt: skip
    assert send(family.mother, "CodeSystem/$subsumes", *two).status == 400


# -- $translate ------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "ConceptMap $translate", "matches with equivalence, concept and the map they are from")
def test_translate(family: Neighbourhood) -> None:
    answer = ask(family.mother, "ConceptMap/$translate", system=GENDER, code="male", targetsystem=V3_GENDER)
    assert told(answer)["result"] is True
    (match,) = parts(answer, "match")
    assert match["concept"]["system"] == V3_GENDER and match["concept"]["code"] == "M"
    assert match["source"] == "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v3"
    back = ask(family.mother, "ConceptMap/$translate", system=V3_GENDER, code="M", targetsystem=GENDER, reverse="true")
    assert [m["concept"]["code"] for m in parts(back, "match")] == ["male"]
    named = ask(family.mother, "ConceptMap/$translate", url=match["source"], system=GENDER, code="female")
    assert [m["concept"]["code"] for m in parts(named, "match")] == ["F"]
    nothing = ask(family.mother, "ConceptMap/$translate", system=GENDER, code="none")
    assert told(nothing)["result"] is False and told(nothing)["message"]


FRUIT_MAP = {
    "resourceType": "ConceptMap", "url": "https://tsumugi.example/fhir/ConceptMap/test-fruit", "status": "draft",
    "group": [{
        "source": OURS, "target": "urn:test:taste",
        "element": [
            {"code": "lemon", "target": [{"code": "sour", "equivalence": "wider"}]},
            {"code": "yuzu", "target": [
                {"code": "sweet", "equivalence": "inexact", "dependsOn": [{"property": "urn:ripe", "value": "yes"}],
                 "product": [{"property": "urn:colour", "system": "urn:test:colour", "value": "yellow"}]}]},
        ],
        "unmapped": {"mode": "fixed", "code": "none", "display": "?"},
    }],
}  # fmt: skip


@pytest.mark.spec("FHIR R4", "ConceptMap $translate", "unmapped, dependsOn and product")
def test_translate_by_a_kept_map(family: Neighbourhood) -> None:
    made = family.clinic.made(FRUIT_MAP)
    place = f"ConceptMap/{made['id']}/$translate"
    lemon = ask(family.mother, place, system=OURS, code="lemon")
    assert [(m["equivalence"], m["concept"]["code"]) for m in parts(lemon, "match")] == [("wider", "sour")]
    by_url = ask(family.mother, "ConceptMap/$translate", url=FRUIT_MAP["url"], system=OURS, code="lemon")
    assert by_url.json == lemon.json
    unnamed = ask(family.mother, "ConceptMap/$translate", system=OURS, code="lemon")
    assert told(unnamed)["result"] is False, "a map somebody keeps is used only where it is named"
    fixed = ask(family.mother, place, system=OURS, code="apple")
    assert [m["concept"] for m in parts(fixed, "match")] == [
        {"system": "urn:test:taste", "code": "none", "display": "?"}
    ]
    assert told(ask(family.mother, place, system=OURS, code="yuzu"))["result"] is False
    ripe = {"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:ripe"},
        {"name": "concept", "valueCodeableConcept": {"coding": [{"code": "yes"}]}}]}  # fmt: skip
    coding = {"name": "coding", "valueCoding": {"system": OURS, "code": "yuzu"}}
    (match,) = parts(send(family.mother, place, coding, ripe), "match")
    assert match["product"][1]["valueCoding"] == {"system": "urn:test:colour", "code": "yellow"}
    turned = ask(family.mother, place, system="urn:test:taste", code="sour", reverse="true")
    assert [(m["equivalence"], m["concept"]["code"]) for m in parts(turned, "match")] == [("narrower", "lemon")]
