"""Every modifier of the table has a form: in SQL, and on opened bodies and in the naive reading where asked there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phr.records import opening
from phr.records.scoping import Params
from phr.records.search.asking import Asking, Row
from phr.records.search.compile import page_sql
from phr.records.search.conditions import MODIFIERS, needs_opening
from phr.records.search.params import params_for
from phr.records.search.parse import BadSearch, parse
from phr.records.search.query import Condition, Text
from phr.records.search.single import by_rows, looked_up
from tests.conftest import NOON
from tests.records.search import naive

SYSTEM = "http://hl7.org/fhir/administrative-gender"
# Type, parameter and a value that each type of parameter, with each modifier, understands
ASKED = {
    ("token", "missing"): ("Observation", "code", "true"), ("token", "not"): ("Observation", "code", "x"),
    ("token", "text"): ("Observation", "code", "x"), ("token", "of-type"): ("Patient", "identifier", "a|b|c"),
    ("token", "in"): ("Patient", "gender", "http://hl7.org/fhir/ValueSet/administrative-gender"),
    ("token", "not-in"): ("Patient", "gender", "http://hl7.org/fhir/ValueSet/administrative-gender"),
    ("token", "above"): ("Patient", "gender", f"{SYSTEM}|male"),
    ("token", "below"): ("Patient", "gender", f"{SYSTEM}|male"),
    ("reference", "missing"): ("Observation", "subject", "true"),
    ("reference", "identifier"): ("Observation", "subject", "a|b"),
    ("reference", "above"): ("Location", "partof", "Location/a"),
    ("reference", "below"): ("Location", "partof", "Location/a"),
    ("date", "missing"): ("Observation", "date", "true"),
    ("number", "missing"): ("RiskAssessment", "probability", "true"),
    ("quantity", "missing"): ("Observation", "value-quantity", "true"),
    ("string", "missing"): ("Organization", "name", "true"), ("string", "exact"): ("Organization", "name", "x"),
    ("string", "contains"): ("Organization", "name", "x"), ("uri", "missing"): ("ValueSet", "url", "true"),
    ("uri", "above"): ("ValueSet", "url", "http://a/b"), ("uri", "below"): ("ValueSet", "url", "http://a/b"),
    ("composite", "missing"): ("Observation", "code-value-quantity", "true"),
    ("special", "missing"): ("Location", "near", "true"),
}  # fmt: skip
TABLE = [(type, modifier) for type, modifiers in MODIFIERS.items() for modifier in modifiers]


@pytest.mark.django_db
@pytest.mark.parametrize(("type", "modifier"), TABLE)
def test_every_modifier_has_a_form(type: str, modifier: str) -> None:
    base, name, value = ASKED[type, modifier]
    assert params_for(base)[name].type == type
    query = parse(base, [(f"{name}:{modifier}", value)], now=NOON)
    assert query.conditions or query.opening
    if query.conditions:
        [turn] = page_sql(query, lambda alias, *, same=False, common=True: "TRUE", Params(), None, key=bytes(16))
        assert turn.sql
    for condition in query.opening:
        assert opening.holds({"resourceType": base, "code": {"text": "x"}}, condition)


@pytest.mark.parametrize("modifier", [m for m in MODIFIERS["string"] if m != "missing"])
def test_every_modifier_of_strings_is_judged_on_bodies_and_by_the_naive_reading(modifier: str) -> None:
    param = params_for("Observation")["value-string"]
    assert needs_opening(param, "")
    condition = Condition(param, (Text("some", "some"),), modifier)
    for told, wanted in (("some", True), ("other", False)):
        assert opening.holds({"resourceType": "Observation", "valueString": told}, condition) is wanted
        assert naive._like("some", "some", told, modifier) is wanted


def test_a_modifier_nobody_has_given_a_meaning_is_no_other() -> None:
    text = Condition(params_for("Organization")["name"], (Text("x", "x"),), "sounding")
    a = Asking(Params(), bytes(16), lambda alias, *, same=False, common=True: "TRUE")
    with pytest.raises(TypeError, match=":sounding"):
        by_rows(text.values[0], text, Row("r", False), a)
    with pytest.raises(TypeError, match=":sounding"):
        looked_up(replace(text, values=()), (((1,),),), Row("r", False), a)
    with pytest.raises(TypeError, match=":sounding"):
        opening.holds({"resourceType": "Organization", "name": "x"}, text)


def test_a_modifier_that_is_not_known_is_told_which_are() -> None:
    with pytest.raises(BadSearch, match=r":phonetic is not supported here; allowed: :missing, :exact, :contains$"):
        parse("Patient", [("name:phonetic", "x")], now=NOON)
    with pytest.raises(BadSearch, match=r"allowed: none$"):
        parse("Patient", [("_lastUpdated:missing", "true")], now=NOON)
