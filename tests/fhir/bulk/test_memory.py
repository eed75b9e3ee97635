"""Flat memory: four times as much to export, to fetch or to bring in takes no more at its peak."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from phr.fhir.bulk import running, views
from phr.management.commands import ingest
from phr.populate.cast import OBSTETRIC
from phr.populate.store import for_organization
from phr.records import exporting, ndjson, sealed_files
from phr.records.gateway import Records
from phr.records.jobs import ExportFile, ExportJob
from tests.family import YUKI, Neighbourhood, encoded, pressure
from tests.fhir.bulk.exports import job_of, kick_off

SMALL = 600  # resources of 4 KB
ROOM = 2 << 20  # bytes: what is remembered within bounds (terms, statements); 1,800 resources more are 7 MB


def peak(work: Callable[[], object]) -> int:
    """Bytes at the peak."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def lengthy(n: int) -> dict[str, object]:
    return pressure(note=[{"text": f"{n} " + token_hex(2000)}])  # 4 KB that do not compress away


def fill(family: Neighbourhood, count: int) -> None:
    caller = for_organization(family.demo.organizations[OBSTETRIC.code].pk, YUKI)
    Records.opened_by(caller, now=timezone.now()).create_all([lengthy(n) for n in range(count)])


def test_export_and_download(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch, settings: object) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 150)
    monkeypatch.setattr(sealed_files, "PIECE", 100_000)
    settings.PHR_EXPORT_JOBS = 10  # type: ignore[attr-defined]
    peaks: list[tuple[int, int]] = []
    for more in (SMALL, 3 * SMALL):
        fill(family, more)
        id = job_of(kick_off(family.clinic, "$export?_type=Observation"))
        if not peaks:
            running.run(id, clock=timezone.now)  # what is loaded once is loaded
            id = job_of(kick_off(family.clinic, "$export?_type=Observation"))
        written = peak(lambda job=id: running.run(job, clock=timezone.now))  # type: ignore[misc]
        job = ExportJob.objects.get(pk=id)
        [file] = ExportFile.objects.filter(job=job)
        caller = running.clients.kept_caller(job)
        fetched = peak(lambda j=job, f=file, c=caller: sum(map(len, views.leaving(j, f, c))))  # type: ignore[misc]
        peaks.append((written, fetched))
    assert file.lines >= 4 * SMALL
    assert peaks[1][0] < peaks[0][0] + ROOM
    assert peaks[1][1] < peaks[0][1] + ROOM


def test_ingest(family: Neighbourhood, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ingest, "LINES", 100)
    peaks = []
    for count in (100, SMALL, 4 * SMALL):
        file = tmp_path / f"{count}.ndjson"
        with file.open("wb") as out:
            for n in range(count):
                out.write(encoded({**lengthy(n), "id": str(uuid4())}) + b"\n")
        peaks.append(peak(
            lambda f=file: call_command(  # type: ignore[misc]
                "ingest", str(f), organization=OBSTETRIC.code, processes=1, stdout=io.StringIO()
            )
        ))  # fmt: skip
    assert peaks[2] < peaks[1] + ROOM


def test_a_line_without_an_end(tmp_path: Path) -> None:
    """100 MB without a newline are passed over in steps."""
    file = tmp_path / "endless.ndjson"
    with file.open("wb") as out:
        for _ in range(100):
            out.write(b"x" * (1 << 20))
        out.write(b"\n{}\n")
    found: list[ndjson.Line] = []

    def read() -> None:
        for batch in ndjson.batches(file, offset=0, line=0, longest=1 << 20, most=10, most_bytes=1 << 20):
            found.extend(batch.lines)

    assert peak(read) < 8 << 20
    assert [(line.number, line.text) for line in found] == [(1, None), (2, b"{}")]
