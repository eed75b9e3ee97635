"""Bytes to rows: what is read, what is set aside, what is refused, and that the place is always named."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.jahis_qr import parse as parsing
from integrations.jahis_qr.parse import parse, to_bytes
from integrations.jahis_qr.rows import amount, day, encoding_of
from integrations.problems import Unreadable
from tests.integrations.jahis_qr.samples import DRUG, GOLDEN, GROUP, HANA, PEER, notebook, sample

NOTEBOOKS = [p for p in sorted(GOLDEN.glob("*.txt")) if "_part" not in p.name] + sorted(PEER.glob("tc-[!i]*.txt"))


def codes(data: bytes) -> list[tuple[str, int | None, int | None]]:
    return [(p.code, p.line, p.field) for p in parse(data).problems]


def refusal(data: bytes) -> list[tuple[str, int | None]]:
    with pytest.raises(Unreadable) as caught:
        parse(data)
    return [(p.code, p.line) for p in caught.value.problems if p.severity == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_is_lost_between_bytes_and_rows(path: Path) -> None:
    data = path.read_bytes()
    assert to_bytes(parse(data)).splitlines() == data.rstrip(b"\x1a").splitlines()


def test_the_full_sample_has_two_groups_with_their_drugs() -> None:
    found = parse(sample("tc08_full.txt"))
    assert [(g.day, len(g.drugs)) for g in found.groups] == [(date(2026, 1, 12), 4), (date(2025, 12, 1), 1)]
    first, second = found.groups[0].drugs[:2]
    assert (first.order, second.order) == (1, 2)
    assert second.supplements == ("一包化", "後発品へ変更")
    assert first.cautions[-1] == "グレープフルーツジュースを避けてください。"
    assert second.cautions == ("めまいがあれば運転を避ける。",)
    assert first.doctor is not None
    assert first.doctor.get("診療科名") == "内科"


def test_a_file_of_version_1_without_output_kind_and_creators() -> None:
    found = parse(sample("tc01_wild.txt"))
    assert (found.version, found.output, found.problems) == ("01", "1", ())


def test_the_prescription_layout_is_brought_into_order() -> None:
    found = parse(sample("tc02_prescription_layout.txt"))
    row = found.groups[0].drugs[0].row
    names = ("RP番号", "薬品名称", "用量", "単位名", "薬品コード種別", "薬品コード")
    assert [row.get(n) for n in names] == ["1", "見本アスピリン錠１００ｍｇ", "1", "錠", "4", "3399007H1999"]


def test_a_strength_dose_is_not_taken_for_an_amount() -> None:
    found = parse(notebook(*GROUP, "201,1,1,1,4,3399007H1999,見本散,100,2,ｍｇ", DRUG[1], header="JAHISTC02"))
    assert found.groups[0].drugs[0].row.get("用量") == ""
    assert ("strength-dose", 7, 7) in [(p.code, p.line, p.field) for p in found.problems]


def test_spaces_and_a_missing_creator_do_not_hurt() -> None:
    found = parse(sample("tc07_output2_patient.txt"))
    assert found.groups[0].drugs[0].row.get("薬品コード") == "612399999"


@pytest.mark.parametrize("header", ["JAHISTC12", "JAHISTC09,2", "JAHISTC99,1"])
def test_unknown_versions_are_read_with_a_remark(header: str) -> None:
    assert ("unknown-version", 1, None) in codes(notebook(*GROUP, *DRUG, header=header))


@pytest.mark.parametrize("version", ["02", "03", "04", "05", "06", "07", "08", "12", "99"])
def test_every_version_reads_alike(version: str) -> None:
    found, newest = (parse(notebook(*GROUP, *DRUG, header=f"JAHISTC{v},1")) for v in (version, "08"))
    assert (found.version, found.groups) == (version, newest.groups)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"), (b"\r\n\r\n\x1a", "empty"), (b"\x00", "not-jahistc"), (b"JAHISTC8,1\r\n", "not-jahistc"),
        (b"JAHISTC08,3\r\n", "not-jahistc"), (b"<html>", "not-jahistc"), (b"JAHIS10\r\n1,1", "not-jahistc"),
        (b"JAHISTC08,1\r\n", "patient-missing"), (b"\xff\xfe1\x00,\x00", "not-jahistc"),
        (b"JAHISTC08,1\r\n" + b"x" * parsing.MAX_BYTES, "too-large"),
        (b"JAHISTC08,1\r\n" + b"9\n" * parsing.MAX_LINES, "too-many-lines"),
    ],
)  # fmt: skip
def test_what_is_no_notebook_is_refused(data: bytes, code: str) -> None:
    assert refusal(data)[0][0] == code


@pytest.mark.parametrize("path", sorted(PEER.glob("*.txt")), ids=lambda p: p.stem)
def test_prescription_symbols_are_refused_by_name(path: Path) -> None:
    data = path.read_bytes()
    if data.startswith(b"JAHIS10"):
        assert refusal(data) == [("not-jahistc", 1)]


def test_an_ingredient_without_its_medicine_is_refused_with_its_line() -> None:
    assert refusal((PEER / "tc-invalid-missing-otc-sequence-parent.txt").read_bytes()) == [("no-otc", 3)]


def test_two_patients_are_refused() -> None:
    other = HANA.replace("花子", "太郎")
    assert refusal(notebook(other, *GROUP, *DRUG)) == [("patient-twice", 3)]


@pytest.mark.parametrize(
    ("bad", "code", "line"),
    [
        (["201,1,錠,1,錠,1,,1", "301,2,分１,7,日分,1,1,,1"], "no-usage", 7),
        (["281,1,粉砕,1", *DRUG], "no-drug", 7),
        (["201,1,,1,錠,1,,1", DRUG[1]], "missing", 7),
        (["201,,錠,1,錠,1,,1", DRUG[1]], "missing", 7),
        ([*DRUG, *["501,x,1"] * 500], "group-too-large", 3),
    ],
)
def test_a_broken_group_is_set_aside_and_the_others_stand(bad: list[str], code: str, line: int) -> None:
    data = notebook(*GROUP, *bad, "5,20251201,1", *DRUG)
    found = parse(data)
    assert [g.day for g in found.groups] == [date(2025, 12, 1)]
    assert (code, line) in [(p.code, p.line) for p in found.problems if p.severity == "error"]
    assert ("group-set-aside", 3) in [(p.code, p.line) for p in found.problems]
    assert to_bytes(found) == data, "what is set aside is kept in the original"


def test_a_bad_date_breaks_its_group_alone() -> None:
    found = parse(notebook("5,20260231,1", *DRUG, "5,R081301,1", *DRUG, "5,R080112,1", *DRUG))
    assert [g.day for g in found.groups] == [date(2026, 1, 12)]
    assert [(p.code, p.line, p.field) for p in found.problems if p.code == "bad-date"] == [
        ("bad-date", 3, 1), ("bad-date", 6, 1),
    ]  # fmt: skip


def test_group_records_before_the_first_date_are_named() -> None:
    found = parse(notebook(DRUG[0], "5,20260112,1", *DRUG))
    assert [(p.code, p.line) for p in found.problems if p.severity == "error"] == [("no-group", 3)]


def test_one_rp_number_used_twice_keeps_each_usage_with_its_drug() -> None:
    second = [DRUG[0].replace("５", "９"), "301,1,分３,7,日分,1,1,,1"]
    drugs = parse(notebook(*GROUP, *DRUG, *second)).groups[0].drugs
    assert [(d.order, d.usage.get("用法名称")) for d in drugs] == [(1, "分１"), (2, "分３")]


def test_findings_name_line_and_field() -> None:
    found = codes(notebook("2,5,x,7", "999,x", "こんにちは", "5,20260112,1,多い,1", *DRUG))
    assert found == [
        ("unknown-code", 3, 1), ("unknown-code", 3, 3), ("unknown-record", 4, None), ("not-a-record", 5, None),
        ("surplus", 6, 3),
    ]  # fmt: skip


def test_too_long_and_wrong_characters_are_kept_with_a_remark() -> None:
    data = notebook("4," + "あ" * 201 + ",2026/1/1,2", *GROUP, *DRUG)
    assert [(c, n, f) for c, n, f in codes(data) if n == 3] == [("too-long", 3, 1), ("odd-date", 3, 2)]
    assert parse(data).all("4")[0].get("内容") == "あ" * 201


def test_undecodable_bytes_name_their_field_and_stay_in_the_original() -> None:
    data = notebook(*GROUP, *DRUG).replace("分１".encode("cp932"), b"\x81\x20")
    assert ("undecodable", 8, 2) in codes(data)
    assert to_bytes(parse(data)) == data


def test_the_list_of_problems_is_bounded_and_keeps_the_errors() -> None:
    found = parse(notebook(*["777,x"] * 1000, *GROUP, DRUG[0], "5,20251201,1", *DRUG)).problems
    assert len(found) == parsing.MAX_PROBLEMS + 1
    assert "no-usage" in {p.code for p in found}


def test_problems_never_quote_the_content() -> None:
    secret = "ひみつのなまえ"
    lines = f"2,x,{secret * 20},{secret}|{secret},1|5,{secret},1|201,{secret},,,,,|301,{secret}"
    data = notebook(*lines.split("|"))
    problems = parse(data).problems
    assert len(problems) > 8
    assert secret not in str(Unreadable(problems)) + "".join(p.ja + p.en for p in problems)


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
@pytest.mark.parametrize("tail", [b"", b"\x1a", b"\r\n\x1a\r\n"])
def test_every_line_end_and_the_final_1a_are_accepted(end: bytes, tail: bytes) -> None:
    data = sample("tc08_full.txt").rstrip(b"\x1a\r\n")
    assert to_bytes(parse(data.replace(b"\r\n", end) + tail)) == data + b"\r\n"


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_utf8_from_a_reader_app(bom: bytes) -> None:
    text = sample("tc08_full.txt").decode("cp932").replace("ｍｇ", "μｇ")
    found = parse(bom + text.encode())
    assert found.encoding == "utf-8"
    assert found.patient.get("氏名") == "見本　花子"


@pytest.mark.parametrize("kana", ["ﾃｰ", "ﾎｼ", "ﾐｼﾝ", "ﾃﾞｨｱ", "ﾅｲﾆｱ"])
def test_half_width_kana_that_happen_to_be_utf8_stay_kana(kana: str) -> None:
    data = f"JAHISTC08,1\r\n1,{kana},2,S500401".encode("cp932")
    assert encoding_of(data) == "cp932"
    assert parse(data).patient.get("氏名") == kana


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260112", date(2026, 1, 12)), ("R080112", date(2026, 1, 12)), ("h310430", date(2019, 4, 30)),
        ("S640107", date(1989, 1, 7)), ("T150101", date(1926, 1, 1)), ("M450101", date(1912, 1, 1)),
        ("4080112", None), ("20260230", None), ("", None), ("2026-1-1", None), ("００００", None), ("00000101", None),
    ],
)  # fmt: skip
def test_dates(text: str, expected: date | None) -> None:
    assert day(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.50", Decimal("1.50")), ("000001.5", Decimal("1.5")), (".5", Decimal("0.5")), ("1.", Decimal(1)),
        ("", None), ("-1", None), ("1e9", None), ("NaN", None), ("１", None), ("1" * 99, None),
    ],
)  # fmt: skip
def test_amounts(text: str, expected: Decimal | None) -> None:
    assert amount(text) == expected
    assert expected is None or not text.endswith("0") or str(amount(text)) == text


# What no hand would write


ONE_WAY = ",¢£¬‖−〜"  # the comma, and what cp932 writes but reads as another character
CHARACTERS = st.characters(codec="cp932", exclude_characters=ONE_WAY, exclude_categories=["Cc", "Zs", "Zl", "Zp"])
FIELDS = st.text(CHARACTERS, max_size=12)
NUMBERS = st.sampled_from(["2", "3", "31", "4", "5", "11", "15", "51", "55", "201", "281", "291", "301", "311", "391",
                           "401", "411", "421", "501", "601", "701", "911", "999"])  # fmt: skip
LINES = st.builds(lambda number, fields: ",".join([number, *fields]), NUMBERS, st.lists(FIELDS, max_size=12))


@given(st.lists(LINES, max_size=30), st.sampled_from(["cp932", "utf-8"]))
def test_any_rows_come_back_as_the_bytes_they_were(lines: list[str], encoding: str) -> None:
    data = notebook("4,メモ,,2", *GROUP, *DRUG, *lines, encoding=encoding)
    assert to_bytes(parse(data)) == data


MUTATIONS = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 1400), st.just(0)),
    st.tuples(st.just("flip"), st.integers(0, 1379), st.integers(1, 255)),
    st.tuples(st.just("double"), st.integers(0, 1379), st.integers(1, 400)),
    st.tuples(st.just("drop"), st.integers(0, 1379), st.integers(1, 400)),
    st.tuples(st.just("recode"), st.sampled_from([0, 1, 2]), st.just(0)),
)


def mutated(data: bytes, kind: str, at: int, by: int) -> bytes:
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :] if at < len(data) else data
    if kind == "double":
        return data[:at] + data[at : at + by] * 2 + data[at + by :]
    if kind == "drop":
        return data[:at] + data[at + by :]
    return data.decode("cp932", "replace").encode(["utf-8", "utf-16", "euc-jp"][at], "replace")


@given(st.lists(MUTATIONS, min_size=1, max_size=5))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(steps: list[tuple[str, int, int]]) -> None:
    data = sample("tc08_full.txt")
    for kind, at, by in steps:
        data = mutated(data, kind, at, by)
    with suppress(Unreadable):
        assert to_bytes(parse(data)).split() == data.rstrip(b"\x1a\r\n").split()


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_header(noise: bytes) -> None:
    for start in (b"", b"JAHISTC08,1\r\n", notebook(*GROUP)):
        with suppress(Unreadable):
            parse(start + noise)
