"""FHIRPath: what expressions give, and that nothing gets out of hand (FHIRPath N1, R4 fhirpath.html)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.fhirpath import Context, Node, TooCostly, Trouble, Unsupported, compiled, tree

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "name": [
        {"use": "usual", "family": "見本", "given": ["花", "ハナ"]},
        {"use": "old", "text": "旧", "_family": {"extension": [{"url": "http://x/why", "valueCode": "unknown"}]}},
    ],
    "birthDate": "2018-11-03",
    "multipleBirthInteger": 2,
    "contained": [{"resourceType": "Organization", "id": "o", "name": "見本医院"}],
    "managingOrganization": {"reference": "#o"},
    "contact": [{"name": {"text": "A"}}, {"telecom": [{"value": "1"}]}],
}
OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}, {"system": "http://own", "code": "wt"}]},
    "effectiveDateTime": "2026-04-01T09:00:00+09:00",
    "valueQuantity": {"value": Decimal("52.40"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    "referenceRange": [{"low": {"value": Decimal(40)}, "high": {"value": Decimal(60)}}],
}


def of(resource: dict[str, Any], expression: str) -> list[Any]:
    """The values, primitives as in the JSON."""
    found = compiled(expression).on(tree(resource))
    return [item.value if isinstance(item, Node) else item for item in found]


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        # paths
        ("name.given", ["花", "ハナ"]),
        ("Patient.name.family", ["見本", None]),
        ("Observation.name", []),
        ("name[0].given[1]", ["ハナ"]),
        ("name[7]", []),
        ("multipleBirth", [2]),
        ("nonsense.at.all", []),
        ("`birthDate`", ["2018-11-03"]),
        # filters and projections
        ("name.where(use = 'usual').given.first()", ["花"]),
        ("name.select(given.count())", [2, 0]),
        ("name.given.select($this & '!')", ["花!", "ハナ!"]),
        ("name.given.where($index = 1)", ["ハナ"]),
        ("name.all(use.exists())", [True]),
        ("name.exists(text = '旧')", [True]),
        ("contact.where(name.exists()).count()", [1]),
        ("name.given.aggregate($total & $this, '')", ["花ハナ"]),
        ("iif(active, 'yes', 'no')", ["yes"]),
        ("iif(active.not(), 'yes')", []),
        ("name.given.tail() | name.given.last()", ["ハナ"]),
        ("(1 | 2 | 2 | 3).count()", [3]),
        ("name.given.skip(1).take(5)", ["ハナ"]),
        ("repeat(contact).count()", [2]),
        # types
        ("multipleBirth.ofType(integer)", [2]),
        ("multipleBirth is integer", [True]),
        ("multipleBirth is boolean", [False]),
        ("$this is Patient and $this is DomainResource and $this is Resource", [True]),
        ("$this is FHIR.Patient", [True]),
        ("1 is System.Integer", [True]),
        ("id is string", [True]),
        ("birthDate as date", ["2018-11-03"]),
        # primitives with nothing but extensions
        ("name.family.hasValue()", [False]),
        ("name[1].family.hasValue()", [False]),
        ("name[0].family.hasValue()", [True]),
        ("name.family.extension('http://x/why').value", ["unknown"]),
        # logic over empty (FHIRPath §6.5)
        ("{} and false", [False]),
        ("{} and true", []),
        ("{} or true", [True]),
        ("{} implies {}", []),
        ("false implies {}", [True]),
        ("true xor {}", []),
        ("deceased = true", []),
        ("{}.not()", []),
        ("active and name.first()", [True]),  # one other than a boolean counts as true
        # comparing
        ("birthDate < @2019", [True]),
        ("birthDate = @2018-11-03", [True]),
        ("birthDate = @2018-11", []),
        ("birthDate > @2018-11", []),
        ("@2026-04-01T00:00:00Z = @2026-04-01T09:00:00+09:00", [True]),
        ("@2026-04-01T00:00:00Z < @2026-04-01T08:00:00+09:00", [False]),
        ("@T09:30 < @T10:00", [True]),
        ("1.0 = 1", [True]),
        ("'a' < 'b'", [True]),
        ("'Ab  c' ~ 'ab c'", [True]),
        ("(1 | 2) ~ (2 | 1)", [True]),
        ("name.use != 'usual'", [True]),
        ("'usual' in name.use", [True]),
        ("name.use contains 'temp'", [False]),
        # moving dates
        ("birthDate + 2 years = @2020-11-03", [True]),
        ("@2024-02-29 + 1 year = @2025-02-28", [True]),
        ("@2026-03-31 - 1 month = @2026-02-28", [True]),
        ("@2026-01 + 13 months = @2027-02", [True]),
        ("@2026 + 18 months = @2027", [True]),
        ("@2026-02-27 + 2 days = @2026-03-01", [True]),
        ("@2026-02-27 + 47 hours = @2026-02-28", [True]),
        ("@2026-03-01T00:00:00+09:00 - 1 second = @2026-02-28T23:59:59+09:00", [True]),
        ("@2026-03-01T23:30Z + 45 minutes = @2026-03-02T00:15Z", [True]),
        ("birthDate + 1 'wk' = @2018-11-10", [True]),
        # numbers and strings
        ("1 + 2 * 3 - 4", [3]),
        ("7 div 2", [3]),
        ("-7 mod 3", [-1]),
        ("1 / 0", []),
        ("'a' & {} & 'b'", ["ab"]),
        ("'a' + 'b'", ["ab"]),
        ("(1.25).round(1)", [Decimal("1.3")]),
        ("'見本花子'.substring(2)", ["花子"]),
        ("'abc'.substring(7)", []),
        ("'abc'.indexOf('c')", [2]),
        ("'a,b'.split(',').count()", [2]),
        ("name.given.join('/')", ["花/ハナ"]),
        ("'x12'.matches('[0-9]+')", [True]),
        ("'x12'.matchesFull('[0-9]+')", [False]),
        ("'a.b'.replaceMatches('\\\\.', '-')", ["a-b"]),
        ("'12'.toInteger() + 1", [13]),
        ("'x'.toInteger()", []),
        ("'1.5'.convertsToInteger()", [False]),
        ("true.toString()", ["true"]),
        # collections
        ("name.given.isDistinct()", [True]),
        ("name.given.intersect('花')", ["花"]),
        ("name.given.exclude('花')", ["ハナ"]),
        ("name.given.combine('花').count()", [3]),
        ("name.use.subsetOf('old' | 'usual')", [True]),
        ("descendants().where($this = '旧').count()", [1]),
        ("contact.children().count()", [2]),
        # the resource
        ("%resource.id", ["p1"]),
        ("contained.name.select(%resource.id)", ["p1"]),
        ("%ucum", ["http://unitsofmeasure.org"]),
        ("trace('x').id", ["p1"]),
    ],
)
def test_expressions(expression: str, values: list[Any]) -> None:
    assert of(PATIENT, expression) == values


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("value.unit", ["kg"]),
        ("(Observation.value as Quantity).code", ["kg"]),
        ("Observation.value.ofType(Quantity).value > 50", [True]),
        ("value >= referenceRange.low.first()", []),  # no unit: it cannot be told
        ("value > 52000 'g' and value < 53000 'g'", [True]),
        ("value = 52400 'g'", [True]),
        ("value > 1 'm'", []),
        ("value = 52.4 'kg'", [True]),
        ("value > 52 'kg'", [True]),
        ("referenceRange.all(low.value <= high.value)", [True]),
        ("code.coding.where(system = 'http://own').code", ["wt"]),
        ("effective < @2026-04-02", [True]),
        ("effective.toString().length() >= 8", [True]),
    ],
)
def test_expressions_on_an_observation(expression: str, values: list[Any]) -> None:
    assert of(OBSERVATION, expression) == values


@pytest.mark.parametrize(
    "text",
    ["", "a.", ".a", "a..b", "(a", "a)", "a[", "'a", "a = ", "nonsense()", "where()", "exists(1, 2)", "ofType(1)",
     "@2026-13-", "a b", "1 +", "#", "a.where(b", "{", "a is", "(" * 500, "a" + ".b" * 20_000, "not(1)", "%"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(Unsupported):
        compiled(text)


@pytest.mark.parametrize(
    "text",
    ["name.given.single()", "name.given + 1", "1 < 'a'", "name.given and true", "today()", "%nonsense",
     "'a'.matches('(')", "name.given.toInteger()", "@2026 + 1 day", "@2026-01-01 + 1 'kg'", "@9999-12-31 + 1 day",
     "@2026 - 9999 years"],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_trouble(text: str) -> None:
    with pytest.raises(Trouble):
        compiled(text).on(tree(PATIENT))


def test_the_time_is_told_by_the_caller() -> None:
    context = Context(now=datetime(2026, 4, 1, tzinfo=UTC))
    assert compiled("birthDate < today() and today() = @2026-04-01").holds(tree(PATIENT), context) is True


@pytest.mark.parametrize(
    "text",
    ["contact.all(%resource.contact.all(%resource.contact.all(%resource.contact.exists(name = 'x'))))",
     "contact.select(%resource.descendants()).select(%resource.descendants()).count()",
     "(contact.telecom | contact.name).select(%resource.contact).distinct().count()"],
)  # fmt: skip
def test_bombs_are_stopped(text: str) -> None:
    many = PATIENT | {"contact": [{"name": {"text": str(n)}} for n in range(2000)]}
    with pytest.raises(TooCostly):
        compiled(text).on(tree(many))


def test_nothing_is_lost_in_the_tree() -> None:
    """Every JSON key that is an element of its type is a node; what is not R4 is no node, and no error."""
    odd = {"resourceType": "Observation", "status": 7, "code": [], "component": {"x": 1}, "valueQuantity": "x",
           "_status": {"id": "s"}, "note": [None, 7, {"text": "n"}], "nonsense": 1}  # fmt: skip
    root = tree(odd)
    assert {name for name, nodes in root.kids().items() if nodes} == {"status", "note"}
    assert [n.path() for n in root.kid("note")] == ["Observation.note[2]"]
    assert root.kid("status")[0].kid("id")[0].value == "s"


def test_numbers_beyond_reckoning_are_no_values() -> None:
    """1E+999999999 is JSON; written out it would fill the memory."""
    far = OBSERVATION | {"valueQuantity": {"value": Decimal("1E+999999999"), "code": "kg"}}
    for expression in (
        "value.value.toString()",
        "value.value.round(2)",
        "value.value + 1",
        "value > 1 'g'",
        "value.value * 2",
    ):
        try:
            assert compiled(expression).on(tree(far)) == [], expression
        except Trouble:
            pass


@given(st.text(max_size=40))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        compiled(text)
    except Unsupported:
        pass


_WORDS = st.sampled_from(
    ["name", "given", ".", "(", ")", "[0]", "where", "exists()", "=", "and", "or", "'x'", "1", "+", "|", "is", "string",
     "%resource", "$this", "{}", "@2026", "descendants()", "count()", "not()", " "]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=12))
def test_any_expression_gives_values_or_says_why_not(words: list[str]) -> None:
    try:
        found = compiled(" ".join(words)).on(tree(PATIENT))
    except (Unsupported, Trouble, TooCostly):
        return
    assert isinstance(found, list)
