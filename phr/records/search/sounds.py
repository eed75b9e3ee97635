"""Names as they sound: 大野 is read オオノ and written Ohno, Ono, Oono or Ōno. Pure.

`sounds` gives kana and the usual romanisations (Hepburn, Kunrei, passport) one form: long vowels are short, doubled
consonants single, si is shi, m before b is n. Other letters stay as `normal` has them; a name in kanji alone
sounds like nothing, so a record should hold its kana, as JP Core asks.

Sources: FHIR R4 patient.html §8.1.16 (phonetic: the algorithm is the server's); the Cabinet orders on romanisation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from phr.records.search.normal import normal
from phr.records.search.params import LEGIBLE, SearchParam

_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_VOWELS = "aiueo"
_ROWS = {
    "": "あいうえお", "k": "かきくけこ", "g": "がぎぐげご", "s": "さしすせそ", "z": "ざじずぜぞ", "t": "たちつてと",
    "d": "だぢづでど", "n": "なにぬねの", "h": "はひふへほ", "b": "ばびぶべぼ", "p": "ぱぴぷぺぽ", "m": "まみむめも",
    "r": "らりるれろ", "x": "ぁぃぅぇぉ",
}  # fmt: skip
_KANA = {kana: row + vowel for row, kanas in _ROWS.items() for kana, vowel in zip(kanas, _VOWELS, strict=True)}
_KANA |= {
    "や": "ya",
    "ゆ": "yu",
    "よ": "yo",
    "わ": "wa",
    "ゐ": "i",
    "ゑ": "e",
    "を": "o",
    "ん": "n",
    "ゔ": "bu",
    "ー": "",
}
_KANA |= {"ゃ": "xya", "ゅ": "xyu", "ょ": "xyo", "ゎ": "xwa", "っ": "q"}
# One form for each sound that is written in several ways; in this order.
_ALIKE = [
    (re.compile(pattern), to) for pattern, to in (
        (r"ixy", "y"), (r"[iueo]x([aiueo])", r"\1"), (r"x", ""), (r"q", ""), (r"[’'\-‐]", ""),
        (r"[ct]ch", "ch"), (r"sh([auoe])", r"sy\1"), (r"shi", "si"), (r"ch([auoe])", r"ty\1"), (r"chi", "ti"),
        (r"ts", "t"), (r"j([auoe])", r"zy\1"), (r"ji|di|dzi", "zi"), (r"dzu|du", "zu"), (r"zyy|jy|dy", "zy"),
        (r"fu", "hu"), (r"c(?!h)", "k"), (r"l", "r"), (r"v", "b"), (r"m(?=[bpm])", "n"), (r"n(?=n)", ""),
        (r"([b-df-hj-np-tv-z])\1", r"\1"), (r"h(?![aiueoy])", ""), (r"o[ou]", "o"), (r"uu", "u"), (r"aa", "a"),
        (r"ii", "i"), (r"e[ei]", "e"),
    )
]  # fmt: skip


@lru_cache(maxsize=4096)
def sounds(text: str) -> str:
    """The form in which names that sound alike are equal, or begin alike."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_HIRAGANA)
    if not any(char in _KANA or char.isascii() for char in folded):
        return normal(text)
    spelled = normal("".join(_KANA.get(char, char) for char in folded))
    return " ".join(found for word in spelled.split() if (found := _alike(word)))


def _alike(word: str) -> str:
    for pattern, to in _ALIKE:
        word = pattern.sub(to, word)
    return word


def fold_of(param: SearchParam) -> Callable[[str], str]:
    """How the strings of a parameter are folded, stored and asked: `phonetic` by sound where strings stand legibly."""
    return sounds if param.name == "phonetic" and param.base in LEGIBLE else normal
