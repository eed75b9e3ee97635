"""Background work of this app: thin, each loads and calls one deed."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from integrations import running
from integrations.fhir_peer.tasks import retry_delivery, sweep_peers, sync_peer

__all__ = ["retry_delivery", "run_import", "sweep", "sweep_peers", "sync_peer"]


@shared_task(name="integrations.tasks.run_import", acks_late=True, reject_on_worker_lost=True)
def run_import(id: str) -> None:
    """Bring one import run as far as it goes; running it twice is harmless."""
    running.run(UUID(id), clock=timezone.now)


@shared_task(name="integrations.tasks.sweep")
def sweep() -> int:
    """Wake workers for runs whose message or worker was lost; returns how many."""
    return running.sweep(now=timezone.now())
