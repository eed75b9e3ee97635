"""A query string becomes a Query or a named refusal, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phr.records import definitions
from phr.records.search.params import params_for
from phr.records.search.parse import LARGEST_COUNT, BadSearch, parse, searchable, split, unescaped
from phr.records.search.query import (
    Amount,
    Chain,
    Codes,
    Condition,
    Logical,
    Near,
    Node,
    Query,
    Reference,
    Span,
    Text,
    Token,
    Typed,
    Uri,
    told,
)  # fmt: skip
from tests.conftest import NOON


def one(name: str, value: str, type: str = "Observation") -> Condition:
    query = parse(type, [(name, value)], now=NOON)
    nodes: list[Node] = [*query.conditions, *query.opening]
    [condition] = nodes
    assert isinstance(condition, Condition)
    return condition


@pytest.mark.spec("FHIR R4", "3.1.1.4.4.1", "escapes")
def test_escapes() -> None:
    assert one("code", r"a\,b,c").values == (Token(None, "a,b"), Token(None, "c"))
    assert one("code", r"urn:x|a\|b").values == (Token("urn:x", "a|b"),)
    (text,) = one("name", r"a\\b\$", "Patient").values
    assert text == Text(r"a\b$", r"a\b$")
    with pytest.raises(BadSearch):
        one("code", r"a\b")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("code", "a", Token(None, "a")), ("code", "urn:s|a", Token("urn:s", "a")), ("code", "|a", Token("", "a")),
        ("code", "urn:s|", Token("urn:s", None)), ("identifier", "urn:s|１２", Token("urn:s", "12")),
        ("_id", "x", Token(None, "x")), ("subject", "x", Reference(None, "x")),
        ("patient", "x", Reference("Patient/x")),
        ("subject", "Patient/x", Reference("Patient/x")), ("subject:Patient", "x", Reference("Patient/x")),
        ("subject", "https://e.example/Patient/x", Reference("https://e.example/Patient/x")),
        ("subject:identifier", "urn:s|x", Logical("urn:s", "x")), ("_profile", "urn:p|1", Uri("urn:p|1")),
    ],
)  # fmt: skip
def test_values(name: str, value: str, expected: object) -> None:
    assert one(name, value).values == (expected,)


def test_dates_and_their_prefixes() -> None:
    for prefix in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"):
        assert one("date", f"{prefix}2026-04-01").values == (Span(prefix, 1774969200e6, 1775055600e6),)
    assert one("date", "2026-04-01").values == (Span("eq", 1774969200e6, 1775055600e6),)
    (spaced,) = one("date", "2026-04-01T10:00:00 09:00").values  # + came as a space
    assert isinstance(spaced, Span)
    assert spaced.prefix == "eq"
    (near,) = one("date", "ap2016").values
    assert isinstance(near, Span)
    assert near.high - near.low > 2 * 365 * 86400e6


def test_steering() -> None:
    query = parse("Patient", [("_sort", "-birthdate,_id,name"), ("_count", "7"), ("_total", "accurate"),
                              ("_elements", "id, name"), ("_page", "abc"), ("_format", "json")], now=NOON)  # fmt: skip
    assert [(k.param.name, k.descending) for k in query.sort] == [("birthdate", True), ("_id", False), ("name", False)]
    assert (query.count, query.total, query.elements, query.page) == (7, "accurate", ("id", "name"), "abc")
    assert parse("Patient", [("_summary", "count")], now=NOON).count == 0
    assert parse("Patient", [("_count", "999999")], now=NOON).count == LARGEST_COUNT


def test_what_nobody_knows_is_listed() -> None:
    query = parse("Patient", [("favourite-colour", "red"), ("gender", "female")], now=NOON)
    assert query.unknown == ("favourite-colour",)
    assert len(query.conditions) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject.colour", "x"), ("subject:Group.name", "x"), ("code.text", "x"), ("subject:Nonsense.name", "x"),
        ("_has:Observation:code:code", "x"), ("_has:Observation:patient", "x"), ("_has:Nonsense:patient:code", "x"),
        ("_has:Observation:has-member:colour", "x"), ("_has:Condition:patient:code", "x"), ("_has::patient:code", "x"),
        ("_has", "x"), ("_filter:not", "code eq a"),
        ("encounter.reason-code:text", "x"), ("encounter.subject.encounter.subject.encounter.status", "x"),
        ("_include", "Observation"), ("_include", "Nonsense:subject"), ("_include", "Observation:code"),
        ("_include", "Observation:subject:Nonsense"), ("_include", "Observation:subject:Medication"),
        ("_include:recurse", "Observation:subject"), ("_revinclude", ""), ("_filter", "x"), ("_filter", ""),
        ("_query", "x"), ("_contained", "true"), ("_contained", "x"), ("_containedType", "contained"),
        ("_list", "$current-allergies"), ("_list:not", "1"), ("_list", ""), ("_type", "Patient"), ("_type", "Nonsense"),
        ("value-quantity", "5|kg"), ("value-quantity", "x"), ("value-quantity", "5|urn:x|"),
        ("value-quantity:not", "5"),
        ("code-value-quantity", "a"), ("code-value-quantity", "a$b"), ("code-value-quantity", "a$5$6"),
        ("code:below", "a"), ("code:of-type", "a|b|c"), ("subject:above", "Patient/1"),
        ("identifier:of-type", "a|b"), ("status:text", "x"), ("subject:below", "1"), ("date:above", "2026"),
        ("code", ""),
        ("_security", "R"), ("_text:missing", "true"),
        ("code", "a,,b"), ("code", "|"), ("code", "a|b|c"), ("subject", "a b"), ("subject", "Nonsense/1"),
        ("subject", "Organization/1"), ("subject:Organization", "1"), ("subject:Patient", "Patient/1"),
        ("date", "x"), ("date", "zz2026"), ("date", "2026-02-30"), ("date", "ge"), ("date:exact", "2026"),
        ("value-string", " "), ("_id:missing", "true"), ("category:missing", "maybe"), ("_sort", "code"),
        ("_sort", "-"), ("_sort", "date,date,date,date"), ("_count", "-1"), ("_count", "ten"), ("_count", "٣"),
        ("_total", "some"), ("_summary", "x"), ("code", "a\x00"), ("code", "\ud800"), ("code", "x" * 2001),
        ("code", ",".join("a" * 101)), ("\x00", "a"), ("_count:x", "1"), ("subject:identifier", "urn:a|"),
    ],
)  # fmt: skip
def test_refusals_name_the_parameter(name: str, value: str) -> None:
    with pytest.raises(BadSearch) as caught:
        parse("Observation", [(name, value)], now=NOON)
    assert caught.value.parameter.startswith(name.partition("\x00")[0][:60])
    assert caught.value.message


def test_too_many_parameters() -> None:
    with pytest.raises(BadSearch):
        parse("Observation", [("code", "a")] * 31, now=NOON)


def test_a_fingerprint_tells_searches_apart_and_not_pages() -> None:
    def of(*pairs: tuple[str, str]) -> str:
        return parse("Observation", pairs, now=NOON).fingerprint

    assert of(("code", "a"), ("status", "final")) == of(("status", "final"), ("code", "a"), ("_page", "x"))
    different = [of(("code", "a")), of(("code", "b")), of(("code:not", "a")), of(("code", "a"), ("_sort", "date")),
                 of(("code", "a"), ("_sort", "-date")),
                 of(("code:missing", "true")), of(("combo-code", "a"))]  # fmt: skip
    assert len(set(different)) == len(different)


def shape(name: str, value: str, type: str = "Observation") -> str:
    (node,) = parse(type, [(name, value)], now=NOON).conditions
    return told(node)


@pytest.mark.spec("FHIR R4", "3.1.1.4.14", "chained parameters, with and without a type, of any depth to the limit")
def test_chains() -> None:
    assert (
        shape("subject:Patient.gender", "male")
        == "Observation.subject(Patient=" + shape("gender", "male", "Patient") + ")"
    )
    chain = parse("Observation", [("patient.organization.name:exact", "A")], now=NOON).conditions[0]
    assert isinstance(chain, Chain)
    ((patient, inner),) = chain.targets
    assert patient == "Patient"
    assert isinstance(inner, Chain)
    assert [kind for kind, _ in inner.targets] == ["Organization"]
    either = parse("Observation", [("performer.name", "A")], now=NOON).conditions[0]  # of all that have a name
    assert isinstance(either, Chain)
    assert {"Organization", "Patient", "Practitioner"} <= {kind for kind, _ in either.targets}
    assert "Device" not in {kind for kind, _ in either.targets}


@pytest.mark.spec("FHIR R4", "3.1.1.4.15", "_has, nested, with chains inside, and inside a chain")
def test_has() -> None:
    inner = shape("code", "x")
    assert shape("_has:Observation:patient:code", "x", "Patient") == f"_has:Observation:patient({inner})"
    nested = shape("_has:Observation:patient:_has:Provenance:target:agent", "Practitioner/1", "Patient")
    assert nested.startswith("_has:Observation:patient(_has:Provenance:target(")
    assert shape("_has:Observation:patient:performer:Organization.name", "x", "Patient").startswith(
        "_has:Observation:patient(Observation.performer(Organization="
    )
    assert shape("patient._has:Consent:patient:status", "active").startswith(
        "Observation.patient(Patient=_has:Consent:patient("
    )
    assert shape("_list", "1,2") == "_has:List:item(" + shape("_id", "1,2", "List") + ")"


@pytest.mark.spec(
    "FHIR R4", "search_filter.html", "operators and values; and, or from left to right; not; brackets; _has"
)
def test_filter_shapes() -> None:
    code, status, other = shape("code", "a"), shape("status", "final"), shape("status", "amended")
    assert shape("_filter", "code eq a") == code
    assert shape("_filter", 'code eq "a" and status eq final') == f"And({';'.join(sorted((code, status)))})"
    left = f"Or({';'.join(sorted((code, status)))})"
    assert (
        shape("_filter", "code eq a or status eq final and status eq amended")
        == f"And({';'.join(sorted((left, other)))})"
    )
    assert shape("_filter", "not(code eq a)") == f"Not({code})"
    assert shape("_filter", "  ( code   eq a ) ") == code
    assert shape("_filter", "code pr false") == shape("code:missing", "true")
    assert shape("_filter", "date ge 2026-04-01") == shape("date", "ge2026-04-01")
    assert shape("_filter", "value-quantity gt 5|http://unitsofmeasure.org|kg") == shape(
        "value-quantity", "gt5|http://unitsofmeasure.org|kg"
    )
    assert shape("_filter", "subject re Patient/1") == shape("subject", "Patient/1")
    assert shape("_filter", "subject:Patient.gender eq male") == shape("subject:Patient.gender", "male")
    assert shape("_filter", "_has:Observation:patient:code eq x", "Patient") == shape(
        "_has:Observation:patient:code", "x", "Patient"
    )
    bracket = shape("_filter", "patient[gender eq male and birthdate pr true].family co a")
    assert bracket.startswith("Observation.patient(Patient=And(")
    assert "family:contains" in bracket


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 1), ("code", 5), ("code eq", 8), ("code zz a", 6), ("code co a", 6),
        ("colour eq a", 1), ("code eq a b", 11),
        ("code eq a and", 14), ("(code eq a", 11), ("code eq a)", 10), ("not code eq a", 1), ('code eq "a', 9),
        ("date eq x", 9), ("date ge ge2026", 9), ("subject.colour eq a", 0), ("subject[gender eq a]", 0),
        ("status[code eq a].x eq b", 0), ("value-string eq a", 1), ("code pr maybe", 9), ("_id pr true", 5),
        ("_has:Observation:code:x eq y", 0), ("(" * 12 + "code eq a" + ")" * 12, 12),
        (" and ".join(["code eq a"] * 51), 0), ("code:not eq a", 1), ("_filter eq a", 1), ('code eq "\\u0000"', 9),
    ],
)  # fmt: skip
def test_a_fault_in_a_filter_names_its_place(text: str, place: int) -> None:
    with pytest.raises(BadSearch) as caught:
        parse("Observation", [("_filter", text)], now=NOON)
    assert caught.value.parameter == "_filter"
    if place:
        assert caught.value.message.startswith(f"at character {place}: "), caught.value.message


@pytest.mark.parametrize(
    ("pairs", "limit"),
    [
        ([("has-member:Observation." * 5 + "has-member:Observation.code", "a")], "more than 5 references"),
        ([("_has:Observation:has-member:" * 6 + "code", "a")], "more than 5 references"),
        ([("focus.code", "a")], "more than 12 types"), ([("code", ",".join("a" * 101))], "more than 100 values"),
        ([("has-member.has-member.has-member.code", "a")] * 30, "more than 60 steps"),
        ([("_include", "*")] * 21, "more than 20 includes"), ([("code", "a")] * 31, "more than 30 parameters"),
        ([("_sort", "date,_id,_lastUpdated,date")], "more than 3 keys"),
        ([("_list", ",".join("a" * 101))], "more than 100"),
    ],
)  # fmt: skip
def test_limits_are_named(pairs: list[tuple[str, str]], limit: str) -> None:
    with pytest.raises(BadSearch, match=limit):
        parse("Observation", pairs, now=NOON)


def test_values_of_the_other_types() -> None:
    assert one("value-quantity", "gt5.40|http://unitsofmeasure.org|mg").values == (
        Amount("gt", 5.395, 5.405, 5.4, "http://unitsofmeasure.org", "mg"),
    )
    assert one("value-quantity", "5||mg").values == (Amount("eq", 4.5, 5.5, 5.0, None, "mg"),)
    assert one("identifier:of-type", "urn:s|MR|1２").values == (Typed("urn:s", "MR", "12"),)
    assert (
        one("code:text", "Weight", "ValueSet" if "text" in params_for("ValueSet") else "Medication").modifier == "text"
    )
    (near,) = one("near", "35.68|139.76|2|km", "Location").values
    assert near == Near(35.68, 139.76, 2000.0)
    for bad in ("x|1", "91|0", "0|181", "0", "0|0|-1|km", "0|0|1|parsec", "0|0|1|km|2"):
        with pytest.raises(BadSearch):
            one("near", bad, "Location")


@pytest.mark.django_db
@pytest.mark.spec("FHIR R4", "3.1.1.4.10", ":in, :not-in, :below, :above by what terminology says")
def test_codes_by_what_terminology_says() -> None:
    (codes,) = one("gender:in", "http://hl7.org/fhir/ValueSet/administrative-gender", "Patient").values
    assert isinstance(codes, Codes)
    assert {code for _, code in codes.codes} == {"male", "female", "other", "unknown"}
    assert one("gender:not-in", "http://hl7.org/fhir/ValueSet/administrative-gender", "Patient").modifier == "not-in"
    for name, value in (("code:in", "urn:nowhere"), ("code:below", "urn:nowhere|a"), ("code:above", "urn:nowhere|a")):
        with pytest.raises(BadSearch, match="nowhere"):
            one(name, value)


@pytest.mark.spec("FHIR R4", "3.1.1.4.5", "what stands in sealed text is judged on opened bodies, directly only")
def test_what_is_opened() -> None:
    query = parse("Observation", [("value-string", "a"), ("code:text", "b"), ("_text", "c"), ("code", "x")], now=NOON)
    assert [c.param.name for c in query.opening] == ["value-string", "code", "_text"]
    assert query.names == ("_text", "code", "value-string")
    assert not parse("Observation", [("value-string:exact", "a")], now=NOON).opening  # a keyed hash answers it
    for name, value in (("_filter", "value-string eq a"), ("has-member:Observation.value-string", "a"),
                        ("_has:Observation:has-member:_content", "a")):  # fmt: skip
        with pytest.raises(BadSearch, match="sealed text"):
            parse("Observation", [(name, value)], now=NOON)


@pytest.mark.spec("FHIR R4", "3.1.1.3", "_type: several types, by parameters that all of them have")
def test_several_types() -> None:
    query = parse([], [("_type", "Patient,Observation"), ("_tag", "a"), ("_id", "b")], now=NOON)
    assert (query.types, query.type) == (("Observation", "Patient"), "*")
    assert query.names == ("_id", "_tag")
    assert len(parse([], [("_lastUpdated", "gt2026")], now=NOON).types) == len(definitions.concrete_types())
    assert parse(["Patient", "Group"], [("identifier", "a")], now=NOON).types == ("Group", "Patient")
    assert parse([], [("_type", "Patient,Group"), ("favourite-colour", "red")], now=NOON).unknown == (
        "favourite-colour",
    )
    for pairs in ([("_type", "Patient,Observation"), ("gender", "male")], [("_type", "Patient,Nonsense")],
                  [("_type", "Patient,Observation"), ("_sort", "birthdate")], [("_type", "")]):  # fmt: skip
        with pytest.raises(BadSearch):
            parse([], pairs, now=NOON)


@pytest.mark.spec("FHIR R4", "3.1.1.5.3", "_include, _revinclude: *, a type, a target, :iterate")
def test_includes() -> None:
    pairs = [("_include", "Observation:subject"), ("_include", "Observation:performer:Patient"), ("_include", "*"),
             ("_revinclude:iterate", "Provenance:target"), ("_include", "Observation:*")]  # fmt: skip
    found = parse("Observation", pairs, now=NOON).includes
    assert [(i.source, i.param.name if i.param else "*", i.target, i.reverse, i.iterate) for i in found] == [
        ("Observation", "subject", None, False, False), ("Observation", "performer", "Patient", False, False),
        ("*", "*", None, False, False), ("Provenance", "target", None, True, True),
        ("Observation", "*", None, False, False),
    ]  # fmt: skip


@pytest.mark.spec("FHIR R4", "3.1.1.5.1", "_sort: keys with an order in clear, also through a reference")
def test_sort_keys() -> None:
    keys = parse("Observation", [("_sort", "-patient.family,date,-_id")], now=NOON).sort
    assert [key.name for key in keys] == ["-patient:Patient.family", "date", "-_id"]
    for bad in ("value-quantity", "code", "value-string", "subject.code", "performer.name", "code.x",
                "subject:Group.name",
                "subject:Nonsense.name", "_security", "_text", "_content"):  # fmt: skip
        with pytest.raises(BadSearch):
            parse("Observation", [("_sort", bad)], now=NOON)


def test_approximately_is_the_same_question_later() -> None:
    first = parse("Observation", [("date", "ap2026-01-01")], now=NOON)
    later = parse("Observation", [("date", "ap2026-01-01")], now=NOON + timedelta(hours=1))
    assert first.conditions != later.conditions
    assert first.fingerprint == later.fingerprint


NAMES = [*sorted({n for t in ("Observation", "Patient") for n in params_for(t)}), "_sort", "_count", "_page", "_filter",
         "_has:Observation:patient:code", "_has", "_has:Observation", "_list", "_include", "_revinclude", "_type",
         "_total",
         "subject.organization.name", "performer.name", "has-member:Observation.subject.name",
         "_contained", "_elements"]  # fmt: skip
MARKS = ["", ":missing", ":not", ":exact", ":contains", ":identifier", ":Patient", ".name", ":text", ":of-type",
         ":above",
         ":below", ":iterate", ".", ":", ".code", ":Patient.name", "._has:Observation:patient:code"]  # fmt: skip
FILTER_PIECES = ["code", "eq", " ", "(", ")", "not", "and", "or", "[", "]", ".", "subject", '"', "a", "\\", "date",
                 "2026",
                 "ge", "_has:Observation:patient:", "co", "family", "pr", "true", ":Patient", "value-quantity",
                 "5|", "é"]  # fmt: skip


@pytest.mark.django_db  # value sets of loaded packages are looked up
@given(st.sampled_from(["Observation", "Patient"]),
       st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), st.sampled_from(MARKS),
                          st.text(max_size=12) | st.from_regex(r"[a-z]{0,2}-?[0-9T:.+|,\\-]{0,20}", fullmatch=True)),
                max_size=4))  # fmt: skip
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_query_or_a_refusal(type: str, parts: list[tuple[str, str, str]]) -> None:
    try:
        query = parse(type, [(name + mark, value) for name, mark, value in parts], now=NOON)
    except BadSearch as error:
        assert error.message  # noqa: PT017  # a refusal is one of two right answers
    else:
        assert isinstance(query, Query)
        assert query.fingerprint


@pytest.mark.django_db
@given(st.sampled_from(["Observation", "Patient"]), st.lists(st.sampled_from(FILTER_PIECES), max_size=14).map("".join))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_filter_or_a_refusal_with_its_place(type: str, text: str) -> None:
    try:
        query = parse(type, [("_filter", text)], now=NOON)
    except BadSearch as error:
        assert error.parameter == "_filter"  # noqa: PT017  # a refusal is one of two right answers
    else:
        assert query.fingerprint


@given(st.lists(st.text("a,\\|$", max_size=5), min_size=1, max_size=4))
def test_escaping_can_be_undone(parts: list[str]) -> None:
    escaped = [p.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$") for p in parts]
    assert [unescaped(p) for p in split(",".join(escaped), ",")] == parts


def test_every_type_has_the_common_parameters() -> None:
    for name in definitions.concrete_types():
        assert {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"} <= set(params_for(name))
        assert searchable(params_for(name)["_id"])
