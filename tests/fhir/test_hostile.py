"""Bad input at the REST door: always the right 4xx with an OperationOutcome, never a 5xx, never a partial write."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings

from phr.populate.cast import YUKI
from tests.family import Answer, App, Neighbourhood, encoded, entry, post, rows, weight

DEEP = 10_000
GOOD = encoded(weight())


def refused(answer: Answer, *, status: int | None = None) -> None:
    """A 4xx whose body is an OperationOutcome that says what and repeats no key of ours."""
    assert 400 <= answer.status < 500, answer
    assert status is None or answer.status == status, answer
    assert answer.issue["severity"] in ("error", "fatal")
    assert answer.issue["diagnostics"]
    json.loads(answer.content.decode("utf-8"))


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "space": b"  ",
    "text": b"hello",
    "truncated": GOOD[:-1],
    "twice": GOOD + GOOD,
    "list": b"[]",
    "string": b'"x"',
    "number": b"1",
    "null": b"null",
    "true": b"true",
    "open": b"{",
    "closed": b"}",
    "bom": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "shift_jis": '{"resourceType":"Observation","note":"見本"}'.encode("shift_jis"),
    "latin": b'{"a":"\xe9"}',
    "nul": b'{"resourceType":"Observation"}\x00',
    "lone quote": b'{"',
    "comment": b"{/* */}",
    "single": b"{'a':1}",
    "trailing comma": GOOD[:-1] + b",}",
    "NaN": GOOD.replace(b"52.40", b"NaN"),
    "inf": GOOD.replace(b"52.40", b"Infinity"),
    "-inf": GOOD.replace(b"52.40", b"-Infinity"),
    "hex": GOOD.replace(b"52.40", b"0x10"),
    "octal": GOOD.replace(b"52.40", b"010"),
    "plus": GOOD.replace(b"52.40", b"+1"),
    "dot": GOOD.replace(b"52.40", b".5"),
    "dot after": GOOD.replace(b"52.40", b"5."),
    "doubled key": GOOD[:-1] + b',"status":"final"}',
    "doubled type": b'{"resourceType":"Patient",' + GOOD[1:],
    "doubled deep": GOOD.replace(b'"unit"', b'"code":"g","unit"'),
    "doubled by escape": GOOD[:-1] + b',"stat\\u0075s":"final"}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and open": b'{"a":[' * DEEP,
    "deep in a resource": GOOD[:-1] + b',"extension":' + b"[" * 200 + b"]" * 200 + b"}",
    "surrogate": GOOD.replace(b"kg", b"\\ud800"),
    "raw surrogate": GOOD.replace(b"kg", b"\xed\xa0\x80"),
    "nul in text": GOOD.replace(b"kg", b"\\u0000"),
    "nul in key": GOOD[:-1] + b',"\\u0000":1}',
    "other type": GOOD.replace(b"Observation", b"Condition"),
    "no type": GOOD.replace(b"resourceType", b"resourcetype"),
    "type number": GOOD.replace(b'"Observation"', b"1"),
    "abstract": GOOD.replace(b"Observation", b"DomainResource"),
    "unknown field": GOOD[:-1] + b',"nonsense":1}',
    "proto": GOOD[:-1] + b',"__proto__":{}}',
    "null field": GOOD[:-1] + b',"note":null}',
    "empty list": GOOD[:-1] + b',"note":[]}',
    "empty object": GOOD[:-1] + b',"device":{}}',
    "quantity text": GOOD.replace(b"52.40", b'"52.40"'),
    "two values": GOOD[:-1] + b',"valueString":"x"}',
    "huge": GOOD.replace(b"52.40", b"1e999999999999999999999999"),
    "huge negative": GOOD.replace(b"52.40", b"-1e-99999999999999999999"),
    "long key": GOOD[:-1] + b',"' + b"k" * 100_000 + b'":1}',
    "hostile subject": GOOD.replace(str(YUKI).encode(), b"../../x"),
    "subject not ours": GOOD.replace(str(YUKI).encode(), b"not-a-uuid"),
    "upper subject": GOOD.replace(str(YUKI).encode(), str(YUKI).upper().encode()),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(family: Neighbourhood, name: str) -> None:
    old = family.mother.made(weight())
    before = rows()
    body = BODIES[name]
    refused(family.mother.ask("POST", "Observation", body))
    refused(family.mother.ask("PUT", f"Observation/{old['id']}", body))
    refused(family.mother.ask("POST", "", body))
    if body.lstrip()[:1] == b"{":
        head = (
            b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Observation"},'
        )
        refused(family.mother.ask("POST", "", head + b'"resource":' + body + b"}]}"))
    assert rows() == before


@pytest.mark.parametrize(
    "value", [b"1e999999", b"-1e999999", b"1e-999999", b"1" * 400, b"0." + b"1" * 400, b"1e308", b"1e400"]
)
def test_numbers_beyond_floats(family: Neighbourhood, value: bytes) -> None:
    """A decimal is stored with its digits or refused; what a search compares never breaks on it."""
    answer = family.mother.ask("POST", "Observation", GOOD.replace(b"52.40", value))
    assert answer.status in (201, 400), answer
    if answer.status == 201:
        assert b'"value":' in family.mother.get(f"Observation/{answer.id}").content
        assert family.mother.search("Observation").status == 200
    for integer in (b"1" * 400, b"1e400", b"9" * 20, b"-9223372036854775809", b"1.5"):
        body = GOOD.replace(b'"valueQuantity"', b'"valueInteger":' + integer + b',"x"')
        refused(family.mother.ask("POST", "Observation", body))


WRONG: list[Any] = [
    None,
    1,
    -1,
    True,
    "",
    " ",
    "x",
    [],
    [None],
    [[]],
    {},
    {"x": 1},
    [1],
    ["x"],
    [{}],
    "\x00",
    "\ud7ff" * 3,
]


@pytest.mark.parametrize("element", sorted(weight(note=1, extension=1, contained=1, meta=1, text=1, id=1, component=1)))
def test_wrong_types_everywhere(family: Neighbourhood, element: str) -> None:
    before = rows()
    for value in WRONG:
        answer = family.mother.ask("POST", "Observation", encoded(weight() | {element: value}))
        if answer.status == 201:  # "x" may be a sound value of some element; then it is stored whole
            before = rows()
        else:
            refused(answer)
    assert rows() == before


@pytest.mark.parametrize(
    "path",
    [
        "%00",
        "a%00b",
        "..",
        "../",
        "..%2f..%2fPatient",
        "%2e%2e",
        "a b",
        "%0a",
        "x%0a",
        "あ",
        "%ff%fe",
        "%ed%a0%80",
        "x" * 65,
        "x" * 250,
        "'",
        '"',
        "%27%20OR%201=1",
        "%25s",
        "%25(p0)s",
        "$everything",
        "_search",
        "*",
        "1;DROP",
        "..;/",
        "{}",
        "%7B%7D",
        "-",
        ".",
        "a|b",
    ],
)
def test_hostile_ids(family: Neighbourhood, path: str) -> None:
    before = rows()
    body = encoded(weight() | {"id": "x"})
    for method, url in (
        ("GET", f"Observation/{path}"),
        ("GET", f"Observation/{path}/_history"),
        ("DELETE", f"Observation/{path}"),
        ("GET", f"Observation/{path}/_history/1"),
        ("PUT", f"Observation/{path}"),
        ("GET", path),
        ("GET", f"{path}/x"),
        ("POST", path),
        ("GET", f"Observation/x/_history/{path}"),
    ):
        answer = family.mother.ask(method, url, body if method in ("PUT", "POST") else None)
        if method == "DELETE" and answer.status == 204:
            continue
        refused(answer)
    assert rows() == before


@pytest.mark.parametrize(
    "header",
    [
        "If-Match",
        "If-None-Match",
        "If-None-Exist",
        "Prefer",
        "Accept",
        "X-Request-Id",
        "Authorization",
        "Content-Type",
        "Origin",
        "Range",
        "If-Modified-Since",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "x",
        "\xff\xfe",
        "W/",
        'W/"',
        '"' * 1000,
        "a" * 5000,
        "%00",
        "code=%00",
        "code=%ff",
        "date=zzz",
        "Patient?_id=x",
        "Observation?",
        "?",
        "&&&&",
        "code:nonsense=1",
        "_count=1",
        "nonsense=1",
        "return=",
        'return="',
        "Bearer",
        "Bearer ",
        "Bearer \xff",
        "application/json; charset=\xff",
        "application/json; charset=" + "x" * 500,
        "null",
        "_page=x&code=1",
        "bytes=0-1",
        "code=" + quote("あ") * 300,
        "&".join(["code=a"] * 200),
    ],
    ids=range(31),
)
def test_hostile_headers(family: Neighbourhood, header: str, value: str) -> None:
    old = family.mother.made(weight())
    before = rows()
    for method, path, body in (
        ("GET", f"Observation/{old['id']}", None),
        ("PUT", f"Observation/{old['id']}", encoded(old)),
        ("POST", "Observation", GOOD),
        ("GET", "Observation", None),
    ):
        headers = {header: value}
        answer = family.mother.ask(method, path, body, headers=headers)
        assert answer.status < 500, (method, answer)
        if answer.status >= 400:
            refused(answer)
    after = rows()
    assert after["phr_resource"] - before["phr_resource"] in (0, 1)
    assert after["phr_version"] == before["phr_version"]


def test_a_body_over_the_limit(family: Neighbourhood) -> None:
    before = rows()
    body = b'{"resourceType":"Observation","status":"' + b"x" * settings.PHR_MAX_BODY + b'"}'
    for method, path in (("POST", "Observation"), ("PUT", "Observation/x"), ("POST", "")):
        answer = family.mother.ask(method, path, body)
        assert (answer.status, answer.issue["code"]) == (413, "too-long")
    form = family.mother.ask("POST", "Observation/_search", body, type="application/x-www-form-urlencoded")
    assert form.status == 413
    assert rows() == before


def test_a_body_of_unknown_length(family: Neighbourhood) -> None:
    answer = family.mother.ask("POST", "Observation", None, headers={"Transfer-Encoding": "chunked"})
    refused(answer)


def test_a_long_but_sound_body_is_taken(family: Neighbourhood) -> None:
    answer = family.mother.create(weight(note=[{"text": "見本" * 100_000}]))
    assert answer.status == 201
    assert len(family.mother.get(f"Observation/{answer.id}").content) > 500_000


def test_anonymous_bodies_are_not_even_read(family: Neighbourhood) -> None:
    for body in (b"{", b"[" * DEEP, GOOD):
        assert family.anonymous.ask("POST", "Observation", body).status == 401
        assert App("x" * 600).ask("POST", "", body).status == 401


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "X" * 100])
def test_methods_that_are_not_served(family: Neighbourhood, method: str) -> None:
    answer = family.mother.ask(method, "Observation", GOOD)
    refused(answer, status=405)
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, PATCH, POST, PUT"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_type_is_not_changed_without_criteria(family: Neighbourhood, method: str) -> None:
    before = rows()
    body = b'{"resourceType":"Parameters"}' if method == "PATCH" else GOOD if method == "PUT" else None
    for query in ("", "?", "/?", "?_count=1", "?_sort=date", "?nonsense=1", "?_format=json"):
        refused(family.mother.ask(method, f"Observation{query}", body), status=400)
    assert rows() == before


@pytest.mark.parametrize(
    "path",
    [
        "Nonsense",
        "Nonsense/x",
        "metadata/x",
        "Observation/x/y",
        "Observation/x/_history/1/2",
        "x",
        "Observation/$everything",
        "Patient/x/$everything",
        "observation",
        "DomainResource",
        "Observation/x/",
    ],
)
def test_paths_that_are_not_there(family: Neighbourhood, path: str) -> None:
    answer = family.mother.get(path)
    refused(answer, status=404)


def test_bundle_entries_with_hostile_texts(family: Neighbourhood) -> None:
    before = rows()
    for text in (
        "\x00",
        "Observation/\x00",
        "Observation?code=\x00",
        "Observation?code=%00",
        "\ud7ff",
        "Observation/..",
        "../Observation",
        "Observation?" + "a=1&" * 200,
        "Observation?_page=x",
        "x" * 5000,
        "",
        " ",
        "Observation/" + "x" * 65,
        "Observation?_count=99999999999999",
        "http://127.0.0.1:8000/fhir/Nothing/x",
    ):
        for item in (
            entry("GET", text),
            entry("DELETE", text),
            entry("PUT", text, weight()),
            entry("POST", text, weight()),
            post(weight(), ifNoneExist=text),
            post(weight(), full_url=text, ifMatch=text),
        ):
            answer = family.mother.bundle("batch", item)
            if answer.status == 200:
                status = answer.json["entry"][0]["response"]["status"]
                assert status[0] in "24", (text, item, answer)
                if status == "201":  # an odd fullUrl is only a name
                    before = rows()
            else:
                refused(answer)
    assert rows() == before
