"""Numbers that carry check digits, amounts, and characters nobody can print. Pure.

Sources: 全国地方公共団体コード仕様 (mod 11); 番号法 省令 第5条 (check digit of the 個人番号, which is never stored).
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

_DECIMAL = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?\Z", re.ASCII)
_COUNT = re.compile(r"\d{1,4}\Z", re.ASCII)
_UNPRINTABLE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff〓●�]")
_NOT_IN_JAPANESE = re.compile(
    "[\x80-\x9f\uf8f0-\uf8f3]"
)  # what CPython's cp932 makes of single bytes that mean nothing
_NUMBER_WORDS = ("個人番号", "マイナンバー", "MYNUMBER", "個人No")


def is_municipality(code: str) -> bool:
    """Whether the sixth digit of a 団体コード is its check digit: 11 - (Σ digit × (6..2)) mod 11, its last digit."""
    if not re.fullmatch(r"\d{6}", code, re.ASCII):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(code[:5], range(6, 1, -1), strict=True))
    check = (11 - total % 11) % 10 if total >= 11 else 11 - total
    return int(code[5]) == check % 10


def is_my_number(text: str) -> bool:
    """Whether a text has the form of a 個人番号: 12 digits, the last the check digit (about 1 of 11 by chance)."""
    digits = text if text.isascii() else unicodedata.normalize("NFKC", text)
    if len(digits) != 12:
        digits = digits.replace("-", "").replace(" ", "")
    if len(digits) != 12 or not digits.isdigit() or not digits.isascii():
        return False
    rest = sum(int(digits[10 - n]) * (n + 2 if n < 6 else n - 4) for n in range(11)) % 11
    return int(digits[11]) == (0 if rest <= 1 else 11 - rest)


def names_my_number(header: str) -> bool:
    """Whether a header says that its column holds the 個人番号."""
    plain = re.sub(r"[\s_\-]", "", unicodedata.normalize("NFKC", header)).upper()
    return any(word.upper() in plain for word in _NUMBER_WORDS)


def amount(text: str) -> Decimal | None:
    """A decimal number as written (1.00 stays 1.00), full-width digits too; None = it is not one."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text).replace("−", "-")
    plain = plain.strip()
    return Decimal(plain) if _DECIMAL.match(plain) else None


def count(text: str) -> int | None:
    """A whole number of up to four ASCII digits; None = it is not one. `isdigit` says yes to "²", and to any length."""
    return int(text) if _COUNT.match(text) else None


def unprintable(text: str) -> bool:
    """Whether a text holds gaiji: private-use characters, 〓 or ● in their place."""
    return not text.isascii() and _UNPRINTABLE.search(text) is not None


def undecoded(text: str) -> bool:
    """Whether a decoded text holds the traces of bytes that were no characters of its encoding."""
    return _NOT_IN_JAPANESE.search(text) is not None
