"""Names that sound alike meet, in kana or in any romanisation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.search.sounds import sounds
from tests.records.samples import patient
from tests.records.test_index import finds


@pytest.mark.spec("FHIR R4", "patient.html 8.1.16", "phonetic: a name by the server's phonetic matching")
@pytest.mark.parametrize(
    "names",
    [
        ["オオノ", "おおの", "ｵｵﾉ", "Ohno", "Ono", "Oono", "Ōno"], ["サトウ", "Sato", "Satou", "Satoh", "Satō", "SATO"],
        ["ジュンコ", "Junko", "Zyunko", "じゅんこ"], ["シンジ", "Shinji", "Sinzi"], ["チヅル", "Chizuru", "Tiduru"],
        ["ハットリ", "Hattori"], ["ナンバ", "Namba", "Nanba"], ["ツチヤ", "Tsuchiya", "Tutiya"],
        ["フジワラ", "Fujiwara", "Huziwara"], ["シンイチ", "Shin'ichi", "Shinichi"], ["ショウコ", "Shoko", "Syouko"],
        ["マッチ", "Matchi", "Macchi", "Matti"], ["見本", "見本"], ["チャン", "Chan"],
        ["タカハシ ハナ", "Takahashi Hana"],
    ],
)  # fmt: skip
def test_what_sounds_alike(names: list[str]) -> None:
    assert len({sounds(name) for name in names}) == 1


def test_what_does_not() -> None:
    different = ["サトウ", "カトウ", "オノ", "オンダ", "ユキ", "ユミ", "ハル", "ハナ", "シンジ", "ソウジ"]
    assert len({sounds(name) for name in different}) == len(different)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("phonetic=Mihon", True), ("phonetic=ミホン", True), ("phonetic=miho", True), ("phonetic=Hanna", True),
        ("phonetic=見本", True), ("phonetic=Mikon", False), ("phonetic:missing=false", True), ("name=Mihon", False),
    ],
)  # fmt: skip
def test_a_patient_by_sound(query: str, found: bool) -> None:
    assert finds(patient(), query) is found


@given(st.text(max_size=30))
def test_any_text_has_a_form(text: str) -> None:
    assert sounds(text) == sounds(text).strip()
