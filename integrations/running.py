"""Running an import: claim it, read it, compare it with the person, commit it in chunks. A killed run goes on.

The run's row is the truth. A worker holds it by a claim it checks again, under lock, in every transaction: one that was
taken for dead and overtaken writes nothing more. How far a run came is kept in the transaction that wrote it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q

from consent import audit, provider_records
from consent.audit import Event
from integrations import accepting, authority
from integrations.base import connector
from integrations.commit import Written, commit, lock_record
from integrations.incoming import Plan, Reading, Resource
from integrations.models import ImportRun
from integrations.problems import Problem, Unreadable
from integrations.wording import say
from phr.records.gateway import Gone, NotFound, Records, Refused

log = logging.getLogger(__name__)

State = ImportRun.State
Clock = Callable[[], datetime]
Tell = Callable[[ImportRun], None]

OVERDUE = timedelta(seconds=30)  # an accepted run nobody took up: its message was lost
STALE = timedelta(seconds=120)  # a running run without a heartbeat: its worker is gone
PATIENCE = timedelta(days=30)  # a waiting run whose other parts never came
MOST_ATTEMPTS = 5
MOST_PROBLEMS = 300


class Overtaken(Exception):
    """Another worker holds the run now, or more parts have come."""


class _Stopped(Exception):
    """The run ends here, refused for these problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__()
        self.problems = problems


def _quiet(run: ImportRun) -> None:
    pass


def run(id: UUID, *, clock: Clock, tell: Tell = _quiet) -> None:
    """Bring one run as far as it goes. Does nothing when it is not due or another worker has it. Never raises."""
    held = _claim(id, now=clock())
    if held is None:
        return
    try:
        _import(held, clock=clock, tell=tell)
    except Overtaken:
        return
    except Exception as error:  # noqa: BLE001  one bad run must not stop a worker; it is tried again, then failed
        # The message of an exception may hold what was imported: only its type and place are logged.
        places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        log.error("import %s: %s at %s", held.pk, type(error).__name__, " > ".join(places))
        _give_back(held, now=clock())


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
            _end(waited, State.REFUSED, [say("never-completed", days=PATIENCE.days)], now=now)


def _claim(id: UUID, *, now: datetime) -> ImportRun | None:
    with transaction.atomic():
        found = ImportRun.objects.select_for_update(skip_locked=True).filter(pk=id).first()
        if found is None or not _is_due(found, now):
            return None
        if found.attempts >= MOST_ATTEMPTS:
            _end(found, State.FAILED, [say("failed")], now=now)
            return None
        found.state, found.claim, found.attempts = State.RUNNING, uuid4(), found.attempts + 1
        found.started_at, found.heartbeat_at = found.started_at or now, now
        found.save()
        return found


def _is_due(found: ImportRun, now: datetime) -> bool:
    return found.state == State.ACCEPTED or (found.state == State.RUNNING and found.heartbeat_at < now - STALE)


def _import(held: ImportRun, *, clock: Clock, tell: Tell) -> None:
    try:
        reading = connector(held.kind).read(accepting.opened(held))
        if reading.missing:
            _wait(held, reading, now=clock())
            return
        records, plan = _planned(held, reading, now=clock())
    except Unreadable as error:
        _refuse(held, error.problems, now=clock())
    except _Stopped as stopped:
        _refuse(held, stopped.problems, now=clock())
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
        run = _still_mine(held)
        written = commit(records, chunk, plan)
        _add_up(run, written, plan, len(chunk))
        _note(run, [*problems, *written.problems])
        run.heartbeat_at = now
        if is_last:
            _confirm(run, now=now)
            _end(run, State.DONE, [], now=now)
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


def _still_mine(held: ImportRun) -> ImportRun:
    """The row under lock. Raises Overtaken when this worker no longer holds it."""
    run = ImportRun.objects.select_for_update().filter(pk=held.pk, claim=held.claim, state=State.RUNNING).first()
    if run is None or run.chunks != held.chunks:
        raise Overtaken
    return run


def _wait(held: ImportRun, reading: Reading, *, now: datetime) -> None:
    with transaction.atomic():
        run = _still_mine(held)
        run.state, run.missing, run.heartbeat_at = State.WAITING, list(reading.missing), now
        run.problems = [p.as_json() for p in reading.problems]
        run.save()


def _refuse(held: ImportRun, problems: Sequence[Problem], *, now: datetime) -> None:
    """End a run nothing may come of: its parts go, its problems stay."""
    with transaction.atomic():
        _end(_still_mine(held), State.REFUSED, problems, now=now)


def _give_back(held: ImportRun, *, now: datetime) -> None:
    """Let the sweep try again later; after the last attempt the run has failed."""
    with transaction.atomic():
        run = ImportRun.objects.select_for_update().filter(pk=held.pk, claim=held.claim).first()
        if run is None:
            return
        if run.attempts >= MOST_ATTEMPTS:
            _end(run, State.FAILED, [say("failed")], now=now)
        else:
            run.state, run.claim, run.heartbeat_at = State.ACCEPTED, None, now
            run.save()


def _end(run: ImportRun, state: str, problems: Sequence[Problem], *, now: datetime) -> None:
    _note(run, problems)
    run.state, run.claim, run.missing, run.finished_at, run.heartbeat_at = state, None, [], now, now
    run.save()
    run.parts.all().delete()
    detail: dict[str, str | int | list[str]] = {
        "run": str(run.pk), "connector": run.kind, "file_sha256": run.sha256, "created": run.created,
        "updated": run.updated, "unchanged": run.unchanged, "problems": sorted({p["code"] for p in run.problems}),
    }  # fmt: skip
    event = Event.IMPORT_COMMITTED if state == State.DONE else Event.IMPORT_REFUSED
    audit.record(event, by=authority.caller_of(run), subject=run.subject_id, now=now, detail=detail)


def _note(run: ImportRun, problems: Sequence[Problem]) -> None:
    run.problems = [*run.problems, *(p.as_json() for p in problems)][:MOST_PROBLEMS]
