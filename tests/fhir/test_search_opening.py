"""What stands in sealed text is found by opening it, inside one record: strings, `:text`, `_text`, `_content`."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.populate.cast import YUKI
from phr.records import opening, searching
from phr.records.search.normal import normal, whole
from phr.records.search.params import params_for
from phr.records.search.query import Condition, Paired, Text, Token
from tests.family import KAI, App, Neighbourhood, audit_lines, pressure, secret, weight

XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'

HOME = {"system": "urn:x", "code": "bp", "display": "Home BP"}


def said(text: str | None, **more: Any) -> dict[str, Any]:
    """An observation of which a text is the value."""
    return pressure(valueQuantity=None, valueString=text, **more)


def told(div: str, **more: Any) -> dict[str, Any]:
    return pressure(text={"status": "generated", "div": XHTML.format(div)}, **more)


@pytest.fixture
def names(family: Neighbourhood) -> dict[str, str]:
    """Resources by id -> the name given here."""
    made = {
        "plain": said("よく眠れました"), "kana": said("ヨク ネムレマシタ"), "latin": said("Slept well"),
        "coded": pressure(code={"text": "血圧 (家庭)", "coding": [HOME]}),
        "story": told("<p>頭痛は<b>ありません</b>。</p><p>A &amp; B</p>"),
        "noted": pressure(note=[{"text": "夜は頭痛あり"}]),
        "number": weight(),
    }  # fmt: skip
    return {family.mother.made(resource)["id"]: name for name, resource in made.items()}


def found(app: App, names: dict[str, str], query: str) -> set[str]:
    answer = app.search("Observation", *parse_qsl(query))
    assert answer.status == 200, answer
    return {names[x] for x in answer.ids}


@pytest.mark.spec("FHIR R4", "3.1.1.4.8", "string in sealed text: at the beginning, :contains, :exact; folded")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("value-string=よく", {"plain", "kana"}), ("value-string=ヨク", {"plain", "kana"}),
        ("value-string=眠れ", set()),
        ("value-string:contains=眠れ", {"plain"}), ("value-string:contains=ネムレ", {"kana"}),
        ("value-string=slept", {"latin"}), ("value-string=SLEPT WELL", {"latin"}), ("value-string=well", set()),
        ("value-string:contains=WELL", {"latin"}), ("value-string:exact=Slept well", {"latin"}),
        ("value-string:exact=slept well", set()), ("value-string=slept,よく", {"latin", "plain", "kana"}),
        ("value-string=よく&status=final", {"plain", "kana"}), ("value-string=よく&code=nothing", set()),
        ("value-string=よく&value-string:contains=ネムレ", {"kana"}),
        ("value-string:missing=false", {"plain", "kana", "latin"}),
    ],
)  # fmt: skip
def test_strings(family: Neighbourhood, names: dict[str, str], query: str, expected: set[str]) -> None:
    assert found(family.mother, names, query) == expected


@pytest.mark.spec(
    "FHIR R4", "3.1.1.4.10", ":text: the text of a concept or the display of a coding, from its beginning"
)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code:text=血圧", {"coded"}), ("code:text=home", {"coded"}), ("code:text=bp", set()),
        ("code:text=体重", {"number"}),
        ("code:text=body", {"number"}), ("code:text=血圧,体重", {"coded", "number"}), ("code:text=（家庭", set()),
    ],
)  # fmt: skip
def test_text_behind_codes(family: Neighbourhood, names: dict[str, str], query: str, expected: set[str]) -> None:
    assert found(family.mother, names, query) == expected


@pytest.mark.spec("FHIR R4", "3.1.1.5.10", "_text: the narrative without its markup; _content: everything said")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_text=頭痛", {"story"}), ("_text=頭痛はありません", {"story"}), ("_text=div", set()), ("_text=xhtml", set()),
        ("_text=a %26 b", {"story"}), ("_content=頭痛", {"story", "noted"}), ("_content=夜は", {"noted"}),
        ("_content=ねむれ", {"kana"}), ("_content=眠れ", {"plain"}), ("_content=generated", {"story"}),
        ("_content=xhtml", set()), ("_content=夜 頭痛", {"noted"}), ("_content=頭痛 夜", {"noted"}),
        ("_text=頭痛 b", {"story"}), ("_content=sle", {"latin"}), ("_content=ell", set()), ("_content=%21", set()),
        ("_text=頭痛&status=final", {"story"}), ("_content=頭痛&_text=頭痛", {"story"}),
    ],
)  # fmt: skip
def test_full_text(family: Neighbourhood, names: dict[str, str], query: str, expected: set[str]) -> None:
    assert found(family.mother, names, query) == expected


@pytest.mark.spec("FHIR R4", "3.1.1.4.13", "composite: code and text of one resource together")
def test_pairs(family: Neighbourhood, names: dict[str, str]) -> None:
    assert found(family.mother, names, "code-value-string=8480-6$よく") == {"plain", "kana"}
    assert found(family.mother, names, "code-value-string=http://loinc.org|8480-6$slept") == {"latin"}
    assert found(family.mother, names, "code-value-string=29463-7$よく") == set()
    assert found(family.mother, names, "code-value-string=urn:x|8480-6$よく") == set()


# -- order, count, pages ----------------------------------------------------------------------------


@pytest.fixture
def many(family: Neighbourhood) -> list[str]:
    """Nine that match and nine that do not, day by day; oldest first."""
    mother, ids = family.mother, []
    for day in range(1, 10):
        ids.append(mother.made(said(f"めまい {day}", effectiveDateTime=f"2026-03-0{day}"))["id"])
        mother.made(said("なし", effectiveDateTime=f"2026-03-0{day}"))
    return ids


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
@pytest.mark.parametrize("count", [1, 2, 9, 10])
@pytest.mark.parametrize("sort", ["date", "-date", "_lastUpdated"])
def test_pages_in_order(
    family: Neighbourhood, many: list[str], monkeypatch: Any, chunk: int, count: int, sort: str
) -> None:
    monkeypatch.setattr(searching, "CHUNK", chunk)
    params = {"value-string": "めまい", "_count": str(count), "_sort": sort}
    pages = family.mother.pages("Observation", **params)
    wanted = many[::-1] if sort == "-date" else many
    assert [x for page in pages for x in page] == wanted
    assert all(len(page) == count for page in pages[:-1])
    assert pages[-1] or count == 9


def test_totals(family: Neighbourhood, many: list[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(searching, "CHUNK", 4)
    for params in ({"_total": "accurate", "_count": "2"}, {"_summary": "count"}, {"_count": "0"}):
        assert family.mother.search("Observation", **{"value-string": "めまい"}, **params).json["total"] == 9
    first = family.mother.search("Observation", **{"value-string": "めまい", "_total": "accurate", "_count": "5"})
    assert family.mother.get(first.next or "").json["total"] == 9


def test_a_page_ends_early_for_its_bytes(family: Neighbourhood, many: list[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(searching, "PAGE_BYTES", 1500)
    pages = family.mother.pages("Observation", **{"value-string": "めまい", "_sort": "date"})
    assert [x for page in pages for x in page] == many
    assert len(pages) > 2


@pytest.mark.parametrize(
    "params", ["value-string=めまい", "_content=めまい&_summary=count", "code:text=x&_total=accurate"]
)
def test_too_many_to_open_is_refused(family: Neighbourhood, many: list[str], monkeypatch: Any, params: str) -> None:
    monkeypatch.setattr(searching, "MOST_OPENED", 10)
    answer = family.mother.get(f"Observation?{params}")
    assert (answer.status, answer.issue["code"]) == (422, "too-costly")
    assert "10" in answer.issue["diagnostics"]
    assert family.mother.get(f"Observation?{params}&date=2026-03-01").status == 200


def test_a_page_link_is_bound_to_the_text(family: Neighbourhood, many: list[str]) -> None:
    page = (family.mother.search("Observation", **{"value-string": "めまい", "_count": "2"}).next or "").split(
        "_page="
    )[1]
    for other in ("value-string=なし", "value-string:contains=めまい", "_content=めまい", "_count=2"):
        assert family.mother.get(f"Observation?{other}&_page={page}").status == 400, other


# -- consent -----------------------------------------------------------------------------------------


def test_only_inside_one_record(family: Neighbourhood, names: dict[str, str]) -> None:
    """A clinic that is bound to nobody names the patient; a chain never opens anything."""
    for query in ("value-string=よく", "_text=頭痛", "_content=頭痛", "code:text=x", "code-value-string=a$b"):
        answer = family.clinic.get(f"Observation?{query}")
        assert (answer.status, answer.issue["expression"]) == (400, [f"http.{query.split('=')[0]}"]) or (
            answer.status == 400 and answer.issue["expression"] == ["http.code"]
        )
        assert family.clinic.get(f"Observation?{query}&patient={YUKI}").status == 200
    for query in ("Patient?_has:Observation:patient:value-string=よく", "Observation?has-member.value-string=よく"):
        assert family.mother.get(query).status == 400, query


def test_the_hidden_is_not_found_by_its_text(family: Neighbourhood) -> None:
    shown = family.mother.made(said("めまい"))["id"]
    family.mother.made(said("めまい", meta=secret()["meta"]))
    family.stranger_of(KAI).made(pressure(KAI, valueQuantity=None, valueString="めまい"))
    answer = family.clinic.search("Observation", **{"value-string": "めまい", "_total": "accurate"}, patient=str(YUKI))
    assert (answer.ids, answer.json["total"]) == ([shown], 1)
    answer = family.clinic.search("Observation", **{"value-string": "めまい", "_total": "accurate"}, patient=str(KAI))
    assert (answer.ids, answer.json["total"]) == ([], 0)


def test_labels_are_not_found_by_content(family: Neighbourhood) -> None:
    family.mother.made(pressure(meta={"security": [{"system": "urn:label", "code": "label", "display": "しるし"}]}))
    for word in ("しるし", "urn:label", "label"):
        assert family.mother.search("Observation", _content=word).ids == []


def test_only_what_is_found_is_logged(family: Neighbourhood, many: list[str]) -> None:
    before = len(audit_lines("record:searched"))
    family.mother.search("Observation", **{"value-string": "めまい"})
    [line] = audit_lines("record:searched")[before:]
    assert (line[0], line[4]["count"], line[4]["params"]) == (YUKI, 9, ["value-string"])
    assert "めまい" not in str(line)


def test_a_condition_of_a_create_opens_too(family: Neighbourhood) -> None:
    made = family.mother.made(said("dizzy"))["id"]
    again = family.mother.create(said("dizzy"), if_none_exist="value-string=dizzy")
    assert (again.status, again.id) == (200, made)
    assert family.mother.create(said("well"), if_none_exist="value-string=well").status == 201
    unbound = family.clinic.create(said("dizzy"), if_none_exist="value-string=dizzy")
    assert (unbound.status, unbound.issue["expression"]) == (400, ["http.value-string"])


# -- judging, without a database --------------------------------------------------------------------


def judged(kind: str, name: str, asked: str, modifier: str | None, **resource: Any) -> bool:
    condition = Condition(params_for(kind)[name], (Text(normal(asked), asked),), modifier)
    return opening.holds({"resourceType": kind, **resource}, condition)


@pytest.mark.parametrize(
    ("modifier", "text", "expected"),
    [
        (None, "ab", True), (None, "bc", False), ("contains", "bc", True), ("contains", "ca", False),
        ("exact", "ABC", True),
        ("exact", "abc", False), ("eq", "abc", True), ("eq", "ab", False), ("ends", "bc", True), ("ends", "ab", False),
    ],
)  # fmt: skip
def test_modifiers(modifier: str | None, text: str, expected: bool) -> None:
    assert judged("Observation", "value-string", text, modifier, valueString="ABC") is expected


def test_long_texts_are_judged_to_their_end() -> None:
    assert judged("Observation", "value-string", "終わり", "contains", valueString="あ" * 5000 + "終わり")
    assert judged("Observation", "_content", "tail", None, note=[{"text": "x" * 5000 + " Tail"}])


def test_attached_bytes_say_nothing() -> None:
    attached = [{"attachment": {"data": "SGVsbG8=", "title": "こんにちは"}}]
    assert judged("DocumentReference", "_content", "こんにちは", None, content=attached)
    assert not judged("DocumentReference", "_content", "sgvsbg8", None, content=attached)


def test_hostile_narratives_take_no_time() -> None:
    assert opening.narrative({"text": {"div": "<" * 1_000_000}}) != "x"
    assert opening.narrative({"text": {"div": "<p" * 300_000}}) != "x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "coding", "display", "type", "div", "code", "value"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["code", "text", "valueString", "note", "component", "identifier"]), JSON), JSON)
def test_odd_bodies_are_judged_without_a_fault(resource: dict[str, Any], value: Any) -> None:
    for name, modifier in (("value-string", None), ("code", "text"), ("identifier", "text"), ("_text", None),
                           ("_content", None)):  # fmt: skip
        judged("Observation", name, "x", modifier, **{"valueString": value, **resource})
    pair = Condition(params_for("Observation")["code-value-string"], (Paired((Token(None, "a"), Text("x", "x"))),))
    opening.holds({"resourceType": "Observation", **resource}, pair)


@given(st.text(max_size=60))
def test_the_whole_form_is_the_normal_form_without_an_end(text: str) -> None:
    if len(whole(text)) < 150:
        assert whole(text) == normal(text)
    assert whole(whole(text)) == whole(text)
