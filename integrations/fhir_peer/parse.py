"""What a peer answers -> values. Pure. Whatever it sends: values, or Unusable with a code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

from phr.records import body

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
LOCATION = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII)
MOST_ENTRIES = 5000  # of one page
AHEAD = timedelta(days=1)  # a clock of theirs may go before ours; what lies beyond is no time they can know

Resource = dict[str, Any]


class Unusable(Exception):
    """An answer nothing can be done with; the text is a code."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search. `entries`: its matches; `next`: the absolute address of the next page, "" = the last."""

    entries: tuple[Resource, ...]
    next: str


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one entry of a transaction. `id`: its id there; `version`: theirs; both "" = not said."""

    status: int
    id: str
    version: str


def json(text: bytes) -> Resource:
    """A JSON object. Raises Unusable."""
    try:
        return body.received(text)
    except body.Malformed:
        raise Unusable("not-json") from None


def searchset(text: bytes, *, at: str) -> Found:
    """A Bundle of type searchset. `at`: the address it came from. Raises Unusable."""
    bundle = _bundle(text, ("searchset",))
    found = []
    for entry in _dicts(bundle.get("entry")):
        mode = entry.get("search")
        resource = entry.get("resource")
        if isinstance(resource, dict) and (not isinstance(mode, dict) or mode.get("mode", "match") == "match"):
            found.append(resource)
    links = [link for link in _dicts(bundle.get("link")) if link.get("relation") == "next"]
    following = links[0].get("url") if links else ""
    if not isinstance(following, str):
        raise Unusable("not-a-page")
    try:
        return Found(tuple(found), urljoin(at, following) if following else "")
    except ValueError:
        raise Unusable("not-a-page") from None


def responses(text: bytes, *, count: int) -> list[Done]:
    """The entries of a transaction-response, as many as were sent. Raises Unusable."""
    bundle = _bundle(text, ("transaction-response", "batch-response"))
    entries = bundle.get("entry")
    told = [e.get("response") if isinstance(e, dict) else None for e in entries] if isinstance(entries, list) else []
    if len(told) != count:
        raise Unusable("not-a-response")
    return [_done(one) for one in told]


def named(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Type and id. Raises Unusable where it has no sound ones."""
    type, id = resource.get("resourceType"), resource.get("id")
    if not isinstance(type, str) or not isinstance(id, str) or not ID.fullmatch(id) or not ID.fullmatch(type):
        raise Unusable("no-id")
    return type, id


def version_of(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Their versionId and lastUpdated; "" where they say none, or nothing sound."""
    meta = resource.get("meta")
    told = meta if isinstance(meta, dict) else {}
    version, modified = told.get("versionId"), told.get("lastUpdated")
    return (
        version if isinstance(version, str) and ID.fullmatch(version) else "",
        modified if isinstance(modified, str) and instant(modified) else "",
    )


def instant(text: str) -> datetime | None:
    """A FHIR instant as a time in UTC; None where it is none, or lies before 1900 or after 2199."""
    if not INSTANT.fullmatch(text):
        return None
    try:
        return _in_range(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)))
    except (ValueError, OverflowError):
        return None


def date_header(text: str) -> datetime | None:
    """An HTTP Date as a time in UTC; None where it is none."""
    try:
        found = parsedate_to_datetime(text)
        return _in_range(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _in_range(told: datetime) -> datetime | None:
    """In UTC, and such that days can be added and taken away. Raises OverflowError."""
    found = told.astimezone(UTC)
    return found if 1900 <= found.year < 2200 else None


def located(text: object) -> tuple[str, str, str] | None:
    """type, id and version of a Location or reference; None where it is none."""
    found = LOCATION.fullmatch(text) if isinstance(text, str) and len(text) <= 500 else None
    return (found[1], found[2], found[3] or "") if found else None


def deletions(bundle: Resource) -> list[tuple[str, str]]:
    """Type and id of everything a Bundle of an export's `deleted` files deletes."""
    requests = [entry.get("request") for entry in _dicts(bundle.get("entry"))]
    told = [r.get("url") for r in requests if isinstance(r, dict) and r.get("method") == "DELETE"]
    return [(found[0], found[1]) for found in map(located, told) if found is not None]


def _done(told: object) -> Done:
    status = told.get("status") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(status, str) or not re.match(r"[1-5]\d\d(?: |$)", status, re.ASCII):
        raise Unusable("not-a-response")
    found = located(told.get("location"))
    return Done(int(status[:3]), found[1] if found else "", found[2] if found else "")


def _bundle(text: bytes, types: tuple[str, ...]) -> Resource:
    found = json(text)
    if found.get("resourceType") != "Bundle" or found.get("type") not in types:
        raise Unusable("not-a-bundle")
    entries = found.get("entry", [])
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise Unusable("not-a-bundle")
    return found


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
