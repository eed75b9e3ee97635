"""Taking out of finished exports what may not leave any more: a consent that ended takes its lines off the disk, too.

Nothing of it is ever served (`views.leaving`); this only ends that it lies there, sealed, until the export expires.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Max, Q

from consent.models import Grant
from phr.fhir.bulk import clients, writing
from phr.records import sealed_files
from phr.records.exporting import Export
from phr.records.jobs import ExportFile, ExportJob
from phr.records.reading import Refused
from phr.records.vault import CannotOpen

AGAIN = timedelta(minutes=10)  # between two looks at one export


def thin(*, now: datetime) -> int:
    """Look again at each export since whose beginning, or last look, any consent changed. Returns how many lines went.

    `heartbeat_at` of an export that is done is when it was looked at; at first, when it was done.
    """
    changes = Grant.objects.aggregate(ended=Max("ended_at"), given=Max("given_at"))
    changed = max((at for at in changes.values() if at), default=None)
    if changed is None:
        return 0
    first = Q(heartbeat_at=F("finished_at"), created_at__lte=changed)
    later = Q(heartbeat_at__lte=changed, heartbeat_at__lt=now - AGAIN)
    gone = 0
    for job in ExportJob.objects.filter(first | later, state=ExportJob.State.DONE, expires_at__gt=now):
        try:
            export = Export.opened_by(clients.caller_of(job), now=now)
            gone += sum(_thinned(file, export) for file in job.files.exclude(kind=ExportFile.Kind.ERROR))
        except (Refused, CannotOpen):
            continue  # nothing of it leaves at all
        ExportJob.objects.filter(pk=job.pk, state=ExportJob.State.DONE).update(heartbeat_at=now)
    return gone


def _thinned(file: ExportFile, export: Export) -> int:
    """Write a file anew without what does not stand, if there is any; as many pieces, so that either is whole."""
    place, path, gone, deleted = writing.place(file), writing.path(file), 0, file.kind == ExportFile.Kind.DELETED
    new = path.with_suffix(".new")
    with transaction.atomic():
        job = ExportJob.objects.select_for_update().filter(pk=file.job_id, state=ExportJob.State.DONE).first()
        if job is None:
            return 0
        key = sealed_files.open_key(job.pk, job.kek, job.wrapped)
        with sealed_files.at(new, 0) as written:
            pieces = sealed_files.pieces(path, key=key, place=place, count=file.pieces)
            for number, (rows, lines) in enumerate(pieces):
                standing = export.standing([row for row in rows if row], deleted=deleted)
                kept = [(row, line) for row, line in zip(rows, lines, strict=True) if row in standing]
                gone += sum(row != 0 for row in rows) - len(kept)
                kept = kept or [(0, b"")]  # row 0 is of nobody and never leaves
                of, said = [row for row, _ in kept], [line for _, line in kept]
                written.write(sealed_files.sealed_piece(key, f"{place}|{number}", of, said))
            written.flush()
            os.fsync(written.fileno())
            size = written.tell()
        if not gone:
            new.unlink()
            return 0
        new.replace(path)
        ExportFile.objects.filter(pk=file.pk).update(size=size, lines=F("lines") - gone)
    return gone
