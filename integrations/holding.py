"""Holding a run: a worker claims it, and checks under lock in every transaction that it is still its own.

One that was taken for dead and overtaken writes nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import SystemRandom
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction

from consent import audit
from consent.audit import Event
from integrations import authority, dead_letters, originals
from integrations.models import ImportRun
from integrations.problems import Problem
from integrations.wording import say

State = ImportRun.State
STALE = timedelta(seconds=120)  # a running run without a heartbeat: its worker is gone
MOST_ATTEMPTS = 5
REVIVE = "integrations.tasks.revive_import"
MOST_PROBLEMS = 300
# What a run counts from its beginning.
COUNTS = ("done", "chunks", "created", "unchanged", "updated", "retracted", "unmatched", "refused_items", "bytes_done")
_EVENTS = {
    State.DONE: Event.IMPORT_COMMITTED, State.REPORTED: Event.IMPORT_REPORTED, State.CANCELLED: Event.IMPORT_CANCELLED,
}  # fmt: skip


class Overtaken(Exception):
    """Another worker holds the run now, or more parts have come."""


def claim(id: UUID, *, now: datetime) -> ImportRun | None:
    """The run, held by this worker; None where it is not due, or another has it."""
    with transaction.atomic():
        found = ImportRun.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=id).first()
        if found is None or not _is_due(found, now):
            return None
        if found.attempts >= MOST_ATTEMPTS:
            end(found, State.FAILED, [say("failed")], now=now)
            return None
        found.state, found.claim, found.attempts = State.RUNNING, uuid4(), found.attempts + 1
        found.started_at, found.heartbeat_at = found.started_at or now, now
        found.save()
        return found


def _is_due(found: ImportRun, now: datetime) -> bool:
    return found.state == State.ACCEPTED or (found.state == State.RUNNING and found.heartbeat_at < now - STALE)


def still_mine(held: ImportRun) -> ImportRun:
    """The row under lock. Raises Overtaken when this worker no longer holds it."""
    run = ImportRun.objects.select_for_update().filter(pk=held.pk, claim=held.claim, state=State.RUNNING).first()
    if run is None or run.chunks != held.chunks:
        raise Overtaken
    return run


def refuse(held: ImportRun, problems: Sequence[Problem], *, now: datetime) -> None:
    """End a run nothing more may come of: its parts go, its problems stay."""
    with transaction.atomic():
        end(still_mine(held), State.REFUSED, problems, now=now)


def give_back(held: ImportRun, *, now: datetime) -> None:
    """Let the sweep try again later; after the last attempt the run has failed."""
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().filter(pk=held.pk, claim=held.claim).first()
        if run is None:
            return
        if run.attempts >= MOST_ATTEMPTS:
            end(run, State.FAILED, [say("failed")], now=now)
        else:
            # The sweep takes up what has been silent for a while: a moment to come is a pause.
            pause = dead_letters.pause(run.attempts, share=SystemRandom().random())
            run.state, run.claim, run.heartbeat_at = State.ACCEPTED, None, now + pause
            run.save()


def revive(id: UUID, *, now: datetime) -> bool:
    """Have a run that has failed tried again from where it came to; whether it could be.

    It cannot when its original is gone, or the same input was brought in anew since.
    """
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().filter(pk=id, state=State.FAILED).first()
        if run is None or not (run.parts.exists() if run.subject_id else run.wrapped):
            return False
        run.state, run.attempts, run.finished_at, run.original_until = State.ACCEPTED, 0, None, None
        run.heartbeat_at = now
        try:
            with transaction.atomic():
                run.save()
        except IntegrityError:
            return False
        return True


def end(run: ImportRun, state: str, problems: Sequence[Problem], *, now: datetime) -> None:
    """End a held run. What is sealed of its input goes: of a connector now, of a feed when its days are over."""
    note(run, problems)
    run.state, run.claim, run.missing, run.asked = state, None, [], ""
    run.finished_at, run.heartbeat_at = now, now
    if state == State.FAILED or (run.subject_id is None and state != State.REPORTED):
        # Somebody in it may have been erased meanwhile: then it goes at once.
        run.original_until = run.original_until or now + timedelta(days=settings.PHR_IMPORT_ORIGINAL_DAYS)
    run.save()
    if state == State.FAILED:  # what it was read from stays for a while: an operator may have it tried again
        dead_letters.bury(task=REVIVE, reason="gave-up", reference=str(run.pk), now=now)
    else:
        run.parts.all().delete()
    detail: audit.Detail = {
        "run": str(run.pk), "connector": run.kind, "file_sha256": run.sha256, "created": run.created,
        "updated": run.updated, "unchanged": run.unchanged, "problems": sorted({p["code"] for p in run.problems}),
    }  # fmt: skip
    event = _EVENTS.get(State(state), Event.IMPORT_REFUSED)
    audit.record(event, by=authority.caller_of(run), subject=run.subject_id, now=now, detail=detail)


def let_go(run: ImportRun, *, now: datetime) -> None:
    """The original of an ended run goes now."""
    if originals.destroy(run):
        detail: audit.Detail = {"run": str(run.pk), "connector": run.kind, "file_sha256": run.sha256}
        audit.record(Event.ORIGINAL_DESTROYED, by=None, now=now, detail=detail)


def note(run: ImportRun, problems: Sequence[Problem]) -> None:
    run.problems = [*run.problems, *(p.as_json() for p in problems)][:MOST_PROBLEMS]
