"""Odd questions to the REST door (Hypothesis): searches, operations, definitions, patches, Bundles, paths."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from phr.fhir.operations import calling
from phr.fhir.operations.calling import Operation
from phr.populate.cast import HANA, YUKI
from phr.records.definitions import concrete_types
from phr.records.search.params import SearchParam, params_for
from tests.family import entry, weight
from tests.fhir.test_fuzz import JSON, TEXTS, dumped, spoilt_resources

JSON_PATCH = "application/json-patch+json"
TYPES = sorted(concrete_types())
KEY = ["Observation", "Patient", "Condition", "MedicationRequest", "Organization", "ValueSet", "Encounter", "List"]
types = st.sampled_from(KEY) | st.sampled_from(TYPES)


def quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


NUMBERS = [
    "0",
    "1",
    "-1",
    "1e3",
    "1e999999",
    "0.000",
    "00",
    "+1",
    "1.5e-400",
    "NaN",
    "９",
    "9" * 400,
    "5.40e0",
    "gt5",
    "ap-0",
]
DATES = ["2026", "2026-03", "2026-02-30", "0001", "9999-12-31T23:59:60Z", "2026-03-01T09:00:00+09:00",
    "sa2026", "ap0001",
         "eb9999", "2026-03-01T24:00", "-0001", "2026-W10", "ne2026-03-01T09:00"]  # fmt: skip
TOKENS = ["|", "a|", "|a", "a|b", "a|b|c", "http://loinc.org|29463-7", "urn:x|", "\\|", "a\\", "||", "|".join("a" * 50)]
REFERENCES = [f"Patient/{YUKI}", str(HANA), "Patient/", "/", "Patient/x/_history/1", "Patient/x/_history/0",
    "#x", "urn:uuid:x",
              "http://127.0.0.1:8000/fhir/Patient/x", "https://example.org/fhir/Patient/x", "Nothing/x"]  # fmt: skip
QUANTITIES = ["5|http://unitsofmeasure.org|kg", "5||kg", "5|x", "5|x|y|z", "1e300|http://unitsofmeasure.org|g", "le5",
              "5|http://unitsofmeasure.org|[degF]", "5|http://unitsofmeasure.org|" + "m." * 200,
              "ap1e-300||kg"]  # fmt: skip
OTHERS = ["", "x", "*", "true", "a,b", ",".join("a" * 900), "a$b", "$", "a\\,b", "ﾊﾅ", "髙橋", "%", "\x00",
    "35|139|1|km", "()",
          "http://hl7.org/fhir/ValueSet/observation-status", "eq 5", "status eq final"]  # fmt: skip
values = st.sampled_from([*NUMBERS, *DATES, *TOKENS, *REFERENCES, *QUANTITIES, *OTHERS]) | TEXTS
MODIFIERS = ["missing", "exact", "contains", "text", "not", "in", "not-in", "above", "below", "of-type", "identifier",
             "Patient", "iterate", "nonsense", ""]  # fmt: skip


@st.composite
def parameter_names(draw: st.DrawFn, type: str, depth: int = 2) -> str:
    """A parameter of a type, perhaps with a modifier, perhaps the head of a chain or a `_has`."""
    known: list[SearchParam] = list(params_for(type).values())
    param = draw(st.sampled_from(known))
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            return f"{param.name}:{draw(st.sampled_from(MODIFIERS))}"
        case 3 | 4 if depth:
            references = [p for p in known if p.type == "reference"]
            if not references:
                return param.name
            head = draw(st.sampled_from(references))
            target = draw(st.sampled_from(list(head.targets) or KEY))
            tail = draw(parameter_names(target, depth - 1))
            return f"{head.name}:{target}.{tail}" if draw(st.booleans()) else f"{head.name}.{tail}"
        case 5 if depth:
            other = draw(types)
            link = draw(st.sampled_from(sorted(params_for(other))))
            return f"_has:{other}:{link}:{draw(parameter_names(other, depth - 1))}"
        case _:
            return param.name


@st.composite
def filters(draw: st.DrawFn, type: str) -> str:
    """Something like a `_filter`."""
    words = [*sorted(params_for(type)), "eq", "ne", "co", "gt", "sa", "re", "pr", "in", "ss", "and", "or",
        "not", "(", ")", "true",
             '"x"', "'x'", "2026-03-01", "5", "a|b", "[", "]", ".", "_has", "§"]  # fmt: skip
    return " ".join(draw(st.lists(st.sampled_from(words), max_size=12)))


@st.composite
def searches(draw: st.DrawFn) -> str:
    """type?parameters, of all kinds."""
    type = draw(types)
    pairs = []
    for _ in range(draw(st.integers(0, 4))):
        match draw(st.integers(0, 7)):
            case 0:
                controls = ["_sort", "_count", "_total", "_summary", "_elements", "_include", "_revinclude",
                    "_page", "_list",
                            "_include:iterate", "_type", "_text", "_content", "_contained", "_format",
                            "_pretty", "_query"]  # fmt: skip
                names = st.sampled_from(
                    [*sorted(params_for(type)), "*", f"{type}:*", f"{type}:subject", "-date", "subject.name"]
                )
                pairs.append((draw(st.sampled_from(controls)), draw(names | values)))
            case 1:
                pairs.append(("_filter", draw(filters(type))))
            case 2:
                pairs.append(("patient", str(YUKI)))
            case _:
                pairs.append((draw(parameter_names(type)), draw(values)))
    place = draw(
        st.sampled_from([type, "", f"Patient/{YUKI}/{type}", f"Patient/{HANA}/*", "Encounter/none/Observation"])
    )
    return f"{place}?" + "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs)


OPERATIONS: list[tuple[str, Operation]] = sorted(
    {
        (type, o.name): (type, o) for type in (*TYPES, calling.ANY, calling.SYSTEM) for o in calling.offered(type)
    }.values(),
    key=lambda pair: (pair[0], pair[1].name),
)
SIMPLE = {"boolean": [True, "true", "maybe"], "integer": [0, -1, 10**12, "5"], "code": ["final", "a b", ""],
          "uri": ["http://hl7.org/fhir/ValueSet/observation-status", "urn:x", ""], "instant": DATES, "date": DATES,
          "dateTime": DATES, "canonical": ["http://loinc.org|2", "|", "x"]}  # fmt: skip


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, bytes | None]:
    """(method, path, body) of an operation, with parameters of its own, of others, of none."""
    type, offered = draw(st.sampled_from(OPERATIONS))
    type = draw(types) if type == calling.ANY else type
    id = draw(st.sampled_from([str(YUKI), str(HANA), "none", "x y"])) if type and draw(st.booleans()) else ""
    path = "/".join(part for part in (type, quoted(id), f"${offered.name}") if part)
    names = st.sampled_from([i.name for i in offered.inputs] or ["x"]) | st.sampled_from(
        ["patient", "resource", "_page", "x"]
    )
    if draw(st.booleans()):
        pairs = draw(st.lists(st.tuples(names, values), max_size=4))
        return "GET", f"{path}?" + "&".join(f"{quoted(n)}={quoted(v)}" for n, v in pairs), None
    kinds = {i.name: i.type for i in offered.inputs}
    rows = []
    for name in draw(st.lists(names, max_size=4)):
        kind = kinds.get(name, "string")
        match draw(st.integers(0, 3)):
            case 0:
                rows.append({"name": name, "resource": draw(spoilt_resources() | JSON)})
            case 1:
                rows.append({"name": name, "part": draw(JSON)})
            case _:
                key = "value" + (
                    kind[0].upper() + kind[1:]
                    if draw(st.booleans())
                    else draw(st.sampled_from(["String", "Uri", "Coding"]))
                )
                rows.append({"name": name, key: draw(st.sampled_from(SIMPLE.get(kind, ["x", 1])) | JSON)})
    whole = {"resourceType": "Parameters", "parameter": rows}
    return "POST", path, dumped(draw(st.just(whole) | spoilt_resources() | JSON))


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A ValueSet that is sound in its structure, and otherwise anything."""
    words = st.sampled_from(["http://hl7.org/fhir/observation-status", "urn:x", "final", "is-a", "regex", "=",
        "concept", "code",
                             "(a+)+$", "[", "http://terminology.hl7.org/CodeSystem/v3-ActCode", "exists",
                             "true"])  # fmt: skip
    filter = st.fixed_dictionaries({"property": words, "op": st.sampled_from(["is-a", "regex", "=", "in",
        "exists", "generalizes"]),
                                    "value": words})  # fmt: skip
    part = st.fixed_dictionaries({}, optional={
        "system": words, "version": words, "concept": st.lists(st.fixed_dictionaries({"code": words}),
        min_size=1, max_size=3),
        "filter": st.lists(filter, min_size=1, max_size=2), "valueSet": st.lists(words, min_size=1,
        max_size=2)})  # fmt: skip
    compose = {"include": draw(st.lists(part, min_size=1, max_size=3))}
    return {"resourceType": "ValueSet", "url": draw(words), "status": "draft", "compose": compose}


POINTERS = st.sampled_from(["", "/", "/status", "/code/coding/0/code", "/code/coding/-", "/code/coding/99",
    "/id", "/meta",
                            "/resourceType", "/valueQuantity/value", "/~2", "/~1~0", "/subject/reference",
                            "/category/0", "x",
                            "/code/coding/00", "/__class__"]) | TEXTS  # fmt: skip
STEPS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]) | JSON, "path": POINTERS | JSON},
    optional={"value": JSON | st.sampled_from([f"Patient/{HANA}", "final", {}, []]), "from": POINTERS | JSON},
)
EXPRESSIONS = st.sampled_from(["Observation", "Observation.status", "Observation.code.coding[0]",
    "Observation.category.where(true)",
                               "Observation.value.value", "x", "", "Observation.code.coding.where(code='x')",
                               "Patient",
                               "Observation." + "code." * 300, "(" * 300, "Observation.id",
                               "Observation.repeat(code)"]) | TEXTS  # fmt: skip


@st.composite
def fhirpath_patches(draw: st.DrawFn) -> dict[str, Any]:
    operations = []
    for _ in range(draw(st.integers(0, 3))):
        parts: list[dict[str, Any]] = [
            {"name": "type", "valueCode": draw(st.sampled_from(["add", "insert", "delete", "replace", "move", "x"]))},
            {"name": "path", "valueString": draw(EXPRESSIONS)},
        ]
        if draw(st.booleans()):
            parts.append(
                {"name": "name", "valueString": draw(st.sampled_from(["status", "note", "id", "value", "x", "code"]))}
            )
        if draw(st.booleans()):
            parts.append(
                {
                    "name": "value",
                    draw(st.sampled_from(["valueString", "valueCode", "valueCoding", "part"])): draw(JSON),
                }
            )
        places = draw(st.lists(st.sampled_from(["index", "source", "destination"]), max_size=2))
        parts += [{"name": name, "valueInteger": draw(st.integers(-2, 10**6))} for name in places]
        operations.append({"name": draw(st.sampled_from(["operation", "x"])), "part": parts})
    return {"resourceType": "Parameters", "parameter": operations}


@st.composite
def bundles(draw: st.DrawFn) -> dict[str, Any]:
    """Entries that refer to each other, by condition, in circles; patches, searches and operations among them."""
    urls = [f"urn:uuid:0000000{n}-0000-0000-0000-000000000000" for n in range(3)]
    entries = []
    for _ in range(draw(st.integers(0, 4))):
        resource = weight(
            hasMember=[{"reference": draw(st.sampled_from([*urls, "Observation?code=x", "Observation/none", "#x"]))}]
        )
        made = draw(
            st.sampled_from(
                [
                    entry("POST", "Observation", resource),
                    entry("POST", "Observation", resource, ifNoneExist="code=x"),
                    entry("PUT", "Observation?code=x", resource),
                    entry("PUT", "Observation/none", resource | {"id": "none"}, ifMatch='W/"1"'),
                    entry(
                        "PATCH",
                        "Observation?code=x",
                        {"resourceType": "Binary", "contentType": JSON_PATCH, "data": "W10="},
                    ),
                    entry("DELETE", "Observation?code=x"),
                    entry("GET", f"Patient/{YUKI}/$everything"),
                    entry("GET", "ValueSet/$expand?url=urn:x"),
                    entry("POST", "ValueSet/$expand", {"resourceType": "Parameters"}),
                    entry("GET", "_history?_count=1"),
                    entry("HEAD", "Observation"),
                    entry("POST", "Observation/_search", None),
                    entry("GET", f"Patient/{YUKI}/Observation?_include=*"),
                ]
            )
        )
        entries.append(made | draw(st.sampled_from([{}, {"fullUrl": urls[0]}, {"fullUrl": urls[1]}, {"fullUrl": "x"}])))
    return {"resourceType": "Bundle", "type": draw(st.sampled_from(["batch", "transaction"])), "entry": entries}


@st.composite
def places(draw: st.DrawFn) -> str:
    """A path in the form of some route, with anything in its gaps."""
    gap = st.sampled_from([str(YUKI), "none", "1", "*", "_history", "x y", "..", "a" * 200]) | TEXTS
    form = draw(
        st.sampled_from(
            ["{t}", "{t}/", "{t}/_search", "_search", "_history", "{t}/_history", "{t}/{x}", "{t}/{x}/{t}",
                "{t}/{x}/*", "bulk/{x}",
             "bulk/{x}/{x}", "metadata", "{t}/{x}/_history", "{t}/{x}/_history/{x}", "{x}", "${x}", "{t}/${x}",
             "{t}/{x}/${x}", ""]
        )
    )  # fmt: skip
    while "{" in form:
        form = form.replace("{t}", draw(types), 1).replace("{x}", quoted(draw(gap)), 1)
    asked = [
        "_since=2026",
        "_at=x",
        "_count=1",
        "_summary=text",
        "_elements=status",
        "_pretty=true",
        "_format=json",
        "_page=x",
        "mode=x",
    ]
    return f"{form}?{'&'.join(draw(st.lists(st.sampled_from(asked), max_size=2)))}"
