"""Every line of the list of hazards (tests/golden/municipal/hazards.csv) has a test here, by name."""

from __future__ import annotations

import csv
import inspect
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from integrations.items import Item, Piece
from integrations.municipal_csv import mapping, parse
from integrations.problems import Unreadable
from integrations.tabular import figures
from phr.records.search.normal import normal
from tests.integrations.municipal_csv.files import (
    ABOUT,
    GOLDEN,
    TOWN,
    codes,
    entry,
    items,
    observation,
    one,
    problems_of,
    read,
    resources,
    sample,
    text_of,
)  # fmt: skip

EXCEL = 'dates = ["gregorian", "wareki", "wareki-digits", "excel"]'


def hazard(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks the test of a line of the list."""

    def marked(test: Callable[..., None]) -> Callable[..., None]:
        test.hazard = name  # type: ignore[attr-defined]
        return test

    return marked


def test_every_hazard_of_the_list_has_a_test() -> None:
    with (GOLDEN / "hazards.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["hazard"] for row in csv.DictReader(file)}
    tests = [test for _, test in inspect.getmembers(sys.modules[__name__], inspect.isfunction)]
    assert {test.hazard for test in tests if hasattr(test, "hazard")} == listed


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


@hazard("wareki date")
@pytest.mark.parametrize(
    "text", ["R8.4.20", "令和8年4月20日", "5080420", "R080420", "令8.4.20", "㋿8年4月20日", "r8/4/20"]
)
def test_dates_of_the_era_are_read(text: str) -> None:
    assert one({"受診日": text}).content["on"] == "2026-04-20"


@pytest.mark.parametrize(
    ("text", "day"), [("H310430", "2019-04-30"), ("S640107", "1989-01-07"), ("令和元年5月1日", "2019-05-01")]
)
def test_the_first_and_last_days_of_eras(text: str, day: str) -> None:
    assert one({"受診日": text, "生年月日": ""}).content["on"] == day


@pytest.mark.parametrize(
    ("text", "fault"),
    [("S640108", "out-of-era"), ("H310501", "out-of-era"), ("令和元年4月30日", "out-of-era"), ("R010430", "out-of-era"),
     ("8.4.20", "year-without-era"), ("26/4/20", "year-without-era"), ("080420", "year-without-era"),
     ("M051203", "lunar-date"), ("20260431", "bad-date"), ("R8.13.1", "bad-date"), ("来週", "bad-date")],
)  # fmt: skip
def test_dates_that_cannot_be_fall_out(text: str, fault: str) -> None:
    assert problems_of({"受診日": text, "生年月日": ""}) == [fault]


@hazard("unknown date")
@pytest.mark.parametrize(
    ("text", "day"),
    [("20250400", "2025-04"), ("20250099", "2025"), ("20259999", "2025"), ("令和7年4月 日不明", "2025-04"),
     ("5070400", "2025-04"), ("R7.4", "2025-04"), ("2025/04/99", "2025-04"), ("令和7年", "2025")],
)  # fmt: skip
def test_an_unknown_day_stays_unknown(text: str, day: str) -> None:
    found = one({"受診日": text})
    assert found.content["on"] == day
    assert {r["effectiveDateTime"] for r in resources(found) if r["resourceType"] == "Observation"} == {day}


@pytest.mark.parametrize("text", ["00000000", "99999999", "不詳", ""])
def test_a_wholly_unknown_date_is_none(text: str) -> None:
    assert problems_of({"受診日": text}) == ["no-date"]
    assert one({"生年月日": text}).identity.birth_date == ""


@hazard("gregorian")
@pytest.mark.parametrize("text", ["20260420", "2026/4/20", "2026-04-20", "２０２６年４月２０日", "2026/4/20 0:00"])
def test_gregorian_dates_are_read(text: str) -> None:
    assert one({"受診日": text}).content["on"] == "2026-04-20"


def test_excel_serials_count_only_where_the_profile_says_so_and_hashes_never() -> None:
    assert one({"受診日": "46113"}, sample(EXCEL)).content["on"] == "2026-04-01"
    assert problems_of({"受診日": "46113"}) == ["date-style"]
    assert problems_of({"受診日": "########"}, sample(EXCEL)) == ["excel-hashes"]


@hazard("leading zero")
def test_lost_zeros_are_never_put_back() -> None:
    assert problems_of({"宛名番号": "123"}) == ["zeros-lost"]
    assert problems_of({"宛名番号": "00001234"}) == ["wrong-width"]
    found = read(text_of([{"団体コード": "10006"}]).encode(), code="010006")
    assert codes(found) == ["zeros-lost"]
    assert one({"宛名番号": "0000123"}).identity.value == "0000123"


@hazard("check digit")
def test_the_check_digit_of_a_municipality_and_rows_of_others() -> None:
    assert figures.is_municipality("011002") and figures.is_municipality("131016") and figures.is_municipality("010006")
    assert not figures.is_municipality("011003")
    assert problems_of({"団体コード": "011003"}) == ["bad-municipality"]
    assert problems_of({"団体コード": "131016"}) == ["not-the-sender"]


def my_numbers(count: int) -> list[str]:
    """Texts with the form of the number; they are nobody's."""
    found = (f"{n:012d}" for n in range(100_000_000_019, 999_999_999_999, 7_777_777))
    return [text for text, _ in zip((t for t in found if figures.is_my_number(t)), range(count), strict=False)]


def test_a_file_with_a_column_of_my_numbers_is_refused_by_header_or_by_values() -> None:
    for header in ("個人番号", "マイナンバー", "個人 番号", "My_Number"):
        with pytest.raises(Unreadable) as refused:
            read(text_of([{header: ""}]).encode())
        assert refused.value.problems[-1].code == "my-number-column"
    rows = [{"宛名番号": f"{n:07d}", "備考": text} for n, text in enumerate(my_numbers(30))]
    rows[3]["備考"], rows[7]["備考"] = "", "なし"
    for shape in (lambda t: t, lambda t: f"{t[:4]} {t[4:8]} {t[8:]}" if t.isdigit() else t):
        with pytest.raises(Unreadable) as refused:
            read(text_of([row | {"備考": shape(row["備考"])} for row in rows]).encode())
        assert refused.value.problems[-1].code == "my-number-column"


def test_a_column_of_my_numbers_is_found_below_the_first_thousand_rows() -> None:
    rows = [{"備考": ""}] * 1500 + [{"備考": text} for text in my_numbers(40)]
    with pytest.raises(Unreadable):
        read(text_of(rows).encode())


def test_a_single_hit_is_chance_told_and_not_kept() -> None:
    (number,) = my_numbers(1)
    rows = [{"宛名番号": f"{n:07d}", "備考": "x"} for n in range(20)] + [{"備考": number}]
    found = read(text_of(rows).encode())
    assert codes(found) == ["free-my-number", "my-number-like"]
    assert number not in repr(found)


@hazard("age in months")
def test_months_of_age_are_kept_as_given_and_as_computed() -> None:
    found = one({"月齢": "19"})
    assert (entry(found, "hdr.months")["value"], entry(found, "hdr.months.computed")["value"]) == ("19", "18")
    assert codes([found]) == ["months-differ"]
    assert observation(found, "hdr.months")["valueQuantity"]["value"] == 19
    assert observation(found, "hdr.months.computed")["valueQuantity"]["value"] == 18


@hazard("units")
def test_unlikely_values_are_told_and_never_mended() -> None:
    for changes in ({"体重": "10200"}, {"身長": "795"}, {"体重": "102"}):
        found = one(changes)
        assert codes([found])[0].startswith("implausible")
        (value,) = changes.values()
        assert value in (entry(found, "ant.weight")["value"], entry(found, "ant.height")["value"])
    assert codes([one({"体重": "3.1"})]) == ["implausible-at-age"]  # possible, but not at 18 months


def test_a_unit_of_the_file_is_kept_with_its_code() -> None:
    found = one({"体重": "10200"}, sample('items."ant.weight".unit = "g"'))
    weight = observation(found, "ant.weight")
    assert codes([found]) == []
    assert (weight["valueQuantity"]["value"], weight["valueQuantity"]["code"]) == (10200, "g")
    assert "31000297" in str(weight["code"])  # JP Core: body weight in g


@hazard("sex")
def test_sex_is_read_by_the_map_of_the_source_only() -> None:
    assert [one({"性別": code}).identity.gender for code in ("1", "2")] == ["male", "female"]
    assert problems_of({"性別": "3"}) == ["unknown-sex"]
    swapped = sample('sexes = { "0" = "male", "1" = "female" }')
    assert one({"性別": "1"}, swapped).identity.gender == "female"


@hazard("codes")
def test_a_judgement_keeps_its_local_code_and_the_version_of_the_map() -> None:
    judged = observation(one({"判定": "4"}), "judge")
    local, common = judged["valueCodeableConcept"]["coding"]
    assert (local["code"], local["version"]) == ("4", "R8")
    assert local["system"].endswith(f"/municipal/{TOWN}/infant-checkup/judgement")
    assert common["code"] == "needs-detail"
    assert judged["valueCodeableConcept"]["extension"][0]["valueUri"].endswith("judgement|R8")


def test_an_unmapped_judgement_is_unknown_never_ok_and_told() -> None:
    found = one({"判定": "9"})
    assert codes([found]) == ["unmapped-judgement"]
    assert [c["code"] for c in observation(found, "judge")["valueCodeableConcept"]["coding"]] == ["9", "unknown"]


@hazard("free item")
def test_free_columns_are_kept_raw() -> None:
    extra = sample('free = { rest = "staff", columns = [{ name = "独自" }], ignore = [{ name = "住所" }] }')
    found = one({"独自": "ア=1;イ=２", "予備": "x y", "住所": "見本市1"}, extra)
    assert found.content["free"] == [["独自", "ア=1;イ=２", "sensitive"], ["予備", "x y", "staff"]]
    kept = {r["code"]["text"]: r for r in resources(found) if "valueString" in r}
    assert kept["独自"]["valueString"] == "ア=1;イ=２" and "security" not in kept["独自"]["meta"]
    assert kept["予備"]["meta"]["security"][0]["code"] == "child-protection"
    assert "見本市1" not in repr(found)


@hazard("correction/delete")
def test_a_row_again_has_the_same_key_a_changed_one_other_content_and_a_deletion_no_content_needed() -> None:
    first, again, changed = one({}), one({"受診日": "R8.4.20"}), one({"体重": "10.4"})
    assert first.key == again.key == changed.key
    assert (first.content == again.content, first.content == changed.content) == (True, False)
    gone = one({"修正区分": "2", "体重": "", "身長": ""})
    assert gone.deleted and gone.key == first.key
    assert one({"更新日時": "2026/4/21 9:05"}).said_at < one({"更新日時": "2026/04/21 10:05:00"}).said_at
    assert problems_of({"修正区分": "7"}) == ["unknown-flag"]  # neither taken nor deleted by guess


def test_ids_follow_from_sender_and_key() -> None:
    ids = [[r["id"] for r in resources(one(changes))] for changes in ({}, {"体重": "10.4"}, {"宛名番号": "0000124"})]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


@hazard("non-disclosure")
def test_non_disclosure_is_heard_even_when_the_row_is_of_no_use() -> None:
    assert one({"不開示": "1"}).identity.not_disclosed
    assert not one({"不開示": "0"}).identity.not_disclosed
    assert one({"不開示": "?"}).identity.not_disclosed  # not known: the safe side
    useless = one({"不開示": "1", "受診日": "いつか"})
    assert useless.identity.not_disclosed and codes([useless]) == ["bad-date"]
    assert resources(useless) == []


def test_a_file_without_the_column_that_hides_is_refused() -> None:
    with pytest.raises(Unreadable) as refused:
        read(text_of([{}]).replace("不開示", "不開 示x").encode())
    assert [p.code for p in refused.value.problems] == ["column-missing"]


@hazard("twins")
def test_twins_have_keys_of_their_own() -> None:
    twins = items(text_of([{"宛名番号": "0000123", "氏名": "見本 葵"}, {"宛名番号": "0000124", "氏名": "見本 樹"}]))
    assert len({t.key for t in twins}) == len({t.identity.value for t in twins}) == 2
    assert not {r["id"] for r in resources(twins[0])} & {r["id"] for r in resources(twins[1])}


def test_a_handbook_is_of_two_persons() -> None:
    """Its number on a mother's row is not the same number on her child's."""
    child = one({}, sample('person.system = "handbook"')).identity
    mother = one({}, sample('person.system = "handbook"\nform = "prenatal"\nstage = ""')).identity
    assert child.value == mother.value
    assert child.system != mother.system and child.system.endswith(f"{TOWN}/child")


@hazard("name change, adoption, move")
def test_a_number_belongs_to_one_municipality() -> None:
    """After a move the family has another number in another town: nothing here takes the two for one."""
    before = one({})
    (after,) = items(text_of([{"団体コード": "131016", "氏名": "新姓花子"}]), code="131016")
    assert before.identity.value == after.identity.value
    assert before.identity.system != after.identity.system
    assert resources(before)[0]["id"] != mapping.resources(after, about=other_town()).resources[0]["id"]
    assert one({"氏名": "新姓花子"}).key == before.key  # a name is no key


def other_town() -> Any:
    from dataclasses import replace

    return replace(ABOUT, code="131016")


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
