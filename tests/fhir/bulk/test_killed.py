"""Workers and commands killed in the middle (kill -9): nothing twice, no half line, and it goes on to its end."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from phr.fhir.bulk import running
from phr.populate.cast import OBSTETRIC
from phr.records.jobs import ExportFile, ExportJob, Ingest
from phr.records.models import Resource
from tests.family import YUKI, Neighbourhood, at_home, audit_lines, encoded, pressure
from tests.fhir.bulk.exports import finished, job_of, kick_off
from tests.integrations.test_killed import own_database

ROOT = Path(__file__).parents[3]

# A worker that writes chunks of five and dies at the third: before the commit, or with half of it on the disk.
EXPORTER = """
import os, signal, sys
from uuid import UUID
import django
django.setup()
from django.conf import settings
from django.utils import timezone
from phr.fhir.bulk import running, writing
from phr.records import exporting
settings.PHR_EXPORT_FOLDER = sys.argv[3]
exporting.CHUNK = 5
written, moment = [], sys.argv[2]
plain, add = running._write, writing.Writing.add
def counted(*args):
    written.append(1)
    plain(*args)
    if moment == "written" and len(written) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
def flushed(self, *args):
    add(self, *args)
    if moment == "half" and len(written) == 3:
        for found in self._open.values():
            found.seal(self.key)
            found.file.write(b"half a piece")
            found.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
running._write, writing.Writing.add = counted, flushed
running.run(UUID(sys.argv[1]), clock=timezone.now)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["written", pytest.param("half", marks=pytest.mark.long)])
def test_a_killed_export_goes_on(export_folder: Path, moment: str) -> None:
    family = at_home()
    made = {family.clinic.made(pressure())["id"] for _ in range(30)}
    accepted = kick_off(family.clinic, "$export?_type=Observation")
    killed = subprocess.run(
        [sys.executable, "-c", EXPORTER, str(job_of(accepted)), moment, str(export_folder)],
        env={**os.environ, "DATABASE_URL": own_database()}, cwd=ROOT, check=False, timeout=300,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    job = ExportJob.objects.get()
    assert (job.state, job.done) == ("running", 10)
    assert sum(d["count"] for *_, d in audit_lines("record:searched") if d.get("interaction") == "export") == 10
    [file] = ExportFile.objects.all()
    assert file.lines == 10
    [path] = export_folder.rglob("*.sealed")
    assert path.stat().st_size >= file.size

    running.run(job.pk, clock=timezone.now)
    job.refresh_from_db()
    assert job.state == "running", "a job whose worker may be alive is left to it"
    assert running.due(now=timezone.now()) == []
    later = timezone.now() + running.STALE + timedelta(seconds=1)
    assert running.due(now=later) == [job.pk]
    running.run(job.pk, clock=lambda: later)
    job.refresh_from_db()
    assert job.state == "done"
    found = finished(family.clinic, accepted.headers["Content-Location"])
    ids = [r["id"] for r in found.resources()]
    assert len(ids) == len(set(ids))
    assert made <= set(ids)
    assert path.stat().st_size == ExportFile.objects.get().size


# The command, dying after its second batch: before or after it has kept how far it came.
INGESTER = """
import os, signal, sys
import django
django.setup()
from django.core.management import call_command
from phr.management.commands import ingest
ingest.LINES = 10
plain, kept = ingest.Command._keep, []
def keep(self, *args):
    kept.append(1)
    if sys.argv[2] == "after":
        plain(self, *args)
    if len(kept) == 9:  # seven batches are looked through for Patients first
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[2] == "before":
        plain(self, *args)
ingest.Command._keep = keep
call_command("ingest", sys.argv[1], organization=sys.argv[3], processes=int(sys.argv[4]))
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("moment", "processes"),
    [
        pytest.param("before", 1, marks=pytest.mark.long),
        pytest.param("after", 1, marks=pytest.mark.long),
        ("before", 2),
    ],
)
def test_a_killed_ingest_goes_on(tmp_path: Path, moment: str, processes: int) -> None:
    at_home()
    mother = str(uuid4())
    subjects = [{"reference": f"Patient/{mother if n % 2 else YUKI}"} for n in range(60)]
    lines = [encoded(pressure(id=f"of-{n}", subject=subject)) for n, subject in enumerate(subjects)]
    lines.append(json.dumps({"resourceType": "Patient", "id": mother}).encode())
    file = tmp_path / "a.ndjson"
    file.write_bytes(b"\n".join(lines))
    before = Resource.objects.count()
    killed = subprocess.run(
        [sys.executable, "-c", INGESTER, str(file), moment, OBSTETRIC.code, str(processes)],
        env={**os.environ, "DATABASE_URL": own_database()}, cwd=ROOT, check=False, timeout=300, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    work = Ingest.objects.get()
    assert not work.finished_at
    assert 0 < Resource.objects.count() - before < 62

    call_command("ingest", str(file), organization=OBSTETRIC.code, processes=processes, stdout=io.StringIO())
    work.refresh_from_db()
    assert work.finished_at
    assert work.refused == 0
    assert work.created + work.unchanged == 61
    assert Resource.objects.count() - before == 61


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_was_overtaken_writes_nothing_more() -> None:
    family: Neighbourhood = at_home()
    accepted = kick_off(family.clinic)
    now = timezone.now()
    slow = running._claim(job_of(accepted), now=now - 2 * running.STALE)
    quick = running._claim(job_of(accepted), now=now)
    assert slow
    assert quick
    with pytest.raises(running.Overtaken):
        running._advance(slow, now=now)
    assert running._advance(quick, now=now)
    running.remove(quick.pk)
    with pytest.raises(running.Overtaken):
        running._advance(quick, now=now)
