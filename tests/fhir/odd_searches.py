"""Odd searches (Hypothesis): all parameters of all types, mostly with values of its kind; chained, reversed, spoilt."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import strategies as st

from phr.populate.cast import HANA, YUKI
from phr.records.definitions import concrete_types
from phr.records.search.params import SearchParam, params_for
from tests.fhir.test_fuzz import TEXTS

TYPES = sorted(concrete_types())
KEY = ["Observation", "Patient", "Condition", "MedicationRequest", "Organization", "ValueSet", "Encounter", "List"]
types = st.sampled_from(KEY) | st.sampled_from(TYPES)

# What each kind of parameter understands, at its edges
SOUND = {
    "number": ["0", "1", "-1", "1e3", "0.000", "1.5e-300", "gt5", "ap0", "sa5.40"],
    "date": ["2026", "ge2026-03", "ap2026-03-01", "2026-03-01T09:00:00+09:00", "sa0001", "eb9999-12-31",
    "ne2026-03-01T09:00"],
    "token": ["|a", "a|", "a|b", "http://loinc.org|29463-7", "a", "a\\,b", "true", "29463-7,8480-6"],
    "reference": [f"Patient/{YUKI}", str(HANA), "Patient/x", "http://127.0.0.1:8000/fhir/Patient/x",
    "https://example.org/x"],
    "quantity": ["5", "5||kg", "52.4|http://unitsofmeasure.org|kg", "le5", "ap1e-9||g",
    "ne0|http://unitsofmeasure.org|[degF]"],
    "uri": ["urn:x", "http://hl7.org/fhir/StructureDefinition/Observation", "urn:oid:1.2.3"],
    "string": ["x", "ﾊﾅ", "髙橋", "a b", "a\\,b", "体重"],
    "special": ["35|139|1|km", "35|139", "x"],
}  # fmt: skip
FITTING = {
    "number": ["missing"], "date": ["missing"], "quantity": ["missing"], "special": [], "composite": ["missing"],
    "string": ["exact", "contains", "missing"], "uri": ["above", "below", "missing"],
    "token": ["not", "text", "in", "not-in", "above", "below", "of-type", "missing"],
    "reference": ["identifier", "missing", "Patient", "above", "below"],
}  # fmt: skip
MODIFIED = {
    "missing": ["true", "false"], "of-type": ["a|b|c"], "identifier": ["a|b"], "Patient": [str(YUKI)],
    "in": ["http://hl7.org/fhir/ValueSet/observation-status", "http://hl7.org/fhir/ValueSet/none"],
}  # fmt: skip
BROKEN = [
    "", "*", ",", "|", "||", "a|b|c|d", "\\", "a\\", "$", "a$b", "%", "\x00", "()", "1e999999", "NaN", "９", "9" * 400,
    "2026-02-30", "-0001", "2026-W10", "9999-12-31T23:59:60Z", "2026-03-01T24:00", "Patient/", "/",
    "Patient/x/_history/0",
    "#x", "5|x|y|z", "5|http://unitsofmeasure.org|" + "m." * 200, "1e300|http://unitsofmeasure.org|g",
    ",".join("a" * 900),
    "|".join("a" * 50), "eq 5", "ap1e-300||kg", "Nothing/x",
]  # fmt: skip
everything = [value for of_kind in SOUND.values() for value in of_kind]
values = st.sampled_from(everything) | st.sampled_from(BROKEN) | TEXTS


def quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@st.composite
def of_parameter(draw: st.DrawFn, param: SearchParam) -> tuple[str, str]:
    """(modifier, value): three times in four of its kind."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(["", ":nonsense", ":missing", ":not", ":exact", ":iterate"])), draw(values)
    modifier = draw(st.sampled_from(["", "", *FITTING[param.type]]))
    if modifier in MODIFIED:
        return f":{modifier}", draw(st.sampled_from(MODIFIED[modifier]))
    known = params_for(param.base)
    parts = [known[name].type for name, _ in param.components] or [param.type]
    value = "$".join(draw(st.sampled_from(SOUND.get(kind, ["x"]))) for kind in parts)
    return f":{modifier}" if modifier else "", value


@st.composite
def conditions(draw: st.DrawFn, type: str, depth: int = 2) -> tuple[str, str]:
    """(name, value) of a condition on a type; perhaps a chain or a `_has`."""
    known = list(params_for(type).values())
    references = [p for p in known if p.type == "reference" and "Reference" in p.types]
    way = draw(st.integers(0, 5)) if depth else 5
    if way == 0 and references:
        head = draw(st.sampled_from(references))
        target = draw(st.sampled_from(list(head.targets) or KEY))
        tail, value = draw(conditions(target, depth - 1))
        return f"{head.name}:{target}.{tail}" if draw(st.booleans()) else f"{head.name}.{tail}", value
    if way == 1:
        other = draw(types)
        link = draw(
            st.sampled_from([p.name for p in params_for(other).values() if p.type == "reference"] or ["subject"])
        )
        tail, value = draw(conditions(other, depth - 1))
        return f"_has:{other}:{link}:{tail}", value
    param = draw(st.sampled_from(known))
    modifier, value = draw(of_parameter(param))
    return param.name + modifier, value


@st.composite
def filters(draw: st.DrawFn, type: str) -> str:
    """A `_filter`: comparisons put together, or words in any order."""
    if draw(st.integers(0, 3)) == 0:
        words = [
            *sorted(params_for(type)),
            "eq",
            "ne",
            "re",
            "pr",
            "in",
            "and",
            "or",
            "not",
            "(",
            ")",
            '"x"',
            "'",
            "[",
            "5",
            "§",
        ]
        return " ".join(draw(st.lists(st.sampled_from(words), max_size=12)))
    names = st.sampled_from(sorted(params_for(type)))
    operators = st.sampled_from(
        ["eq", "ne", "co", "sw", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "in", "re"]
    )
    operands = st.sampled_from(["true", '"x"', "2026-03-01", "5", "a|b", f"Patient/{YUKI}"])
    one = st.tuples(names, operators, operands).map(" ".join)
    more = st.recursive(one, lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join), inner.map(lambda x: f"({x})"),
        inner.map(lambda x: f"not ({x})")), max_leaves=4)  # fmt: skip
    return draw(more)


CONTROLS = {
    "_sort": ["_lastUpdated", "-date", "_id,-_lastUpdated", "code", "subject.name", "patient.birthdate", "x", "-" * 9],
    "_count": ["0", "1", "500", "99999999", "-1", "x"], "_total": ["accurate", "none", "estimate", "x"],
    "_summary": ["true", "text", "data", "count", "false", "x"], "_elements": ["status", "status,code", "x", ","],
    "_include": ["*", "Observation:subject", "Observation:*", "Patient:organization:Organization", "x", ":",
    "Observation:code"],
    "_revinclude": ["*", "Observation:subject", "Provenance:target", "x"],
    "_include:iterate": ["*", "Observation:has-member"], "_revinclude:iterate": ["*", "Observation:has-member"],
    "_page": ["x", "", "eyJ4Ijox"], "_list": ["none", "$current-problems", "x,y"],
    "_type": ["Observation", "Patient,Observation", "x"], "_text": ["x", "体重", '"a b" OR c'], "_content": ["x",
    "体重"],
    "_contained": ["false", "true"], "_format": ["json", "xml"], "_pretty": ["true", "x"], "_query": ["x"],
    "_id": [str(YUKI), "x"],
    "patient": [str(YUKI), f"Patient/{HANA}"],
}  # fmt: skip


@st.composite
def searches(draw: st.DrawFn) -> str:
    """place?parameters, of all kinds."""
    type = draw(types)
    pairs = []
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.integers(0, 6)):
            case 0 | 1:
                name = draw(st.sampled_from(sorted(CONTROLS)))
                pairs.append((name, draw(st.sampled_from(CONTROLS[name]) | st.sampled_from(BROKEN))))
            case 2:
                pairs.append(("_filter", draw(filters(type))))
            case _:
                pairs.append(draw(conditions(type)))
    places = [type, type, type, "", f"Patient/{YUKI}/{type}", f"Patient/{YUKI}/*", "Encounter/none/Observation"]
    query = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs)
    return f"{draw(st.sampled_from(places))}?{query}"
