"""Background work of peers: thin, each loads and calls one deed. The database says what is due."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from integrations.fhir_peer import pushing, syncing


@shared_task(name="integrations.tasks.sync_peer", acks_late=True, reject_on_worker_lost=True)
def sync_peer(id: str) -> None:
    """Bring one peer up to date; twice at once is harmless."""
    syncing.sync(int(id), clock=timezone.now)


@shared_task(name="integrations.tasks.sweep_peers")
def sweep_peers() -> int:
    """Wake workers for every peer that is due; returns how many."""
    due = syncing.due(now=timezone.now())
    for id in due:
        sync_peer.delay(str(id))
    return len(due)


@shared_task(name="integrations.tasks.retry_delivery")
def retry_delivery(id: str) -> None:
    """Have a resource a peer did not take tried again."""
    pushing.retry(int(id), now=timezone.now())
