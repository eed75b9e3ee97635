"""Odd changes (Hypothesis): patches of both forms, and Bundles whose entries get in each other's way."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from phr.populate.cast import HANA, YUKI
from tests.family import entry, weight
from tests.fhir.odd_searches import quoted, types
from tests.fhir.test_fuzz import JSON, TEXTS

JSON_PATCH = "application/json-patch+json"

POINTERS = st.sampled_from([
    "", "/", "/status", "/code/coding/0/code", "/code/coding/-", "/code/coding/99", "/id", "/meta", "/resourceType",
    "/valueQuantity/value", "/~2", "/~1~0", "/subject/reference", "/category/0", "x", "/code/coding/00", "/__class__",
    "/note", "/code/text",
]) | TEXTS  # fmt: skip
STEPS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": POINTERS},
    optional={"value": JSON | st.sampled_from([f"Patient/{HANA}", "final", {}, []]), "from": POINTERS},
)
STEP_LISTS = st.lists(STEPS | JSON, max_size=3) | JSON

EXPRESSIONS = st.sampled_from([
    "Observation", "Observation.status", "Observation.code.coding[0]", "Observation.category.where(true)",
    "Observation.value.value", "Observation.code", "Observation.note", "Observation.code.coding.where(code='x')",
    "Observation.id",
    "Observation.category", "Observation.code.coding[0].code", "Observation.subject", "Observation.meta",
    "Patient", "x",
    "Observation." + "code." * 300, "(" * 300, "Observation.repeat(code)",
])  # fmt: skip
ELEMENTS = st.sampled_from(["status", "note", "id", "value", "code", "coding", "text", "x", "subject", "category"])
VALUES = st.sampled_from([
    {"valueCode": "amended"}, {"valueString": "x"}, {"valueCoding": {"system": "urn:x", "code": "y"}},
    {"valueCodeableConcept": {"text": "x"}}, {"valueReference": {"reference": f"Patient/{HANA}"}}, {"valueId": "x"},
    {"valueAnnotation": {"text": "x"}}, {"part": [{"name": "text", "valueString": "x"}]}, {"valueDecimal": 1},
    {"part": [{"name": "x", "part": [{"name": "y", "valueCode": "z"}]}]},
])  # fmt: skip


@st.composite
def fhirpath_patches(draw: st.DrawFn) -> dict[str, Any]:
    """Each operation with the parts it needs; sometimes one more, or one less."""
    operations = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["add", "insert", "delete", "replace", "move"]))
        needed = {"add": ["name", "value"], "insert": ["value", "index"], "replace": ["value"], "delete": [],
                  "move": ["source", "destination"]}[kind]  # fmt: skip
        if draw(st.integers(0, 4)) == 0:
            needed = draw(st.lists(st.sampled_from(["name", "value", "index", "source", "destination"]), max_size=3))
        parts: list[dict[str, Any]] = [{"name": "type", "valueCode": kind}]
        parts.append({"name": "path", "valueString": draw(EXPRESSIONS)})
        for name in needed:
            more = {"name": ELEMENTS.map(lambda e: {"valueString": e}), "value": VALUES}
            parts.append({"name": name} | draw(more.get(name, st.integers(-1, 3).map(lambda n: {"valueInteger": n}))))
        operations.append({"name": "operation", "part": parts})
    return {"resourceType": "Parameters", "parameter": operations}


URLS = [f"urn:uuid:0000000{n}-0000-0000-0000-000000000000" for n in range(4)]
BINARY = {"resourceType": "Binary", "contentType": JSON_PATCH, "data": "W10="}  # []


@st.composite
def bundles(draw: st.DrawFn) -> dict[str, Any]:
    """Entries that refer to each other, by condition, in circles; patches, searches and operations among them."""
    entries = []
    for place in range(draw(st.integers(1, 4))):
        to = draw(st.sampled_from([*URLS, "Observation?code=none", "Observation/none", f"Patient?_id={YUKI}"]))
        resource = weight(hasMember=[{"reference": to}])
        made = [
            entry("POST", "Observation", resource), entry("POST", "Observation", resource, ifNoneExist="code=none"),
            entry("PUT", f"Observation?code=c{place}", resource), entry("DELETE", f"Observation?code=d{place}"),
            entry("PUT", "Observation/none", resource | {"id": "none"}, ifMatch='W/"1"'),
            entry("PATCH", f"Observation?code=e{place}", BINARY), entry("GET", f"Patient/{YUKI}/$everything"),
            entry("GET", "ValueSet/$expand?url=urn:x"), entry("POST", "ValueSet/$expand",
            {"resourceType": "Parameters"}),
            entry("GET", "_history?_count=1"), entry("HEAD", "Observation"), entry("POST", "Observation/_search"),
            entry("GET", f"Patient/{YUKI}/Observation?_include=*"), entry("GET", "Observation?_sort=date"),
        ]  # fmt: skip
        full = draw(st.sampled_from([{"fullUrl": URLS[place]}, {"fullUrl": URLS[place]}, {}, {"fullUrl": "x"}]))
        entries.append(draw(st.sampled_from(made)) | full)
    return {"resourceType": "Bundle", "type": draw(st.sampled_from(["batch", "transaction"])), "entry": entries}


FORMS = [
    "{t}", "{t}/", "{t}/_search", "_search", "_history", "{t}/_history", "{t}/{x}", "{t}/{x}/{t}", "{t}/{x}/*",
    "bulk/{x}",
    "bulk/{x}/{x}", "metadata", "{t}/{x}/_history", "{t}/{x}/_history/{x}", "{x}", "${x}", "{t}/${x}",
    "{t}/{x}/${x}", "",
]  # fmt: skip
SHAPES = [
    "_since=2026", "_at=x", "_count=1", "_summary=text", "_elements=status", "_pretty=true", "_format=json",
    "_page=x", "mode=x",
]  # fmt: skip


@st.composite
def places(draw: st.DrawFn) -> str:
    """A path in the form of some route, with anything in its gaps."""
    gap = st.sampled_from([str(YUKI), "none", "1", "*", "_history", "x y", "..", "a" * 200]) | TEXTS
    form = draw(st.sampled_from(FORMS))
    while "{" in form:
        form = form.replace("{t}", draw(types), 1).replace("{x}", quoted(draw(gap)), 1)
    return f"{form}?{'&'.join(draw(st.lists(st.sampled_from(SHAPES), max_size=2)))}"
