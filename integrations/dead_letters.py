"""Work that was given up: kept with its reason until an operator has it tried again or lets it go.

What may pass (a neighbour that is away, a full disk) is retried with growing pauses and never comes here; what will not
pass by itself does, instead of being lost in a log. Only ids, codes and names of exceptions are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from integrations.models import DeadLetter

log = logging.getLogger(__name__)

State = DeadLetter.State
Send = Callable[[str, list[str]], object]
FIRST, LONGEST = timedelta(seconds=30), timedelta(hours=1)


def pause(attempts: int, *, share: float) -> timedelta:
    """How long what may pass is left alone after so many tries in a row: twice as long each time, up to an hour.

    `share` (0 to 1, thrown) spreads the second half, so that what failed together does not come back together.
    """
    whole = min(LONGEST, FIRST * 2 ** min(attempts - 1, 20))
    return whole * (0.5 + share / 2)


def bury(*, task: str, reason: str, reference: str, now: datetime, error: BaseException | None = None) -> DeadLetter:
    """Keep what was given up. While a letter of the same thing waits, it is counted there.

    `task`: the Celery task that takes it up again, called with `reference` (an id; "" where it needs none).
    `reason`: a code. Of `error` only the type is kept: its message may quote what was imported.
    Safe inside a transaction: the letter stands if that commits.
    """
    kind = type(error).__name__ if error else ""
    told = {"reason": reason[:40], "error": kind[:100], "last_at": now}
    waiting = DeadLetter.objects.filter(task=task, reference=reference, state=State.WAITING)
    if not waiting.update(times=F("times") + 1, **told):
        try:
            with transaction.atomic():
                letter = DeadLetter.objects.create(task=task, reference=reference, since=now, **told)
        except IntegrityError:  # another worker was faster
            waiting.update(times=F("times") + 1, **told)
        else:
            log.error("given up: %s %s (%s %s)", task, reference, reason, kind)
            return letter
    return waiting.get()


def waiting() -> QuerySet[DeadLetter]:
    """What waits for an operator, oldest first."""
    return DeadLetter.objects.filter(state=State.WAITING).order_by("since", "pk")


def retry(id: int, *, now: datetime, send: Send | None = None) -> DeadLetter:
    """Have it tried again: its task gets its reference. Raises DeadLetter.DoesNotExist unless it waits.

    Given up again, it is a new letter.
    """
    letter = _decided(id, State.RETRIED, now=now)
    arguments = [letter.reference] if letter.reference else []
    (send or _send)(letter.task, arguments)
    return letter


def discard(id: int, *, now: datetime) -> DeadLetter:
    """Let it go; the row stays. Raises DeadLetter.DoesNotExist unless it waits."""
    return _decided(id, State.DISCARDED, now=now)


def forget(*, before: datetime) -> int:
    """Remove decided letters older than `before`; returns how many."""
    return DeadLetter.objects.exclude(state=State.WAITING).filter(decided_at__lt=before).delete()[0]


def _decided(id: int, state: str, *, now: datetime) -> DeadLetter:
    with transaction.atomic():
        letter = DeadLetter.objects.select_for_update().get(pk=id, state=State.WAITING)
        letter.state, letter.decided_at = state, now
        letter.save()
    log.info("dead letter %s: %s", letter.pk, state)
    return letter


def _send(task: str, arguments: list[str]) -> None:
    current_app.send_task(task, args=arguments)
