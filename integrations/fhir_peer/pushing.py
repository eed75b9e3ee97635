"""Sending to a peer what the family allows its organisation to see: decided at each send, and never twice.

A first sending is a conditional create on our identifier (If-None-Exist), a later version a conditional update: who
does not know whether an earlier answer was lost sends the same again, and it is there once. What is about to leave is
in the log before it leaves. Source: FHIR R4 http.html §3.1.0.8 (conditional create), §3.1.0.11 (transactions).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django.db import transaction

from consent import audit
from consent.audit import Event
from consent.models import Subject
from integrations import dead_letters
from integrations.fhir_peer import client, mapping, parse, queueing, registry
from integrations.fhir_peer.client import Clock, Failed
from integrations.fhir_peer.parse import Done, Unusable
from integrations.fhir_peer.queueing import State
from integrations.fhir_peer.registry import Linked
from integrations.models import Peer, PeerDelivery
from phr.records import body, labels
from phr.records.gateway import Gone, NotFound, Records, Refused
from phr.records.search import parse as search
from phr.records.store import Stored

TOGETHER = 30  # resources in one transaction; their ids fit into one search
ALONE = 3  # after so many failures one is sent by itself, so that it cannot hold up the others
MOST_ATTEMPTS = 12
MOST_TURNS = 200  # transactions of one person in one run

Draw = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One delivery as it goes: the version, and its entry of the transaction."""

    delivery: PeerDelivery
    version: int
    entry: dict[str, Any]


def push(peer: Peer, *, clock: Clock, draw: Draw = random.random) -> None:
    """Send what is due to one peer. Raises Failed where the peer does not answer."""
    queueing.queue(peer, now=clock())
    for linked in registry.persons(peer):
        for _ in range(MOST_TURNS):
            waiting = queueing.due(peer, linked, now=clock(), limit=TOGETHER)
            if not waiting:
                break
            registry.beat(peer, now=clock())
            alone = [d for d in waiting if d.attempts >= ALONE]
            _turn(peer, linked.person.number_id, alone[:1] or waiting, clock=clock, draw=draw)


def _turn(peer: Peer, number: int, waiting: Sequence[PeerDelivery], *, clock: Clock, draw: Draw) -> None:
    """Decide, log, send and settle a few of one person's."""
    parcels = _packed(peer, number, waiting, clock=clock)
    if parcels:
        try:
            _sent(peer, parcels, clock=clock)
        except Failed as failed:
            if not _may_be_ours(failed):
                raise  # they are away, or busy: nothing is wrong with what was sent
            if len(parcels) > 1 or parcels[0].delivery.attempts < ALONE:
                for parcel in parcels:
                    queueing.postpone(parcel.delivery, until=clock(), reason=failed.code)
                raise
            _postponed(peer, parcels[0], failed, clock=clock, draw=draw)


def _may_be_ours(failed: Failed) -> bool:
    """Whether a failure may hang on what was sent: they broke over it, or answered what is no answer to it."""
    return failed.code in ("status-500", "status-409", "not-a-response", "not-a-bundle", "not-json")


def _postponed(peer: Peer, parcel: Parcel, failed: Failed, *, clock: Clock, draw: Draw) -> None:
    """One that fails by itself waits by itself; at last it is given up."""
    delivery = parcel.delivery
    until = clock() + registry.pause(delivery.attempts, after=failed.after, share=draw())
    if queueing.postpone(delivery, until=until, reason=failed.code) >= MOST_ATTEMPTS:
        _dead(peer, parcel, "gave-up", clock=clock)


def _packed(peer: Peer, number: int, waiting: Sequence[PeerDelivery], *, clock: Clock) -> list[Parcel]:
    """What of these may leave at this moment, as the peer's organisation sees it. Kept in the log before it does."""
    with transaction.atomic():
        linked = registry.person(peer, number)
        if linked is None or not Peer.objects.filter(pk=peer.pk, state=Peer.State.ACTIVE, pushes=True).exists():
            return []
        # Whoever changes this person's consents waits for us, or was before us.
        Subject.objects.select_for_update().get(pk=linked.subject)
        records = _opened(peer, clock=clock)
        seen = _seen(records, linked, waiting, clock=clock) if records is not None else {}
        made = (_parcel(peer, linked, records, d, seen.get(f"{d.type}/{d.ours}")) for d in waiting)
        parcels = [parcel for parcel in made if parcel is not None]
        if parcels:
            names = [f"{p.delivery.type}/{p.delivery.ours}/{p.version}" for p in parcels]
            detail: audit.Detail = {"client": peer.code, "resources": names, "organization": peer.organization_id}
            by = registry.caller(peer, "rs")
            audit.record(Event.PEER_SENT, by=by, subject=linked.subject, now=clock(), detail=detail)
    return parcels


def _opened(peer: Peer, *, clock: Clock) -> Records | None:
    try:
        return Records.opened_by(registry.caller(peer, "rs"), now=clock())
    except Refused:
        return None


def _seen(records: Records, linked: Linked, waiting: Sequence[PeerDelivery], *, clock: Clock) -> dict[str, Stored]:
    """Those the organisation may read now, by searches: one line in her log each, and no refusal for the others."""
    found: dict[str, Stored] = {}
    for type in sorted({d.type for d in waiting}):
        ids = ",".join(d.ours for d in waiting if d.type == type)
        pairs = [("_id", ids), ("patient", str(linked.subject)), ("_count", str(TOGETHER))]
        query, cursor, more = search.parse(type, pairs, now=clock()), None, True
        while more:  # a page ends early where the bodies are large
            page = records.search(query, cursor=cursor)
            found |= {entry.reference: entry for entry in page.entries}
            cursor, more = page.cursor, page.cursor is not None
    return found


def _parcel(
    peer: Peer, linked: Linked, records: Records | None, delivery: PeerDelivery, stored: Stored | None
) -> Parcel | None:
    if stored is None:
        if records is not None and (delivery.sent or delivery.theirs) and _is_gone(records, delivery):
            url = f"{delivery.type}?{_condition(delivery, registry.own_base())}"
            return Parcel(delivery, delivery.wanted, {"request": {"method": "DELETE", "url": url}})
        queueing.settle(delivery, State.WITHHELD, version=delivery.wanted)
        return None
    if stored.facts.author == peer.organization_id or stored.facts.subjects != (linked.subject,):
        queueing.settle(delivery, State.WITHHELD, version=stored.version, reason="own")
        return None
    there = registry.there(peer, linked, _sent_before(peer, linked))
    try:
        content = body.parse(stored.body or b"{}")
        labels.removed(content)  # as by every door: they leave only to the organisation that wrote them
        resource = mapping.given(content, there)
    except Unusable as error:
        queueing.settle(delivery, State.DEAD, version=stored.version, reason=str(error))
        return None
    return Parcel(delivery, stored.version, _entry(delivery, resource, there.own))


def _is_gone(records: Records, delivery: PeerDelivery) -> bool:
    try:
        records.read(delivery.type, delivery.ours)
    except Gone:
        return True
    except NotFound:
        return False
    return False


def _sent_before(peer: Peer, linked: Linked) -> dict[str, str]:
    rows = PeerDelivery.objects.filter(peer=peer, subject_id=linked.subject).exclude(theirs__in=["", "?"])
    return {f"{type}/{theirs}": f"{type}/{ours}" for type, theirs, ours in rows.values_list("type", "theirs", "ours")}


def _entry(delivery: PeerDelivery, resource: dict[str, Any], own: str) -> dict[str, Any]:
    condition = _condition(delivery, own)
    if delivery.sent or delivery.theirs:
        return {"resource": resource, "request": {"method": "PUT", "url": f"{delivery.type}?{condition}"}}
    return {"resource": resource, "request": {"method": "POST", "url": delivery.type, "ifNoneExist": condition}}


def _condition(delivery: PeerDelivery, own: str) -> str:
    ours = mapping.identifier(own, delivery.type, delivery.ours)
    return f"identifier={quote(ours['system'], safe='')}%7C{quote(ours['value'], safe='')}"


def _sent(peer: Peer, parcels: Sequence[Parcel], *, clock: Clock) -> None:
    """One transaction; where the peer refuses the whole, one by one, and each refusal stops its own resource only."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [p.entry for p in parcels]}
    answer = client.ask(peer, "POST", peer.base, clock=clock, body=body.write(bundle))
    if answer.status == 200:
        _settled(peer, parcels, _responses(answer.body, len(parcels)), clock=clock)
    elif len(parcels) > 1:
        for parcel in parcels:
            same = PeerDelivery.objects.filter(pk=parcel.delivery.pk, state=State.DUE, attempts__lt=ALONE)
            same.update(attempts=ALONE, reason=f"status-{answer.status}")
    elif answer.status == 409 and parcels[0].delivery.attempts < MOST_ATTEMPTS:
        raise Failed("status-409", passes=True)  # somebody else was writing
    elif parcels[0].entry["request"]["method"] == "DELETE" and answer.status in (404, 410):
        _settled(peer, parcels, [Done(answer.status, "", "")], clock=clock)
    else:
        _dead(peer, parcels[0], f"status-{answer.status}", clock=clock)


def _responses(text: bytes, count: int) -> list[Done]:
    try:
        return parse.responses(text, count=count)
    except Unusable as error:
        raise Failed(str(error), passes=True) from None


def _settled(peer: Peer, parcels: Sequence[Parcel], told: Sequence[Done], *, clock: Clock) -> None:
    with transaction.atomic():
        for parcel, done in zip(parcels, told, strict=True):
            method = parcel.entry["request"]["method"]
            if method == "DELETE":
                queueing.settle(parcel.delivery, State.SENT, version=parcel.version)
                PeerDelivery.objects.filter(pk=parcel.delivery.pk).update(theirs="", sent=0)
            elif done.status >= 400:
                _dead(peer, parcel, f"status-{done.status}", clock=clock)
            elif method == "POST" and done.status == 200:
                # It was there: an answer of theirs was lost. Which version they have is not known: update it.
                PeerDelivery.objects.filter(pk=parcel.delivery.pk).update(theirs=done.id or "?")
            else:
                queueing.settle(parcel.delivery, State.SENT, version=parcel.version, theirs=done.id)


def _dead(peer: Peer, parcel: Parcel, reason: str, *, clock: Clock) -> None:
    """They do not take this one: kept with its reason, until it changes here or an operator has it tried again."""
    delivery, now = parcel.delivery, clock()
    with transaction.atomic():
        queueing.settle(delivery, State.DEAD, version=parcel.version, reason=reason)
        dead_letters.bury(task="integrations.tasks.retry_delivery", reason=reason, reference=str(delivery.pk), now=now)
        detail: audit.Detail = {"client": peer.code, "resources": [f"{delivery.type}/{delivery.ours}/{parcel.version}"],
                                "reason": reason, "organization": peer.organization_id}  # fmt: skip
        by = registry.caller(peer, "rs")
        audit.record(Event.PEER_STOPPED, by=by, subject=delivery.subject_id, now=now, detail=detail)


def retry(delivery: int, *, now: datetime) -> None:
    """Have one that was given up tried again."""
    found = PeerDelivery.objects.filter(pk=delivery, state=State.DEAD)
    found.update(state=State.DUE, attempts=0, next_at=now, reason="")
