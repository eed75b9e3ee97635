"""Strings as they are compared: ﾊﾅ, はな and ハナ meet; so do 髙橋 and 高橋, 佐々木 and 佐佐木. Pure.

Sources: FHIR R4 3.1.1.4.6 (string: case, accents and white space do not count); Unicode NFKC;
practice of Japanese registers (width, kana, small kana, variant characters, iteration marks).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST = 200  # characters of a normalised text that are kept and compared

_DAKUTEN = "\u3099\u309a"
_SPACE = re.compile(r"\s+")
# a space next to a Japanese character carries no meaning: 見本 はな = 見本はな
_JAPANESE_SPACE = re.compile(r"(?<=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]) | "
                             r"(?=[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")  # fmt: skip
_SELECTORS = dict.fromkeys([*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x200B, 0x200C, 0x200D, 0xFEFF])
_KATAKANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_SMALL = dict(zip(map(ord, "ぁぃぅぇぉっゃゅょゎゕゖ"), "あいうえおつやゆよわかけ", strict=True))
_OLD_FORMS, _NEW_FORMS = "髙﨑𠮷德濵濱邊邉齋齊澤國廣櫻惠眞龍瀧條壽榮", "高崎吉徳浜浜辺辺斎斉沢国広桜恵真竜滝条寿栄"
_VARIANTS = dict(zip(map(ord, _OLD_FORMS), _NEW_FORMS, strict=True))
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣－"), "-")
_VOICED = {"ゝ": "", "ヽ": "", "ゞ": "\u3099", "ヾ": "\u3099"}


@lru_cache(maxsize=16384)
def normal(text: str) -> str:
    """The comparison form of a text, at most LONGEST characters; normal(normal(x)) == normal(x)."""
    return _settled(text, LONGEST)


def whole(text: str) -> str:
    """The comparison form of a text of any length."""
    return _settled(text, len(text) * 18)  # no character becomes more than 18 (NFKC)


def _settled(text: str, longest: int) -> str:
    if text.isascii():
        return _SPACE.sub(" ", text.strip()).lower()[:longest].rstrip()
    text = _folded(text, longest)
    for _ in range(4):  # folding one character may bring another; four rounds settle all of Unicode
        again = _folded(text, longest)
        if again == text:
            break
        text = again
    return text


def _folded(text: str, longest: int) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_SELECTORS)).casefold().translate(_SELECTORS)
    text = _repeated(text.translate(_VARIANTS))
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if c in _DAKUTEN or not unicodedata.combining(c))
    text = unicodedata.normalize("NFKC", text).translate(_KATAKANA).translate(_SMALL).translate(_DASHES)
    text = _JAPANESE_SPACE.sub("", _SPACE.sub(" ", text.strip()))
    return text[:longest].strip()


def _repeated(text: str) -> str:
    """Iteration marks written out: 佐々木 -> 佐佐木, すゞ -> すず."""
    if not any(mark in text for mark in "々〻ゝヽゞヾ"):
        return text
    out: list[str] = []
    for char in text:
        if out and char in "々〻":
            out.append(out[-1])
        elif out and char in _VOICED:
            base = unicodedata.normalize("NFD", out[-1])[0]
            out.append(unicodedata.normalize("NFC", base + _VOICED[char]))
        else:
            out.append(char)
    return "".join(out)


@lru_cache(maxsize=16384)
def normal_identifier(value: str) -> str:
    """An identifier's value as compared: width and hyphen variants folded, outer space gone; case kept."""
    if value.isascii():
        return value.strip()
    return unicodedata.normalize("NFKC", value).translate(_DASHES).strip()


def normal_contact(value: str) -> str:
    """A telephone number without punctuation, a mail address in lower case."""
    value = normal_identifier(value)
    digits = re.sub(r"[-\s().]", "", value)
    return digits if digits.removeprefix("+").isdigit() else value.lower()
