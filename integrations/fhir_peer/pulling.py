"""Fetching what a peer has of the people linked there, and storing it as its organisation's.

By the peer's own clock, with an overlap; what was seen in that version is left alone. What it deletes, or takes away
from the person, is entered in error here. Each slice is one transaction with its Provenance, decided anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from urllib.parse import quote, urlencode

from consent import outside
from integrations.fhir_peer import client, parse, registry, storing
from integrations.fhir_peer.client import Clock, Failed
from integrations.fhir_peer.parse import Resource, Unusable
from integrations.fhir_peer.registry import Linked
from integrations.fhir_peer.storing import Ended
from integrations.models import Peer, PeerCursor, PeerKnown, PeerPerson

log = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=5)  # read again: what was committed there late, with an earlier time
COUNT = 200  # a page, and a slice
MOST_PAGES = 10_000
RECONCILE = timedelta(hours=6)  # between two looks for what is no longer there


def pull(peer: Peer, *, clock: Clock) -> None:
    """Bring everybody linked there up to date. Raises Failed: at once where the peer does not answer, and at the end
    for what is wrong with the answers about one person, which keeps nobody else waiting."""
    wrong: Failed | None = None
    for linked in registry.persons(peer):
        registry.beat(peer, now=clock())
        try:
            _pull(peer, linked, clock=clock)
        except Ended:
            continue  # unlinked, or closed, while we were at it
        except Failed as failed:
            if failed.passes:
                raise
            wrong = wrong or failed
        except (ValueError, ArithmeticError, LookupError, TypeError) as error:
            log.error("peer %s: %s in the answers about one person", peer.code, type(error).__name__)
            wrong = wrong or Failed("unhandled", passes=True)
    if wrong is not None:
        raise wrong


def _pull(peer: Peer, linked: Linked, *, clock: Clock) -> None:
    for type in peer.types:
        _fetch(peer, linked, type, clock=clock)
    last = linked.person.reconciled_at
    if last is None or clock() - last >= RECONCILE:
        for type in peer.types:
            _reconcile(peer, linked, type, clock=clock)
        PeerPerson.objects.filter(pk=linked.person.pk).update(reconciled_at=clock())


def _fetch(peer: Peer, linked: Linked, type: str, *, clock: Clock) -> None:
    """What changed since the cursor. It moves on only when everything was taken."""
    cursor = PeerCursor.objects.filter(person=linked.person, type=type).first()
    asked = [("patient", linked.patient), ("_count", str(COUNT)), ("_sort", "_lastUpdated")]
    if cursor is not None:
        asked.append(("_lastUpdated", f"ge{(cursor.since - OVERLAP).isoformat(timespec='milliseconds')}"))
    newest, limit = cursor.since if cursor else None, None
    for page, told in _pages(peer, f"{peer.base}/{type}?{urlencode(asked, quote_via=quote)}", clock=clock):
        limit = limit or min(told or clock(), clock() + parse.AHEAD)
        for part in _slices(page):
            storing.take(peer, linked, type, part, clock=clock)
        moments = [m for m in (parse.instant(parse.version_of(one)[1]) for one in page) if m]
        newest = max([*moments, *([newest] if newest else [])], default=None)
    if newest is not None:
        # Never past their clock as it was when we began: a time of theirs that lies ahead must hide nothing to come.
        since = min(newest, limit or clock())
        PeerCursor.objects.update_or_create(person=linked.person, type=type, defaults={"since": since})


def _reconcile(peer: Peer, linked: Linked, type: str, *, clock: Clock) -> None:
    """Look one by one for what we know and a search for her no longer finds."""
    known = set(PeerKnown.objects.filter(person=linked.person, type=type, gone=False).values_list("theirs", flat=True))
    if not known:
        return
    asked = urlencode([("patient", linked.patient), ("_count", str(COUNT)), ("_elements", "id")], quote_via=quote)
    for page, _ in _pages(peer, f"{peer.base}/{type}?{asked}", clock=clock):
        known -= {id for kind, id in map(_named, page) if kind == type}
    for theirs in sorted(known):
        registry.beat(peer, now=clock())
        _look(peer, linked, type, theirs, clock=clock)


def _look(peer: Peer, linked: Linked, type: str, theirs: str, *, clock: Clock) -> None:
    """410: deleted there. 404 may be no more than a right we lost: it stays. Another's now: it was never hers."""
    answer = client.ask(peer, "GET", f"{peer.base}/{type}/{theirs}", clock=clock)
    if answer.status == 410:
        storing.gone(peer, linked, type, theirs, clock=clock)
    elif answer.status == 200:
        found = _usable(answer.body)
        if _named(found) != (type, theirs):
            raise Failed("other-resource", passes=False)
        if storing.is_anothers(peer, linked, found):
            storing.gone(peer, linked, type, theirs, clock=clock)
        else:
            storing.take(peer, linked, type, [found], clock=clock)


def _pages(peer: Peer, url: str, *, clock: Clock) -> Iterable[tuple[tuple[Resource, ...], datetime | None]]:
    """Each page with the peer's own time; `next` is followed at the registered origins only, and never in circles."""
    seen: set[str] = set()
    while url:
        if url in seen or len(seen) >= MOST_PAGES:
            raise Failed("pages-without-end", passes=False)
        seen.add(url)
        registry.beat(peer, now=clock())
        answer = client.get(peer, url, clock=clock)
        try:
            found = parse.searchset(answer.body, at=url)
        except Unusable as error:
            raise Failed(str(error), passes=False) from None
        if found.next and outside.origin(peer.base) != origin_of(found.next):
            raise Failed("other-host", passes=False)
        yield found.entries, parse.date_header(answer.headers.get("date", ""))
        url = found.next


def _slices(page: Sequence[Resource]) -> Iterable[list[Resource]]:
    rest = iter(page)
    while part := list(islice(rest, COUNT)):
        yield part


def _usable(body: bytes) -> Resource:
    try:
        return parse.json(body)
    except Unusable as error:
        raise Failed(str(error), passes=False) from None


def _named(resource: Resource) -> tuple[str, str]:
    try:
        return parse.named(resource)
    except Unusable:
        return "", ""


def origin_of(url: str) -> str:
    """The origin of an address a peer names. Raises Failed."""
    try:
        return outside.origin(url)
    except outside.NotFetched as error:
        raise Failed(error.code, passes=False) from error
