"""Anything at all asked at the doors that list (Hypothesis): never a 5xx; every answer a Bundle or an outcome."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from phr.populate.cast import HANA, YUKI
from phr.records.search.params import params_for
from tests.family import Neighbourhood, organization, pressure, weight
from tests.fhir.test_fuzz import TEXTS, ask

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FEW = settings(max_examples=120, suppress_health_check=QUIET)
MANY = settings(max_examples=4000, suppress_health_check=QUIET)
TYPES = ("Observation", "Patient", "Encounter", "Organization", "List", "Questionnaire", "Nothing")
FORM = "application/x-www-form-urlencoded"

PLACES = st.sampled_from(
    [
        *(f"/fhir/{kind}" for kind in TYPES),
        "/fhir",
        "/fhir/",
        "/fhir/_history",
        "/fhir/Observation/_history",
        f"/fhir/Patient/{YUKI}/_history",
        f"/fhir/Patient/{YUKI}/Observation",
        f"/fhir/Patient/{YUKI}/*",
        f"/fhir/Patient/{HANA}/*",
        "/fhir/Encounter/x/*",
        "/fhir/Organization/x/*",
        f"/fhir/Patient/{YUKI}",
        f"/fhir/Patient/{YUKI}/_history/1",
    ]
)

KNOWN = sorted({name for kind in TYPES[:-1] for name in params_for(kind)})
MODIFIERS = st.sampled_from(["", "", "", *(f":{m}" for m in (
    "missing", "not", "exact", "contains", "text", "in", "not-in", "above", "below", "of-type", "identifier", "Patient",
    "iterate", "nonsense", "", "Observation"))])  # fmt: skip
PARAMETER = st.builds(lambda name, modifier: name + modifier, st.sampled_from(KNOWN), MODIFIERS)
CHAINED = st.lists(PARAMETER, min_size=2, max_size=7).map(".".join)
HAS = st.builds(
    lambda steps, last: "".join(f"_has:{kind}:{by}:" for kind, by in steps) + last,
    st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from(KNOWN) | st.just("")), min_size=1, max_size=7),
    PARAMETER | CHAINED,
)
STEERING = st.sampled_from(
    [
        "_sort",
        "_count",
        "_total",
        "_summary",
        "_elements",
        "_include",
        "_revinclude",
        "_include:iterate",
        "_revinclude:iterate",
        "_page",
        "_type",
        "_list",
        "_filter",
        "_text",
        "_content",
        "_contained",
        "_containedType",
        "_query",
        "_score",
        "_since",
        "_at",
        "_format",
        "_pretty",
        "_has",
        "_security",
        "",
    ]
)
NAMES = st.one_of(PARAMETER, CHAINED, HAS, STEERING, TEXTS)

NUMBERS = st.sampled_from(
    [
        "5",
        "-1",
        "5.40e3",
        "1e999",
        "1e-999",
        "gt5|http://unitsofmeasure.org|kg",
        "5||kg",
        "ap0",
        "5|x|y|z",
        "1" * 60,
        "0.",
        "9" * 400,
        "near",
        "35.6|139.7|5|km",
        "91|181",
        "nan",
        "inf",
        "ge-0.0",
    ]
)
DATES = st.sampled_from(
    [
        "2026",
        "2026-02-30",
        "ge2026-03",
        "ap9999-12-31",
        "0001",
        "0000-01-01",
        "2026-03-01T24:00",
        "sa2026-03-01T00:00:60Z",
        "2026-03-01T09:00:00 09:00",
        "lt9999-12-31T23:59:59.999999999-14:00",
        "ne2026",
        "eb0001-01-01",
    ]
)
FILTERS = st.lists(
    st.sampled_from(
        [
            "code",
            "eq",
            "x",
            "(",
            ")",
            "and",
            "or",
            "not",
            "date",
            "gt",
            "2026",
            '"',
            "\\",
            "pr",
            "true",
            "a.b",
            "subject",
            "re",
            "in",
            "[",
            "]",
            "_filter",
            "\x00",
            "name",
            "co",
            "é",
        ]
    ),
    max_size=14,
).map(" ".join)
REACHES = st.sampled_from(
    [
        "*",
        "Observation:*",
        "Observation:subject",
        "Observation:subject:Patient",
        "Patient:*",
        "*:*",
        ":",
        "Nothing:x",
        "Observation:code",
        "Observation:subject:Nothing",
        "Encounter:service-provider:",
        "::::",
    ]
)
PLAIN = st.sampled_from(
    [
        "",
        "x",
        "|",
        "a|b",
        "a|b|c",
        "a$b",
        "a$b$c",
        "$",
        "true",
        "false",
        "-date",
        "date,-_id",
        "\\",
        "a\\,b",
        "*",
        ",",
        ",,",
        "Observation",
        "Observation,Patient",
        "Patient/1",
        f"Patient/{YUKI}",
        "http://x.example/Patient/1",
        "#x",
        "json",
        "xml",
        "count",
        "text",
        "accurate",
        "id,code",
        "identifier:not",
        "-subject:Patient.name",
        "subject.name",
        "%",
        "_",
        "x" * 2001,
    ]
)
VALUES = st.one_of(PLAIN, NUMBERS, DATES, FILTERS, REACHES, TEXTS)
QUERIES = st.lists(st.tuples(NAMES, VALUES), max_size=5)


def spelled(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe=":$*")


@pytest.fixture
def home(family: Neighbourhood) -> Neighbourhood:
    family.mother.made(weight(text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}))
    family.clinic.made(pressure())
    family.clinic.made(organization())
    return family


def searches_are_harmless(home: Neighbourhood, place: str, pairs: list[tuple[str, str]], *, posted: bool) -> None:
    if posted:
        ask(home, "POST", f"{place.rstrip('/')}/_search", spelled(pairs).encode(), type=FORM)
    else:
        ask(home, "GET", f"{place}?{spelled(pairs)}", None)


DEEP = [("subject." * 40 + "name", "x")]
WIDE = [("code", ",".join(f"c{n}" for n in range(1000)))]
BOMB = [("_filter", "(" * 500 + "code eq x" + ")" * 500)]
MANY_NOTS = [("_filter", "not (" * 200 + "code eq x" + ")" * 200)]


@FEW
@given(PLACES, QUERIES, st.booleans())
@example("/fhir/Observation", DEEP, False)
@example("/fhir/Observation", WIDE, False)
@example("/fhir/Observation", BOMB, False)
@example("/fhir/Observation", MANY_NOTS, False)
@example("/fhir/Observation", [("_include:iterate", "*"), ("_revinclude:iterate", "*")], False)
@example("/fhir/Patient", [("_revinclude", "*"), ("_count", "500")], False)
@example("/fhir", [("_include", "*"), ("_revinclude", "*")], False)
@example("/fhir", [("_text", "x")], False)
@example("/fhir/Observation", [("_content", "x"), ("patient", str(YUKI))], False)
@example("/fhir/Observation", [("a", "b")] * 200, True)
def test_searches(home: Neighbourhood, place: str, pairs: list[tuple[str, str]], posted: bool) -> None:
    searches_are_harmless(home, place, pairs, posted=posted)


@pytest.mark.long
@MANY
@given(PLACES, QUERIES, st.booleans())
def test_many_searches(home: Neighbourhood, place: str, pairs: list[tuple[str, str]], posted: bool) -> None:
    searches_are_harmless(home, place, pairs, posted=posted)


@pytest.mark.parametrize("pairs", [DEEP, WIDE, BOMB, MANY_NOTS], ids=["deep", "wide", "nested", "negated"])
def test_bombs_are_refused_with_their_limit(home: Neighbourhood, pairs: Any) -> None:
    answer = home.mother.get(f"Observation?{spelled(pairs)}")
    assert answer.status in (400, 414, 422), answer
    assert any(c.isdigit() for c in answer.issue["diagnostics"]), answer
