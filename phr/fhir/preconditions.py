"""What a write is made to depend on: If-Match, If-None-Match, and conditions in its URL (R4 http.html §3.1.0.5)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from django.http import HttpRequest

from phr.fhir import wire
from phr.fhir.outcome import Problem
from phr.records.gateway import ANY_VERSION, Versions
from phr.records.search.parse import BadSearch, Query

_ONE = r'(?:W/)?"(\d{1,9})"'
_LIST = re.compile(rf"\s*{_ONE}\s*(?:,\s*{_ONE}\s*)*", re.ASCII)
_CONDITION = re.compile(r"(?:([^?=&]*)\?)?(.*)", re.DOTALL)
MOST_TAGS = 20


def if_match(request: HttpRequest) -> Versions | None:
    """The versions named by If-Match. Raises Problem (400)."""
    return versions(request.headers.get("If-Match"), "If-Match")


def versions(text: str | None, name: str, place: str = "", *, bare: bool = False) -> Versions | None:
    """ETags of ours, or * for any (RFC 9110 §13.1.1). Raises Problem (400).

    `bare`: a version may stand without its quotes, as some write it in `Bundle.entry.request.ifMatch`.
    """
    if text is None:
        return None
    told = text.strip()
    if told == "*":
        return frozenset({ANY_VERSION})
    if bare and told.isascii() and told.isdigit() and len(told) < 10:
        return frozenset({int(told)})
    found = [int(tag) for tag in re.findall(_ONE, told)] if _LIST.fullmatch(told) else []
    if not found or len(found) > MOST_TAGS:
        raise Problem(400, "value", f'{name} は W/"版" の形です。{name} must be an ETag such as W/"3", or *.', place)
    return frozenset(found)


def fresh(request: HttpRequest) -> bool:
    """Whether the write is meant only where nothing stands: If-None-Match: * (RFC 9110 §13.1.2). Raises Problem."""
    text = request.headers.get("If-None-Match")
    if text is None:
        return False
    if text.strip() != "*":
        raise Problem(400, "value", "書き込みの If-None-Match は * だけです。Only If-None-Match: * is taken here.")
    return True


def condition(type: str, text: str, *, now: datetime, name: str = "If-None-Exist") -> Query:
    """A condition: a query string, with or without `Type?` before it. Raises BadSearch naming `name`."""
    kind, criteria = _CONDITION.fullmatch(text.strip()).groups(default="")  # type: ignore[union-attr]
    asked = [pair for pair in wire.pairs(criteria) if pair[0] not in wire.SHAPING]
    found = wire.query(type, asked, now=now, strict=True)
    if kind not in ("", type, f"{wire.base()}/{type}"):
        raise BadSearch(name, f"speaks of another type than {type}")
    if not (found.conditions or found.opening) or found.page or found.includes or found.types != (type,):
        raise BadSearch(name, "has no criteria, or speaks of a page, of inclusions or of other types")
    return replace(found, count=2)
