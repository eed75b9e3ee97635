"""Between HTTP and resources: formats, preferences, validators, and bodies in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils.http import http_date, parse_http_date_safe

from phr.fhir.outcome import FHIR_JSON, Issue, Problem, as_json
from phr.fhir.resolve import relative
from phr.fhir.shape import WHOLE, Shape, checked, shaped
from phr.records import body
from phr.records.gateway import NotFound, Page, Stored
from phr.records.labels import removed as without_labels
from phr.records.naming import given
from phr.records.search.parse import BadSearch, Query, parse

_JSON = {"json", "application/json", "application/fhir+json", "text/json"}
_ETAGS = re.compile(r'(?:^|,)\s*(?:W/)?"(\d{1,9})"\s*(?=,|$)')

MOST_FIELDS = 100  # of a query string or form

Pairs = list[tuple[str, str]]
SHAPING = frozenset({"_format", "_pretty", "_summary", "_elements"})  # how to answer, not what to look for


def base() -> str:
    return f"{settings.PHR_BASE_URL}/fhir"


def negotiate(request: HttpRequest) -> None:
    """Refuse what cannot be answered in JSON (R4 http.html §3.1.0.1.10): `_format` wins over Accept."""
    if "_format" in request.META.get("QUERY_STRING", "") and json_wanted(asked(request)):
        return
    accept = request.META.get("HTTP_ACCEPT", "*/*").lower()
    kinds = {part.split(";")[0].strip() for part in accept.split(",")}
    if not kinds & (_JSON | {"*/*", "application/*", "text/html", ""}):
        raise Problem(406, "not-supported", "このサーバーは JSON だけを返します。Only JSON is served.")


def json_wanted(asked: Pairs) -> bool:
    """Whether `_format` asks for JSON. Raises Problem (406) where it asks for anything else."""
    wanted = next((value for name, value in asked if name == "_format"), None)
    if wanted is not None and wanted.split(";")[0].strip().replace(" ", "+").lower() not in _JSON:
        raise Problem(406, "not-supported", "このサーバーは JSON だけを返します。Only JSON is served.", "http._format")
    return wanted is not None


def pretty(content: bytes) -> bytes:
    """The same JSON for human eyes (`_pretty`); numbers keep their digits."""
    return msgspec.json.format(content, indent=2)


def asked(request: HttpRequest) -> Pairs:
    """The parameters of the query string, in order. Raises Problem (400)."""
    return pairs(query_string(request))


def query_string(request: HttpRequest) -> str:
    """What stands behind the `?`. Raises Problem (400)."""
    return utf8(request.META.get("QUERY_STRING", ""))


def utf8(text: str) -> str:
    """Letters that were sent unescaped: WSGI hands bytes over as Latin-1 (PEP 3333). Raises Problem (400)."""
    try:
        return text if text.isascii() else text.encode("latin-1").decode()
    except UnicodeError:
        raise Problem(400, "invalid", "検索の文字列を読めません。The query string cannot be read.") from None


def form(request: HttpRequest) -> Pairs:
    """The parameters of a form body, in order. Raises Problem (400, 411, 413, 415)."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not kind and not received(request):
        return []  # everything stands in the URL
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "not-supported", "application/x-www-form-urlencoded で送ってください。Expected a form body.")
    try:
        return pairs(received(request).decode())
    except UnicodeDecodeError:
        raise Problem(400, "invalid", "検索の文字列を読めません。The form cannot be read.") from None


def pairs(text: str) -> Pairs:
    """A query string or form as its parameters. Raises Problem (400)."""
    if text.count("&") >= MOST_FIELDS:
        several = f"パラメータは{MOST_FIELDS}個までです。More than {MOST_FIELDS} parameters."
        raise Problem(400, "too-costly", several)
    try:
        return parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise Problem(400, "invalid", "検索の文字列を読めません。The query string cannot be read.") from None


def received(request: HttpRequest) -> bytes:
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
    return relative(body.received(received(request)), base())


def preference(request: HttpRequest, name: str, default: str) -> str:
    """One `Prefer` value: return = minimal | representation | OperationOutcome, handling = strict | lenient."""
    return prefers(request.headers.get("Prefer", ""), name, default)


def prefers(header: str, name: str, default: str) -> str:
    """One value of a `Prefer` header."""
    found = re.search(rf"\b{name}\s*=\s*\"?([A-Za-z]+)", header)
    return found[1] if found else default


def strict(prefer: str, default: str = "lenient") -> bool:
    """Whether what nobody knows is refused (`Prefer: handling=`; decisions/parameters-nobody-knows.md)."""
    return prefers(prefer, "handling", default) == "strict"


def understood(request: HttpRequest, *known: str) -> Pairs:
    """The parameters of the query string that are known here, and those that shape any answer.

    Raises Problem (400) for any other where the client asks for strict handling.
    """
    given = asked(request)
    kept = [(name, value) for name, value in given if name in SHAPING or name in known]
    if len(kept) < len(given) and strict(request.headers.get("Prefer", "")):
        name = next(name for name, _ in given if name not in SHAPING and name not in known)[:64]
        raise Problem(400, "not-supported", f"{name} はここでは使えません。Not supported here.", f"http.{name}")
    return kept


def version_of(type: str, id: str, text: str) -> int:
    """The number of a version in a path. Raises NotFound for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"{type}/{id}")
    return int(text)


def unchanged(request: HttpRequest, found: Stored) -> bool:
    """Whether the client has this version already (R4 http.html §3.1.0.1.7, conditional read).

    If-None-Match: a list of ETags, or * (RFC 9110 §13.1.2, weak comparison). If-Modified-Since counts only
    without it (§13.1.3); what is no date is not there.
    """
    told = request.headers.get("If-None-Match")
    if told is not None:
        return told.strip() == "*" or str(found.version) in _ETAGS.findall(told)
    since = request.headers.get("If-Modified-Since")
    at = parse_http_date_safe(since) if since else None
    return at is not None and int(found.updated_at.timestamp()) <= at


def etag(version: int) -> str:
    return f'W/"{version}"'


def shown(found: Stored, *, labels: bool, shape: Shape = WHOLE) -> bytes:
    """The body as it leaves, as stored where nothing is left out. `labels`: security labels are the caller's own."""
    text = found.body or b""
    labels = labels or b'"security"' not in text
    if labels and shape.whole:
        return text
    resource = body.parse(text) if labels else without_labels(body.parse(text))
    return body.write(shaped(resource, shape))


def one(
    found: Stored, *, status: int, labels: bool, location: bool = False, prefer: str = "", shape: Shape = WHOLE,
    hints: Sequence[Issue] = (),
) -> HttpResponse:  # fmt: skip
    """A response that carries one version. `hints`: on what was written, for who prefers an outcome."""
    content = shown(found, labels=labels, shape=shape)
    if prefer == "minimal":
        content = b""
    elif prefer == "OperationOutcome":
        content = as_json([Issue("informational", "保存しました。Stored.", severity="information"), *hints])
    answer = HttpResponse(content, status=status, content_type=FHIR_JSON)
    answer["ETag"] = etag(found.version)
    answer["Last-Modified"] = http_date(found.updated_at.timestamp())
    if location:
        answer["Location"] = f"{base()}/{found.reference}/_history/{found.version}"
    return answer


def query(
    types: str | Sequence[str],
    asked: Pairs,
    *,
    now: datetime,
    strict: bool,
    compartment: tuple[str, str] | None = None,
) -> Query:
    """The search as data. Raises BadSearch; when strict, also for what nobody knows (R4 search.html §3.1.1.3)."""
    found = parse(types, asked, now=now, base=base(), compartment=compartment)
    if found.unknown and strict:
        raise BadSearch(found.unknown[0][:60], "unknown parameter")
    checked(Shape(found.summary, found.elements))
    if found.includes and found.summary == "text":
        raise BadSearch("_include", "cannot be combined with _summary=text")
    return found


def used(query: Query, asked: Pairs) -> Pairs:
    """The parameters that were applied, as they go into the links of the answer."""
    return [(name, value) for name, value in asked if name not in query.unknown]


def searchset(query: Query, page: Page, *, own: int | None, used: Pairs, here: str = "") -> bytes:
    """The searchset Bundle of a page; bodies go in as they are stored, decimals and all. `here`: where it was asked."""
    shape = Shape(query.summary, query.elements)
    entries = [_entry(e, "match", own, shape) for e in page.entries]
    entries += [_entry(e, "include", own, shape.of_included) for e in page.included]
    if query.count and (warnings := _warnings(query, page)):
        entries.append(b'{"resource":%s,"search":{"mode":"outcome"}}' % as_json(warnings))
    here = here or f"{base()}/{query.type}"
    return bundle("searchset", entries, links=links(here, used, page.cursor), total=page.total)


def _entry(found: Stored, mode: str, own: int | None, shape: Shape) -> bytes:
    labels = own is not None and found.facts.author == own
    url = msgspec.json.encode(f"{base()}/{found.reference}")
    resource = shown(found, labels=labels, shape=shape)
    return b'{"fullUrl":%s,"resource":%s,"search":{"mode":"%s"}}' % (url, resource, mode.encode())


def _warnings(query: Query, page: Page) -> list[Issue]:
    """What a client should know of its answer (R4 search.html §3.1.1.3: an outcome of the search, never an error)."""
    ignored = [
        Issue("not-supported", f"{name[:60]} を無視しました。Ignored.", f"http.{name[:60]}", "warning")
        for name in query.unknown
    ]
    return ignored + ([Issue("incomplete", page.cut, severity="warning")] if page.cut else [])


def history(here: str, asked: Pairs, page: Page, *, own: int | None, shape: Shape = WHOLE) -> bytes:
    """The history Bundle of a page, newest first. `here`: its URL; `asked`: the parameters it came with."""
    entries = []
    for v in page.entries:
        method = "DELETE" if v.deleted else "POST" if v.version == 1 and not given(v.id) else "PUT"
        head: dict[str, Any] = {
            "request": {"method": method, "url": v.type if method == "POST" else v.reference},
            "response": {
                "status": "204" if v.deleted else "201" if v.version == 1 else "200",
                "etag": etag(v.version),
                "lastModified": instant(v.updated_at),
            },
        }
        labels = own is not None and v.facts.author == own
        resource = b"" if v.deleted else b',"resource":' + shown(v, labels=labels, shape=shape)
        text = msgspec.json.encode({"fullUrl": f"{base()}/{v.reference}"} | head)
        entries.append(text[:-1] + resource + b"}")
    return bundle("history", entries, links=links(here, asked, page.cursor))


def links(here: str, used: Pairs, cursor: str | None) -> list[tuple[str, str]]:
    """self, first and next (R4 http.html §3.1.0.1.12, RFC 5988 relations); the way back is the client's own."""
    plain = [(name, value) for name, value in used if name != "_page"]
    first = f"{here}?{urlencode(plain)}" if plain else here
    paged = len(plain) < len(used)
    found = [("self", f"{here}?{urlencode(used)}" if paged else first)]
    if paged or cursor:
        found.append(("first", first))
    if cursor:
        found.append(("next", f"{here}?{urlencode([*plain, ('_page', cursor)])}"))
    return found


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
