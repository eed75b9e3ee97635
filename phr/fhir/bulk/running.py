"""Running an export: claim it, write it chunk by chunk, end it. A killed job goes on where its last chunk committed.

The job's row is the truth. A worker holds it by a claim it checks again, under lock, in every chunk: one that was
taken for dead and overtaken writes nothing more. Before every chunk the decision is made anew.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from consent import audit
from consent.audit import Event
from phr.fhir import wire
from phr.fhir.bulk import clients, lines, plan
from phr.fhir.bulk.writing import Writing
from phr.records import sealed_files
from phr.records.exporting import Export, Part
from phr.records.jobs import ExportFile, ExportJob
from phr.records.reading import Refused
from phr.records.vault import CannotOpen

log = logging.getLogger(__name__)

State = ExportJob.State
Kind = ExportFile.Kind
Clock = Callable[[], datetime]

OVERDUE = timedelta(seconds=30)  # an accepted job nobody took up: its message was lost
STALE = timedelta(seconds=300)  # a running job without a heartbeat: its worker is gone
MOST_ATTEMPTS = 5


class Overtaken(Exception):
    """Another worker holds the job now, or it was deleted."""


def run(id: UUID, *, clock: Clock) -> None:
    """Bring one export to its end. Does nothing when it is not due or another worker has it. Never raises."""
    held = _claim(id, now=clock())
    if held is None:
        return
    try:
        while _advance(held, now=clock()):
            pass
    except Overtaken:
        return
    except Refused:
        _give_up(held, now=clock())
    except Exception as error:  # noqa: BLE001  one bad job must not stop a worker; it is tried again, then failed
        # The message of an exception may hold what was exported: only its type and place are logged.
        places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        log.error("export %s: %s at %s", held.pk, type(error).__name__, " > ".join(places))
        _give_back(held, begin_anew=isinstance(error, sealed_files.Lost), now=clock())


def due(*, now: datetime) -> list[UUID]:
    """The jobs whose message or worker was lost, the longest waiting first."""
    waiting = Q(state=State.ACCEPTED, heartbeat_at__lt=now - OVERDUE)
    left = Q(state=State.RUNNING, heartbeat_at__lt=now - STALE)
    return list(ExportJob.objects.filter(waiting | left).order_by("heartbeat_at").values_list("pk", flat=True)[:1000])


def forget(*, now: datetime) -> int:
    """Remove what has expired: key, row and files. Returns how many jobs."""
    ended = list(ExportJob.objects.filter(expires_at__lte=now).values_list("pk", flat=True))
    for pk in ended:
        remove(pk)
    known = {pk.hex for pk in ExportJob.objects.values_list("pk", flat=True)}
    for left in sealed_files.abandoned(known):
        sealed_files.remove(left)
    return len(ended)


def remove(id: UUID) -> None:
    """Remove one job: with its row goes its key, then its files."""
    ExportJob.objects.filter(pk=id).delete()
    transaction.on_commit(lambda: sealed_files.remove(id))


def _claim(id: UUID, *, now: datetime) -> ExportJob | None:
    with transaction.atomic():
        found = ExportJob.objects.select_for_update(skip_locked=True).filter(pk=id).first()
        if found is None or not _is_due(found, now):
            return None
        if found.attempts >= MOST_ATTEMPTS:
            _end(found, State.FAILED, now=now)
            return None
        found.state, found.claim, found.attempts, found.heartbeat_at = State.RUNNING, uuid4(), found.attempts + 1, now
        found.save()
        return found


def _is_due(found: ExportJob, now: datetime) -> bool:
    return found.state == State.ACCEPTED or (found.state == State.RUNNING and found.heartbeat_at < now - STALE)


def _advance(held: ExportJob, *, now: datetime) -> bool:
    """Decide anew, write one chunk, and keep how far the job came, in one transaction. False when it has ended."""
    export = Export.opened_by(clients.caller_of(held), now=now)
    require_basis(held, export)
    with transaction.atomic():
        job = _still_mine(held)
        if job.high_water is None:
            job.transaction_at, job.high_water = export.moment()
        told = asked(job)
        walks = plan.walks(told, now=job.created_at, base=wire.base())
        job.heartbeat_at = now
        with Writing(job, sealed_files.open_key(job.pk, job.kek, job.wrapped)) as files:
            if job.step < len(walks):
                _write(job, export, walks[job.step], told, files)
                job.save()
                return True
            for line in lines.outcomes(told.ignored):
                files.add(Kind.ERROR, "OperationOutcome", 0, line)
        _end(job, State.DONE, now=now)
        return False


def require_basis(job: ExportJob, export: Export) -> None:
    """Raises Refused where the persons an export names are not this client's to see any more (IT-11).

    One that names few (plan.SLICE) rests on each of them; one that names many, on any.
    """
    told = asked(job)
    members = told.members
    if not members or told.level != "patient":
        return  # of nobody in particular, or of a Group that may hold whom it likes: each row is asked for by itself
    gone = export.unknown(members)
    if len(gone) == len(set(members)) or (gone and len(members) <= plan.SLICE):
        raise Refused("whom it names is not there any more")


def void(*, now: datetime) -> int:
    """End every export whose basis is gone, waiting, running or done: its key and its files go. Returns how many.

    What was withdrawn does not leave from its commit on; this lets it lie on no disk either.
    """
    ended = 0
    open_ = ExportJob.objects.filter(state__in=(State.ACCEPTED, State.RUNNING, State.DONE))
    for job in open_.order_by("created_at"):
        try:
            require_basis(job, Export.opened_by(clients.caller_of(job), now=now))
        except Refused:
            ended += _voided(job, now=now)
        except CannotOpen:
            continue  # a key-encryption key is missing: nobody can open its files either
    return ended


def _voided(held: ExportJob, *, now: datetime) -> bool:
    with transaction.atomic():
        job = ExportJob.objects.select_for_update().exclude(state=State.FAILED).filter(pk=held.pk).first()
        if job is not None:
            job.kek, job.wrapped, _ = sealed_files.new_key(job.pk)  # what a disk keeps of the files is noise now
            _end(job, State.FAILED, now=now)
    return job is not None


def asked(job: ExportJob) -> plan.Plan:
    """What the job was asked for. Raises CannotOpen."""
    key = sealed_files.open_key(job.pk, job.kek, job.wrapped)
    return plan.unpacked(sealed_files.unseal(key, job.plan, plan.place(job.pk)))


def _write(job: ExportJob, export: Export, part: Part, told: plan.Plan, files: Writing) -> None:
    """One chunk of one walk: into the files, and on the log."""
    assert job.high_water is not None
    found, upto = export.chunk(part, after=job.after, high_water=job.high_water)
    seen = []
    for entry in found:
        seen.append(replace(entry, body=None))
        if part.deleted:
            files.add(Kind.DELETED, "Bundle", entry.pk, lines.deletion(entry))
        else:
            own = entry.facts.author == job.organization_id
            text = lines.line(entry, labels=own, elements=told.kept_elements(entry.type))
            files.add(Kind.OUTPUT, entry.type, entry.pk, text)
    about = {"type": part.types[0] if len(part.types) == 1 else "*", "interaction": "export", "run": str(job.pk)}
    export.log(Event.RECORD_SEARCHED, seen, about)
    job.done += len(seen)
    job.step, job.after = (job.step, upto) if upto < job.high_water else (job.step + 1, 0)


def _still_mine(held: ExportJob) -> ExportJob:
    """The row under lock. Raises Overtaken when this worker no longer holds it."""
    job = ExportJob.objects.select_for_update().filter(pk=held.pk, claim=held.claim, state=State.RUNNING).first()
    if job is None:
        raise Overtaken
    return job


def _give_up(held: ExportJob, *, now: datetime) -> None:
    """The authority this job rests on no longer holds."""
    with transaction.atomic():
        job = ExportJob.objects.select_for_update().filter(pk=held.pk, claim=held.claim).first()
        if job is not None:
            _end(job, State.FAILED, now=now)


def _give_back(held: ExportJob, *, begin_anew: bool, now: datetime) -> None:
    """Let the sweep try again later; after the last attempt the job has failed. `begin_anew`: its files are lost."""
    with transaction.atomic():
        job = ExportJob.objects.select_for_update().filter(pk=held.pk, claim=held.claim).first()
        if job is None:
            return
        if job.attempts >= MOST_ATTEMPTS:
            _end(job, State.FAILED, now=now)
            return
        if begin_anew:
            job.files.all().delete()
            job.step, job.after, job.done = 0, 0, 0
        job.state, job.claim, job.heartbeat_at = State.ACCEPTED, None, now
        job.save()


def _end(job: ExportJob, state: str, *, now: datetime) -> None:
    job.state, job.claim, job.finished_at, job.heartbeat_at = state, None, now, now
    job.expires_at = now + timedelta(hours=settings.PHR_EXPORT_HOURS)
    job.save()
    if state == State.FAILED:
        job.files.all().delete()
        transaction.on_commit(lambda: sealed_files.remove(job.pk))
    event = Event.EXPORT_ENDED if state == State.DONE else Event.EXPORT_FAILED
    audit.record(event, by=clients.kept_caller(job), now=now, detail={"run": str(job.pk), "count": job.done})
