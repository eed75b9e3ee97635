"""What operations answer with: searchset Bundles and their links (R4 bundle.html §2.36.2)."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from phr.fhir import wire
from phr.fhir.operations.calling import Ask
from phr.fhir.outcome import Issue, as_json
from phr.records.gateway import Page, Records, Stored


def searchset(records: Records, ask: Ask, page: Page) -> bytes:
    """The Bundle of a page, with `self` and `next` links by which GET asks the same."""
    # The total is told where it can be seen anyway: on a first page that is the last.
    whole = page.cursor is None and ask.one("_page") is None
    entries = [entry(records, found, b"match") for found in page.entries]
    entries += [entry(records, found, b"include") for found in page.included]
    if page.cut:
        text = as_json([Issue("incomplete", f"参照先の一部を省きました。{page.cut}.", severity="warning")])
        entries.append(b'{"resource":%s,"search":{"mode":"outcome"}}' % text)
    links = [("self", link(ask, ask.one("_page")))]
    if page.cursor:
        links.append(("next", link(ask, page.cursor)))
    return wire.bundle("searchset", entries, links=links, total=len(page.entries) if whole else None)


def entry(records: Records, found: Stored, mode: bytes) -> bytes:
    url = msgspec.json.encode(f"{wire.base()}/{found.reference}")
    resource = wire.shown(found, labels=records.shows_labels(found))
    return b'{"fullUrl":%s,"resource":%s,"search":{"mode":"%s"}}' % (url, resource, mode)


def link(ask: Ask, page: str | None) -> str:
    """This question as a URL, whichever way its parameters came."""
    pairs = [(name, _written(value)) for name, values in ask.values.items() if name != "_page" for value in values]
    pairs += ask.rest
    pairs += [("_page", page)] if page else []
    query = "&".join(f"{quote(name, safe=':')}={quote(value, safe=':,/|')}" for name, value in pairs)
    return f"{wire.base()}/{ask.place}/${ask.operation}" + (f"?{query}" if query else "")


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
