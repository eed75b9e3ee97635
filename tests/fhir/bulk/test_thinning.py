"""What was withdrawn is taken out of the files of finished exports, not only held back."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from phr.fhir.bulk import running, thinning, writing
from phr.records import sealed_files
from phr.records.jobs import ExportFile, ExportJob
from tests.family import Neighbourhood, pressure
from tests.fhir.bulk.exports import download, finished, job_of, kick_off
from tests.fhir.bulk.test_keeping import file_of, withdraw_all


@pytest.mark.IT("11")
@pytest.mark.parametrize("when", ["before it was done", "after"])
def test_what_was_withdrawn_lies_on_no_disk_either(
    family: Neighbourhood, export_folder: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(sealed_files, "PIECE", 500)  # several pieces, some of them left with nothing
    for _ in range(3):
        family.mother.made(pressure())
    own = family.clinic.made(pressure())
    accepted = kick_off(family.clinic)
    if when == "after":
        running.run(job_of(accepted), clock=timezone.now)
        assert thinning.thin(now=timezone.now()) == 0
        withdraw_all(family)
    else:
        held = running._claim(job_of(accepted), now=timezone.now())
        assert held
        while not ExportFile.objects.filter(type="Observation").exists():
            assert running._advance(held, now=timezone.now())
        withdraw_all(family)
        while running._advance(held, now=timezone.now()):
            pass
    later = timezone.now()
    [file] = ExportFile.objects.filter(type="Observation")
    assert file.lines > 1
    gone = thinning.thin(now=later)
    assert gone >= 3
    job, thinned = ExportJob.objects.get(), ExportFile.objects.get(pk=file.pk)
    key = sealed_files.open_key(job.pk, job.kek, job.wrapped)
    found = sealed_files.pieces(writing.path(file), key=key, place=writing.place(file), count=file.pieces)
    lying = [line for _, lines in found for line in lines if line]
    assert len(lying) == thinned.lines < file.lines
    assert writing.path(file).stat().st_size == thinned.size
    assert own["id"].encode() in b"".join(lying)
    assert not list(export_folder.rglob("*.new"))
    url = file_of(finished(family.clinic, accepted.headers["Content-Location"]), "Observation")
    assert sorted(download(family.clinic, url)) == sorted(lying)
    assert thinning.thin(now=later + 2 * thinning.AGAIN) == 0, "once"
