"""What is to go to a peer: from the change feed, from a new link, and again when her consents change. No content."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from integrations.fhir_peer import mapping, registry
from integrations.fhir_peer.registry import Linked
from integrations.models import Peer, PeerDelivery, PeerPerson
from phr.records import changes
from phr.records.changes import Changed, Mark

LIMIT = 1000  # changes in one transaction

State = PeerDelivery.State


def queue(peer: Peer, *, now: datetime) -> None:
    """Read the change feed to its end, and fill in whoever was linked, or changed her consents, since."""
    while _read(peer, now=now):
        pass
    for linked in registry.persons(peer):
        _fill(peer, linked, now=now)


def _read(peer: Peer, *, now: datetime) -> bool:
    """The next changes, and how far that is, in one transaction. Returns whether there may be more."""
    with transaction.atomic():
        held = Peer.objects.select_for_update().get(pk=peer.pk)
        found = changes.after(Mark(held.xid, held.change), limit=LIMIT)
        if found:
            living = set(registry.numbers(peer).values_list("subject_id", flat=True))
            _want(peer, [one for one in found if _concerns(peer, one, living)], now=now)
            last = found[-1].mark
            Peer.objects.filter(pk=peer.pk).update(xid=last.xid, change=last.id)
    return len(found) == LIMIT


def _concerns(peer: Peer, one: Changed, living: set[UUID]) -> bool:
    """Whether a change may be for this peer: of one linked person, not of its own making, of a type that goes."""
    alone = len(one.subjects) == 1 and one.subjects[0] in living
    return alone and one.author != peer.organization_id and one.type in peer.types and one.type not in mapping.NOT_SENT


def _want(peer: Peer, found: Iterable[Changed], *, now: datetime) -> None:
    latest = {(one.type, one.id): one for one in found}
    rows = [
        PeerDelivery(peer=peer, subject_id=one.subjects[0], type=type, ours=id, wanted=one.version, next_at=now)
        for (type, id), one in sorted(latest.items())
    ]
    PeerDelivery.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["peer", "type", "ours"], update_fields=["wanted", "next_at"]
    )
    for (type, id), one in latest.items():
        PeerDelivery.objects.filter(peer=peer, type=type, ours=id, sent__lt=one.version).update(
            state=State.DUE, attempts=0, reason=""
        )


@transaction.atomic
def _fill(peer: Peer, linked: Linked, *, now: datetime) -> None:
    """Once: everything that stood in her record before the link. Each time her consents changed: what was withheld."""
    row = PeerPerson.objects.select_for_update().get(pk=linked.person.pk)
    if not row.filled:
        living = {linked.subject}
        _want(peer, [c for c in changes.of(linked.subject, types=peer.types) if _concerns(peer, c, living)], now=now)
        row.filled, row.epoch = True, linked.epoch
        row.save(update_fields=["filled", "epoch"])
    elif row.epoch != linked.epoch:
        PeerDelivery.objects.filter(peer=peer, subject_id=linked.subject, state=State.WITHHELD).update(
            state=State.DUE, next_at=now, attempts=0
        )
        PeerPerson.objects.filter(pk=row.pk).update(epoch=linked.epoch)


def due(peer: Peer, linked: Linked, *, now: datetime, limit: int) -> list[PeerDelivery]:
    """What is to go of one person now, oldest first."""
    found = peer.deliveries.filter(subject_id=linked.subject, state=State.DUE, next_at__lte=now)
    return list(found.order_by("pk")[:limit])


def settle(delivery: PeerDelivery, state: str, *, version: int, theirs: str = "", reason: str = "") -> None:
    """What became of one; what changed meanwhile stays due. `version`: ours, of which it became so."""
    same = PeerDelivery.objects.filter(pk=delivery.pk)
    told: dict[str, object] = {"state": state, "reason": reason, "attempts": 0}
    if state == State.SENT:
        same.update(sent=version, theirs=theirs or F("theirs"))
    elif theirs:
        same.update(theirs=theirs)
    same.filter(wanted__lte=version).update(**told)


def postpone(delivery: PeerDelivery, *, until: datetime, reason: str) -> int:
    """Try this one later; returns how often it was tried."""
    attempts = delivery.attempts + 1
    PeerDelivery.objects.filter(pk=delivery.pk, state=State.DUE).update(attempts=attempts, next_at=until, reason=reason)
    return attempts
