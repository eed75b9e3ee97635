"""The notebook written out again: reading it gives the same facts under the same ids, as text and as QR symbols."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import segno
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from integrations.incoming import Part
from integrations.jahis_qr import symbols, write
from integrations.jahis_qr.mapping import map_notebook
from integrations.jahis_qr.parse import parse
from integrations.jahis_qr.parts import join
from integrations.problems import Unreadable, errors
from phr.records import body, systems
from tests.integrations.jahis_qr.samples import DRUG, GROUP, NOON, notebook, sample
from tests.integrations.jahis_qr.test_mapping import CASES
from tests.integrations.jahis_qr.test_parse import LINES, MUTATIONS, mutated

HANA = {
    "resourceType": "Patient", "name": [{"text": "見本 花子"}, {"text": "ミホン ハナコ"}], "gender": "female",
    "birthDate": "1975-04-01",
}  # fmt: skip
Resource = dict[str, Any]


def facts(data: bytes) -> dict[str, Resource]:
    return map_notebook(parse(data), patient_id="example", now=NOON, make_organizations=False).clinical


def written(found: Iterable[Resource]) -> bytes:
    told = [body.parse(body.write(resource)) for resource in found]
    dispensed = [r for r in told if r["resourceType"] == "MedicationDispense"]
    others = [r for r in told if r["resourceType"] != "MedicationDispense"]
    return write.to_text(write.Pages(patient=HANA, dispensed=dispensed, others=others))


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_every_sample_keeps_every_fact(path: Path) -> None:
    before = facts(path.read_bytes())
    assert facts(written(before.values())) == before


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_what_is_written_is_sound(path: Path) -> None:
    read = parse(written(facts(path.read_bytes()).values()))
    assert (read.version, read.output) == ("08", "2")
    assert not errors(read.problems)
    assert write.encoded(write.to_lines(write.Pages(patient=HANA))).startswith(b"JAHISTC08,2\r\n1,")


@given(st.lists(LINES, max_size=20))
def test_any_rows_keep_every_fact(lines: list[str]) -> None:
    before = facts(notebook("4,メモ,,2", *GROUP, *DRUG, *lines))
    assert {name: known(r) for name, r in facts(written(before.values())).items()} == {
        name: known(r) for name, r in before.items()
    }  # fmt: skip


@given(st.lists(MUTATIONS, min_size=1, max_size=4))
def test_what_comes_of_a_damaged_file_is_written_and_read(steps: list[tuple[str, int, int]]) -> None:
    data = sample("tc08_full.txt")
    for kind, at, by in steps:
        data = mutated(data, kind, at, by)
    try:
        before = facts(data)
    except Unreadable:
        return
    if before:
        after = facts(written(before.values()))
        assert len(after) <= len(before)


def known(resource: Resource) -> Resource:
    """What a fact says, but for who prescribed and dispensed (a number of a clinic needs all its digits to be kept)."""
    return {k: v for k, v in resource.items() if k not in ("performer", "authorizingPrescription", "extension")}


def test_what_is_not_given_is_not_written() -> None:
    found = list(facts(sample("tc08_full.txt")).values())
    shown = [r for r in found if "アムロジピン" not in str(r.get("medicationCodeableConcept"))]
    assert "アムロジピン錠".encode("cp932") not in written(shown).replace("残薬：アムロジピン錠".encode("cp932"), b"")
    assert len(shown) == len(found) - 1


def test_address_and_telephone_stay_at_home() -> None:
    patient = HANA | {"telecom": [{"value": "03-0000-0000"}], "address": [{"text": "東京都"}]}
    line = write.to_lines(write.Pages(patient=patient))[1]
    assert line == "1,見本 花子,2,19750401,,,,,,,ミホン ハナコ"


def test_what_the_format_cannot_hold_is_replaced() -> None:
    assert write.field_of("a,b\r\nc\td") == "a，b c d"
    assert write.encoded(["𠮷野"]) == b"\x81\xa1" + "野\r\n".encode("cp932")


def test_a_dispensing_of_another_channel_is_written_by_its_elements() -> None:
    given_ = {
        "resourceType": "MedicationDispense", "id": "x", "status": "completed",
        "whenHandedOver": "2026-01-12T10:00:00+09:00",
        "medicationCodeableConcept": {"text": "見本錠", "coding": [{"system": "urn:x", "code": "1"}]},
        "quantity": {"value": 6, "unit": "錠"}, "daysSupply": {"value": 3, "unit": "日"},
        "dosageInstruction": [
            {"text": "分２", "doseAndRate": [{"rateRatio": {"numerator": {"value": 2, "unit": "錠"}}}]},
        ],
        "performer": [{"actor": {"reference": "Organization/p"}}],
    }  # fmt: skip
    place = {
        "name": "見本薬局",
        "identifier": [{"system": systems.INSTITUTION_10, "value": "1349999991"}],
    }
    lines = write.to_lines(write.Pages(patient=HANA, dispensed=[given_], places={"Organization/p": place}))
    assert lines[2:] == [
        "5,20260112,1", "11,見本薬局,13,4,9999991,,,,1", "201,1,見本錠,2,錠,1,,1", "301,1,分２,3,日分,1,1,,1",
    ]  # fmt: skip
    [read] = facts(write.encoded(lines)).values()
    assert (read["quantity"]["value"], read["daysSupply"]["value"]) == (6, 3)


# QR symbols, read by a decoder of others


def pixels(png: bytes) -> memoryview:
    """The grey picture of a PNG as segno writes it: 1 bit a pixel, no interlacing."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    data, at, width, height = b"", 8, 0, 0
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        chunk = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", chunk)
            assert (depth, colour) == (1, 0)
        data += chunk if kind == b"IDAT" else b""
        at += 12 + length
    raw, row = zlib.decompress(data), (width + 7) // 8 + 1
    rows, above = [], bytes(row - 1)
    for y in range(height):
        assert raw[y * row] in (0, 2)  # PNG filters: none, and the difference to the row above
        line = raw[y * row + 1 : (y + 1) * row]
        above = bytes((a + b) & 255 for a, b in zip(line, above, strict=True)) if raw[y * row] else line
        rows.append(above)
    bits = (line[x // 8] >> (7 - x % 8) & 1 for line in rows for x in range(width))
    return memoryview(bytes(255 * bit for bit in bits)).cast("B", (height, width))


def scanned(found: Sequence[segno.QRCode]) -> list[bytes]:
    """What a reader sees in the pictures."""
    return [read_png(symbols.image(symbol, "png")) for symbol in found]


def read_png(picture: bytes) -> bytes:
    """The bytes of the one QR symbol in a picture."""
    [result] = zxingcpp.read_barcodes(pixels(picture))
    assert result.format == zxingcpp.BarcodeFormat.QRCode
    return bytes(result.bytes)


@pytest.mark.parametrize("split", ["911", "append"])
def test_pictures_read_by_others_give_the_notebook_again(split: symbols.Split) -> None:
    before = facts(sample("tc08_full.txt"))
    text = written(before.values())
    read = scanned(symbols.symbols(text, split=split))
    assert len(read) > 1
    parts = [Part(data, index, len(read)) if split == "append" else Part(data) for index, data in enumerate(read)]
    joined = join([*parts[1:], parts[0]])
    assert joined.data is not None
    assert facts(joined.data) == before
    if split == "append":
        assert joined.data == text


def test_a_small_notebook_is_one_symbol() -> None:
    text = written(facts(notebook(*GROUP, *DRUG)).values())
    for split in ("911", "append"):
        assert scanned(symbols.symbols(text, split=split)) == [text]  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused() -> None:
    long = written(facts(notebook(*(f"4,{n}{'あ' * 190},,2" for n in range(60)))).values())
    assert len(symbols.split_911(long)) > 16
    with pytest.raises(symbols.TooMuch):
        symbols.symbols(long, split="append")
    with pytest.raises(symbols.TooMuch):
        symbols.symbols(write.encoded(["JAHISTC08,2", "4," + "あ" * 1500]), split="911")


def test_parts_are_small_enough_and_end_with_911() -> None:
    parts = symbols.split_911(written(facts(sample("tc08_full.txt")).values()))
    assert all(len(part) <= symbols.PART_BYTES and part.startswith(b"JAHISTC08,2\r\n") for part in parts)
    assert [part.splitlines()[-1].rpartition(b",")[2] for part in parts] == [
        b"%d" % n for n in range(1, len(parts) + 1)
    ]
