"""Background work of this app: thin, each loads and calls one deed."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import Task, shared_task
from celery.signals import task_failure
from django.db import DatabaseError
from django.utils import timezone

from integrations import dead_letters, holding, running
from integrations.feed_tasks import keep_up, take_up, watch_imports
from integrations.fhir_peer.tasks import retry_delivery, sweep_peers, sync_peer

__all__ = [
    "keep_up", "retry_delivery", "run_import", "sweep", "sweep_peers", "sync_peer", "take_up", "watch_imports",
]  # fmt: skip

log = logging.getLogger(__name__)


@shared_task(name="integrations.tasks.run_import", acks_late=True, reject_on_worker_lost=True)
def run_import(id: str) -> None:
    """Bring one import run as far as it goes; running it twice is harmless."""
    running.run(UUID(id), clock=timezone.now)


@shared_task(name="integrations.tasks.revive_import")
def revive_import(id: str) -> bool:
    """Have a failed import tried again, as an operator asked; whether it could be."""
    revived = holding.revive(UUID(id), now=timezone.now())
    if revived:
        run_import.delay(id)
    return revived


@task_failure.connect
def bury_failed(
    sender: Task, args: tuple[object, ...] = (), exception: BaseException | None = None, **_: object
) -> None:
    """What a task raised in the end is kept as a dead letter, whichever task it was; a sweep's is counted in one."""
    told, now = str(args[0]) if args else "", timezone.now()
    try:
        dead_letters.bury(task=sender.name, reason="unhandled", reference=told, now=now, error=exception)
    except DatabaseError as error:  # that may be why the task failed
        log.error("no database for a dead letter of %s (%s)", sender.name, type(error).__name__)


@shared_task(name="integrations.tasks.sweep")
def sweep() -> int:
    """Wake workers for runs whose message or worker was lost; returns how many."""
    return running.sweep(now=timezone.now())
