"""Between HTTP and resources: formats, preferences, validators, and bodies in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils.http import http_date

from phr.fhir.outcome import FHIR_JSON, Issue, Problem, as_json
from phr.fhir.resolve import relative
from phr.records import body
from phr.records.gateway import Page, Stored
from phr.records.search.parse import BadSearch, Query, parse

_JSON = {"json", "application/json", "application/fhir+json", "text/json"}
_ETAGS = re.compile(r'(?:^|,)\s*(?:W/)?"(\d{1,9})"\s*(?=,|$)')
_ETAG = re.compile(r'\s*(?:W/)?"(\d{1,9})"\s*')


Pairs = list[tuple[str, str]]


def base() -> str:
    return f"{settings.PHR_BASE_URL}/fhir"


def negotiate(request: HttpRequest) -> None:
    """Refuse what cannot be answered in JSON (R4 http.html §3.1.0.1.10): `_format` wins over Accept."""
    query = request.META.get("QUERY_STRING", "")
    wanted = next((v for name, v in pairs(query) if name == "_format"), None) if "_format" in query else None
    if wanted is not None:
        if wanted.split(";")[0].strip().replace(" ", "+").lower() not in _JSON:
            raise Problem(406, "not-supported", "このサーバーは JSON だけを返します。Only JSON is served.", "_format")
        return
    accept = request.META.get("HTTP_ACCEPT", "*/*").lower()
    kinds = {part.split(";")[0].strip() for part in accept.split(",")}
    if not kinds & (_JSON | {"*/*", "application/*", "text/html", ""}):
        raise Problem(406, "not-supported", "このサーバーは JSON だけを返します。Only JSON is served.")


def asked(request: HttpRequest) -> Pairs:
    """The parameters of the query string, in order. Raises Problem (400)."""
    return pairs(request.META.get("QUERY_STRING", ""))


def form(request: HttpRequest) -> Pairs:
    """The parameters of a form body, in order. Raises Problem (400, 411, 413, 415)."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "not-supported", "application/x-www-form-urlencoded で送ってください。Expected a form body.")
    try:
        return pairs(_received(request).decode())
    except UnicodeDecodeError:
        raise Problem(400, "invalid", "検索の文字列を読めません。The form cannot be read.") from None


def pairs(text: str) -> Pairs:
    """A query string or form as its parameters. Raises Problem (400)."""
    try:
        return parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=100)
    except (UnicodeDecodeError, ValueError):
        raise Problem(400, "invalid", "検索の文字列を読めません。The query string cannot be read.") from None


def _received(request: HttpRequest) -> bytes:
    """The body's bytes. Raises Problem (411) where its length was not told, RequestDataTooBig (413)."""
    if request.headers.get("Transfer-Encoding") and not request.headers.get("Content-Length"):
        raise Problem(411, "incomplete", "本文の長さ (Content-Length) が必要です。The length of the body is needed.")
    try:
        return request.body
    except UnreadablePostError:
        raise Problem(400, "incomplete", "本文が途中で切れています。The body ends too early.") from None


def json_body(request: HttpRequest) -> dict[str, Any]:
    """The resource in the body. Raises Problem (411, 413, 415) or body.Malformed."""
    kind, _, rest = request.headers.get("Content-Type", "").lower().partition(";")
    if kind.strip() not in _JSON - {"json"}:
        text = "Content-Type は application/fhir+json です。Expected application/fhir+json."
        raise Problem(415, "not-supported", text)
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", rest)
    if charset and charset[1] not in ("utf-8", "utf8"):
        raise Problem(415, "not-supported", "文字コードは UTF-8 です。The charset must be UTF-8.")
    return relative(body.received(_received(request)), base())


def preference(request: HttpRequest, name: str, default: str) -> str:
    """One `Prefer` value: return = minimal | representation | OperationOutcome, handling = strict | lenient."""
    return prefers(request.headers.get("Prefer", ""), name, default)


def prefers(header: str, name: str, default: str) -> str:
    """One value of a `Prefer` header."""
    found = re.search(rf"\b{name}\s*=\s*\"?([A-Za-z]+)", header)
    return found[1] if found else default


def if_match(request: HttpRequest) -> int | None:
    """The version named by If-Match. Raises Problem (400) for anything but one ETag of ours."""
    text = request.headers.get("If-Match")
    if text is None:
        return None
    found = _ETAG.fullmatch(text)
    if not found:
        raise Problem(400, "invalid", 'If-Match は W/"版" の形です。If-Match must be one ETag such as W/"3".')
    return int(found[1])


def unchanged(request: HttpRequest, version: int) -> bool:
    """Whether If-None-Match names this version (RFC 9110 §13.1.2: weak comparison, a list, or *)."""
    told = request.headers.get("If-None-Match")
    return told is not None and (told.strip() == "*" or str(version) in _ETAGS.findall(told))


def etag(version: int) -> str:
    return f'W/"{version}"'


def shown(found: Stored, *, labels: bool) -> bytes:
    """The body as it leaves. `labels`: security labels may stay, because they are the caller's own."""
    text = found.body or b""
    if labels or b'"security"' not in text:
        return text
    resource = body.parse(text)
    resource.get("meta", {}).pop("security", None)
    return body.write(resource)


def one(found: Stored, *, status: int, labels: bool, location: bool = False, prefer: str = "") -> HttpResponse:
    """A response that carries one version."""
    content = shown(found, labels=labels)
    if prefer == "minimal":
        content = b""
    elif prefer == "OperationOutcome":
        content = as_json([Issue("informational", "保存しました。Stored.", severity="information")])
    answer = HttpResponse(content, status=status, content_type=FHIR_JSON)
    answer["ETag"] = etag(found.version)
    answer["Last-Modified"] = http_date(found.updated_at.timestamp())
    if location:
        answer["Location"] = f"{base()}/{found.reference}/_history/{found.version}"
    return answer


def query(type: str, asked: Pairs, *, now: datetime, strict: bool) -> Query:
    """The search as data. Raises BadSearch; when strict, also for what nobody knows (R4 search.html §3.1.1.3)."""
    found = parse(type, asked, now=now, base=base())
    if found.unknown and strict:
        raise BadSearch(found.unknown[0][:60], "unknown parameter")
    if found.elements or found.summary not in (None, "false", "count"):
        raise BadSearch("_elements" if found.elements else "_summary", "not supported yet")
    return found


def used(query: Query, asked: Pairs) -> Pairs:
    """The parameters that were applied, as they go into the links of the answer."""
    return [(name, value) for name, value in asked if name not in query.unknown and name not in ("_page", "_format")]


def condition(type: str, text: str, *, now: datetime) -> Query:
    """An If-None-Exist condition: a query string, with or without `Type?` before it. Raises BadSearch."""
    kind, _, criteria = text.strip().rpartition("?")
    found = query(type, pairs(criteria), now=now, strict=True)
    if kind not in ("", type, f"{base()}/{type}"):
        raise BadSearch("If-None-Exist", f"speaks of another type than {type}")
    if not found.conditions or found.page:
        raise BadSearch("If-None-Exist", "has no criteria, or speaks of a page")
    return replace(found, count=2)


def searchset(query: Query, page: Page, *, own: int | None, used: Pairs) -> bytes:
    """The searchset Bundle of a page; bodies go in as they are stored, decimals and all."""
    here = f"{base()}/{query.type}"
    links = [("self", f"{here}?{urlencode(used)}" if used else here)]
    if page.cursor:
        links.append(("next", f"{here}?{urlencode([*used, ('_page', page.cursor)])}"))
    entries = [
        b'{"fullUrl":%s,"resource":%s,"search":{"mode":"match"}}'
        % (msgspec.json.encode(f"{base()}/{e.reference}"), shown(e, labels=own is not None and e.facts.author == own))
        for e in page.entries
    ]
    return bundle("searchset", entries, links=links, total=page.total)


def history(type: str, id: str, versions: Iterable[Stored], *, own: int | None, next_url: str | None) -> bytes:
    """The history Bundle of one resource, newest first."""
    here = f"{base()}/{type}/{id}/_history"
    entries = []
    for v in versions:
        method = "DELETE" if v.deleted else "POST" if v.version == 1 else "PUT"
        head: dict[str, Any] = {
            "request": {"method": method, "url": v.type if method == "POST" else v.reference},
            "response": {
                "status": {"DELETE": "204", "POST": "201", "PUT": "200"}[method],
                "etag": etag(v.version),
                "lastModified": instant(v.updated_at),
            },
        }
        resource = b"" if v.deleted else b',"resource":' + shown(v, labels=own is not None and v.facts.author == own)
        text = msgspec.json.encode({"fullUrl": f"{base()}/{v.reference}"} | head)
        entries.append(text[:-1] + resource + b"}")
    links = [("self", here)] + ([("next", next_url)] if next_url else [])
    return bundle("history", entries, links=links)


def bundle(
    type: str, entries: list[bytes], *, links: Iterable[tuple[str, str]] = (), total: int | None = None
) -> bytes:
    head: dict[str, Any] = {"resourceType": "Bundle", "type": type}
    if total is not None:
        head["total"] = total
    if links:
        head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    text = msgspec.json.encode(head)
    # FHIR has no empty arrays: a Bundle without entries has no `entry`.
    return text[:-1] + b',"entry":[' + b",".join(entries) + b"]}" if entries else text


def instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
