"""The entries of a Bundle sent to the base: read, and checked for shape, before anything is done (R4 bundle.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from phr.fhir import preconditions, wire
from phr.fhir.outcome import Problem
from phr.records import definitions, validate
from phr.records.admission import measure
from phr.records.gateway import Invalid, Versions

MAX_ENTRIES = 5000
MAX_QUESTIONS = 1000  # entries that ask: each may be a search
ORDER = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")  # R4 http.html §3.1.0.11.2
WRITES = ("DELETE", "POST", "PUT", "PATCH")
_URL = re.compile(
    r"(?P<type>[A-Z][A-Za-z]{1,63})(?:/(?P<id>[A-Za-z0-9.\-]{1,64}))?/?(?:\?(?P<query>.*))?", re.ASCII | re.DOTALL
)
_ASKED = re.compile(r"(?:(?P<type>[A-Z][A-Za-z]{1,63})(?=[/?]|$))?[^?\s\\]*(?:\?.*)?", re.ASCII | re.DOTALL)
_CALLED = re.compile(r"(?:[^?]*/)?(?:_search|\$[A-Za-z0-9\-]+)(?:\?.*)?", re.ASCII | re.DOTALL)  # POST that only asks


@dataclass(slots=True)
class Entry:
    """One entry, read and checked for shape. `full_url` stands for it in the references of the others.

    `asks`: it is answered by the view of its url; else it writes, to `type` and `id`, or where `condition` says.
    """

    position: int
    method: str
    url: str
    asks: bool
    type: str
    id: str | None
    condition: str | None
    resource: dict[str, Any] | None
    full_url: str | None
    if_match: Versions | None
    if_none_match: str | None
    if_modified_since: str | None

    @property
    def fresh(self) -> bool:
        """ifNoneMatch * on a write: only where nothing stands."""
        return self.if_none_match is not None


def kind_of(content: Mapping[str, Any]) -> str:
    """batch or transaction. Raises Problem, Invalid for what is no such Bundle."""
    if content.get("resourceType") != "Bundle":
        raise Problem(400, "invalid", "ここには Bundle を送ります。A Bundle is expected here.", "resourceType")
    kind = content.get("type")
    if kind not in ("batch", "transaction"):
        raise Problem(400, "value", "type は batch か transaction です。Expected batch or transaction.", "Bundle.type")
    around = {name: value for name, value in content.items() if name != "entry"}
    measure(around)
    if problems := validate.check(around):
        raise Invalid(problems)
    return str(kind)


def raw_entries(content: Mapping[str, Any]) -> list[Any]:
    """The entries as they came. Raises Problem (400, 413)."""
    raw = content.get("entry", [])
    if not isinstance(raw, list) or ("entry" in content and not raw):
        text = "entry は空でない配列です。A list that is not empty is expected."
        raise Problem(400, "structure", text, "Bundle.entry")
    if len(raw) > MAX_ENTRIES:
        text = f"entry は {MAX_ENTRIES} 件までです。At most {MAX_ENTRIES} entries are taken."
        raise Problem(413, "too-long", text, "Bundle.entry")
    return raw


def read(position: int, raw: Any) -> Entry:
    """One entry. Raises Problem or Invalid with places relative to the entry (`request.url`, `Observation.status`)."""
    if not isinstance(raw, dict) or "request" not in raw:
        raise Problem(400, "required", "request がありません。An entry needs a request.", "request")
    _check_shape(raw)
    request, resource = raw["request"], raw.get("resource")
    method = request.get("method")  # R4 lets an extension stand for any value: `_method`
    if method not in ORDER or not isinstance(request.get("url"), str):
        text = f"method は {', '.join(ORDER)} です。url も要ります。Unsupported method, or no url."
        raise Problem(400, "not-supported", text, "request.method" if method not in ORDER else "request.url")
    url = request["url"].removeprefix(f"{wire.base()}/").removeprefix("/")
    asks = method in ("GET", "HEAD") or (method == "POST" and _CALLED.fullmatch(url) is not None)
    found = (_ASKED if asks else _URL).fullmatch(url)
    if not found or (found["type"] or "Patient") not in definitions.concrete_types() or ":/" in url.partition("?")[0]:
        raise Problem(400, "invalid", "url を解釈できません。The url cannot be understood.", "request.url")
    entry = Entry(
        position, method, url, asks, found["type"] or "", None if asks else found["id"],
        None if asks else _condition(method, found["query"], request), resource, raw.get("fullUrl"),
        preconditions.versions(request.get("ifMatch"), "ifMatch", "request.ifMatch", bare=True),
        request.get("ifNoneMatch"), request.get("ifModifiedSince"),
    )  # fmt: skip
    _check_fit(entry)
    return entry


def _condition(method: str, query: str | None, request: Mapping[str, Any]) -> str | None:
    return request.get("ifNoneExist") if method == "POST" and query is None else query


def _check_shape(raw: Mapping[str, Any]) -> None:
    """The entry against the definition of Bundle.entry; its resource is checked where it is stored."""
    around = {name: value for name, value in raw.items() if name != "resource"}
    measure(around)
    problems = validate.check({"resourceType": "Bundle", "type": "batch", "entry": [around]})
    if problems:
        inside = (p.expression.removeprefix("Bundle.entry[0]").lstrip(".") for p in problems)
        raise Invalid([replace(p, expression=place) for p, place in zip(problems, inside, strict=True)])


def _check_fit(entry: Entry) -> None:
    if entry.asks:
        if entry.method != "POST" and entry.resource is not None:
            raise _no_resource()
        return
    _check_resource(entry)
    if entry.fresh and (entry.method != "PUT" or str(entry.if_none_match).strip() != "*"):
        text = "書き込みの ifNoneMatch は PUT の * だけです。On writes only * with PUT is taken."
        raise Problem(400, "value", text, "request.ifNoneMatch")
    by_condition = entry.id is None and entry.condition is not None
    fits = entry.id is None if entry.method == "POST" else (entry.id is None) == by_condition
    if (
        not fits
        or (entry.id is not None and entry.condition is not None)
        or (entry.method == "POST" and "?" in entry.url)
    ):
        text = "url の形が method に合いません。The url does not fit the method."
        raise Problem(400, "not-supported", text, "request.url")


def _check_resource(entry: Entry) -> None:
    if (entry.method != "DELETE") != isinstance(entry.resource, dict):
        raise _no_resource()
    if entry.resource is None:
        return
    kind = entry.resource.get("resourceType")
    if kind not in ((entry.type,) if entry.method != "PATCH" else ("Parameters", "Binary")):
        text = "resource の型が url や method と違います。The resource is not of the type that url and method want."
        raise Problem(400, "invalid", text, "resource.resourceType")


def _no_resource() -> Problem:
    text = "POST、PUT、PATCH だけが resource を一つ伴います。POST, PUT and PATCH carry a resource, the others none."
    return Problem(400, "required", text, "resource")


def limited(entries: Iterable[Entry]) -> None:
    """Raises Problem (413) for more entries that ask than are answered at once."""
    if sum(entry.asks for entry in entries) > MAX_QUESTIONS:
        text = f"読み取りや検索は {MAX_QUESTIONS} 件までです。At most {MAX_QUESTIONS} entries that ask."
        raise Problem(413, "too-long", text, "Bundle.entry")


def refuse_twice(entries: Iterable[Entry]) -> Entry | None:
    """The first entry of a transaction that touches what an earlier one touches, or bears its name."""
    seen: set[str] = set()
    for entry in entries:
        touched = f"{entry.type}/{entry.id}" if entry.id is not None else None
        asked = f"{entry.type}?{entry.condition}" if entry.condition is not None else None
        names = {name for name in (touched, asked, entry.full_url) if name}
        if names & seen:
            return entry
        seen |= names
    return None


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """By the steps of R4 http.html §3.1.0.11.2: PUT and PATCH are one step."""
    step = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
    return sorted(entries, key=lambda entry: step[entry.method])
