"""`manage.py import`: the same deeds, at once, with a line of progress and an exit code."""

from __future__ import annotations

from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from integrations.models import ImportRun
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.jahis_qr.samples import DRUG, GROUP, notebook, sample
from tests.integrations.test_runs import FULL, hanas, kinds


@pytest.fixture(autouse=True)
def _clock(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: now)


def run(*files: Path, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("import", "jahis-qr", *map(str, files), stdout=out, stderr=err, **options)
    except CommandError as error:
        raise CommandError(f"{error}\n{err.getvalue()}") from None
    return out.getvalue(), err.getvalue()


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    file = tmp_path / "whole.txt"
    file.write_bytes(hanas(sample("tc08_full.txt")))
    return file


def test_a_file_comes_in_with_progress(family: People, whole: Path) -> None:
    out, err = run(whole, subject=family.hana.pk)
    assert "importing 17/17" in out
    assert "created 17" in out
    assert "2行目 9項目 / line 2 field 9" in err
    assert kinds(family.hana.pk) == FULL
    assert ImportRun.objects.get().requested_by == family.yuki, "the first guardian in force"


def test_again_nothing_changes(family: People, whole: Path) -> None:
    run(whole, subject=family.hana.pk, username="ichiro")
    out, _ = run(whole, subject=family.hana.pk, username="ichiro")
    assert "nothing changed" in out
    assert kinds(family.hana.pk) == FULL


def test_parts_are_files(family: People, tmp_path: Path) -> None:
    files = []
    for n in (1, 2, 3):
        files.append(tmp_path / f"{n}.txt")
        files[-1].write_bytes(hanas(sample(f"split911_part{n}of3.txt")))
    out, _ = run(files[0], files[2], subject=family.hana.pk)
    assert "missing parts: 2" in out
    out, _ = run(files[1], subject=family.hana.pk)
    assert "created" in out


def test_a_refusal_ends_with_an_error_that_names_the_place(family: People, tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(hanas(notebook(*GROUP, DRUG[0])))
    with pytest.raises(CommandError, match="7行目 1項目 / line 7 field 1") as caught:
        run(file, subject=family.hana.pk)
    assert caught.value.returncode == 1
    assert not Resource.objects.filter(type="MedicationDispense").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"username": "mei"}, "May not act"), ({"username": "nobody"}, "no such person"),
        ({"username": "mori"}, "Not imported|not shown"), ({"subject": "00000000-0000-4000-8000-000000000000"}, "--as"),
    ],
)  # fmt: skip
def test_whoever_may_not_is_told_so(family: People, whole: Path, options: dict[str, str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        run(whole, **{"subject": family.ren.pk, **options})
    assert not kinds(family.ren.pk)


def test_files_that_are_not_there_or_too_large(family: People, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 1_048_577)
    for file, says in ((tmp_path / "none", "Cannot be read"), (tmp_path, "Cannot be read"), (large, "Larger than")):
        with pytest.raises(CommandError, match=says):
            run(file, subject=family.hana.pk)
    with pytest.raises(CommandError, match="Unknown kind"):
        call_command("import", "fax", str(large), subject=family.hana.pk)
