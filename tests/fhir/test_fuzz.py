"""Anything at all at the REST door (Hypothesis): never a 5xx, always an OperationOutcome, never half a write."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from phr.populate.cast import YUKI
from phr.records.definitions import concrete_types, fields
from tests.family import FHIR_JSON, Answer, Neighbourhood, encoded, entry, pressure, rows, weight

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FEW, MANY = (
    settings(max_examples=60, suppress_health_check=QUIET),
    settings(max_examples=3000, suppress_health_check=QUIET),
)

TEXTS = st.text(st.characters(exclude_categories=()), max_size=30)  # lone surrogates and NUL included
NAMES = st.sampled_from([*fields("Observation"), "resourceType", "x", "_status", "__proto__", ""])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.sampled_from(
        [
            "final",
            "Observation",
            "2026-03-01",
            "9999-12-31T23:59:60Z",
            "0000",
            f"Patient/{YUKI}",
            "#x",
            "urn:uuid:x",
            "Patient?x",
            "<div/>",
            "\x00",
            "\ud800",
        ]
    ),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES | TEXTS, inner, max_size=5)),
    max_leaves=12,
)


@st.composite
def spoilt_resources(draw: st.DrawFn) -> dict[str, Any]:
    """A sound Observation of which some elements were replaced, added or taken away, anywhere."""
    resource: Any = json.loads(encoded(draw(st.sampled_from([weight(), pressure()]))))
    for _ in range(draw(st.integers(1, 3))):
        node = resource
        while draw(st.booleans()):
            inner = [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, dict | list) and v]
            if not inner:
                break
            node = draw(st.sampled_from(inner))
        if isinstance(node, dict):
            node[draw(st.sampled_from([*node, "x"]) | NAMES | TEXTS)] = draw(JSON)
        else:
            node[draw(st.integers(0, len(node) - 1))] = draw(JSON)
    return dict(resource)


@st.composite
def bundles(draw: st.DrawFn) -> Any:
    """Bundles whose entries are sound, spoilt, or anything."""
    sound = st.sampled_from(
        [
            entry("GET", "Observation"),
            entry("POST", "Observation", weight()),
            entry("DELETE", "Observation/x"),
            entry("PUT", "Observation?identifier=urn:x|1", weight()),
            entry("PATCH", "Observation?status=final", {"resourceType": "Parameters"}),
            entry("DELETE", "Observation?status=final"),
            entry("HEAD", "_history"),
        ]
    )
    spoilt = st.fixed_dictionaries(
        {},
        optional={
            "resource": spoilt_resources() | JSON,
            "fullUrl": JSON,
            "x": JSON,
            "request": st.fixed_dictionaries(
                {},
                optional={
                    "method": st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]) | JSON,
                    "url": paths() | JSON,
                    "ifMatch": JSON,
                    "ifNoneExist": queries() | JSON,
                    "ifNoneMatch": JSON | st.just("*"),
                    "ifModifiedSince": JSON,
                },
            )
            | JSON,
        },
    )
    return {
        "resourceType": draw(st.just("Bundle") | JSON),
        "type": draw(st.sampled_from(["batch", "transaction"]) | JSON),
        "entry": draw(st.lists(sound | spoilt | JSON, max_size=4) | JSON),
    }


PARAMS = [
    "code",
    "date",
    "patient",
    "subject",
    "_id",
    "_lastUpdated",
    "_sort",
    "_count",
    "_total",
    "_page",
    "_tag",
    "value-string",
    "identifier",
    "_format",
    "_summary",
    "_include",
    "_has",
    "code:not",
    "date:missing",
    "subject:Patient",
    "nonsense",
]
VALUES = [
    "",
    "x",
    "|",
    "a|b",
    "2026",
    "ge2026-03",
    "ap9999-12-31",
    "0001",
    "9999",
    "-date",
    "-1",
    "5",
    "true",
    "\\",
    "a\\,b",
    "%00",
    "*",
]


def queries() -> st.SearchStrategy[str]:
    pair = st.tuples(st.sampled_from(PARAMS) | TEXTS, st.sampled_from(VALUES) | TEXTS)
    return st.lists(pair, max_size=5).map(lambda pairs: "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in pairs))


def paths() -> st.SearchStrategy[str]:
    part = st.one_of(
        st.sampled_from(
            [
                "Observation",
                "Patient",
                "Organization",
                str(YUKI),
                "_history",
                "_search",
                "1",
                "metadata",
                "$x",
                "..",
                "%00",
            ]
        ),
        st.sampled_from(sorted(concrete_types())),
        TEXTS.map(_quoted),
    )
    return st.lists(part, max_size=5).map("/".join)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="%")


HEADERS = st.dictionaries(
    st.sampled_from(["If-Match", "If-None-Match", "If-None-Exist", "Prefer", "Accept", "Origin", "X-Request-Id"]),
    st.sampled_from(
        ['W/"1"', "*", "return=minimal", "handling=strict", "application/fhir+xml", "identifier=urn:x|1", "code=x"]
    )
    | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30),
    max_size=3,
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])


def dumped(content: Any) -> bytes:
    return json.dumps(content, default=float).encode()


@pytest.fixture
def home(family: Neighbourhood) -> Neighbourhood:
    family.patched = family.mother.made(weight())["id"]  # type: ignore[attr-defined]
    family.clinic.made(pressure())
    return family


def sane(answer: Answer, method: str) -> None:
    assert answer.status < 500, answer
    if answer.status >= 400 and method != "HEAD":
        assert answer.issue["severity"] in ("error", "fatal")
        json.loads(answer.content.decode("utf-8"))


def ask(home: Neighbourhood, method: str, path: str, body: bytes | None, **more: Any) -> None:
    """Ask, look, and undo. What is refused has written nothing."""
    for app in (home.mother, home.clinic):
        with transaction.atomic():
            before = rows()
            answer = app.ask(method, path, body, **more)
            sane(answer, method)
            if answer.status >= 400 or method in ("GET", "HEAD", "OPTIONS"):
                assert rows() == before
            transaction.set_rollback(True)


POINTERS = st.lists(st.sampled_from([*fields("Observation"), "0", "-", "coding", "reference"]) | TEXTS, max_size=4)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]) | JSON,
            "path": POINTERS.map(lambda parts: "".join(f"/{part}" for part in parts)) | JSON,
            "from": POINTERS.map(lambda parts: "".join(f"/{part}" for part in parts)) | JSON,
            "value": JSON,
        },
    )
    | JSON,
    max_size=4,
)
PARTS = st.fixed_dictionaries(
    {"name": st.sampled_from(["type", "path", "name", "value", "index", "source", "destination"]) | TEXTS},
    optional={
        "valueCode": st.sampled_from(["add", "insert", "delete", "replace", "move"]) | JSON,
        "valueString": st.sampled_from(["Observation", "Observation.status", "Observation.code.coding", "note"]) | JSON,
        "valueInteger": JSON,
        "valueQuantity": JSON,
        "part": JSON,
        "resource": JSON,
    },
)
PARAMETERS = st.lists(
    st.fixed_dictionaries({"name": st.just("operation"), "part": st.lists(PARTS, max_size=5)}) | JSON
).map(lambda found: {"resourceType": "Parameters", "parameter": found})


def patches_are_harmless(home: Neighbourhood, content: Any, where: str) -> None:
    kind = "application/json-patch+json" if isinstance(content, list) else FHIR_JSON
    path = f"Observation/{home.patched}" if where == "id" else "Observation?status=final"
    ask(home, "PATCH", path, dumped(content), type=kind)


def resources_are_harmless(home: Neighbourhood, resource: Any) -> None:
    ask(home, "POST", "Observation", dumped(resource))


def bundles_are_harmless(home: Neighbourhood, content: Any) -> None:
    ask(home, "POST", "", dumped(content))


def requests_are_harmless(
    home: Neighbourhood, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    sent = body if method in ("POST", "PUT", "PATCH") else None
    ask(home, method, f"/fhir/{path}?{query}", sent, headers=headers, type=FHIR_JSON)


RESOURCES = given(spoilt_resources() | JSON)
BUNDLES = given(bundles())
PATCHES = given(OPERATIONS | PARAMETERS, st.sampled_from(["id", "condition"]))
REQUESTS = given(
    METHODS, paths(), queries(), HEADERS, st.binary(max_size=50) | JSON.map(dumped) | st.just(encoded(weight()))
)


@FEW
@RESOURCES
@example({"resourceType": "Observation", "status": "\x00"})
@example(weight(value="1", effectiveDateTime="0001-01-01", valueQuantity=None))
@example(weight(value="1", effectiveDateTime="9999-12-31", valueQuantity=None))
@example(weight(value="1", effectiveDateTime="0000-01-01", valueQuantity=None))
@example(weight(value="1", effectiveDateTime="9999-12-31T23:59:60-14:00", valueQuantity=None))
def test_resources(home: Neighbourhood, resource: Any) -> None:
    resources_are_harmless(home, resource)


@FEW
@BUNDLES
def test_bundles(home: Neighbourhood, content: Any) -> None:
    bundles_are_harmless(home, content)


@FEW
@REQUESTS
def test_requests(
    home: Neighbourhood, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    requests_are_harmless(home, method, path, query, headers, body)


@FEW
@PATCHES
def test_patches(home: Neighbourhood, content: Any, where: str) -> None:
    patches_are_harmless(home, content, where)


@FEW
@given(queries())
def test_queries(home: Neighbourhood, query: str) -> None:
    ask(home, "GET", f"Observation?{query}", None)


@pytest.mark.long
@MANY
@RESOURCES
def test_many_resources(home: Neighbourhood, resource: Any) -> None:
    resources_are_harmless(home, resource)


@pytest.mark.long
@MANY
@BUNDLES
def test_many_bundles(home: Neighbourhood, content: Any) -> None:
    bundles_are_harmless(home, content)


@pytest.mark.long
@MANY
@PATCHES
def test_many_patches(home: Neighbourhood, content: Any, where: str) -> None:
    patches_are_harmless(home, content, where)


@pytest.mark.long
@MANY
@REQUESTS
def test_many_requests(
    home: Neighbourhood, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    requests_are_harmless(home, method, path, query, headers, body)


@pytest.mark.long
@MANY
@given(queries())
def test_many_queries(home: Neighbourhood, query: str) -> None:
    ask(home, "GET", f"Observation?{query}", None)
