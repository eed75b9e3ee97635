"""How operations are found, offered and called; and that nothing one can send them breaks them (R4 operations.html)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phr.fhir.operations import calling
from phr.fhir.operations.calling import ANY, Operation
from phr.populate.cast import YUKI
from phr.records.definitions import concrete_types
from tests import published
from tests.family import Neighbourhood, encoded, entry, pressure

SPEC = pytest.mark.spec
OURS = ("everything", "lastn", "summary", "immunization-recommendation", "immunization-status", "match", "docref",
        "meta", "meta-add", "meta-delete", "extract")  # fmt: skip
PLACED = ("", ANY, *sorted(concrete_types()))
EVERY: list[Operation] = list({id(o): o for place in PLACED for o in calling.offered(place)}.values())


def test_each_is_offered_where_it_is_found() -> None:
    for type in ("", ANY, "Patient", "Observation", "DocumentReference"):
        for one in calling.offered(type):
            if "instance" in one.levels and type:
                assert calling.find(one.name, "Patient" if type == ANY else type, "x") is one
    assert {o.name for o in EVERY} >= set(OURS)


def test_definitions_are_told_apart_and_inputs_named_once() -> None:
    assert len({o.definition for o in EVERY}) == len(EVERY)
    for one in EVERY:
        names = [i.name for i in one.inputs]
        assert len(names) == len(set(names)), one.name


OWN = {"_page"}  # of ours beside the definition's


@pytest.mark.parametrize("name", ["Patient-everything", "Observation-lastn", "Patient-match", "Resource-meta",
                                  "Resource-meta-add", "Resource-meta-delete"])  # fmt: skip
def test_inputs_are_those_of_the_definition(name: str) -> None:
    bundle = json.loads(gzip.decompress((published.definitions() / "profiles-resources.json.gz").read_bytes()))
    [told] = [e["resource"] for e in bundle["entry"] if e["resource"].get("id") == name]
    [ours] = [o for o in EVERY if o.definition == told["url"]]
    theirs = {p["name"]: (p["min"], p["max"]) for p in told.get("parameter", ()) if p["use"] == "in"}
    kept = {i.name: (i.min, "*" if i.max is None else str(i.max)) for i in ours.inputs if i.name not in OWN}
    assert kept == {n: c for n, c in theirs.items() if n != "_offset"}
    assert ours.levels - {"version"} == {level for level in ("system", "type", "instance") if told[level]}


@SPEC("FHIR R4", "operations 3.2.0.1", "an unknown operation is a path at which nothing is")
@pytest.mark.parametrize("path", ["$nothing", "Patient/$nothing", f"Patient/{YUKI}/$nothing", "Observation/$everything",
                                  "$lastn", f"Observation/{YUKI}/$lastn", "Nothing/$meta"])  # fmt: skip
def test_what_is_not_offered(family: Neighbourhood, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        assert family.mother.ask(method, path).status == 404


def test_head_is_get_without_the_body(family: Neighbourhood) -> None:
    head, get = (family.mother.ask(m, f"Patient/{YUKI}/$everything") for m in ("HEAD", "GET"))
    assert (head.status, head.headers["Content-Type"]) == (get.status, get.headers["Content-Type"])


@SPEC("FHIR R4", "http 3.1.0.11", "operations may stand in a batch")
def test_in_a_batch(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    answer = family.mother.bundle(
        "batch", entry("GET", f"Patient/{YUKI}/$everything"),
        entry("GET", f"Observation/$lastn?patient={YUKI}&code=8480-6"), entry("GET", "Patient/$nothing"),
    )  # fmt: skip
    assert answer.status == 200, answer
    everything, newest, nothing = answer.json["entry"]
    assert everything["resource"]["total"] == 2
    assert newest["resource"]["entry"][0]["resource"]["id"] == made["id"]
    assert nothing["response"]["status"].startswith("404")


# -- hostile ------------------------------------------------------------------------------------------

KNOWN = {i.name for o in EVERY for i in o.inputs}
NAMES = st.sampled_from(sorted(KNOWN | {"_format", "x", "patient", "code", "category"}))
TEXTS = st.text(max_size=12) | st.sampled_from(
    [str(YUKI), "2026", "2026-13", "9999", "0001-01-01", "9999-12-31T23:59:60.999999999Z", "-1", "0", "1e999", "true",
     "$", "a|b", "|", ",", "\\", "Patient/x", "http://loinc.org|8480-6", "%", "Observation,Nothing", "99999999999999"]
)  # fmt: skip
PLACES = st.sampled_from([
    f"Patient/{YUKI}/$everything", "Patient/$everything", "Observation/$lastn", f"Patient/{YUKI}/$summary",
    "Patient/$summary", "Patient/$match", "DocumentReference/$docref", "$meta", "Observation/$meta",
    f"Patient/{YUKI}/$meta-add", f"Patient/{YUKI}/$meta-delete", "Patient/%00/$everything", "Patient/..%2f/$meta",
    "QuestionnaireResponse/$extract", "QuestionnaireResponse/x/$extract",
])  # fmt: skip
LEAVES = TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["coding", "code", "system", "tag", "security", "profile", "resourceType", "name",
                                       "birthDate", "identifier", "value", "reference"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(["valueString", "valueCode", "valueDate", "valueInteger", "valueMeta", "valueCoding", "resource",
                        "valueCodeableConcept", "valueBoolean", "part", "valueInstant", "extension"])  # fmt: skip
PARAMETERS = st.builds(
    lambda found: {"resourceType": "Parameters", "parameter": found},
    st.lists(st.builds(lambda n, k, v: {"name": n, k: v}, NAMES, KEYS, VALUES), max_size=4),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=PLACES, asked=st.lists(st.tuples(NAMES, TEXTS), max_size=4), body=st.none() | PARAMETERS | VALUES)
def test_nothing_one_can_send_breaks_them(family: Neighbourhood, place: str, asked: Any, body: Any) -> None:
    query = "&".join(f"{name}={_quoted(text)}" for name, text in asked)
    path = f"{place}?{query}" if query else place
    for answer in (family.mother.get(path), family.mother.ask("POST", path, encoded(body))):
        assert answer.status < 500, (path, body, answer)
        if answer.status >= 400:
            assert answer.issue["diagnostics"]


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))
