"""The entries of a Bundle sent to the base: read, and checked for shape, before anything is done (R4 bundle.html)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from phr.fhir import wire
from phr.fhir.outcome import Problem
from phr.records import definitions, validate
from phr.records.gateway import Invalid

MAX_ENTRIES = 5000
ORDER = ("DELETE", "POST", "PUT", "GET")
_URL = re.compile(
    r"/?(?P<type>[A-Z][A-Za-z]{1,63})(?:/(?P<id>[A-Za-z0-9.\-]{1,64})(?:/_history/(?P<version>\d{1,9}))?)?"
    r"(?:\?(?P<query>.*))?",
    re.ASCII,
)
_VERSION = re.compile(r'(?:W/)?"?(\d{1,9})"?', re.ASCII)


@dataclass(slots=True)
class Entry:
    """One entry, read and checked for shape. `full_url` stands for it in the references of the others."""

    position: int
    method: str
    type: str
    id: str | None
    version: int | None
    query: str | None
    resource: dict[str, Any] | None
    full_url: str | None
    if_none_exist: str | None
    if_match: int | None

    @property
    def names(self) -> tuple[str, ...]:
        """What others may call it: its fullUrl, and where that is a RESTful one the relative `Type/id` beside it."""
        if self.full_url is None:
            return ()
        _, slash, last = self.full_url.rpartition(f"/{self.type}/")
        return (self.full_url, f"{self.type}/{last}") if slash and "/" not in last else (self.full_url,)


def kind_of(content: Mapping[str, Any]) -> str:
    """batch or transaction. Raises Problem, Invalid for what is no such Bundle."""
    if content.get("resourceType") != "Bundle":
        raise Problem(400, "invalid", "ここには Bundle を送ります。A Bundle is expected here.", "resourceType")
    kind = content.get("type")
    if kind not in ("batch", "transaction"):
        raise Problem(400, "value", "type は batch か transaction です。Expected batch or transaction.", "Bundle.type")
    around = {name: value for name, value in content.items() if name != "entry"}
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
    method = request["method"]
    if method not in ORDER:
        text = f"method は {', '.join(ORDER)} です。Unsupported method."
        raise Problem(400, "not-supported", text, "request.method")
    found = _URL.fullmatch(request["url"].removeprefix(f"{wire.base()}/"))
    if not found or found["type"] not in definitions.concrete_types():
        raise Problem(400, "invalid", "url を解釈できません。The url cannot be understood.", "request.url")
    _check_fit(method, found, resource)
    version = int(found["version"]) if found["version"] else None
    return Entry(
        position, method, found["type"], found["id"], version, found["query"], resource,
        raw.get("fullUrl"), request.get("ifNoneExist"), _version(request.get("ifMatch")),
    )  # fmt: skip


def _check_shape(raw: Mapping[str, Any]) -> None:
    """The entry against the definition of Bundle.entry; its resource is checked where it is stored."""
    around = {name: value for name, value in raw.items() if name != "resource"}
    problems = validate.check({"resourceType": "Bundle", "type": "batch", "entry": [around]})
    if problems:
        inside = (p.expression.removeprefix("Bundle.entry[0]").lstrip(".") for p in problems)
        raise Invalid([replace(p, expression=place) for p, place in zip(problems, inside, strict=True)])


def _check_fit(method: str, found: re.Match[str], resource: Any) -> None:
    if (method in ("POST", "PUT")) != isinstance(resource, dict):
        text = "POST と PUT だけが resource を一つ伴います。POST and PUT carry a resource, the others none."
        raise Problem(400, "required", text, "resource")
    if isinstance(resource, dict) and resource.get("resourceType") != found["type"]:
        text = "resource の型が url と違います。The resource is not of the url's type."
        raise Problem(400, "invalid", text, "resource.resourceType")
    if method == "GET":
        fits = not (found["id"] and found["query"])
    else:
        fits = (found["id"] is None) == (method == "POST") and found["version"] is None and found["query"] is None
    if not fits:
        text = "url の形が method に合いません。The url does not fit the method."
        raise Problem(400, "not-supported", text, "request.url")


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    found = _VERSION.fullmatch(text.strip())
    if not found:
        raise Problem(400, "value", "ifMatch は ETag です。ifMatch must be an ETag.", "request.ifMatch")
    return int(found[1])


def refuse_twice(entries: list[Entry]) -> Entry | None:
    """The first entry of a transaction that touches what an earlier one touches, or bears its name."""
    seen: set[str] = set()
    for entry in entries:
        touched = f"{entry.type}/{entry.id}" if entry.method in ("PUT", "DELETE") else None
        asked = f"{entry.type}?{entry.if_none_exist}" if entry.method == "POST" and entry.if_none_exist else None
        names = {name for name in (touched, asked, entry.full_url) if name}
        if names & seen:
            return entry
        seen |= names
    return None
