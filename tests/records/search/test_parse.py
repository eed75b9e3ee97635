"""A query string becomes a Query or a named refusal, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phr.records import definitions
from phr.records.search.params import params_for
from phr.records.search.parse import LARGEST_COUNT, BadSearch, parse, searchable, split, unescaped
from phr.records.search.query import Condition, Logical, Query, Reference, Span, Text, Token, Uri
from tests.conftest import NOON


def one(name: str, value: str, type: str = "Observation") -> Condition:
    (condition,) = parse(type, [(name, value)], now=NOON).conditions
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
    assert one("date", "2026-04-01T10:00:00 09:00").values[0].prefix == "eq"  # + came as a space
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


NAMES = [*sorted({n for t in ("Observation", "Patient") for n in params_for(t)}), "_sort", "_count", "_page", "_has"]
MARKS = ["", ":missing", ":not", ":exact", ":contains", ":identifier", ":Patient", ".name"]


@given(st.sampled_from(["Observation", "Patient"]),
       st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), st.sampled_from(MARKS),
                          st.text(max_size=12) | st.from_regex(r"[a-z]{0,2}-?[0-9T:.+|,\\-]{0,20}", fullmatch=True)),
                max_size=4))  # fmt: skip
@settings(max_examples=500)
def test_any_text_is_a_query_or_a_refusal(type: str, parts: list[tuple[str, str, str]]) -> None:
    try:
        query = parse(type, [(name + mark, value) for name, mark, value in parts], now=NOON)
    except BadSearch as error:
        assert error.message  # noqa: PT017  # a refusal is one of two right answers
    else:
        assert isinstance(query, Query)
        assert query.fingerprint


@given(st.lists(st.text("a,\\|$", max_size=5), min_size=1, max_size=4))
def test_escaping_can_be_undone(parts: list[str]) -> None:
    escaped = [p.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$") for p in parts]
    assert [unescaped(p) for p in split(",".join(escaped), ",")] == parts


def test_every_type_has_the_common_parameters() -> None:
    for name in definitions.concrete_types():
        assert {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"} <= set(params_for(name))
        assert searchable(params_for(name)["_id"])
