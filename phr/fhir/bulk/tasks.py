"""Background work of bulk exports: thin, each loads and calls one deed. The messages say which job, nothing else."""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from celery import current_app, shared_task
from django.db import transaction
from django.utils import timezone

from phr.fhir.bulk import running, thinning

log = logging.getLogger(__name__)
NO_PATIENCE = {"max_retries": 0, "socket_connect_timeout": 2}  # nobody waits for a broker that is away


@shared_task(name="phr.fhir.bulk.tasks.run_export", acks_late=True, reject_on_worker_lost=True)
def run_export(id: str) -> None:
    """Bring one export to its end; running it twice is harmless."""
    running.run(UUID(id), clock=timezone.now)


@shared_task(name="phr.fhir.bulk.tasks.sweep")
def sweep() -> int:
    """Wake workers for exports whose message or worker was lost, end those whose basis is gone, take out what
    may not leave any more, and remove what expired; returns how many were due."""
    now = timezone.now()
    running.void(now=now)
    thinning.thin(now=now)
    running.forget(now=now)
    woken = running.due(now=now)
    for id in woken:
        wake_worker(id)
    return len(woken)


def wake_worker(id: UUID) -> None:
    """Tell a worker after the commit. Should the broker be away, the sweep finds the job."""
    transaction.on_commit(partial(_send, str(id)))


def _send(id: str) -> None:
    try:
        with current_app.connection_for_write() as connection:
            connection.transport_options = NO_PATIENCE
            current_app.send_task(run_export.name, args=[id], connection=connection, retry=False)
    except Exception as error:  # noqa: BLE001  whatever a broker may raise: the row is kept, the sweep goes on
        log.warning("no broker for export %s (%s); the sweep will find it", id, type(error).__name__)
