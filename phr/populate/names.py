"""Names of nobody: surnames that mean "example", given names put together from syllables."""

from __future__ import annotations

from phr.populate.dice import Dice

# (kanji, kana): words for samples and placeholders, none of them a common surname
SURNAMES = (
    ("見本", "ミホン"), ("例示", "レイジ"), ("試作", "シサク"), ("仮名", "カリナ"), ("雛形", "ヒナガタ"),
    ("架空", "カクウ"), ("模擬", "モギ"), ("手本", "テホン"), ("凡例", "ハンレイ"), ("標本", "ヒョウホン"),
    ("試験", "シケン"), ("記入", "キニュウ"),
)  # fmt: skip
_FIRST = (("見", "ミ"), ("例", "レイ"), ("仮", "カ"), ("試", "シ"), ("空", "クウ"), ("模", "モ"), ("紡", "ツム"))
_SECOND = {
    "female": (("子", "コ"), ("美", "ミ"), ("花", "カ"), ("奈", "ナ"), ("乃", "ノ"), ("香", "カ"), ("緒", "オ")),
    "male": (("太", "タ"), ("人", "ト"), ("斗", "ト"), ("郎", "ロウ"), ("樹", "ジュ"), ("也", "ヤ"), ("介", "スケ")),
}


def surname(dice: Dice) -> tuple[str, str]:
    """(kanji, kana)"""
    return dice.pick(SURNAMES)


def given(dice: Dice, sex: str) -> tuple[str, str]:
    """(kanji, kana) of a given name; `sex` is FHIR's male or female."""
    first, second = dice.pick(_FIRST), dice.pick(_SECOND[sex])
    return first[0] + second[0], first[1] + second[1]
