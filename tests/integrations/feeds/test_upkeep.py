"""Steering a run, watching a folder, and letting go: originals after their days, everything of an erased person."""

from __future__ import annotations

import base64
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from consent.models import Subject
from consent.refusal import Absent, Refusal
from integrations import feeding, originals, running, steering, upkeep, watching
from integrations.items import Piece
from integrations.models import ImportRun, ImportSlice, KnownItem, LocalNumber, Unlinked, WaitingItem
from phr.records.vault import CannotOpen
from tests.consent.people import People
from tests.integrations.feeds import town
from tests.integrations.feeds.town import HANA, REN, brought, caller, contents, counts

MANY = "".join(f"0001,{HANA},{2019 + n // 300}-{1 + n % 12:02d}-{1 + n // 12 % 25:02d},L{n},,\n" for n in range(500))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "CHUNK", 50)


def test_a_run_pauses_goes_on_where_it_was_and_ends_as_if_it_had_not(family: People, now: datetime) -> None:
    run = brought(MANY, organization=family.city, now=now, run=False)
    by = caller(family.city)

    def stop(told: ImportRun) -> None:
        if told.done == 100:
            steering.pause(run=run.pk, by=by, now=now)

    running.run(run.pk, clock=lambda: now, tell=stop)
    run.refresh_from_db()
    assert (run.state, run.done, run.total) == ("paused", 100, 500)
    running.run(run.pk, clock=lambda: now + timedelta(hours=1))
    run.refresh_from_db()
    assert run.done == 100, "nobody takes up what is paused"
    steering.resume(run=run.pk, by=by, now=now)
    running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    assert (run.state, run.done, run.created) == ("done", 500, 500)
    with pytest.raises(Refusal):
        steering.pause(run=run.pk, by=by, now=now)


def test_what_is_cancelled_stops_and_what_was_brought_in_stays(family: People, now: datetime) -> None:
    run = brought(MANY, organization=family.city, now=now, run=False)
    by = caller(family.city)
    running.run(run.pk, clock=lambda: now, tell=lambda told: _cancel_at(told, 50, by, now))
    run.refresh_from_db()
    assert (run.state, run.done, len(contents(family.city, now))) == ("cancelled", 50, 50)
    with pytest.raises(Absent):
        steering.cancel(run=run.pk, by=caller(family.other_city), now=now)


def _cancel_at(told: ImportRun, done: int, by: object, now: datetime) -> None:
    if told.done == done:
        steering.cancel(run=told.pk, by=by, now=now)  # type: ignore[arg-type]


def test_after_a_dry_run_one_goes_on_in_earnest(family: People, now: datetime) -> None:
    run = brought(MANY, organization=family.city, now=now, dry=True)
    assert (run.state, counts(run)) == ("reported", {"created": 500})
    assert not contents(family.city, now)
    steering.proceed(run=run.pk, by=caller(family.city), now=now)
    running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    assert (run.state, counts(run), run.done) == ("done", {"created": 500}, 500)


def test_a_dry_run_counts_what_is_said_again_in_a_later_chunk_as_the_real_one_does(
    family: People, now: datetime
) -> None:
    """Corrections, repetitions, deletions and older words, a chunk or two after what they speak of."""
    lines = MANY.splitlines()
    again = [
        lines[3], lines[4].replace("L4", "L4b"), lines[5] + "D", lines[6][:-1] + "2026-01-01,",
        lines[7].replace("L7,,", "L7,,2"),
    ]  # fmt: skip
    text = "\n".join([*lines[:120], *again, *lines[120:170], *again, lines[4], lines[6], lines[7]]) + "\n"
    dry = brought(text, organization=family.city, now=now, dry=True)
    assert not contents(family.city, now)
    real = brought(text, organization=family.city, now=now)
    assert counts(dry) == counts(real)
    assert {"created", "updated", "unchanged", "retracted"} <= counts(real).keys()


def test_the_same_input_while_it_is_open_is_the_same_run(family: People, now: datetime) -> None:
    one = brought(MANY, organization=family.city, now=now, run=False)
    assert brought(MANY, organization=family.city, now=now, run=False).pk == one.pk
    assert brought(MANY, organization=family.city, now=now, run=False, dry=True).pk != one.pk
    assert ImportSlice.objects.values("run").distinct().count() == 2


def test_an_original_goes_after_its_days_and_with_it_the_key(family: People, now: datetime) -> None:
    run = brought(MANY, organization=family.city, now=now)
    held = ImportRun.objects.get(pk=run.pk)
    [piece] = originals.Shelf(held).pieces()
    assert (piece.name, piece.stream.read()) == ("doses-1.csv", MANY.encode())
    assert b"2019-" not in bytes(ImportSlice.objects.get(run=run).sealed)
    assert upkeep.sweep(now=now + timedelta(days=29)) == 0
    assert upkeep.sweep(now=now + timedelta(days=30)) == 1
    run.refresh_from_db()
    assert (run.wrapped, ImportSlice.objects.filter(run=run).exists()) == (None, False)
    with pytest.raises(CannotOpen):
        originals.Shelf(run)


def test_with_an_erased_person_goes_what_was_known_of_her_and_the_originals(family: People, now: datetime) -> None:
    lines = f"0001,{HANA},2019-01-10,L1,,\n0002,{REN},2026-03-20,L2,,\n"
    run = brought(lines, organization=family.city, now=now)
    other = brought(lines, organization=family.other_city, now=now)
    Subject.objects.filter(pk=family.hana.pk).update(state="erased")
    assert upkeep.sweep(now=now) >= 1
    run.refresh_from_db()
    other.refresh_from_db()
    assert (run.wrapped, other.wrapped is None) == (None, False), "who never knew her keeps what it sent"
    assert set(LocalNumber.objects.values_list("subject", flat=True)) == {family.ren.pk}
    assert set(KnownItem.objects.values_list("subject", flat=True)) == {family.ren.pk}
    assert upkeep.sweep(now=now) == 0


def test_pieces_are_read_in_any_order_and_found_again(family: People, now: datetime) -> None:
    texts = ["", "a" * (3 << 20), "b"]
    run = town.brought(*texts, organization=family.city, now=now, run=False)
    pieces = list(originals.Shelf(run).pieces())
    assert [p.name for p in pieces] == ["doses-1.csv", "doses-2.csv", "doses-3.csv"]
    assert [p.stream.read() for p in reversed(pieces)] == [t.encode() for t in reversed(texts)]
    ImportSlice.objects.filter(run=run, number=1).update(sealed=ImportSlice.objects.get(run=run, number=2).sealed)
    with pytest.raises(CannotOpen):
        [p.stream.read() for p in originals.Shelf(run).pieces()]


def test_a_problem_names_the_file_where_there_are_several(family: People, now: datetime) -> None:
    good, bad = f"0001,{HANA},2019-01-10,L1,,\n", f"0001,{HANA},2019-01-11,L1,,M\n"
    run = town.brought(good, bad, organization=family.city, now=now)
    assert [(p["part"], p["line"], p["code"]) for p in run.problems] == [(2, 1, "unmappable")]


def test_a_watched_folder_takes_files_and_gives_them_back_with_a_report(
    family: People, now: datetime, tmp_path: Path
) -> None:
    inbox = tmp_path / family.city.code / "test-doses"
    inbox.mkdir(parents=True)
    (inbox / "a.csv").write_text(f"0001,{HANA},2019-01-10,L1,,\n")
    (inbox / "b.csv").write_text("BROKEN\n")
    unknown = tmp_path / "999999" / "test-doses"
    unknown.mkdir(parents=True)
    (unknown / "c.csv").write_text("x")
    at = now.timestamp()
    for file in inbox.iterdir():
        os.utime(file, (at - 5, at - 5))
    assert watching.scan(tmp_path, now=now) == 0, "somebody may still be writing"
    for file in inbox.iterdir():
        os.utime(file, (at - 60, at - 60))
    assert watching.scan(tmp_path, now=now) == 2
    for run in ImportRun.objects.all():
        running.run(run.pk, clock=lambda: now)
    assert watching.scan(tmp_path, now=now) == 2
    [done], [refused] = list((inbox / "done").iterdir()), list((inbox / "refused").iterdir())
    assert {p.name for p in done.iterdir()} == {"a.csv", "report.json"}
    assert json.loads((done / "report.json").read_text())["created"] == 1
    assert json.loads((refused / "report.json").read_text())["problems"][0]["code"] == "broken"
    assert (unknown / "c.csv").exists()
    assert watching.scan(tmp_path, now=now) == 0


def test_what_the_watched_folder_does_not_take_is_told(
    family: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.integrations.feeds import doses

    monkeypatch.setattr(doses, "profiles", lambda: ("standard",))
    for place in (f"{family.city.code}/test-doses", f"{family.city.code}/test-doze", "999999/test-doses"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "minor.csv").write_text("x")
    call_command("watch_imports", "--folder", str(tmp_path))
    said = capsys.readouterr().err
    assert [line.split(":")[0] for line in said.splitlines()] == [
        f"{family.city.code}/test-doses", f"{family.city.code}/test-doze", "999999"
    ]  # fmt: skip
    assert "minor" not in said
    (tmp_path / family.city.code / "test-doses" / "minor.csv").rename(tmp_path / ".minor")
    assert f"{family.city.code}/test-doses" not in watching.unheard(tmp_path)


def test_a_school_does_not_send_doses(family: People, now: datetime, tmp_path: Path) -> None:
    inbox = tmp_path / family.school.code / "test-doses"
    inbox.mkdir(parents=True)
    (inbox / "a.csv").write_text(f"0001,{HANA},2019-01-10,L1,,\n")
    os.utime(inbox / "a.csv", (0, 0))
    assert watching.scan(tmp_path, now=now) == 1
    [refused] = (inbox / "refused").iterdir()
    assert json.loads((refused / "report.json").read_text())["problems"][0]["code"] == "not-allowed"
    assert not ImportRun.objects.exists()


def test_nothing_of_a_taken_input_stays_when_it_is_too_large(
    family: People, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.integrations.feeds import doses

    monkeypatch.setattr(doses, "MAX_BYTES", 10)
    with pytest.raises(originals.TooLarge):
        brought(MANY, organization=family.city, now=now)
    assert not ImportRun.objects.exists()
    assert not ImportSlice.objects.exists()
    assert not (Unlinked.objects.exists() or WaitingItem.objects.exists())
    assert isinstance(town.pieces("x")[0], Piece)


def test_the_keys_of_originals_follow_the_key_encryption_key(family: People, now: datetime, settings: Any) -> None:
    run = brought(MANY, organization=family.city, now=now)
    first = settings.PHR_KEYS
    second = "next:" + base64.b64encode(b"n" * 32).decode()
    settings.PHR_KEYS = f"{second},{first}"
    assert upkeep.sweep(now=now) == 1
    settings.PHR_KEYS = second
    run.refresh_from_db()
    assert run.kek == "next"
    assert next(originals.Shelf(run).pieces()).stream.read() == MANY.encode()
