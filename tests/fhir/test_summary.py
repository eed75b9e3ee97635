"""How much is shown: `_summary`, `_elements`, `_pretty`, `_format`; and what a client need not be sent again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from phr.fhir import shape
from phr.fhir.shape import SUBSETTED, Shape, shaped
from phr.populate.cast import YUKI
from phr.records import definitions
from phr.records.search.query import BadSearch
from tests.family import Answer, Neighbourhood, encoded, pressure, weight

NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">体重</div>'}
FULL = {
    "resourceType": "Observation", "id": "x", "meta": {"versionId": "1", "profile": ["urn:p"]},
    "implicitRules": "urn:r",
    "language": "ja", "text": NARRATIVE, "contained": [{"resourceType": "Device", "id": "d"}],
    "extension": [{"url": "urn:e", "valueCode": "a"}], "modifierExtension": [{"url": "urn:m", "valueCode": "b"}],
    "status": "final", "_status": {"id": "s"}, "category": [{"text": "vital"}], "code": {"text": "体重"},
    "subject": {"reference": "Patient/1"}, "effectiveDateTime": "2026-03-01", "_effectiveDateTime": {"id": "e"},
    "valueQuantity": {"value": Decimal("52.40"), "unit": "kg", "extension": [{"url": "urn:q", "valueCode": "c"}]},
    "note": [{"text": "long"}], "method": {"text": "scale"},
    "component": [{"code": {"text": "a"}, "valueString": "b", "interpretation": [{"text": "c"}], "id": "k"}],
}  # fmt: skip


def without(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in resource.items() if k not in names}


def keys(shape: Shape) -> set[str]:
    return set(shaped(FULL, shape))


@pytest.mark.spec("FHIR R4", "3.1.1.5.8", "_summary=true: the elements marked so in the definitions, also inside")
def test_summary_true() -> None:
    shown = shaped(FULL, Shape("true"))
    assert set(shown) == {
        "resourceType", "id", "meta", "implicitRules", "modifierExtension", "status", "_status", "code", "subject",
        "effectiveDateTime", "_effectiveDateTime", "valueQuantity", "component",
    }  # fmt: skip
    assert shown["component"] == [{"code": {"text": "a"}, "valueString": "b", "id": "k"}]
    assert shown["valueQuantity"] == FULL["valueQuantity"]
    assert shown["meta"] == {**FULL["meta"], "tag": [SUBSETTED]}


def test_a_summary_leaves_out_attached_bytes_but_not_how_a_name_is_spelled() -> None:
    attached = {"contentType": "image/png", "data": "AAAA", "title": "t"}
    document = {
        "resourceType": "DocumentReference", "id": "x", "status": "current",
        "content": [{"attachment": attached, "format": {"code": "f"}}],
    }  # fmt: skip
    inner = shaped(document, Shape("true"))["content"][0]
    assert inner["attachment"] == {"contentType": "image/png", "title": "t"} or "data" not in inner["attachment"]
    spelled = {"extension": [{"url": "urn:iso21090-EN-representation", "valueCode": "SYL"}], "family": "ミホン"}
    patient = {"resourceType": "Patient", "id": "x", "name": [spelled], "contact": [{"name": spelled}]}
    assert without(shaped(patient, Shape("true")), "meta") == without(patient, "contact")


@pytest.mark.spec("FHIR R4", "3.1.1.5.8", "_summary=text: text, id, meta and top-level mandatory elements")
def test_summary_text() -> None:
    assert keys(Shape("text")) == {
        "resourceType", "id", "meta", "implicitRules", "modifierExtension", "text", "status", "_status", "code",
    }  # fmt: skip


@pytest.mark.spec("FHIR R4", "3.1.1.5.8", "_summary=data: everything but the text")
def test_summary_data() -> None:
    assert without(shaped(FULL, Shape("data")), "meta") == without(FULL, "meta", "text")


@pytest.mark.spec("FHIR R4", "3.1.1.5.8", "_summary=false: everything, and nothing is marked")
@pytest.mark.parametrize("whole", [Shape(), Shape("false"), Shape("count")])
def test_summary_false(whole: Shape) -> None:
    assert shaped(FULL, whole) is FULL


@pytest.mark.spec("FHIR R4", "3.1.1.5.9", "_elements: what is named, with mandatory and modifier elements")
@pytest.mark.parametrize(
    ("named", "more"),
    [
        (("note",), {"note"}), (("value",), {"valueQuantity"}), (("value[x]",), {"valueQuantity"}),
        (("valueQuantity",), {"valueQuantity"}), (("Observation.note", "text"), {"note", "text"}),
        (("effective", "category"), {"effectiveDateTime", "_effectiveDateTime", "category"}), (("nothing",), set()),
        (("Patient.note",), set()), (("contained",), {"contained"}),
    ],
)  # fmt: skip
def test_elements(named: tuple[str, ...], more: set[str]) -> None:
    always = {
        "resourceType", "id", "meta", "implicitRules", "modifierExtension", "status", "_status", "code",
    }  # fmt: skip
    shown = shaped(FULL, Shape(elements=named))
    assert set(shown) == always | more
    assert shown["meta"]["tag"] == [SUBSETTED]


def test_a_tag_stands_once() -> None:
    tagged = {**FULL, "meta": {"tag": [SUBSETTED]}}
    assert shaped(tagged, Shape("data"))["meta"]["tag"] == [SUBSETTED]
    assert "tag" not in FULL["meta"]


@pytest.mark.parametrize("kind", sorted(definitions.concrete_types()))
def test_every_type_has_a_summary(kind: str) -> None:
    for summary in (Shape("true"), Shape("text"), Shape("data"), Shape(elements=("text",))):
        assert shaped({"resourceType": kind, "id": "x", "text": NARRATIVE}, summary)["meta"] == {"tag": [SUBSETTED]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*FULL, "coding", "data", "id", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(set(FULL) - {"meta"})), JSON), st.sampled_from(["true", "text", "data"]))
def test_a_summary_is_a_part_and_its_own_summary(resource: dict[str, Any], summary: str) -> None:
    whole = {**resource, "resourceType": "Observation"}
    shown = shaped(whole, Shape(summary))
    assert part(without(shown, "meta"), whole)
    assert shaped(shown, Shape(summary)) == shown


def part(shown: Any, whole: Any) -> bool:
    if isinstance(shown, dict):
        return isinstance(whole, dict) and all(k in whole and part(v, whole[k]) for k, v in shown.items())
    if isinstance(shown, list):
        return len(shown) == len(whole) and all(map(part, shown, whole))
    return bool(shown == whole)


@pytest.mark.parametrize(
    "pairs",
    [[("_summary", "some")], [("_summary", "count")], [("_summary", "true"), ("_elements", "id")], [("_summary", "")],
     [("_summary", "true"), ("_summary", "true")], [("_elements", ",".join("abc" * 50))]],
)  # fmt: skip
def test_what_means_nothing_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(BadSearch):
        shape.asked(pairs)


# -- at the doors ------------------------------------------------------------------------------------


@pytest.fixture
def made(family: Neighbourhood) -> dict[str, Any]:
    return family.mother.made(weight(text=NARRATIVE, note=[{"text": "朝"}]))


def at_every_door(family: Neighbourhood, id: str, params: str) -> list[dict[str, Any]]:
    """The resource as a read, a vread, a search and the histories show it."""
    app, found = family.mother, []
    for path in (f"Observation/{id}", f"Observation/{id}/_history/1"):
        answer = app.get(f"{path}?{params}")
        assert answer.status == 200, answer
        found.append(answer.json)
    for path in (f"Observation?_id={id}", f"Observation/{id}/_history?", "Observation/_history?", "_history?_count=1"):
        answer = app.get(f"{path}&{params}")
        assert answer.status == 200, answer
        found += [e["resource"] for e in answer.json["entry"]]
    return found


@pytest.mark.spec("FHIR R4", "3.1.0.1.13", "_summary and _elements at read, vread, search and history")
@pytest.mark.parametrize(
    ("params", "gone", "kept"),
    [
        ("_summary=true", {"text", "note", "category"}, {"valueQuantity", "status", "subject"}),
        ("_summary=text", {"note", "category", "valueQuantity", "subject"}, {"text", "status", "code"}),
        ("_summary=data", {"text"}, {"note", "category", "valueQuantity", "status"}),
        ("_elements=note", {"text", "category", "valueQuantity", "subject"}, {"note", "status", "code"}),
    ],
)
def test_every_door_shapes(
    family: Neighbourhood, made: dict[str, Any], params: str, gone: set[str], kept: set[str]
) -> None:
    shown = at_every_door(family, made["id"], params)
    assert len(shown) == 6
    for resource in shown:
        assert gone.isdisjoint(resource)
        assert kept <= set(resource)
        assert resource["meta"]["tag"] == [SUBSETTED]


def test_what_is_not_filtered_goes_out_as_it_is_stored(family: Neighbourhood, made: dict[str, Any]) -> None:
    stored = family.mother.get(f"Observation/{made['id']}").content
    assert family.mother.get(f"Observation/{made['id']}?_summary=false").content == stored
    assert stored in family.mother.get(f"Observation?_id={made['id']}&_summary=false").content
    assert b'"value":52.40' in family.mother.get(f"Observation/{made['id']}?_summary=data").content


def test_a_shape_brings_no_label_out(family: Neighbourhood) -> None:
    label = {"system": "urn:x", "code": "mine"}
    made = family.clinic.made(pressure(meta={"security": [label]}))
    for params in ("_summary=true", "_summary=data", "_elements=meta", "_elements=meta.security"):
        shown = family.mother.get(f"Observation/{made['id']}?{params}").json
        assert "security" not in shown["meta"], params
    assert family.clinic.get(f"Observation/{made['id']}?_elements=note").json["meta"]["security"] == [label]


@pytest.mark.parametrize("params", ["_summary=count", "_summary=x", "_elements=a&_summary=true"])
def test_a_bad_shape_is_refused_before_anything_is_looked_for(
    family: Neighbourhood, made: dict[str, Any], params: str
) -> None:
    there = family.mother.get(f"Observation/{made['id']}?{params}")
    absent = family.mother.get(f"Observation/nobody?{params}")
    assert there.status == absent.status == 400
    assert there.content == absent.content


@pytest.mark.spec("FHIR R4", "3.1.0.1.11", "_pretty: the same JSON for human eyes, digits kept")
@pytest.mark.parametrize("path", ["Observation/{}", "Observation?_id={}", "Observation/{}/_history", "metadata"])
def test_pretty(family: Neighbourhood, made: dict[str, Any], path: str) -> None:
    path = path.format(made["id"])
    plain = family.mother.get(path).json
    answer = family.mother.get(path + ("&" if "?" in path else "?") + "_pretty=true")
    assert answer.status == 200
    assert answer.content.startswith(b'{\n  "resourceType"')
    told = answer.json
    for bundle in (plain, told):
        bundle.pop("link", None)
    assert told == plain
    if "Observation" in path:
        assert b"52.40" in answer.content


def test_refusals_are_pretty_too(family: Neighbourhood) -> None:
    answer = family.mother.get("Observation/nobody?_pretty=true")
    assert answer.status == 404
    assert answer.content.startswith(b"{\n")


@pytest.mark.spec("FHIR R4", "3.1.0.1.11", "_format: the spellings of JSON; anything else is refused with 406")
@pytest.mark.parametrize(
    ("format", "status"),
    [
        ("json", 200), ("application/json", 200), ("application/fhir%2Bjson", 200), ("application/fhir+json", 200),
        ("text/json", 200), ("application/fhir%2Bjson;fhirVersion=4.0", 200), ("xml", 406), ("text/xml", 406),
        ("application/xml", 406), ("application/fhir%2Bxml", 406), ("ttl", 406), ("html", 406), ("", 406),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["Observation/{}", "Observation", "_history"])
def test_format(family: Neighbourhood, made: dict[str, Any], format: str, status: int, path: str) -> None:
    answer = family.mother.get(f"{path.format(made['id'])}?_format={format}", accept="application/fhir+xml")
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"


# -- conditional reads -------------------------------------------------------------------------------


def dated(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)


@pytest.mark.spec("FHIR R4", "3.1.0.1.7", "conditional read: If-Modified-Since and If-None-Match give 304")
def test_if_modified_since(family: Neighbourhood, made: dict[str, Any]) -> None:
    path = f"Observation/{made['id']}"
    stored = datetime.fromisoformat(made["meta"]["lastUpdated"]).replace(microsecond=0)
    told = family.mother.get(path).headers["Last-Modified"]
    assert told == dated(stored)
    for since in (told, dated(stored + timedelta(days=1))):
        answer = family.mother.get(path, if_modified_since=since)
        assert (answer.status, answer.content) == (304, b"")
        assert (answer.headers["ETag"], answer.headers["Last-Modified"]) == ('W/"1"', told)
    for since in (dated(stored - timedelta(seconds=1)), "yesterday", ""):
        assert family.mother.get(path, if_modified_since=since).status == 200
    # If-None-Match decides where it stands (RFC 9110 §13.1.3).
    assert family.mother.get(path, if_modified_since=told, if_none_match='W/"7"').status == 200
    assert (
        family.mother.get(path, if_modified_since=dated(stored - timedelta(days=9)), if_none_match='W/"1"').status
        == 304
    )
    assert family.mother.get(f"{path}/_history/1", if_modified_since=told).status == 304
    assert family.mother.ask("HEAD", path, headers={"if-modified-since": told}).status == 304


def test_a_condition_opens_nothing(family: Neighbourhood, made: dict[str, Any]) -> None:
    later = dated(timezone.now() + timedelta(days=1))
    for headers in ({"if_modified_since": later}, {"if_none_match": "*"}):
        hidden = family.father.get(f"Observation/{made['id']}", **headers)
        assert hidden.status == 404
        assert hidden.content == family.father.get("Observation/nobody", **headers).content


@pytest.mark.spec("FHIR R4", "3.1.0.2", "HEAD wherever GET is: the same headers, no body")
@pytest.mark.parametrize(
    "path",
    ["Observation/{}", "Observation/{}/_history/1", "Observation/{}/_history", "Observation/_history", "_history",
     "Observation?code=29463-7", "metadata", "Observation/nobody", "Nothing"],
)  # fmt: skip
def test_head(family: Neighbourhood, made: dict[str, Any], path: str) -> None:
    path = path.format(made["id"])
    get, head = family.mother.get(path), family.mother.ask("HEAD", path)
    assert (head.status, head.content) == (get.status, b"")
    assert compared(head) == compared(get)


def compared(answer: Answer) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k not in ("X-Request-Id", "Content-Length")}


@pytest.mark.spec("FHIR R4", "3.1.1.5.8", "SUBSETTED: a part is not accidentally written over the whole")
@pytest.mark.parametrize("params", ["_summary=true", "_summary=data", "_elements=code"])
def test_a_part_is_not_written_back(family: Neighbourhood, made: dict[str, Any], params: str) -> None:
    path = f"Observation/{made['id']}"
    part = family.mother.get(f"{path}?{params}").json
    for answer in (family.mother.put(part), family.mother.create(part)):
        assert (answer.status, answer.issue["expression"]) == (422, ["Observation.meta.tag"])
    assert family.mother.get(path).json == made


def test_a_summary_is_valid_json_of_its_own(family: Neighbourhood, made: dict[str, Any]) -> None:
    assert json.loads(family.mother.get(f"Patient/{YUKI}?_summary=true").content)["resourceType"] == "Patient"
    assert encoded(family.mother.get(f"Patient/{YUKI}?_summary=true").json)
