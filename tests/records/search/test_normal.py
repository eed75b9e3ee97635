"""Strings meet however they were typed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.search.normal import LONGEST, normal, normal_contact, normal_identifier


@pytest.mark.parametrize(
    "spellings",
    [
        ("ﾊﾅ", "はな", "ハナ"),
        ("ﾊﾞﾅﾅ", "バナナ", "ばなな"),
        ("髙橋", "高橋", "高\ufe00橋"),
        ("佐々木", "佐佐木"),
        ("みすゞ", "みすず", "ミスズ"),
        ("見本　はな", "見本 はな", "見本はな", " 見本\tはな "),
        ("キャロル", "ｷｬﾛﾙ", "きやろる"),
        ("Élodie  Müller", "elodie muller", "ＥＬＯＤＩＥ　ＭＵＬＬＥＲ"),
        ("渡邉", "渡邊", "渡辺"),
        ("1−2", "1-2", "１－２", "1‐2"),
    ],
)
@pytest.mark.spec("FHIR R4", "3.1.1.4.6", "string search ignores case, accents and white space")
def test_spellings_meet(spellings: Any) -> None:
    assert len({normal(s) for s in spellings}) == 1


@pytest.mark.parametrize("pair", [("はな", "はなこ"), ("かき", "かぎ"), ("はは", "ぱぱ"), ("a b", "ab")])
def test_different_words_stay_different(pair: Any) -> None:
    assert normal(pair[0]) != normal(pair[1])


@given(st.text(max_size=300))
def test_normal_is_idempotent_and_bounded(text: Any) -> None:
    once = normal(text)
    assert normal(once) == once
    assert len(once) <= LONGEST


def test_identifiers_fold_width_and_hyphens_but_keep_case() -> None:
    assert normal_identifier("１２３－ＡＢ") == normal_identifier("123-AB ") == "123-AB"
    assert normal_identifier("ab") != normal_identifier("AB")


def test_telephone_numbers_lose_their_punctuation() -> None:
    assert normal_contact("０３（１２３４）5678") == normal_contact("03-1234-5678") == "0312345678"
    assert normal_contact("Yuki@Example.JP") == "yuki@example.jp"
