"""Status, files and end of an export (Bulk Data Access IG 3.0.0, export §status, §output file, §delete).

Another client's export and none look the same: 404.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from uuid import UUID

import msgspec
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.http import http_date

from consent import audit
from consent.audit import Event
from consent.decide import Caller
from phr.caller import caller_and_standing
from phr.fhir import wire
from phr.fhir.bulk import clients, running, writing
from phr.fhir.outcome import FHIR_JSON, Issue, Problem, as_json
from phr.records import sealed_files
from phr.records.exporting import Export
from phr.records.gateway import NotFound
from phr.records.jobs import ExportFile, ExportJob

POLL = 5  # seconds a client is asked to wait before it asks again
NDJSON = "application/fhir+ndjson"
State = ExportJob.State


def status(request: HttpRequest, *, job: str) -> HttpResponse:
    """How far an export is, or its manifest."""
    found, _ = _own(request, job)
    if found.state == State.FAILED:
        text = "出力を最後まで行えませんでした。The export could not be completed."
        raise Problem(500, "processing", text)
    if found.state != State.DONE:
        progress = f"{found.done} resources" if found.state == State.RUNNING else "accepted"
        told = {"X-Progress": progress, "Retry-After": str(POLL)}
        return HttpResponse(status=202, headers=told, content_type="application/json")
    answer = HttpResponse(manifest(found), content_type="application/json")
    assert found.expires_at is not None
    answer["Expires"] = http_date(found.expires_at.timestamp())
    return answer


def manifest(found: ExportJob) -> bytes:
    """IG export §complete status."""
    files: dict[str, list[dict[str, object]]] = {"output": [], "deleted": [], "error": []}
    for file in found.files.order_by("kind", "type", "number"):
        url = f"{wire.base()}/bulk/{found.pk}/{writing.name(file)}"
        files[file.kind].append({"type": file.type, "url": url, "count": file.lines})
    assert found.transaction_at is not None
    return msgspec.json.encode({
        "transactionTime": wire.instant(found.transaction_at), "request": running.asked(found).request,
        "requiresAccessToken": True, **files,
    })  # fmt: skip


def delete(request: HttpRequest, *, job: str) -> HttpResponse:
    """Stop an export and remove its files."""
    found, caller = _own(request, job)
    with transaction.atomic():
        audit.record(Event.EXPORT_DELETED, by=caller, now=timezone.now(), detail={"run": str(found.pk)})
        running.remove(found.pk)
    content = as_json([Issue("informational", "削除しました。Deleted.", severity="information")])
    return HttpResponse(content, status=202, content_type=FHIR_JSON)


def file(request: HttpRequest, *, job: str, name: str) -> HttpResponseBase:
    """One file, as far as its resources may still leave."""
    found, caller = _own(request, job)
    wanted = next((f for f in found.files.all() if writing.name(f) == name), None)
    if found.state != State.DONE or wanted is None:
        raise NotFound(job)
    if request.method == "HEAD":
        return HttpResponse(content_type=NDJSON)
    parts = leaving(found, wanted, caller)
    first = next(parts, b"")  # what fails at once still gets an answer of its own
    # A proxy that buffered it would put on its disk in the clear what is sealed on ours.
    return StreamingHttpResponse(chain([first], parts), content_type=NDJSON, headers={"X-Accel-Buffering": "no"})


def as_it_lies(request: HttpRequest) -> None:
    """A file has one form, whatever the client would take."""


def leaving(found: ExportJob, file: ExportFile, caller: Caller) -> Iterator[bytes]:
    """The lines of a file, piece by piece: each is asked for once more, and logged, before it leaves."""
    key = sealed_files.open_key(found.pk, found.kek, found.wrapped)
    pieces = sealed_files.pieces(writing.path(file), key=key, place=writing.place(file), count=file.pieces)
    for rows, lines in pieces:
        kept = lines if file.kind == ExportFile.Kind.ERROR else _still(found, file, caller, rows, lines)
        yield b"".join(line + b"\n" for line in kept)


def _still(
    found: ExportJob, file: ExportFile, caller: Caller, rows: Iterable[int], lines: Iterable[bytes]
) -> list[bytes]:
    """The lines whose resources this caller may still have, now."""
    rows = list(rows)
    with transaction.atomic():
        export = Export.opened_by(caller, now=timezone.now())
        standing = export.standing(rows, deleted=file.kind == ExportFile.Kind.DELETED)
        export.log(Event.RECORD_EXPORTED, standing.values(), {"type": file.type, "run": str(found.pk)})
    return [line for row, line in zip(rows, lines, strict=True) if row in standing]


def _own(request: HttpRequest, job: str) -> tuple[ExportJob, Caller]:
    """The caller's own export, not expired. Raises NotFound, Refused."""
    now = timezone.now()
    caller, standing = caller_and_standing(request, now=now)
    try:
        id = UUID(job)
    except ValueError:
        raise NotFound(job) from None
    found = ExportJob.objects.filter(pk=id).first()
    if found is None or not clients.owns(caller, found) or (found.expires_at and found.expires_at <= now):
        raise NotFound(job)
    Export.opened_by(caller, now=now, in_force=standing)
    return found, caller
