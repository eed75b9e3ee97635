"""Hazards of the list that lie in bytes, characters, lines and headers."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from integrations.items import Item, Piece
from integrations.municipal_csv import catalogue, cells, connector, parse
from integrations.problems import Problem, Unreadable
from integrations.tabular.reading import records
from phr.records.search.normal import normal
from tests.integrations.municipal_csv.files import (
    TOWN,
    codes,
    entry,
    hazard,
    items,
    one,
    read,
    resources,
    sample,
    text_of,
)


@hazard("encoding")
@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"),
     ("cp932", "cp932"), ("shift_jis", "shift_jis"), ("euc_jp", "euc_jp")],
)  # fmt: skip
def test_encodings_declared_are_read_as_they_are(encoding: str, declared: str) -> None:
    data = text_of([{"氏名": "見本はなこ"}]).encode(encoding)
    (found,) = items(data, sample(f'encoding = ["{declared}"]'))
    assert found.identity.name == "見本はなこ"


def test_another_encoding_than_declared_is_refused_with_what_it_looks_like() -> None:
    for data, declared, guess in (
        (text_of([{}]).encode("cp932"), "utf-8", "cp932"),
        (text_of([{}]).encode("utf-16"), "utf-8", "utf-16-le"),
        (b"\xef\xbb\xbf" + text_of([{}]).encode(), "cp932", "utf-8"),
        (text_of([{}]).encode("utf-16-le"), "cp932", "utf-16-le"),
    ):
        with pytest.raises(Unreadable) as refused:
            read(data, sample(f'encoding = ["{declared}"]'))
        assert refused.value.problems[0].code == "encoding-differs"
        assert guess in refused.value.problems[0].en


def test_of_several_encodings_declared_the_one_chosen_is_told() -> None:
    for encoding in ("utf-8", "cp932"):
        found = read(text_of([{}]).encode(encoding), sample('encoding = ["utf-8", "cp932"]'))
        told = next(p for p in found if not isinstance(p, Item) and p.code == "encoding-chosen")
        assert encoding in told.en


def test_a_row_with_bytes_that_are_no_characters_falls_out_alone_and_is_named() -> None:
    data = text_of([{"氏名": "見本一"}, {"氏名": "XX", "宛名番号": "0000124"}, {"宛名番号": "0000125"}]).encode("cp932")
    for broken in (b"\x81\x20", b"\xfd\xfe", b"\x80\x81", b"\xa0\xa0"):
        found = read(data.replace(b"XX", broken), sample('encoding = ["cp932"]'))
        assert [i.identity.value for i in found if isinstance(i, Item)] == ["0000123", "0000125"]
        (problem,) = [p for p in found if not isinstance(p, Item) and p.severity == "error"]
        assert (problem.code, problem.line) == ("undecodable", 3)


def test_characters_lost_before_fall_out_and_none_is_ever_put_in() -> None:
    data = text_of([{"氏名": "見本\ufffd"}, {"宛名番号": "0000124"}]).encode()
    found = read(data)
    assert "replacement-character" in codes(found)
    assert [i.identity.value for i in found if isinstance(i, Item)] == ["0000124"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_one_broken_row_does_not_make_it_another_encoding(encoding: str) -> None:
    layout = sample('encoding = ["utf-8", "utf-16", "cp932"]')
    data = (
        text_of([{"氏名": "見本一"}, {"氏名": "XX", "宛名番号": "0000124"}])
        .encode(encoding)
        .replace(b"XX", b"\xff\xfd")
    )
    found = read(data, layout)
    assert [i.identity.name for i in found if isinstance(i, Item)] == ["見本一"]
    assert "undecodable" in codes(found)


def test_utf_16_without_a_mark_is_seen() -> None:
    layout = sample('encoding = ["utf-8", "utf-16", "cp932"]')
    for encoding in ("utf-16-le", "utf-16-be"):
        rows = [{"氏名": "見本" * 30, "皮膚": "所見あり", "皮膚所見": "湿疹が両ほほにある" * 20}]
        (found,) = items(text_of(rows).encode(encoding), layout)
        assert found.identity.name == "見本" * 30


def test_cp932_is_not_shift_jis() -> None:
    """① ㈱ are in one of them only; － ～ are other characters in each."""
    name = "①㈱－～∥￠"
    (found,) = items(text_of([{"氏名": name}]).encode("cp932"), sample('encoding = ["cp932"]'))
    assert found.identity.name == name
    other = read(text_of([{"氏名": name}]).encode("cp932"), sample('encoding = ["shift_jis"]'))
    assert "undecodable" in codes(other)


@hazard("wave dash")
def test_dashes_stay_what_the_bytes_say_and_meet_in_the_search_only() -> None:
    for encoding, dash in (("cp932", "～"), ("shift_jis", "〜")):
        data = text_of([{"皮膚": "所見あり", "皮膚所見": "右" + dash + "左"}]).encode(encoding)
        (found,) = items(data, sample(f'encoding = ["{encoding}"]'))
        assert entry(found, "org.skin")["text"] == f"右{dash}左"  # the same bytes again
        assert entry(found, "org.skin")["text"].encode(encoding) in data
    assert normal("1－2") == normal("1-2")


@hazard("gaiji")
@pytest.mark.parametrize("name", ["見\ue000花子", "見〓花子", "●本花子", "見\U000f0001花子"])
def test_a_name_with_gaiji_stays_and_is_marked(name: str) -> None:
    found = one({"氏名": name})
    assert found.identity.name == name
    assert codes([found]) == ["name-unprintable"]
    assert resources(found)


@hazard("MJ+ / IVS")
def test_variants_of_characters_stay_as_they_came_and_meet_in_the_search() -> None:
    for name, plain in (("髙﨑", "高崎"), ("葛\U000e0100飾", "葛飾"), ("𠮷野", "吉野")):
        found = one({"氏名": name})
        assert found.identity.name == name and codes([found]) == []
        assert normal(name) == normal(plain)


@hazard("half-width kana")
def test_half_width_kana_stays_and_meets_full_width() -> None:
    found = one({"カナ": "ﾏｴﾊﾞｼ ﾊﾅｺ"})
    assert found.identity.kana == "ﾏｴﾊﾞｼ ﾊﾅｺ"
    assert normal(found.identity.kana) == normal("マエバシハナコ")


@hazard("small kana")
def test_small_kana_meet_large() -> None:
    assert normal(one({"カナ": "シヨウコ"}).identity.kana) == normal("ショウコ")


@hazard("line ends and quotes")
def test_line_ends_embedded_newlines_and_the_end_of_file_of_dos() -> None:
    text = text_of([{"皮膚": "所見あり", "皮膚所見": '"湿疹\r\n両ほほ, ""軽度"""'}, {"宛名番号": "0000124"}])
    for content in (text, text.replace("\r\n", "\n"), text + "\x1a", text.rstrip("\r\n"), text + "\r\n\r\n\x1a\x1a"):
        first, second = items(content)
        assert entry(first, "org.skin")["text"].replace("\r", "") == '湿疹\n両ほほ, "軽度"'
        assert (first.line, second.line) == (2, 4)
    assert len(items(text_of([{}, {"宛名番号": "0000124"}]).replace("\r\n", "\r"))) == 2


@pytest.mark.parametrize(
    ("cell", "fault"), [('"never closed', "bad-quotes"), ('a"b', "bad-quotes"), ('"a"b', "bad-quotes"),
                        ("a,b", "field-count"), ("a\x00b", "control-character"), ("a\x1ab", "control-character")],
)  # fmt: skip
def test_a_broken_row_falls_out_alone_with_its_line(cell: str, fault: str) -> None:
    found = read(
        text_of([{"皮膚所見": ""}, {"宛名番号": "0000124", "皮膚所見": cell}, {"宛名番号": "0000125"}]).encode()
    )
    assert [i.identity.value for i in found if isinstance(i, Item)] == ["0000123", "0000125"]
    assert [(p.code, p.line) for p in found if not isinstance(p, Item) and p.severity == "error"] == [(fault, 3)]


@hazard("header")
def test_no_header_two_headers_and_names_with_spaces() -> None:
    spaced = text_of([{}]).replace("受診日", " 受　診 日 ").replace("体重", "体 重")
    assert entry(items(spaced)[0], "ant.weight")["value"] == "10.2"
    above, below = "本人,,健診,,\r\n", "宛名 番号,不開示,受診日,身長,体重\r\n"
    two = sample(TWO)
    (found,) = items(above + below + "0000123,,20260420,79.5,10.2\r\n", two)
    assert entry(found, "ant.height")["value"] == "79.5"
    (bare,) = items("0000123,,20260420,79.5,10.2\r\n", sample(NONE))
    assert (entry(bare, "ant.weight")["value"], bare.line) == ("10.2", 1)
    with pytest.raises(Unreadable) as refused:
        read("宛名番号,受診日,受診日,不開示,修正区分\r\n".encode())
    assert {p.code for p in refused.value.problems} == {"column-twice"}


TWO = """
header_rows = 2
person = { replace = true, number = { name = "本人/宛名番号" } }
event = { replace = true, date = { name = "健診/受診日" } }
not_disclosed.name = "本人/不開示"
correction.name = "本人/不開示"
items = { replace = true, "ant.height" = { name = "健診/身長" }, "ant.weight" = { name = "健診/体重" } }
"""
NONE = """
header_rows = 0
person = { replace = true, number = { at = 1 } }
event = { replace = true, date = { at = 3 } }
not_disclosed = { replace = true, at = 2, yes = ["1"] }
correction = { replace = true, at = 2, yes = ["2"] }
items = { replace = true, "ant.height" = { at = 4 }, "ant.weight" = { at = 5 } }
"""


class Endless:
    """A file of so many rows that is made while it is read."""

    def __init__(self, rows: int) -> None:
        header, row = text_of([{}]).encode().split(b"\r\n")[:2]
        self.rest, self.rows, self.line = header + b"\r\n", rows, row + b"\r\n"

    def read(self, size: int = -1) -> bytes:
        while self.rows and len(self.rest) < size:
            self.rest += self.line * min(500, self.rows)
            self.rows -= min(500, self.rows)
        given, self.rest = self.rest[:size], self.rest[size:]
        return given


@hazard("size")
def test_memory_is_flat_however_long_the_file() -> None:
    peaks = []
    for rows in (2_000, 12_000):
        tracemalloc.start()
        stream: Any = Endless(rows)
        assert sum(1 for _ in parse.items([Piece("big", stream)], profile=sample(), code=TOWN)) >= rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3


def test_one_huge_record_costs_its_own_size_and_no_more() -> None:
    quoted = '"' + "a" * 250_000 + "\n" + ("a" * 250_000 + "\n") * 38 + 'a"\n'
    tracemalloc.start()
    data = ("number,text\n" + quoted + "0000124,b\n").encode()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    found = list(records(io.BytesIO(data), declared=["utf-8"], delimiter=","))
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert [one.code if isinstance(one, Problem) else one.fields for one in found] == [
        ["number", "text"], "field-too-long", ["0000124", "b"]
    ]  # fmt: skip
    assert peak < 1.5 * len(data)


NASTY = ("9" * 4999, "²", "𐩀", "1" * 49_000, "第" + "1" * 5000 + "回", "0" * 20_000 + "1", "-0", "1e5", "|" * 300)


@pytest.mark.parametrize("raw", NASTY)
def test_no_cell_is_a_number_that_breaks_the_file(raw: str) -> None:
    gestation = cells.Reader(catalogue.items()["visit.ga"], unit="d")
    place = cells.Place(2, 1, "visit.ga", "2026-04-20", "", ())
    for how in (gestation, replace(gestation, unit=""), replace(gestation, days=raw), replace(gestation, days="3")):
        problems: list[Problem] = []
        cells.read(raw, how, place, problems)
        assert problems or raw == "²", "full-width and raised digits are digits"
        cells.read("39", replace(how, days=raw), place, problems)
    found = read(text_of([{"月齢": raw}, {"体重": raw, "宛名番号": "0000124"}, {"宛名番号": "0000125"}]).encode())
    assert [one.identity.value for one in found if isinstance(one, Item)][-1] == "0000125"
    head = "宛名番号,生年月日,接種日,ワクチン,回数,修正区分,不開示区分\r\n"
    shots = "".join(f"0000000123,20240601,2025010{n},BCG,{dose},,\r\n" for n, dose in ((1, raw), (2, "1")))
    one, other = items(head + shots, connector.chosen("vaccination"))
    assert (one.content["vaccine"].get("dose"), other.content["vaccine"]["dose"]) == (2 if raw == "²" else None, 1)
