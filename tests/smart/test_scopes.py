"""SMART scopes: grammar, narrowing, and granular scopes against real resources."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.scope import LETTERS, Facts
from phr.records.index import index_of
from phr.smart import scopes
from phr.smart.scopes import Permission, ScopeError

KEY = b"k" * 32
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@pytest.mark.spec("SMART App Launch 2.2", "scopes-and-launch-context", "v1 scopes in v2 terms")
@pytest.mark.parametrize(
    ("scope", "letters"),
    [
        ("patient/Observation.read", "rs"), ("user/*.write", "cud"), ("system/Patient.*", "cruds"),
        ("patient/*.rs", "rs"), ("patient/*.c", "c"), ("patient/*.cruds", "cruds"), ("user/Immunization.us", "us"),
    ],
)  # fmt: skip
def test_letters(scope: str, letters: str) -> None:
    assert scopes.permission(scope).letters == letters


@pytest.mark.spec("SMART App Launch 2.2", "scopes-and-launch-context", "letters in the order c r u d s")
@pytest.mark.parametrize(
    "scope",
    [
        "patient/Observation.sr", "patient/Observation.rr", "patient/Observation.", "patient/Observation",
        "patient/observation.r", "patient/Observations.r", "patient/.r", "Patient/Observation.r", "patient/**.r",
        "practitioner/Observation.r", "patient/Observation.rs?", "patient/Observation.rs?category",
        "patient/Observation.rs?category=", "patient/Observation.rs?=x", "patient/Observation.rs?&", "openid2", "*",
        "patient/DomainResource.rs", "patient/Resource.rs",
    ],
)  # fmt: skip
def test_what_is_not_a_scope_is_named(scope: str) -> None:
    with pytest.raises(ScopeError) as caught:
        scopes.to_doors([scope], KEY)
    assert scope in str(caught.value)
    assert str(caught.value).isascii()


@pytest.mark.parametrize(
    "query",
    [
        "date=2020", "value-quantity=5", "nonsense=1", "category:in=http://x", "category:not=x",
        "code-value-quantity=1",
        "_lastUpdated=2020", "_id=1", "subject=abc", "subject.name=x", "_has:Condition:x=1", "category=a|b|c",
        "category=|", "category=,", "category=laboratory,",
    ],
)  # fmt: skip
def test_only_tokens_and_references_narrow(query: str) -> None:
    with pytest.raises(ScopeError):
        scopes.to_doors([f"patient/Observation.rs?{query}"], KEY)


def test_a_query_needs_a_type() -> None:
    with pytest.raises(ScopeError):
        scopes.to_doors(["patient/*.rs?category=laboratory"], KEY)


@pytest.mark.parametrize(
    "text", ["a" * 4001, " ".join(f"patient/*.r?x={n}" for n in range(61)), 'patient/"', "p\\q", "あ"]
)
def test_texts_that_are_no_scope_lists(text: str) -> None:
    with pytest.raises(ScopeError):
        scopes.split(text)


def observation(*categories: str, code: str = "718-7") -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/p1"},
        "category": [{"coding": [{"system": CATEGORY, "code": c}]} for c in categories],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
    }  # fmt: skip


def admitted(scope: str, resource: dict[str, Any], letter: str = "r") -> bool:
    facts = Facts(resource["resourceType"], "x", (uuid4(),), terms=frozenset(index_of(resource, KEY).terms))
    return any(door.admits(facts, letter) for door in scopes.to_doors([scope], KEY))


@pytest.mark.spec("SMART App Launch 2.2", "scopes-and-launch-context", "finer-grained resource constraints")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"category={CATEGORY}|laboratory", True),
        (f"category={CATEGORY}|vital-signs", False),
        (f"category={CATEGORY}|vital-signs,{CATEGORY}|laboratory", True),
        ("category=laboratory", True),
        ("category=http://elsewhere.example|laboratory", False),
        (f"category={CATEGORY}|", True),
        (f"category={CATEGORY}|laboratory&code=http://loinc.org|718-7", True),
        (f"category={CATEGORY}|laboratory&code=http://loinc.org|718-8", False),
        ("code=http%3A%2F%2Floinc.org%7C718-7", True),
        ("subject=Patient/p1", True),
        ("patient=Patient/p1", True),
        ("patient=p1", True),
        ("subject=Patient/p2", False),
        ("status=final", True),
        ("status=preliminary", False),
    ],
)
def test_a_granular_scope_opens_what_it_names(query: str, expected: bool) -> None:
    assert admitted(f"patient/Observation.rs?{query}", observation("laboratory")) is expected


CODES = st.sampled_from(["laboratory", "vital-signs", "survey", "imaging"])


@given(
    held=st.lists(CODES, unique=True), named=st.lists(CODES, min_size=1, unique=True), letter=st.sampled_from(LETTERS)
)
def test_granular_is_never_wider_than_plain(held: list[str], named: list[str], letter: str) -> None:
    resource = observation(*held)
    choice = ",".join(f"{CATEGORY}|{code}" for code in named)
    granular = admitted(f"patient/Observation.rs?category={choice}", resource, letter)
    assert granular is (letter in "rs" and bool(set(held) & set(named)))
    assert admitted("patient/Observation.rs", resource, letter) or not granular


LETTER_SETS = st.sets(st.sampled_from(LETTERS), min_size=1).map(lambda s: "".join(x for x in LETTERS if x in s))
PERMISSIONS = st.builds(
    Permission,
    st.sampled_from(scopes.CONTEXTS),
    st.sampled_from(["*", "Observation", "Patient", "Condition"]),
    LETTER_SETS,
)
QUERY = st.lists(
    st.tuples(st.sampled_from(["category", "code"]), st.text(min_size=1, max_size=8).filter(lambda t: "\x00" not in t)),
    max_size=2,
).map(tuple)


@given(PERMISSIONS, QUERY)
def test_a_permission_survives_its_text(given_permission: Permission, query: tuple[tuple[str, str], ...]) -> None:
    whole = Permission(given_permission.context, given_permission.type, given_permission.letters, query)
    try:
        whole_text = str(whole)
    except UnicodeEncodeError:
        return  # lone surrogates are no text
    assert scopes.split(whole_text) == (whole_text,)
    assert scopes.permission(whole_text) == whole


@given(st.lists(PERMISSIONS, max_size=4), st.lists(PERMISSIONS, max_size=4))
def test_narrowing_never_widens_and_never_loses(asked: list[Permission], allowed: list[Permission]) -> None:
    kept = scopes.parse(scopes.narrow(map(str, asked), map(str, allowed)))

    def opens(permissions: Any, context: str, type_: str, letter: str) -> bool:
        return any(p.context == context and p.type in ("*", type_) and letter in p.letters for p in permissions)

    for context in scopes.CONTEXTS:
        for type_ in ("Observation", "Patient", "Condition"):
            for letter in LETTERS:
                got = opens(kept, context, type_, letter)
                assert not got or (opens(asked, context, type_, letter) and opens(allowed, context, type_, letter))


@given(st.lists(PERMISSIONS, max_size=5))
def test_narrowing_to_itself_changes_nothing(asked: list[Permission]) -> None:
    texts = tuple(dict.fromkeys(map(str, asked)))
    assert scopes.narrow(texts, texts) == texts


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_named(text: str) -> None:
    with suppress(ScopeError):
        scopes.to_doors(scopes.split(text), KEY)


def test_plain_scopes_open_nothing() -> None:
    assert scopes.to_doors(sorted(scopes.PLAIN), KEY) == ()
    assert scopes.needs_patient(["launch/patient"]) and scopes.needs_patient(["patient/*.r"])
    assert not scopes.needs_patient(["user/*.rs", "openid"])
