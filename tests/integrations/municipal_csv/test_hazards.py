"""Every line of the list of hazards has a test, here or in test_hazards_of_text.py, by name."""

from __future__ import annotations

import csv
import inspect
from dataclasses import replace
from typing import Any

import pytest

from integrations.municipal_csv import mapping
from integrations.problems import Unreadable
from integrations.tabular import figures
from tests.integrations.municipal_csv import test_hazards_of_text
from tests.integrations.municipal_csv.files import (
    ABOUT,
    GOLDEN,
    TOWN,
    codes,
    entry,
    hazard,
    items,
    observation,
    one,
    problems_of,
    read,
    resources,
    sample,
    text_of,
)

EXCEL = 'dates = ["gregorian", "wareki", "wareki-digits", "excel"]'


def test_every_hazard_of_the_list_has_a_test() -> None:
    with (GOLDEN / "hazards.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["hazard"] for row in csv.DictReader(file)}
    modules = (test_hazards_of_text, inspect.getmodule(test_every_hazard_of_the_list_has_a_test))
    tests = [test for module in modules for _, test in inspect.getmembers(module, inspect.isfunction)]
    assert {test.hazard for test in tests if hasattr(test, "hazard")} == listed


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
    assert problems_of({"修正区分": "7"}) == ["unknown-correction"]  # neither taken nor deleted by guess


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


def test_the_numbers_of_a_clinic_are_its_own() -> None:
    """A clinic sends the town's code with each row: it is who pays, and no reason to refuse."""
    (found,) = items(text_of([{"団体コード": "131016"}]), code="1312345678")
    assert found.identity.system == "urn:oid:1.2.392.100495.20.3.51.11312345678"
    assert one({}).identity.system.endswith(f"/NamingSystem/atena/{TOWN}")


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

    return replace(ABOUT, code="131016")
