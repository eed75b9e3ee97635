"""The storage as a feed: archives, whole trees, what is again, changed or taken back; spoilt variants."""

from __future__ import annotations

import io
import os
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations import running, taking
from integrations.hl7 import connector as live
from integrations.items import Item, Piece
from integrations.models import ImportRun, KnownItem, WaitingItem
from integrations.problems import Problem, Unreadable
from integrations.ssmix2 import connector, mapping, reading, tree
from phr.records import body, systems, validate
from phr.records.gateway import Records
from phr.records.models import Resource
from tests.consent.people import People, people
from tests.integrations.ssmix2.samples import ABOUT, CODE, message, path_of, stored
from tests.integrations.ssmix2.test_mapping import IN, OUT, visit

NUMBER = "9990001"


def pieces(entries: Iterable[tuple[str, bytes]]) -> list[Piece]:
    return [Piece(path, io.BytesIO(data)) for path, data in entries]


def tarred(entries: Iterable[tuple[str, bytes]], *, mode: Any = "w") -> list[Piece]:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as archive:
        for path, data in entries:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return [Piece("tree.tar", io.BytesIO(held.getvalue()))]


def zipped(entries: Iterable[tuple[str, bytes]], *, packing: int = zipfile.ZIP_DEFLATED) -> list[Piece]:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packing) as archive:
        for path, data in entries:
            archive.writestr(path, data)
    return [Piece("tree.zip", io.BytesIO(held.getvalue()))]


class Unseekable(io.RawIOBase):
    """So that the zip library writes as to a pipe: sizes behind the data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


def streamed(entries: Iterable[tuple[str, bytes]]) -> list[Piece]:
    held = Unseekable()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in entries:
            archive.writestr(path, data)
    return [Piece("tree.zip", io.BytesIO(bytes(held.data)))]


def read(given: Iterable[Piece], profile: str = "") -> list[Item | Problem]:
    return list(connector.items(given, profile=profile, code=CODE))


WAYS: dict[str, Callable[..., list[Piece]]] = {
    "files": pieces, "tar": tarred, "tar.gz": lambda e: tarred(e, mode="w:gz"), "zip": zipped,
    "stored": lambda e: zipped(e, packing=zipfile.ZIP_STORED), "streamed": streamed,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_tree_reads_the_same_however_it_comes(way: str) -> None:
    found = read(WAYS[way](stored()))
    assert found == read(pieces(stored()))
    assert sum(isinstance(entry, Item) for entry in found) == 8


@pytest.mark.parametrize("way", ["tar", "tar.gz", "zip", "streamed"])
def test_a_broken_archive_is_refused_whole(way: str) -> None:
    [whole] = WAYS[way](stored())
    data = whole.stream.read()
    for cut in (len(data) // 2, len(data) // 3):
        with pytest.raises(Unreadable) as caught:
            read([Piece("x", io.BytesIO(data[:cut]))])
        assert [p.code for p in caught.value.problems] == ["archive"]


def test_a_bomb_is_unpacked_and_thrown_away() -> None:
    path = path_of("OML-11")
    [found] = read(zipped([(path, b"\0" * (64 << 20))]))[:1]
    assert isinstance(found, Problem)


def test_an_event_without_its_admission_joins_the_stay_read_before_it() -> None:
    before = (path_of("ADT-22", date="20260110", at="20260110100000000", order="9" * 15), message("ADT^A01", visit(IN)))
    after = (path_of("ADT-52", at="20260112110000000", order="9" * 15), message("ADT^A03", visit("", OUT)))
    first, second = read(pieces([before, after]))
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert first.key == second.key
    [encounter] = mapping.to_resources(second, about=ABOUT).resources
    assert encounter["period"] == {"start": "2026-01-10T10:00:00+09:00", "end": "2026-01-12T11:00:00+09:00"}


# Spoilt


def spoilt(data: bytes) -> list[bytes]:
    """Truncated, doubled, bit-flipped and mis-encoded variants, the same every time."""
    chance = random.Random(len(data))
    text = data.replace(b"\x1c", b"").decode("iso2022_jp_ext", "replace")
    found = [data[: chance.randrange(len(data) + 1)] for _ in range(12)]
    found += [data + data, data[: len(data) // 2] + data, data.replace(b"\r", b"\r\r"), data.replace(b"\x1b", b"")]
    found += [text.encode(name, "replace") for name in ("shift_jis", "euc_jp", "utf-8", "utf-16")]
    for _ in range(12):
        flipped = bytearray(data)
        flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        found.append(bytes(flipped))
    return found


@pytest.mark.parametrize("path", [path for path, data in stored() if data.startswith(b"MSH")])
def test_nothing_spoilt_breaks_anything_or_is_half_taken(path: str) -> None:
    data = dict(stored())[path]
    source = reading.Source(CODE)
    for bad in spoilt(data):
        for take in (lambda b=bad: reading.of_file(path, b, source), lambda b=bad: reading.of_message(b, source)):
            try:
                item = take()
            except Unreadable:
                continue
            if item is not None:
                sound(item)


@pytest.mark.parametrize("path", [path for path, data in stored() if data.startswith(b"MSH")])
def test_a_file_cut_off_anywhere_is_never_taken(path: str) -> None:
    data = dict(stored())[path]
    end = data.rindex(b"\x1c")
    for cut in range(0, end, 7):
        with pytest.raises(Unreadable):
            reading.of_file(path.replace("_2", "_1"), data[:cut], reading.Source(CODE))


def sound(item: Item) -> None:
    """What comes of it can be stored, or is told as a problem."""
    for resource in mapping.to_resources(item, about=ABOUT).resources:
        faults = [p for p in validate.check(resource) if p.severity in ("fatal", "error")]
        assert faults == [], (resource, faults)


EVENTS = ["ADT^A08", "ADT^A04", "ADT^A02", "ADT^A60", "PPR^ZD1", "RDE^O11", "RAS^O17", "OUL^R22", "OML^O33", "ORU^R01"]
NAMES = [
    "EVN",
    "PV1",
    "PV2",
    "OBX",
    "AL1",
    "IN1",
    "IAM",
    "PRB",
    "ZPR",
    "ORC",
    "RXE",
    "TQ1",
    "RXR",
    "RXC",
    "RXA",
    "SPM",
    "OBR",
]
PART = st.one_of(
    st.sampled_from(["", '""', "1", "0.5", "-3", "1e5", "20260112", "202601121015", "99999999", "HOT9", "JC10", "MR9P",
                     "MDCDX2", "I10", "99X", "JAMISDP01", "HL70162", "NM", "SN", "CWE", "TX", "TS", "F", "NW", "AD"]),
    st.text(st.characters(codec="iso2022_jp", exclude_categories=["Cc"], exclude_characters="|\\"), max_size=8),
)  # fmt: skip
FIELD = st.builds("^".join, st.lists(PART, max_size=6))
SEGMENT = st.builds(
    lambda name, fields: "|".join([name, *fields]), st.sampled_from(NAMES), st.lists(FIELD, max_size=22)
)


@given(st.sampled_from(EVENTS), st.lists(SEGMENT, max_size=8))
@settings(max_examples=150, deadline=None)
def test_whatever_a_message_holds_it_is_refused_or_becomes_sound_resources(event: str, lines: list[str]) -> None:
    try:
        item = reading.of_message(message(event, *lines), reading.Source(CODE))
    except Unreadable:
        return
    sound(item)


@pytest.mark.long
@given(st.sampled_from(EVENTS), st.lists(SEGMENT, max_size=12))
@settings(max_examples=3_000, deadline=None)
def test_whatever_a_message_holds_many_times(event: str, lines: list[str]) -> None:
    try:
        item = reading.of_message(message(event, *lines), reading.Source(CODE))
    except Unreadable:
        return
    sound(item)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_whatever_bytes_come(data: bytes) -> None:
    for feed in (connector, live):
        try:
            list(feed.items([Piece(path_of("OML-11"), io.BytesIO(data))], profile="", code=CODE))
        except Unreadable:
            continue


# Into the record


@pytest.fixture
def family(db: None, now: datetime) -> People:
    """Yuki is 見本花子 of the samples: the clinic, which has her number, wrote her Patient."""
    made = people(now)
    made.clinic.code = CODE
    made.clinic.save()
    patient = {
        "resourceType": "Patient", "id": str(made.yuki_subject.pk), "birthDate": "1975-04-01", "gender": "female",
        "identifier": [{"system": systems.PATIENT_AT_INSTITUTION + CODE, "value": NUMBER}], "name": [{"text": "見本"}],
    }  # fmt: skip
    by = taking.caller_for(made.clinic, client="test")
    Records.opened_by(by, now=now).create_all([patient], keep_ids=True)
    return made


def brought(family: People, given: list[Piece], now: datetime, **options: Any) -> ImportRun:
    by = taking.caller_for(family.clinic, client="test")
    run = taking.take(connector, given, organization=family.clinic, by=by, now=now, wake=False, **options)
    running.run(run.pk, clock=lambda: now)
    run.refresh_from_db()
    return run


def standing(family: People, type: str, now: datetime) -> list[dict[str, Any]]:
    records = Records.opened_by(taking.caller_for(family.clinic, client="test"), now=now)
    rows = Resource.objects.filter(type=type, subject=family.yuki_subject.pk, deleted=False).order_by("fhir_id")
    return [body.parse(records.read(type, row.fhir_id).body or b"{}") for row in rows]


OWN = [(path, data) for path, data in stored() if path.startswith("999/000")]


def test_a_tree_arrives_and_twice_is_once(family: People, now: datetime) -> None:
    run = brought(family, tarred(stored()), now)
    assert (run.state, run.created, run.unmatched) == ("done", 10, 3)
    assert run.refused_items == 8
    assert {p["code"] for p in run.problems} >= {"wrong-folder", "other-patient", "other-date"}
    assert NUMBER not in str(run.problems)
    before = (Resource.objects.count(), KnownItem.objects.count(), WaitingItem.objects.count())
    again = brought(family, zipped(stored()), now + timedelta(hours=1))
    assert (again.created, again.updated, again.retracted) == (0, 0, 0)
    assert (Resource.objects.count(), KnownItem.objects.count(), WaitingItem.objects.count()) == before
    [told] = standing(family, "DiagnosticReport", now)
    assert len(told["result"]) == 3


def test_a_dry_run_counts_and_leaves_nothing(family: People, now: datetime) -> None:
    run = brought(family, tarred(OWN), now, dry=True)
    assert (run.state, run.created) == ("reported", 10)
    assert not KnownItem.objects.exists()


def test_a_corrected_file_is_a_new_version_and_a_result_left_out_was_an_error(family: People, now: datetime) -> None:
    brought(family, pieces(OWN), now)
    path, data = next((p, d) for p, d in OWN if "OML-11" in p)
    newer = data.replace(b"|6.8|", b"|7.1|").replace(b"OBX|2|SN|5C07", b"OBX|2|SN|5C99")
    run = brought(family, pieces([(path.replace("101500000", "113000000"), newer)]), now)
    assert (run.created, run.retracted) == (1, 1)
    found = {r["code"]["coding"][0]["code"][:5]: r for r in standing(family, "Observation", now)}
    assert str(found["3D045"]["valueQuantity"]["value"]) == "7.1"
    assert {code: found[code]["status"] for code in ("5C070", "5C990", "3D045")} == {
        "5C070": "entered-in-error", "5C990": "final", "3D045": "final",
    }  # fmt: skip
    older = brought(family, pieces([(path, data)]), now)
    assert (older.created, older.updated, older.retracted) == (0, 0, 0), "what was said before never comes back"


def test_a_withdrawn_file_takes_its_resources_back(family: People, now: datetime) -> None:
    brought(family, pieces(OWN), now)
    path, data = next((p, d) for p, d in OWN if "OMP-01" in p and p.endswith("_1"))
    run = brought(family, pieces([(path.removesuffix("1") + "0", data)]), now)
    assert run.retracted == 1
    assert [r["status"] for r in standing(family, "MedicationRequest", now)] == ["entered-in-error"]


# A folder on a disk


@pytest.fixture
def storage_folder(tmp_path: Path) -> Path:
    for path, data in OWN:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


def test_a_folder_reads_as_its_files(storage_folder: Path) -> None:
    (storage_folder / "elsewhere").symlink_to("/")
    assert read([connector.folder(storage_folder, since=None)]) == read(pieces(OWN))
    assert read([connector.folder(storage_folder, since=datetime(2999, 1, 1, tzinfo=UTC))]) == []


def test_a_folder_is_read_on_from_where_it_was_read_last(
    family: People, storage_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """New files and renamed ones (the condition flag changed) come, what was read stays; `--full` reads all of it."""
    for file in (f for f in storage_folder.rglob("*") if f.is_file()):
        os.utime(file, (0, 0))
    asked = ("import", "ssmix2", str(storage_folder), "--organization", CODE)
    call_command(*asked)
    assert "created 10" in capsys.readouterr().out
    runs = ImportRun.objects.order_by("finished_at")
    runs.update(created_at=timezone.now() + timedelta(hours=1))  # what lies there is older than the run
    call_command(*asked)
    assert runs.last().total == 0  # type: ignore[union-attr]
    [path] = [path for path, _ in OWN if "OMP-01" in path and path.endswith("_1")]
    runs.update(created_at=timezone.now() - timedelta(hours=1))
    (storage_folder / path).rename(storage_folder / (path.removesuffix("1") + "0"))
    call_command(*asked)
    assert runs.last().retracted == 1  # type: ignore[union-attr]
    call_command(*asked, "--full")
    assert runs.last().unchanged > 0  # type: ignore[union-attr]


def test_a_large_tree_is_read_in_flat_memory() -> None:
    """As a tar that is made while it is read: four times the files, the same memory."""
    data = next(data for path, data in OWN if "OML-11" in path)

    def entries(count: int) -> Iterator[bytes]:
        for n in range(count):
            info = tarfile.TarInfo(path_of("OML-11", order=f"{n:015}"))
            info.size = len(data)
            yield info.tobuf(tarfile.USTAR_FORMAT)
            yield data + b"\0" * (-len(data) % 512)
        yield b"\0" * 1024

    def peak(count: int) -> int:
        stream = io.BufferedReader(tree._Pulled(entries(count)))
        tracemalloc.start()
        try:
            found = sum(isinstance(e, Item) for e in connector.items([Piece("t", stream)], profile="", code=CODE))
            assert found == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)  # what is loaded once
    small, large = peak(100), peak(400)
    assert large < small * 1.25 + 100_000
