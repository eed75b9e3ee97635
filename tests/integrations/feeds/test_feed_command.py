"""`manage.py import KIND FILE… --organization CODE`, and the commands beside it."""

from __future__ import annotations

from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from integrations.models import ImportRun
from tests.consent.people import People
from tests.integrations.feeds.town import HANA, REN, contents


@pytest.fixture(autouse=True)
def _clock(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: now)


def run(*files: Path, kind: str = "test-doses", **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("import", kind, *map(str, files), stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(f"0001,{HANA},2019-01-10,L1,,\n0002,{REN},2026-03-20,L2,,\n0003,{REN},2026-03-20,L,,\nwhat\n")
    return path


def test_a_file_is_brought_in_with_progress_and_a_report(family: People, now: datetime, file: Path) -> None:
    out, err = run(file, organization=family.city.code)
    assert "4/4" in out
    assert "新規 created 2, 更新 updated 0" in out
    assert "本人待ち waiting 1, 除外 refused 1" in out
    assert "4行目" in err
    assert len(contents(family.city, now)) == 2


def test_a_dry_run_reports_only(family: People, now: datetime, file: Path) -> None:
    out, _ = run(file, organization=family.city.code, dry_run=True)
    assert "確認のみ dry run" in out
    assert "created 2" in out
    assert not contents(family.city, now)


def test_a_folder_stands_for_the_files_below_it(family: People, now: datetime, file: Path) -> None:
    below = file.parent / "2026" / "03"
    below.mkdir(parents=True)
    (below / "b.csv").write_text(f"0002,{REN},2026-03-21,L3,,\n")
    (below / "away").symlink_to("/etc/hostname")
    run(file.parent, organization=family.city.code)
    assert len(contents(family.city, now)) == 3
    assert ImportRun.objects.get().done == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "--organization"),
        ({"organization": "000000"}, "no such organisation"),
        ({"organization": "131016", "profile": "x"}, "Choose a profile"),
        ({"organization": "B113210000"}, "Not to be brought"),
        ({"organization": "131016", "subject": "6a1d3f5e-0f0f-4c0f-8f0f-0f0f0f0f0f0f"}, "no --subject"),
    ],
)
def test_what_is_missing_or_wrong_is_said(family: People, file: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run(file, **options)
    assert not ImportRun.objects.exists()


def test_a_file_that_is_not_there_and_a_kind_nobody_knows(family: People, file: Path) -> None:
    with pytest.raises(CommandError, match="Cannot be read"):
        run(file.with_name("none.csv"), organization=family.city.code)
    with pytest.raises(CommandError, match="Unknown kind"):
        run(file, kind="nothing", organization=family.city.code)


def test_an_input_of_which_nothing_can_be_used_is_an_error(family: People, file: Path) -> None:
    file.write_text("BROKEN\n")
    with pytest.raises(CommandError, match="Not imported"):
        run(file, organization=family.city.code)


def test_the_watched_folder_is_looked_into_once(family: People, tmp_path: Path) -> None:
    out = StringIO()
    call_command("watch_imports", folder=tmp_path, stdout=out)
    assert "moved: 0" in out.getvalue()
    with pytest.raises(CommandError, match="no folder"):
        call_command("watch_imports")
