"""Bytes to segments: character sets, delimiters, escapes, time stamps, names of files; other parsers agree."""

from __future__ import annotations

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.problems import Unreadable
from integrations.ssmix2 import files, kinds, tables
from integrations.ssmix2.message import PLAIN, Value, escaped, unescaped
from integrations.ssmix2.parse import MAX_BYTES, parse
from integrations.ssmix2.text import UNREADABLE, to_text
from integrations.ssmix2.when import date_of, date_time, instant, said_at
from tests.integrations.ssmix2.samples import message, sample, stored

MISPLACED = "000/000/0000001/20000401/ADT-31"


def reason(data: bytes, *, ended: bool = True) -> str:
    with pytest.raises(Unreadable) as caught:
        parse(data, ended=ended)
    return caught.value.problems[0].code


# Characters


def test_nec_row_13_is_read_and_an_open_escape_ends_with_its_segment() -> None:
    read = parse(sample("PPR-01")[1])
    pid, zpr = read.first("PID"), read.first("ZPR")
    assert pid is not None
    assert pid[11](8).endswith("①号棟㈱見本ビル")
    assert zpr is not None
    assert (zpr[2](2), zpr[7].text()) == ("見本病", "経過観察")
    assert read.first("ORC") is not None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1b$B-!\x1b(B", "①"),
        (b"\x1b(IJ_6E\x1b(B", "ﾊﾟｶﾅ"),
        (b"\x1b$(D0!\x1b(B", "丂"),
        (b"\x1b(J\\100\x1b(B", "\\100"),
        (b"\x1b$@4A;z\x1b(B|", "漢字|"),
        (b"\x1b$B4A\r|x", "漢\r|x"),  # back to ASCII at CR
        (b"\x1b$B!]!A!B\x1b(B", "－～∥"),
        (b"\x1b$B4A ;z\x1b(B", "漢 字"),
    ],
)
def test_sets_of_iso_2022(data: bytes, text: str) -> None:
    assert to_text(data).text == text


def test_delimiters_inside_kanji_do_not_split() -> None:
    """The second byte of 嫁 is 0x5E 7C and the like: every byte of `|^~&\\` occurs in JIS."""
    row = "".join(bytes((high, low)).join((b"\x1b$B", b"\x1b(B")).decode("iso2022_jp", "ignore")
                  for high in range(0x30, 0x4F) for low in (0x5C, 0x5E, 0x7C, 0x7E, 0x26))  # fmt: skip
    read = parse(message("PPR^ZD1", f"PRB|AD|20260112|20999999^{row}^MDCDX2"))
    prb = read.first("PRB")
    assert prb is not None
    assert prb[3](2) == row
    assert prb[3](3) == "MDCDX2"


@given(st.text(st.characters(codec="iso2022_jp", exclude_categories=["Cc"]), max_size=60))
def test_what_python_encodes_is_read_back(text: str) -> None:
    """By Python's codec; the characters two codecs differ in are folded to one."""
    expected = to_text(b"MSH|^~\\&" + b"|" * 16 + b"UNICODE UTF-8\r" + text.encode()).text.partition("\r")[2]
    plain = text.replace("¥", "\\").replace("‾", "~")
    if plain == text:
        assert to_text(text.encode("iso2022_jp")).text == expected


def test_a_byte_that_is_no_character_is_told_by_its_segment() -> None:
    read = parse(message("ADT^A60").replace(b"PI||", b"PI||\x1b$B)!\x1b(B"), ended=True)
    assert [(p.code, p.severity, p.line) for p in read.problems] == [("undecodable", "warning", 2)]
    pid = read.first("PID")
    assert pid is not None
    assert UNREADABLE in pid[5].raw


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp", "utf-8"])
def test_another_encoding_than_the_declared_is_refused(encoding: str) -> None:
    assert (
        reason("MSH|^~\\&|||||||ADT^A60|1|P|2.5||||||~ISO IR87\rPID|||1||見本\r\x1c".encode(encoding))
        == "wrong-encoding"
    )


def test_utf_8_is_read_where_it_is_declared() -> None:
    read = parse(message("ADT^A60", charset="UNICODE UTF-8"))
    pid = read.first("PID")
    assert pid is not None
    assert pid[5](1) == "見本"
    assert reason(message("ADT^A60", charset="UNICODE UTF-8").replace("見".encode(), b"\xe8\xa6")) == "wrong-encoding"


# Segments


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"\xfb\xfc", "no-header"),
        (b"\r\x1c\r", "empty"),
        (b"PID|1\r\x1c", "no-header"),
        (message("ADT^A60")[:-2], "cut-off"),
        (message("ADT^A60")[:-30], "cut-off"),
        (message("ADT^A60") * 2, "broken-segment"),
        (message("ADT^A60").rstrip(b"\x1c\r") + b"\r" + message("ADT^A60"), "several-messages"),
        (message("ADT^A60").replace(b"|2.5|", b"|3.0|"), "not-v2"),
        (message("ADT^A60").replace(b"|P|2.5", b"|T|2.5"), "not-production"),
        (message("ADT^A60").replace(b"PID|", b"PIX|"), "no-patient"),
        (message("ADT^A60", "half a line"), "broken-segment"),
        (message("ADT^A60", "IAM|1|\x07"), "control-character"),
        (message("ADT^A60", "IAM" + "|" * 300), "too-many-fields"),
        (message("ADT^A60", *["IAM|1"] * 6000), "too-many-segments"),
        (b"MSH|^~\\&|" + b"x" * MAX_BYTES, "too-large"),
        (b"MSH||||||||\r\x1c", "bad-delimiters"),
        (b"MSHabcdefgh\r\x1c", "bad-delimiters"),
    ],
)
def test_what_is_refused_and_why(data: bytes, code: str) -> None:
    assert reason(data) == code


def test_the_wire_needs_no_end_mark() -> None:
    assert parse(message("ADT^A60").rstrip(b"\x1c\r")).event == "ADT^A60"


def test_delimiters_are_those_of_the_header() -> None:
    data = message("ADT^A60").replace(b"|", b"#").replace(b"^", b"!").replace(b"~\\&", b"@\\*")
    data = data.replace(b"L!I~", b"L!I@")
    pid = parse(data).first("PID")
    assert pid is not None
    assert [value(8) for value in pid.all(5)] == ["I", "P"]


def test_line_feeds_end_segments_too() -> None:
    assert parse(message("ADT^A60").replace(b"\r", b"\r\n"), ended=True).first("PID") is not None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("one\\.br\\two", "one\ntwo"),
        ("\\X41\\\\X0D\\\\X42\\", "A\nB"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\Zown\\", "\\Zown\\"),
        ("50\\ and \\", "50\\ and \\"),
    ],
)
def test_escapes(written: str, read: str) -> None:
    assert unescaped(written) == read


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40))
def test_what_we_escape_is_read_back(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not set("|^~&") & set(escaped(text).replace("\\F\\", "").replace("\\", ""))


def test_deleted_is_nothing_and_sub_components_stay() -> None:
    assert not Value('""')
    assert Value('""')() == Value('a^""')(2) == ""
    assert Value("9A100&IMP^心電図所見^JC10")(1) == "9A100&IMP"
    assert Value("1^TAB&錠&MR9P").part(2)(2) == "錠"


@pytest.mark.parametrize("path", [path for path, _ in stored() if MISPLACED not in path])
def test_the_hl7_library_reads_the_same(path: str) -> None:
    """A parser written by others, on the decoded text: same segments, same fields, same components."""
    data = dict(stored())[path]
    read = parse(data)
    text = to_text(data.rstrip(b"\x1c\x1a \r\n")).text
    for ours, theirs in zip(read.segments, hl7.parse(text + "\r"), strict=True):
        assert ours.name == str(theirs[0])
        for number in range(3 if ours.name == "MSH" else 1, len(ours.fields)):
            assert ours.fields[number] == str(theirs(number)), (ours.name, number)
            components = theirs(number)(1) if len(theirs(number)) == 1 else None
            if components is not None and "\\" not in ours.fields[number] and not isinstance(components, str):
                for at in range(1, len(components) + 1):
                    assert ours[number](at) == str(components(at)).strip() or ours[number].raw == '""'


# Time stamps


@pytest.mark.parametrize(
    ("stamp", "full", "day"),
    [
        ("2026", "2026", "2026"),
        ("202601", "2026-01", "2026-01"),
        ("20260112", "2026-01-12", "2026-01-12"),
        ("2026011210", "2026-01-12", "2026-01-12"),  # FHIR has no hours alone
        ("202601121015", "2026-01-12T10:15:00+09:00", "2026-01-12"),
        ("20111220224447.3399", "2011-12-20T22:44:47.339+09:00", "2011-12-20"),
        ("20260112101500+0000", "2026-01-12T10:15:00+00:00", "2026-01-12"),
        ("20260231", "", ""),
        ("202601122515", "", "2026-01-12"),
        ("令和8年", "", ""),
        ("２０２６", "", ""),
        ("", "", ""),
    ],
)
def test_time_stamps_keep_their_precision(stamp: str, full: str, day: str) -> None:
    assert (date_time(stamp), date_of(stamp)) == (full, day)
    assert instant(stamp) == (full if "T" in full else "")


def test_when_it_was_said_sorts_as_the_file_names_do() -> None:
    assert said_at("20111220224447.3399") == "20111220224447339"
    assert said_at("2026") == "20260101000000000"
    assert said_at("soon") == ""


@given(st.text("0123456789.+-", max_size=30))
def test_no_stamp_breaks_anything(stamp: str) -> None:
    date_time(stamp), date_of(stamp), instant(stamp), said_at(stamp)


# Names of files


def test_every_sample_name_is_read_and_one_lies_in_the_wrong_folder() -> None:
    for path, _ in stored():
        name = files.name_of(path)
        assert name is not None
        assert files.in_its_folder(path, name) == (MISPLACED not in path)
        assert name.pid not in name.shown


@pytest.mark.parametrize("path", ["README.md", "x/index.db", "1_2_3", "9990001_20260112_OMP-01_1_2026_01_1"])
def test_other_names_are_none(path: str) -> None:
    assert files.name_of(path) is None


def test_a_path_is_compared_as_far_as_it_goes() -> None:
    path = sample("OML-11")[0]
    name = files.name_of(path)
    assert name is not None
    assert all(files.in_its_folder("/".join(path.split("/")[at:]), name) for at in range(6))
    assert files.in_its_folder("backup/2026/" + path, name)
    assert not files.in_its_folder(path.replace("/OML-11/", "/OML-01/"), name)


def test_the_table_of_events_is_that_of_the_concept_maps() -> None:
    assert {e: k.status for e, k in kinds.ADT.items() if k.status} == dict(tables.ENCOUNTER_STATUS)
    assert {e: k.place for e, k in kinds.ADT.items() if k.status} == dict(tables.PLACE_STATUS)
    assert PLAIN.written() == "|^~\\&"
