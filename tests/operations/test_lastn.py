"""Observation `$lastn`: the newest of each kind, against a naive model and over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.scope import Facts
from phr.fhir.operations import lastn as operation
from phr.fhir.operations.lastn import newest_of_each, recency
from phr.populate.cast import HANA, YUKI
from phr.records import streaming
from phr.records.gateway import Stored
from tests.family import (
    KAI,
    LOINC,
    Answer,
    App,
    Neighbourhood,
    audit_lines,
    encoded,
    pressure,
    secret,
    weight,
)

SPEC = pytest.mark.spec
DAY = datetime(2026, 3, 1, tzinfo=UTC)
SYSTEMS = st.sampled_from(["", "urn:a", "urn:b"])
CODINGS = st.fixed_dictionaries({"code": st.sampled_from("abcd")}, optional={"system": SYSTEMS})
CODES = st.fixed_dictionaries({}, optional={
    "coding": st.lists(CODINGS | st.just({"display": "x"}), min_size=1, max_size=3),
    "text": st.sampled_from(["Text", "text", "t e x t"]),
})  # fmt: skip


def stored(pk: int, code: dict[str, Any], day: int | None) -> Stored:
    low = None if day is None else DAY + timedelta(days=day)
    facts = Facts("Observation", str(pk), (UUID(int=1),), low=low, high=low)
    body = msgspec.json.encode({"resourceType": "Observation", "code": code})
    return Stored(pk, "Observation", str(pk), 1, DAY, False, facts, body)


@st.composite
def observations(draw: st.DrawFn) -> list[Stored]:
    drawn = draw(st.lists(st.tuples(CODES, st.none() | st.integers(0, 4)), max_size=9))
    return [stored(pk, code, day) for pk, (code, day) in enumerate(drawn)]


def called(one: Stored) -> set[Any]:
    code = msgspec.json.decode(one.body or b"")["code"]
    codings: set[Any] = {(c.get("system", ""), c["code"]) for c in code.get("coding", []) if "code" in c}
    return codings or ({code["text"]} if "text" in code else {one.pk})


def naively(found: list[Stored], most: int) -> set[int]:
    """Kinds as the closure of "shares a name", by repeating; then each one's place in its kind."""
    kind = {one.pk: one.pk for one in found}
    for _ in found:
        for a in found:
            for b in found:
                if called(a) & called(b):
                    kind[a.pk] = kind[b.pk] = min(kind[a.pk], kind[b.pk])
    chosen = set()
    for one in found:
        of_kind = [x for x in found if kind[x.pk] == kind[one.pk]]
        newer = sum(recency(x) > recency(one) for x in of_kind)
        low = one.facts.low
        tie = sorted(of_kind, key=recency, reverse=True)[:most][-1].facts.low
        if newer < most or (low is not None and low == tie):
            chosen.add(one.pk)
    return chosen


@given(observations(), st.integers(1, 4))
def test_it_is_what_the_naive_model_says(found: list[Stored], most: int) -> None:
    chosen = newest_of_each(found, most)
    assert {one.pk for one in chosen} == naively(found, most)
    assert chosen == sorted(chosen, key=recency, reverse=True)
    assert len({one.pk for one in chosen}) == len(chosen)


@SPEC("FHIR R4", "operation-observation-lastn", "codes are grouped by the transitive closure of their translations")
@pytest.mark.parametrize(
    ("codes", "groups"),
    [
        (["a", "b", "c"], 3),
        (["a", "b", "ac"], 2),
        (["a", "b", "ab"], 1),
        (["ab", "cd", "a", "bc"], 1),
    ],
)
def test_the_table_of_the_definition(codes: list[str], groups: int) -> None:
    made = [stored(n, {"coding": [{"system": "urn:a", "code": c} for c in code]}, n) for n, code in enumerate(codes)]
    assert len(newest_of_each(made, 1)) == groups


@SPEC("FHIR R4", "operation-observation-lastn", "text-only codes are grouped by the text as it is written")
def test_texts() -> None:
    made = [stored(n, {"text": text}, n) for n, text in enumerate(["textM", "Text", "t e x t", "Text"])]
    assert [one.pk for one in newest_of_each(made, 1)] == [3, 2, 0]


# -- over HTTP ------------------------------------------------------------------------------------


def asked(app: App, query: str) -> Answer:
    return app.get(f"Observation/$lastn?{query}")


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer
    assert answer.json["type"] == "searchset"
    assert all(e["search"]["mode"] == "match" for e in answer.json.get("entry", []))
    return answer.ids


@pytest.fixture
def measured(family: Neighbourhood) -> dict[str, str]:
    """Pressures of three days (two at the same moment) and weights of two; name -> id."""
    made = {}
    for name, day in (("p1", "2026-03-01"), ("p2", "2026-03-02"), ("p2b", "2026-03-02"), ("p3", "2026-03-03")):
        made[name] = family.mother.made(pressure(effectiveDateTime=day))["id"]
    for name, day in (("w2", "2026-03-02"), ("w4", "2026-03-04")):
        made[name] = family.mother.made(weight(on=day))["id"]
    return made


@SPEC("FHIR R4", "operation-observation-lastn", "one of each code without max; else up to max, with ties, newest first")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("category=vital-signs", ["w4", "p3"]),
        ("category=vital-signs&max=1", ["w4", "p3"]),
        ("category=vital-signs&max=2", ["w4", "p3", "p2b", "p2", "w2"]),
        ("category=vital-signs&max=99", ["w4", "p3", "p2b", "p2", "w2", "p1"]),
        ("code=8480-6&max=2", ["p3", "p2b", "p2"]),
        (f"code={LOINC}|29463-7", ["w4"]),
        ("category=vital-signs&date=le2026-03-02", ["w2", "p2b", "p2"]),
        ("category=vital-signs&status=amended", []),
        ("category=laboratory", []),
    ],
)
def test_the_newest_of_each(family: Neighbourhood, measured: dict[str, str], query: str, expected: list[str]) -> None:
    names = {id: name for name, id in measured.items()}
    found = [names[x] for x in ids(asked(family.mother, f"patient={YUKI}&{query}"))]
    assert sorted(found) == sorted(expected)
    days = [name.strip("pwb") for name in found]
    assert days == sorted(days, reverse=True)


@pytest.mark.parametrize("page", [1, 2, 3, 6])
def test_however_many_are_in_memory_at_a_time(
    family: Neighbourhood, measured: dict[str, str], monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    whole = ids(asked(family.mother, f"patient={YUKI}&category=vital-signs&max=2"))
    monkeypatch.setattr(streaming, "PAGE", page)
    assert ids(asked(family.mother, f"patient={YUKI}&category=vital-signs&max=2")) == whole
    assert len(whole) == 5


@pytest.mark.parametrize(("limit", "value"), [("MOST", 5), ("PAGE_BYTES", 900)])
def test_limits_are_named(
    family: Neighbourhood, measured: dict[str, str], monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(operation, limit, value)
    answer = asked(family.mother, f"patient={YUKI}&category=vital-signs&max=2")
    assert (answer.status, answer.issue["code"]) == (422, "too-costly")
    assert str(value) in answer.issue["diagnostics"]
    assert asked(family.mother, f"patient={YUKI}&code=29463-7").status == 200


def test_post_asks_the_same(family: Neighbourhood, measured: dict[str, str]) -> None:
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "max", "valuePositiveInt": 2}, {"name": "subject", "valueString": f"Patient/{YUKI}"},
        {"name": "code", "valueString": "8480-6"},
    ]}  # fmt: skip
    posted = family.mother.ask("POST", "Observation/$lastn", encoded(body))
    assert ids(posted) == ids(asked(family.mother, f"subject=Patient/{YUKI}&code=8480-6&max=2"))
    assert posted.json["link"][0]["url"].endswith(f"/Observation/$lastn?max=2&subject=Patient/{YUKI}&code=8480-6")


def test_lenient(family: Neighbourhood, measured: dict[str, str]) -> None:
    path = f"Observation/$lastn?patient={YUKI}&code=8480-6&colour=red"
    answer = family.mother.get(path, prefer="handling=lenient")
    assert ids(answer) == [measured["p3"]]
    assert answer.json["link"][0]["url"].endswith(f"$lastn?patient={YUKI}&code=8480-6")


@SPEC("FHIR R4", "operation-observation-lastn", "a subject, and a category or a code, must be named")
@pytest.mark.parametrize(
    ("query", "named"),
    [
        (f"patient={YUKI}", "category"), (f"patient={YUKI}&date=2026", "category"),
        ("category=vital-signs", "patient"), (f"patient={YUKI},{HANA}&category=vital-signs", "patient"),
        (f"patient={YUKI}&category=vital-signs&max=0", "max"), (f"patient={YUKI}&category=x&max=two", "max"),
        (f"patient={YUKI}&category=x&max=1&max=2", "max"), (f"patient={YUKI}&category=x&colour=red", "colour"),
        (f"patient={YUKI}&category=x&_sort=date", "_sort"), (f"patient={YUKI}&category=x&_count=1", "_count"),
        (f"patient={YUKI}&category=x&_include=*", "_include"), (f"patient={YUKI}&category=x&date=tomorrow", "date"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(family: Neighbourhood, query: str, named: str) -> None:
    answer = asked(family.clinic, query)
    assert answer.status == 400, answer
    assert named in answer.issue["expression"][0]


def test_a_token_with_a_patient_names_one(family: Neighbourhood, measured: dict[str, str]) -> None:
    assert len(ids(asked(family.mother, "category=vital-signs"))) == 2


def test_only_what_the_caller_may_see(family: Neighbourhood, measured: dict[str, str]) -> None:
    hidden = family.mother.made(secret(effectiveDateTime="2026-03-09"))["id"]
    query = f"patient={YUKI}&code=8480-6"
    assert ids(asked(family.clinic, query)) == [measured["p3"]]
    assert ids(asked(family.mother, query)) == [hidden]
    assert ids(asked(family.mother, f"patient={KAI}&code=8480-6")) == []


def test_it_is_logged(family: Neighbourhood, measured: dict[str, str]) -> None:
    before = len(audit_lines("record:searched"))
    asked(family.mother, f"patient={YUKI}&category=vital-signs")
    [line] = audit_lines("record:searched")[before:]
    assert (str(line[0]), line[4]["type"], line[4]["method"], line[4]["count"]) == (
        str(YUKI), "Observation", "$lastn", 2,
    )  # fmt: skip


def test_a_token_without_observations_is_told_so(family: Neighbourhood) -> None:
    app = family.app("mother", scope="launch/patient patient/Patient.rs")
    assert asked(app, f"patient={YUKI}&category=vital-signs").status == 403
