"""Background work for feeds: thin, each calls one deed. `tasks` gathers them for Celery."""

from __future__ import annotations

import logging
from pathlib import Path

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from integrations import upkeep, waiting, watching

log = logging.getLogger(__name__)


@shared_task(name="integrations.tasks.take_up", acks_late=True, reject_on_worker_lost=True)
def take_up(case: str) -> int:
    """Bring in what waited for somebody who is linked now; returns how many Items."""
    return waiting.take_up_all(int(case), now=timezone.now())


@shared_task(name="integrations.tasks.keep_up")
def keep_up() -> int:
    """Let go what is over; returns how much that was."""
    return upkeep.sweep(now=timezone.now())


@shared_task(name="integrations.tasks.watch_imports")
def watch_imports() -> int:
    """Look into the watched folder, if there is one; returns how many inputs moved."""
    root = settings.PHR_IMPORT_WATCH
    if not root:
        return 0
    if places := watching.unheard(Path(root)):
        log.warning("watched folder: nothing is taken from %d places; manage.py watch_imports names them", len(places))
    return watching.scan(Path(root), now=timezone.now())
