"""What terminology operations refuse, and what they must not tell: consent, hostile definitions, limits."""

from __future__ import annotations

import pytest

from tests.family import Neighbourhood
from tests.fhir.test_terminology import ACT, GENDER, OURS, SET, STATUS, ask, basket, codes, fruit, send

# -- consent ---------------------------------------------------------------------------------------


def test_nobody_asks_without_a_token(family: Neighbourhood) -> None:
    for place in ("ValueSet/$expand?url=x", "CodeSystem/$lookup?system=a&code=b", "ConceptMap/$translate?code=a"):
        assert family.anonymous.get(place).status == 401


def test_a_hidden_definition_and_none_look_alike(family: Neighbourhood) -> None:
    """A token without these types finds no kept definition, by id or by url."""
    made = family.clinic.made(basket(include=[{"system": GENDER}]))
    narrow = family.app("mother", scope="openid fhirUser launch/patient patient/Observation.rs")
    assert ask(family.mother, "ValueSet/$expand", url=SET).status == 200
    by_url = ask(narrow, "ValueSet/$expand", url=SET)
    nowhere = ask(narrow, "ValueSet/$expand", url=SET + "x")
    assert (by_url.status, nowhere.status) == (404, 404)
    assert by_url.content.replace(SET.encode(), b"") == nowhere.content.replace(SET.encode() + b"x", b"")
    assert ask(narrow, f"ValueSet/{made['id']}/$expand").told() == ask(narrow, "ValueSet/none/$expand").told()


def test_nobodys_record_changes_what_is_bundled(family: Neighbourhood) -> None:
    family.clinic.made(basket() | {"url": STATUS, "version": "99"})
    assert "final" in codes(ask(family.mother, "ValueSet/$expand", url=STATUS))


def test_of_several_kept_the_newest_version_counts(family: Neighbourhood) -> None:
    for version in ("1", "3", "2"):
        listed = [{"system": OURS, "concept": [{"code": f"v{version}"}]}]
        family.clinic.made(basket(include=listed) | {"version": version})
    assert codes(ask(family.mother, "ValueSet/$expand", url=SET)) == ["v3"]
    assert codes(ask(family.mother, "ValueSet/$expand", url=SET, valueSetVersion="2")) == ["v2"]
    assert codes(ask(family.mother, "ValueSet/$expand", url=f"{SET}|1")) == ["v1"]
    assert ask(family.mother, "ValueSet/$expand", url=SET, valueSetVersion="4").status == 404


def test_of_what_several_organisations_keep_the_own_one_counts(family: Neighbourhood) -> None:
    other = family.of_clinic("9919000003")
    family.clinic.made(basket(include=[{"system": OURS, "concept": [{"code": "clinic"}]}]))
    stolen = other.create(basket(include=[{"system": OURS, "concept": [{"code": "other"}]}]) | {"version": "99"})
    assert stolen.status == 201, stolen
    assert codes(ask(family.clinic, "ValueSet/$expand", url=SET)) == ["clinic"]
    assert codes(ask(other, "ValueSet/$expand", url=SET)) == ["other"]
    nobodys = ask(family.mother, "ValueSet/$expand", url=SET)
    assert (nobodys.status, nobodys.issue["code"]) == (422, "invalid") and "id" in nobodys.issue["diagnostics"]
    assert codes(ask(family.mother, f"ValueSet/{stolen.id}/$expand")) == ["other"]


# -- hostile input -----------------------------------------------------------------------------------


def test_value_sets_that_include_each_other(family: Neighbourhood) -> None:
    family.clinic.made(basket(include=[{"valueSet": [SET + "-b"]}]) | {"url": SET + "-a"})
    family.clinic.made(basket(include=[{"valueSet": [SET + "-a"]}]) | {"url": SET + "-b"})
    answer = ask(family.mother, "ValueSet/$expand", url=SET + "-a")
    assert answer.status == 422 and "includes itself" in answer.issue["diagnostics"]
    asked = ask(family.mother, "ValueSet/$validate-code", url=SET + "-a", system=OURS, code="x")
    assert asked.status == 422


@pytest.mark.parametrize(
    ("filter", "status"),
    [({"property": "code", "op": "regex", "value": "(a+)+$"}, 200),
     ({"property": "code", "op": "regex", "value": "(" * 200}, 422),
     ({"property": "code", "op": "regex", "value": "((a{1,100}){1,100}){1,100}"}, 422),
     ({"property": "code", "op": "regex", "value": "a" * 501}, 422),
     ({"property": "concept", "op": "is-a", "value": "no such"}, 422),
     ({"property": "nonsense", "op": "=", "value": "1"}, 422),
     ({"property": "constraint", "op": "=", "value": "<< 1"}, 422),
     ({"property": "display", "op": "is-a", "value": "citrus"}, 422)],
)  # fmt: skip
def test_filters_from_strangers(family: Neighbourhood, filter: dict[str, str], status: int) -> None:
    family.clinic.made(fruit(concept=[{"code": "a" * 5000 + "!"}]))
    inline = {"name": "valueSet", "resource": basket(include=[{"system": OURS, "filter": [filter]}])}
    assert send(family.mother, "ValueSet/$expand", inline).status == status


def test_too_much_work_is_refused_with_the_limit(family: Neighbourhood) -> None:
    kinds = [{"property": "concept", "op": "is-a", "value": "_ActCoverageTypeCode"}]
    parts = [{"system": ACT, "filter": [*kinds, {"property": "code", "op": "regex", "value": f"[A-Z]+{n}?"}]}
             for n in range(900)]  # fmt: skip
    answer = send(family.mother, "ValueSet/$expand", {"name": "valueSet", "resource": basket(include=parts)})
    assert (answer.status, answer.issue["code"]) == (422, "too-costly") and "500000" in answer.issue["diagnostics"]
    listed = [{"system": OURS, "concept": [{"code": f"c{n}"} for n in range(5001)]}]
    answer = send(family.mother, "ValueSet/$expand", {"name": "valueSet", "resource": basket(include=listed)})
    assert (answer.status, answer.issue["code"]) == (422, "too-costly") and "5000" in answer.issue["diagnostics"]


@pytest.mark.parametrize(
    ("place", "status"),
    [("ValueSet/$expand", 400), ("ValueSet/$expand?url=", 400), ("ValueSet/$expand?url=a&url=b", 400),
     (f"ValueSet/$expand?url={STATUS}&offset=-1", 400), (f"ValueSet/$expand?url={STATUS}&count=-1", 400),
     (f"ValueSet/$expand?url={STATUS}&count=99999999999999", 400), (f"ValueSet/$expand?url={STATUS}&context=x", 400),
     (f"ValueSet/$validate-code?url={STATUS}", 400), (f"ValueSet/$validate-code?url={STATUS}&code=final", 400),
     (f"CodeSystem/$lookup?system={GENDER}", 400), ("CodeSystem/$lookup?code=x", 400),
     (f"CodeSystem/$subsumes?system={GENDER}&codeA=male", 400), ("CodeSystem/$subsumes?codeA=a&codeB=b", 400),
     ("ConceptMap/$translate?system=a", 400), ("ConceptMap/$translate?url=urn:none&system=a&code=b", 404),
     ("CodeSystem/x/$lookup?code=a", 404), ("$expand?url=x", 404), ("Patient/$expand", 404)],
)  # fmt: skip
def test_questions_that_are_none(family: Neighbourhood, place: str, status: int) -> None:
    answer = family.mother.get(place)
    assert (answer.status, answer.issue["severity"]) == (status, "error"), answer


def test_an_inline_definition_is_checked(family: Neighbourhood) -> None:
    for wrong in ({"include": "x"}, {"include": [{}]}, {"include": [{"system": 1}]}, {"include": [{"concept": [{}]}]}):
        sent = {"name": "valueSet", "resource": basket(**wrong)}
        assert send(family.mother, "ValueSet/$expand", sent).status in (400, 422), wrong
