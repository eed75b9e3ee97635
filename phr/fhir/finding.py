"""What lists: searches and histories (R4 search.html, http.html §3.1.0.9)."""

from __future__ import annotations

import re
from datetime import datetime

from django.http import HttpRequest, HttpResponse

from phr.fhir import shape, wire
from phr.fhir.door import admitted, known, open_records
from phr.fhir.outcome import FHIR_JSON, Problem
from phr.records.gateway import Past
from phr.records.search import compartments, ranges

MOST_VERSIONS = 100
_WHOLE = re.compile(r"0*[1-9][0-9]{0,8}")
_NOT_IN_HISTORY = ("_sort", "_list")  # defined by R4, and not done here
_HISTORY = ("_count", "_since", "_at", "_page")


# -- search ----------------------------------------------------------------------------------------


def search(request: HttpRequest, *, type: str) -> HttpResponse:
    return _search(request, (known(type),), type)


def system_search(request: HttpRequest) -> HttpResponse:
    """Over the types that `_type` names, or over all (R4 search.html §3.1.1.2)."""
    return _search(request, (), "")


def compartment_search(request: HttpRequest, *, type: str, id: str, inner: str) -> HttpResponse:
    """Within one person's (or one visit's …) compartment: one type, or `*` (R4 search.html §3.1.1.2)."""
    try:
        compartments.types(known(type))
    except KeyError:
        text = f"{type} は区画を持ちません。There is no {type} compartment."
        raise Problem(404, "not-supported", text) from None
    types = () if inner == "*" else (known(inner),)
    return _search(request, types, f"{type}/{id}/{inner}", (type, id))


def _search(
    request: HttpRequest, types: tuple[str, ...], place: str, compartment: tuple[str, str] | None = None
) -> HttpResponse:
    records = open_records(request)
    asked = wire.asked(request)
    pretty = False
    if request.method == "POST":  # what stands in the URL counts as well (R4 http.html §3.1.0.9)
        asked += wire.form(request)
        wire.json_wanted(asked)
        pretty = ("_pretty", "true") in asked
    admitted(records, types[0] if types else None, "s")
    strict = wire.strict(request.headers.get("Prefer", ""))
    query = wire.query(types, asked, now=records.now, strict=strict, compartment=compartment)
    if compartment:
        records.stands(*compartment)
    page = records.search(query, cursor=query.page)
    here = f"{wire.base()}/{place}".rstrip("/")
    content = wire.searchset(query, page, own=records.author, used=wire.used(query, asked), here=here)
    return HttpResponse(wire.pretty(content) if pretty else content, content_type=FHIR_JSON)


# -- history ---------------------------------------------------------------------------------------


def history(request: HttpRequest, *, type: str | None = None, id: str | None = None) -> HttpResponse:
    """Of a resource, of a type, of everything this caller may see."""
    records = open_records(request)
    admitted(records, known(type) if type else None, "s" if id is None else "r")
    asked = wire.understood(request, *_HISTORY, *_NOT_IN_HISTORY)
    told, form = _told(asked), shape.asked(asked)
    past = Past(type, id, _since(told.get("_since")), _at(told.get("_at")), _versions(told.get("_count")))
    page = records.history(past, cursor=told.get("_page"))
    here = "/".join(part for part in (wire.base(), type, id, "_history") if part)
    answer = HttpResponse(wire.history(here, asked, page, own=records.author, shape=form), content_type=FHIR_JSON)
    if page.entries:
        answer["Last-Modified"] = wire.http_date(page.entries[0].updated_at.timestamp())
    return answer


def _told(asked: wire.Pairs) -> dict[str, str]:
    told: dict[str, str] = {}
    for name, value in asked:
        if name in told:
            raise _wrong(name, "一度だけ使えます。May stand once only.")
        if name in _NOT_IN_HISTORY:
            text = f"{name} は履歴では使えません。Not supported on history."
            raise Problem(400, "not-supported", text, f"http.{name}")
        if name in _HISTORY:
            told[name] = value
    return told


def _wrong(name: str, text: str) -> Problem:
    return Problem(400, "invalid", f"{name}: {text}", f"http.{name}")


def _versions(text: str | None) -> int:
    if text is None:
        return MOST_VERSIONS
    if not _WHOLE.fullmatch(text):
        raise _wrong("_count", "正の整数です。Must be a positive number.")
    return min(int(text), MOST_VERSIONS)


def _since(text: str | None) -> datetime | None:
    """An instant; what is less precise means its beginning."""
    span = _span("_since", text)
    return span[0] if span else None


def _at(text: str | None) -> tuple[datetime, datetime] | None:
    return _span("_at", text)


def _span(name: str, text: str | None) -> tuple[datetime, datetime] | None:
    if text is None:
        return None
    try:
        low, high = ranges.date_range(text.replace(" ", "+"))  # an unescaped + in a URL arrives as a space
    except (ValueError, OverflowError):
        raise _wrong(name, "日付か時刻です。Must be a date or a time.") from None
    return ranges.moment(low), ranges.moment(high)
