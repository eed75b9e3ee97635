"""Steering the run of a feed: pause, resume, cancel, and go on in earnest after a dry run.

A worker looks between two chunks whether somebody asked; what is committed stays.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from consent import audit
from consent.audit import Event
from consent.decide import Caller
from consent.refusal import Absent, Because, Refusal
from integrations import accepting, authority, base, holding, taking
from integrations.holding import COUNTS, State
from integrations.models import ImportRun
from integrations.wording import say


@transaction.atomic
def pause(*, run: UUID, by: Caller, now: datetime) -> ImportRun:
    """Stop after the present chunk, to go on later. Raises Absent, Refusal where it has ended, Refused."""
    held = _held(run, by, now=now)
    if held.state == State.ACCEPTED:
        held.state = State.PAUSED
    elif held.state == State.RUNNING and held.asked != State.CANCELLED:
        held.asked = State.PAUSED
    elif held.state != State.PAUSED:
        raise _too_late(held)
    return _kept(held, Event.IMPORT_PAUSED, by, now=now)


@transaction.atomic
def resume(*, run: UUID, by: Caller, now: datetime) -> ImportRun:
    """Go on where it was paused. Raises Absent, Refusal, Refused."""
    held = _held(run, by, now=now)
    if held.state == State.RUNNING and held.asked == State.PAUSED:
        held.asked = ""
    elif held.state == State.PAUSED:
        held.state, held.attempts, held.claim = State.ACCEPTED, 0, None
        accepting.wake_worker(held.pk)
    else:
        raise _too_late(held)
    return _kept(held, Event.IMPORT_RESUMED, by, now=now)


@transaction.atomic
def cancel(*, run: UUID, by: Caller, now: datetime) -> ImportRun:
    """End it after the present chunk; what is in the record stays. Raises Absent, Refusal, Refused."""
    held = _held(run, by, now=now)
    if held.state in (State.ACCEPTED, State.PAUSED, State.REPORTED):
        holding.end(held, State.CANCELLED, [say("cancelled")], now=now)
        return held
    if held.state != State.RUNNING:
        raise _too_late(held)
    held.asked = State.CANCELLED
    held.save(update_fields=["asked"])
    return held


@transaction.atomic
def proceed(*, run: UUID, by: Caller, now: datetime) -> ImportRun:
    """Do in earnest what a dry run reported. Raises Absent, Refusal where the same input is open already, Refused."""
    held = _held(run, by, now=now)  # where somebody in it was erased, its original still goes with its end
    if held.state != State.REPORTED or held.wrapped is None:
        raise _too_late(held)
    held.state, held.dry, held.attempts, held.problems, held.finished_at = State.ACCEPTED, False, 0, [], None
    for name in COUNTS:
        setattr(held, name, 0)
    try:
        with transaction.atomic():
            held.save()
    except IntegrityError:
        text = "同じデータの取り込みが進行中です / the same input is being imported already"
        raise Refusal(text, because=Because.CONFLICT) from None
    accepting.wake_worker(held.pk)
    return _kept(held, Event.IMPORT_RESUMED, by, now=now)


def _held(id: UUID, by: Caller, *, now: datetime) -> ImportRun:
    """Who steers could have brought it: a token that only reads does not. Raises Absent, Refusal, Refused."""
    seen = taking.visible(id, by=by, now=now)
    if seen is None:
        raise Absent
    if not authority.may_create(by, base.feed(seen.kind).NEEDS):
        raise Refusal("この取り込みの権限がありません / the token may not import this", because=Because.FORBIDDEN)
    return ImportRun.objects.select_for_update().get(pk=id)


def _kept(held: ImportRun, event: Event, by: Caller, *, now: datetime) -> ImportRun:
    held.heartbeat_at = max(now, held.heartbeat_at)
    held.save()
    audit.record(event, by=by, now=now, detail={"run": str(held.pk), "connector": held.kind})
    return held


def _too_late(held: ImportRun) -> Refusal:
    return Refusal(f"今の状態ではできません / not in the state {held.state}", because=Because.CONFLICT)
