"""Keeping a peer in step: pull, push, and when to try again. The database says what is due; a message only wakes.

One worker at a time is at a peer, by a claim that a killed worker loses. A failure waits with growing pauses; other
peers, and the peer's own other direction, go on.
"""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from integrations.fhir_peer import exporting, pulling, pushing, registry
from integrations.fhir_peer.client import Clock, Failed
from integrations.models import Peer

log = logging.getLogger(__name__)

STALE = timedelta(minutes=10)  # a claim so old is of a worker that is gone


def sync(id: int, *, clock: Clock, draw: Callable[[], float] = random.random) -> bool:
    """Bring one peer up to date, if that is due and nobody is at it. Returns whether it was done without a failure.

    Never raises for what a peer does.
    """
    claim = _claimed(id, now=clock())
    if claim is None:
        return False
    peer = Peer.objects.select_related("organization").get(pk=id)
    failed = [f for f in (_tried(step, peer, clock) for step in _steps(peer, draw)) if f is not None]
    _released(peer, claim, failed, now=clock(), share=draw())
    return not failed


def due(*, now: datetime) -> list[int]:
    """The peers somebody should be at."""
    found = Peer.objects.filter(state=Peer.State.ACTIVE, next_at__lte=now).filter(_free(now))
    return list(found.order_by("next_at").values_list("pk", flat=True))


def _steps(peer: Peer, draw: Callable[[], float]) -> list[Callable[[Peer, Clock], None]]:
    steps: list[Callable[[Peer, Clock], None]] = []
    if peer.pulls:
        steps.append(lambda p, c: exporting.pull(p, clock=c) if p.bulk else pulling.pull(p, clock=c))
    if peer.pushes:
        steps.append(lambda p, c: pushing.push(p, clock=c, draw=draw))
    return steps


def _tried(step: Callable[[Peer, Clock], None], peer: Peer, clock: Clock) -> Failed | None:
    peer.claimed_at = clock()  # each direction has its own time
    try:
        step(peer, clock)
    except Failed as failed:
        log.warning("peer %s: %s", peer.code, failed.code)
        return failed
    except Exception as error:  # noqa: BLE001  whatever a peer sends must not stop a worker; the message may hold it
        places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        log.error("peer %s: %s at %s", peer.code, type(error).__name__, " > ".join(places))
        return Failed("unhandled", passes=True)
    return None


def _free(now: datetime) -> Q:
    return Q(claim=None) | Q(claimed_at__lt=now - STALE)


def _claimed(id: int, *, now: datetime) -> UUID | None:
    claim = uuid4()
    found = Peer.objects.filter(pk=id, state=Peer.State.ACTIVE, next_at__lte=now).filter(_free(now))
    return claim if found.update(claim=claim, claimed_at=now) else None


def _released(peer: Peer, claim: UUID, failed: list[Failed], *, now: datetime, share: float) -> None:
    with transaction.atomic():
        held = Peer.objects.select_for_update().filter(pk=peer.pk, claim=claim).first()
        if held is None:
            return  # taken for dead, and overtaken
        held.claim = None
        if failed and all(f.code == registry.OUT_OF_TIME for f in failed):  # nothing is wrong: there is more to do
            held.problem = registry.OUT_OF_TIME
            held.next_at = now + timedelta(seconds=settings.PHR_PEER_SECONDS)
        elif failed:
            held.failures = min(held.failures + 1, 1000)
            held.problem = failed[0].code[:40]
            after = max((f.after or 0 for f in failed), default=0)
            held.next_at = now + registry.pause(held.failures, after=after, share=share)
        else:
            held.failures, held.problem, held.ok_at = 0, "", now
            held.next_at = now + timedelta(seconds=settings.PHR_PEER_SECONDS)
        held.save(update_fields=["claim", "failures", "problem", "next_at", "ok_at"])
