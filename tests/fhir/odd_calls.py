"""Odd calls of operations (Hypothesis), and odd definitions: mostly what they ask for, sometimes anything."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from phr.fhir.operations import calling
from phr.fhir.operations.calling import Operation
from phr.fhir.operations.inputs import In
from phr.populate.cast import HANA, YUKI
from tests.family import encoded, weight
from tests.fhir.odd_searches import TYPES, quoted, types, values
from tests.fhir.test_fuzz import JSON, dumped, spoilt_resources

EVERYWHERE = (*TYPES, calling.ANY, calling.SYSTEM)
OPERATIONS: list[tuple[str, Operation]] = [(type, found) for type in EVERYWHERE for found in calling.offered(type)]
STATUS = "http://hl7.org/fhir/ValueSet/observation-status"
SYSTEM = "http://hl7.org/fhir/observation-status"
DATES = ["2026-03-01", "2026-03-01T09:00:00+09:00", "2026", "0001-01-01", "9999-12-31T23:59:59Z"]
SIMPLE: dict[str, list[Any]] = {
    "boolean": [True, False], "integer": [0, 1, -1, 10**9], "positiveInt": [1, 10**9], "unsignedInt": [0],
    "decimal": [0, 1], "code": ["final", "male", "en", "Observation"], "uri": [STATUS, SYSTEM, "urn:x"],
    "canonical": [f"{SYSTEM}|4.0.1", STATUS], "string": ["x", "体重", "Observation"], "instant": DATES[1:2],
    "date": DATES,
    "dateTime": DATES, "id": ["x"], "url": ["https://example.org"],
    "Coding": [{"system": SYSTEM, "code": "final"}, {"code": "x"}, {"system": "urn:x", "code": "y"}],
    "CodeableConcept": [{"coding": [{"system": SYSTEM, "code": "final"}]}, {"text": "x"}],
    "Reference": [{"reference": f"Patient/{YUKI}"}, {"reference": "x"}], "Identifier": [{"system": "urn:x",
    "value": "1"}],
    "Meta": [{"tag": [{"system": "urn:x", "code": "a"}]}, {"security": [{"code": "R"}]}, {"profile": ["urn:x"]}],
    "part": [[{"name": "element", "valueUri": "urn:x"}]],
}  # fmt: skip
VALUE_SET = {
    "resourceType": "ValueSet",
    "url": "urn:x",
    "status": "draft",
    "compose": {"include": [{"system": SYSTEM}]},
}
CODE_SYSTEM = {"resourceType": "CodeSystem", "url": "urn:y", "status": "draft", "content": "complete",
               "concept": [{"code": "final"}]}  # fmt: skip
PATIENT = {
    "resourceType": "Patient",
    "name": [{"family": "見本", "given": ["雪"]}],
    "gender": "female",
    "birthDate": "1990-01-01",
}
RESOURCES: dict[str, Any] = {"ValueSet": VALUE_SET, "CodeSystem": CODE_SYSTEM, "Patient": PATIENT}


def given(one: In) -> st.SearchStrategy[dict[str, Any]]:
    """One parameter of a body: mostly as declared."""
    if one.resource:
        sound: list[Any] = [RESOURCES.get(one.type, json.loads(encoded(weight())))]
        return (st.sampled_from(sound) | spoilt_resources()).map(lambda r: {"name": one.name, "resource": r})
    if one.type == "part":
        return st.sampled_from(SIMPLE["part"]).map(lambda parts: {"name": one.name, "part": parts})
    key = f"value{one.type[0].upper()}{one.type[1:]}"
    fitting = st.sampled_from(SIMPLE.get(one.type, ["x"])).map(lambda value: {"name": one.name, key: value})
    return fitting | fitting | JSON.map(lambda value: {"name": one.name, key: value})


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, bytes | None]:
    """(method, path, body): what the operation needs, some of what it may have, and sometimes anything."""
    type, offered = draw(st.sampled_from(OPERATIONS))
    type = draw(types) if type == calling.ANY else type
    level = draw(st.sampled_from(sorted(offered.levels) if draw(st.integers(0, 5)) else ["system", "type", "instance"]))
    id = draw(st.sampled_from([str(YUKI), str(HANA), "none", "x y"])) if level == "instance" else ""
    path = "/".join(part for part in (type if level != "system" else "", quoted(id), f"${offered.name}") if part)
    some = (
        draw(st.lists(st.sampled_from(offered.inputs), max_size=3, unique_by=lambda i: i.name))
        if offered.inputs
        else []
    )
    chosen = some + [i for i in offered.inputs if i.min and i not in some]
    if draw(st.booleans()):
        pairs = [(i.name, draw(st.sampled_from(SIMPLE.get(i.type, ["x"])).map(str) | values)) for i in chosen]
        pairs += draw(st.lists(st.tuples(st.sampled_from(["x", "_page", "patient", "code"]), values), max_size=1))
        return (
            "GET",
            f"{path}?" + "&".join(f"{quoted(n)}={quoted(v.lower() if v == 'True' else v)}" for n, v in pairs),
            None,
        )
    whole = {"resourceType": "Parameters", "parameter": [draw(given(i)) for i in chosen]}
    body = whole if whole["parameter"] else {"resourceType": "Parameters"}
    return "POST", path, dumped(draw(st.just(body) | st.just(body) | spoilt_resources() | JSON))


WORDS = [SYSTEM, "urn:x", "final", "http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://snomed.info/sct", STATUS]
FILTER = st.fixed_dictionaries({
    "property": st.sampled_from(["concept", "code", "display", "inactive", "status", "x"]),
    "op": st.sampled_from(["is-a", "descendent-of", "is-not-a", "generalizes", "regex", "=", "in", "not-in",
    "exists"]),
    "value": st.sampled_from(["final", "AMB", "_ActEncounterCode", "(a+)+$", "[", "true", "a,b", ".*"]),
})  # fmt: skip
OPTIONAL = {
    "version": st.sampled_from(["4.0.1", "x"]),
    "concept": st.lists(st.fixed_dictionaries({"code": st.sampled_from(["final", "x"])}), min_size=1, max_size=3),
    "filter": st.lists(FILTER, min_size=1, max_size=2),
    "valueSet": st.lists(
        st.sampled_from([STATUS, "urn:x", "http://hl7.org/fhir/ValueSet/body-site"]), min_size=1, max_size=2
    ),
}
INCLUDE = st.fixed_dictionaries({"system": st.sampled_from(WORDS)}, optional=OPTIONAL)
ALONE = OPTIONAL["valueSet"].map(lambda urls: {"valueSet": urls})


def definitions() -> st.SearchStrategy[dict[str, Any]]:
    """A ValueSet that is sound in its structure, and otherwise anything."""
    sound = INCLUDE.filter(lambda include: "concept" not in include or "filter" not in include)
    lists = st.lists(sound | INCLUDE | ALONE, min_size=1, max_size=3)
    return lists.map(lambda parts: VALUE_SET | {"compose": {"include": parts}})
