"""Running an import: claim it, read it, compare it with the person, commit it in chunks. A killed run goes on.

The run's row is the truth. A worker holds it by a claim it checks again, under lock, in every transaction: one that was
taken for dead and overtaken writes nothing more. How far a run came is kept in the transaction that wrote it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from consent import provider_records
from integrations import accepting, authority, feeding, holding
from integrations.base import connector
from integrations.commit import Written, commit, lock_record
from integrations.holding import MOST_ATTEMPTS, STALE, Overtaken
from integrations.incoming import Plan, Reading, Resource
from integrations.models import ImportRun
from integrations.problems import Problem, Unreadable
from integrations.wording import say
from phr.records.gateway import Gone, NotFound, Records, Refused

log = logging.getLogger(__name__)

__all__ = ["MOST_ATTEMPTS", "Overtaken", "run", "sweep"]

State = ImportRun.State
Clock = Callable[[], datetime]
Tell = Callable[[ImportRun], None]

OVERDUE = timedelta(seconds=30)  # an accepted run nobody took up: its message was lost
PATIENCE = timedelta(days=30)  # a waiting run whose other parts never came


class _Stopped(Exception):
    """The run ends here, refused for these problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__()
        self.problems = problems


def _quiet(run: ImportRun) -> None:
    pass


def run(id: UUID, *, clock: Clock, tell: Tell = _quiet) -> None:
    """Bring one run as far as it goes. Does nothing when it is not due or another worker has it. Never raises."""
    held = holding.claim(id, now=clock())
    if held is None:
        return
    try:
        work = _import if held.subject_id else feeding.run
        work(held, clock=clock, tell=tell)
    except Overtaken:
        return
    except Exception as error:  # noqa: BLE001  one bad run must not stop a worker; it is tried again, then failed
        # The message of an exception may hold what was imported: only its type and place are logged.
        places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        log.error("import %s: %s at %s", held.pk, type(error).__name__, " > ".join(places))
        holding.give_back(held, now=clock())


def sweep(*, now: datetime) -> int:
    """Wake workers for every run that is due, and end what waited in vain. Returns how many were woken."""
    due = ImportRun.objects.filter(
        Q(state=State.ACCEPTED, heartbeat_at__lt=now - OVERDUE) | Q(state=State.RUNNING, heartbeat_at__lt=now - STALE)
    )
    waited = ImportRun.objects.filter(state=State.WAITING, heartbeat_at__lt=now - PATIENCE)
    woken = list(due.order_by("heartbeat_at").values_list("pk", flat=True)[:1000])
    for pk in woken:
        accepting.wake_worker(pk)
    for pk in waited.values_list("pk", flat=True):
        _expire(pk, now=now)
    return len(woken)


def _expire(id: UUID, *, now: datetime) -> None:
    with transaction.atomic():
        waited = ImportRun.objects.select_for_update().filter(pk=id, state=State.WAITING).first()
        if waited:
            holding.end(waited, State.REFUSED, [say("never-completed", days=PATIENCE.days)], now=now)


def _import(held: ImportRun, *, clock: Clock, tell: Tell) -> None:
    try:
        reading = connector(held.kind).read(accepting.opened(held))
        if reading.missing:
            _wait(held, reading, now=clock())
            return
        records, plan = _planned(held, reading, now=clock())
    except Unreadable as error:
        holding.refuse(held, error.problems, now=clock())
    except _Stopped as stopped:
        holding.refuse(held, stopped.problems, now=clock())
    else:
        found = [*reading.problems, *plan.problems]
        for number, (chunk, is_last) in enumerate(_with_last(plan.chunks)):
            if number >= held.chunks:
                held = _commit_chunk(held, records, plan, chunk, found if is_last else [], is_last, now=clock())
                tell(held)


def _planned(held: ImportRun, reading: Reading, *, now: datetime) -> tuple[Records, Plan]:
    """Decide again on whose authority the run writes, compare it with the person, and plan."""
    caller = authority.caller_of(held)
    kind = connector(held.kind)
    try:
        records = Records.opened_by(caller, now=now)
        patient = authority.patient_for(caller, held.whose, now=now)
    except Refused:
        raise _Stopped([say("not-allowed")]) from None
    except (NotFound, Gone):
        raise _Stopped([say("person-unknown")]) from None
    if differing := kind.mismatches(reading.content, patient):
        raise _Stopped(differing)
    parts = accepting.opened(held)
    return records, kind.plan(reading.content, parts, subject=held.whose, records=records, now=now)


def _commit_chunk(held: ImportRun, records: Records, plan: Plan, chunk: list[Resource], problems: Sequence[Problem],
                  is_last: bool, *, now: datetime) -> ImportRun:  # fmt: skip
    """Write one chunk and how far the run came, in one transaction."""
    with transaction.atomic():
        lock_record(held.subject_id)
        run = holding.still_mine(held)
        written = commit(records, chunk, plan)
        _add_up(run, written, plan, len(chunk))
        holding.note(run, [*problems, *written.problems])
        run.heartbeat_at = now
        if is_last:
            _confirm(run, now=now)
            holding.end(run, State.DONE, [], now=now)
        else:
            run.save()
    return run


def _confirm(run: ImportRun, *, now: datetime) -> None:
    """The record of having checked who provided it, and how they came by it (APPI Art. 30)."""
    office, changed = run.organization, run.created + run.updated
    if not changed or run.subject is None:
        return
    if office is None:
        provider, acquired = "本人または保護者 / the person or a guardian", "from-the-person"
    else:
        provider = office.name
        acquired = "from-a-municipality" if office.kind == "municipality" else "from-care"
    provider_records.confirm(
        provider=provider, acquired=acquired, subject=run.subject, resources=changed, organization=office, run=run.pk,
        sha256=run.sha256, now=now,
    )  # fmt: skip


def _add_up(run: ImportRun, written: Written, plan: Plan, size: int) -> None:
    run.created += written.created
    run.updated += written.updated
    run.unchanged += written.unchanged
    run.chunks += 1
    run.done += size
    run.total = max(plan.total, run.done)


def _with_last(chunks: Iterable[list[Resource]]) -> Iterator[tuple[list[Resource], bool]]:
    """Each chunk and whether it is the last; an empty plan is one empty chunk."""
    iterator = iter(chunks)
    current = next(iterator, [])
    for following in iterator:
        yield current, False
        current = following
    yield current, True


def _wait(held: ImportRun, reading: Reading, *, now: datetime) -> None:
    with transaction.atomic():
        run = holding.still_mine(held)
        run.state, run.missing, run.heartbeat_at = State.WAITING, list(reading.missing), now
        run.problems = [p.as_json() for p in reading.problems]
        run.save()
