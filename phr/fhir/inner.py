"""Entries that ask: answered by the very view that answers the same question alone (R4 http.html §3.1.0.11)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.utils.http import http_date, parse_http_date

from phr.fhir import wire
from phr.fhir.entries import Entry
from phr.fhir.outcome import FHIR_JSON, Problem
from phr.records import body
from phr.records.gateway import Records

# What an entry inherits from the request that brought the Bundle.
_KEPT = ("HTTP_AUTHORIZATION", "HTTP_PREFER", "HTTP_X_REQUEST_ID", "REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT")


def answer(request: HttpRequest, records: Records, entry: Entry) -> bytes:
    """The response entry. Raises what the view raises, and Problem for an answer that is an error."""
    inner = _request(request, records, entry)
    match = resolve(f"/{inner.path_info.removeprefix('/fhir')}", "phr.fhir.urls")
    return _entry(match.func.handle(inner, match.kwargs), entry)  # type: ignore[attr-defined]


def _request(request: HttpRequest, records: Records, entry: Entry) -> HttpRequest:
    """The entry as a request of its own, with the record already open."""
    path, _, query = entry.url.partition("?")
    inner = HttpRequest()
    inner.method = entry.method
    inner.path = inner.path_info = f"/fhir/{unquote(path, errors='replace')}"
    inner.META = {name: request.META[name] for name in _KEPT if name in request.META}
    inner.META["QUERY_STRING"] = query.encode().decode("latin-1")  # as WSGI does (PEP 3333)
    if entry.if_none_match is not None:
        inner.META["HTTP_IF_NONE_MATCH"] = entry.if_none_match
    if entry.if_modified_since is not None:
        inner.META["HTTP_IF_MODIFIED_SINCE"] = http_date(datetime.fromisoformat(entry.if_modified_since).timestamp())
    content, kind = b"", "application/x-www-form-urlencoded"
    if entry.resource is not None:
        content, kind = body.write(entry.resource), FHIR_JSON
    inner.META |= {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(content))}
    inner._body = content  # type: ignore[attr-defined]  # noqa: SLF001 - what Django keeps a body in once it is read
    inner.opened_records = records  # type: ignore[attr-defined]
    return inner


def _entry(answer: HttpResponse, entry: Entry) -> bytes:
    content = answer.content if answer.headers.get("Content-Type", "").startswith("application/fhir+json") else b""
    if answer.status_code >= 400:
        raise _refusal(answer.status_code, content)
    told: dict[str, Any] = {"status": str(answer.status_code)}
    if "ETag" in answer:
        told["etag"] = answer["ETag"]
    if "Last-Modified" in answer:
        at = parse_http_date(answer["Last-Modified"])
        told["lastModified"] = wire.instant(datetime.fromtimestamp(at, UTC))
    if location := answer.headers.get("Content-Location") or answer.headers.get("Location"):
        told["location"] = location
    response = msgspec.json.encode({"response": told})
    return b'{"resource":%s,%s' % (content, response[1:]) if content and entry.method != "HEAD" else response


def _refusal(status: int, content: bytes) -> Problem:
    issue = (body.parse(content).get("issue") if content else None) or [{}]
    first = issue[0]
    place = (first.get("expression") or [""])[0]
    return Problem(status, first.get("code", "processing"), first.get("diagnostics", ""), place)
