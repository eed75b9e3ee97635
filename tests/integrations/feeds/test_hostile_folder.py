"""A watched folder in which an organisation puts what it must not: links, pipes, names of ours, times to come."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from integrations import running, watching
from integrations.models import ImportRun, Unlinked
from tests.consent.people import People
from tests.integrations.feeds import doses
from tests.integrations.feeds.town import HANA, brought

ONE = f"0001,{HANA},2019-01-10,L1,,\n"


@dataclass(slots=True)
class Boxes:
    tmp: Path
    mine: Path  # of the city
    other: Path  # of another city
    now: datetime

    def scan(self) -> int:
        for path in self.tmp.rglob("*"):
            os.utime(path, (1, 1), follow_symlinks=False)
        return watching.scan(self.tmp / "watch", now=self.now)

    def run_all(self) -> None:
        self.scan()
        for run in ImportRun.objects.all():
            running.run(run.pk, clock=lambda: self.now)
        self.scan()

    def files(self) -> dict[str, str]:
        return {p.name: p.read_text() for p in self.mine.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.fixture
def boxes(family: People, tmp_path: Path, now: datetime) -> Boxes:
    mine, other = (tmp_path / "watch" / office.code / doses.KIND for office in (family.city, family.other_city))
    mine.mkdir(parents=True)
    other.mkdir(parents=True)
    return Boxes(tmp_path, mine, other, now)


def test_a_link_is_refused_and_nothing_behind_it_is_read(boxes: Boxes) -> None:
    secret = boxes.tmp / "secret.csv"
    secret.write_text(ONE)
    (boxes.mine / "x.csv").symlink_to(secret)
    assert boxes.scan() == 1
    assert not ImportRun.objects.exists()
    [told] = boxes.files().values()
    assert json.loads(told)["problems"][0]["code"] == "not-a-file"
    assert secret.read_text() == ONE


def test_no_link_at_any_level_leads_to_another_towns_files(boxes: Boxes, family: People) -> None:
    theirs = boxes.mine / "working" / "x"
    theirs.mkdir(parents=True)
    (theirs / "a.csv").write_text(f"0777,{HANA},2019-01-10,SECRET,,\n")
    (boxes.other / "mine.csv").symlink_to(theirs / "a.csv")
    (boxes.other / "dir").symlink_to(theirs)
    (boxes.other / "set").mkdir()
    (boxes.other / "set" / "mine.csv").symlink_to(theirs / "a.csv")
    (boxes.other / "set" / "dir").symlink_to(theirs)
    (boxes.other.parent / "other").symlink_to(boxes.mine)
    boxes.run_all()
    assert not Unlinked.objects.exists()
    assert not ImportRun.objects.exclude(bytes_total=0).exists()
    assert (theirs / "a.csv").exists()


def test_a_folder_of_ours_that_is_a_link_takes_nothing_out_of_the_box(boxes: Boxes) -> None:
    for name in ("working", "done", "refused"):
        (boxes.tmp / name).mkdir()
        (boxes.mine / name).symlink_to(boxes.tmp / name)
    (boxes.mine / "a.csv").write_text(ONE)
    (boxes.mine / "b.csv").symlink_to(boxes.mine / "a.csv")
    boxes.run_all()
    assert not [*(boxes.tmp / "working").iterdir(), *(boxes.tmp / "refused").iterdir()]
    assert (boxes.mine / "a.csv").exists()
    assert not ImportRun.objects.exists()


def test_a_report_overwrites_nothing(boxes: Boxes) -> None:
    victim = boxes.tmp / "victim.txt"
    victim.write_text("precious")
    (boxes.mine / "report.json").write_text(ONE)
    boxes.scan()
    run = ImportRun.objects.get()
    (boxes.mine / "done" / str(run.pk)).mkdir(parents=True)
    (boxes.mine / "done" / str(run.pk) / "report.json").symlink_to(victim)
    boxes.run_all()
    assert victim.read_text() == "precious"


def test_an_input_that_is_called_report_is_not_lost(boxes: Boxes) -> None:
    (boxes.mine / "report.json").write_text(ONE)
    boxes.run_all()
    [told] = [text for name, text in boxes.files().items() if name.startswith("report-")]
    assert (boxes.files()["report.json"], json.loads(told)["created"]) == (ONE, 1)


@pytest.mark.parametrize("spoilt", ["working is a file", "a run is a file", "a pipe", "names that are no text"])
def test_what_one_town_does_stops_no_other(spoilt: str, boxes: Boxes, family: People) -> None:
    if spoilt == "working is a file":
        (boxes.mine / "working").write_text("x")
        (boxes.mine / "y.csv").write_text(ONE)
    elif spoilt == "a run is a file":
        (boxes.mine / "working").mkdir()
        (boxes.mine / "working" / str(uuid4())).write_text("x")
    elif spoilt == "a pipe":
        os.mkfifo(boxes.mine / "pipe")
    else:
        (boxes.mine / "set").mkdir()
        for folder in (boxes.mine, boxes.mine / "set"):
            for name in (b"\xff.csv", b"\xfe.csv"):
                Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(ONE)
    (boxes.other / "y.csv").write_text(ONE)
    for _ in range(2):
        boxes.run_all()
    assert ImportRun.objects.get(organization=family.other_city).state == "done"
    mine = ImportRun.objects.filter(organization=family.city)
    assert {run.state for run in mine} == ({"done"} if spoilt == "names that are no text" else set())


def test_the_report_of_another_towns_run_is_not_handed_out(boxes: Boxes, family: People, now: datetime) -> None:
    run = brought(f"{ONE}bad\n", organization=family.city, now=now)
    place = boxes.other / "working" / str(run.pk)
    place.mkdir(parents=True)
    (place / "q").write_text("x")
    boxes.scan()
    [told] = [json.loads(path.read_text()) for path in boxes.other.rglob("report*.json")]
    assert told == {"state": "unknown"}


def test_a_file_of_a_time_to_come_is_taken(boxes: Boxes) -> None:
    file = boxes.mine / "z.csv"
    file.write_text(ONE)
    clock = timezone.now()
    os.utime(file, (clock.timestamp() + 86_400 * 3650,) * 2)
    assert watching.scan(boxes.tmp / "watch", now=clock) == 0, "somebody may still be writing"
    assert watching.scan(boxes.tmp / "watch", now=clock + timedelta(minutes=1)) == 1
