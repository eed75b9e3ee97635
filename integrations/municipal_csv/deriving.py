"""National coarse items from the clinic's raw values: HDP yes/no, GDM yes/no, rubella. Both are kept. Pure.

A derived item says where a value lies by a dated rule, and names the rule; it is no diagnosis. Thresholds: JSOG / JSSHP
as of 2026-04, all (verify).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

EDITION = "2026-04"
_NO_DIAGNOSIS = "診断ではない"


@dataclass(frozen=True, slots=True)
class Derived:
    """`value`: あり / なし or a word of the item; `sources`: the items it follows from; `method`: the rule."""

    item: str
    value: str
    sources: tuple[str, ...]
    method: str


Values = Mapping[str, Decimal]  # item -> number as read


def derived(numbers: Values, words: Mapping[str, str]) -> list[Derived]:
    """What follows from the numbers and words (titres) of one visit."""
    return [found for rule in _RULES if (found := rule(numbers, words)) is not None]


def _hdp(numbers: Values, words: Mapping[str, str]) -> Derived | None:
    limits = {"bp.sys": Decimal(140), "bp.dia": Decimal(90)}
    sources = tuple(item for item in limits if item in numbers)
    if not sources:
        return None
    high = any(numbers[item] >= limits[item] for item in sources)
    method = f"血圧 140/90 mmHg 以上を「あり」とする区分 ({EDITION} 要確認)。{_NO_DIAGNOSIS}"
    return Derived("hdp", "あり" if high else "なし", sources, method)


def _gdm(numbers: Values, words: Mapping[str, str]) -> Derived | None:
    limits = {"ogtt.0": Decimal(92), "ogtt.60": Decimal(180), "ogtt.120": Decimal(153)}
    sources = tuple(item for item in limits if item in numbers)
    high = any(numbers[item] >= limits[item] for item in sources)
    if not sources or (not high and len(sources) < len(limits)):
        return None  # "no" needs all three
    method = f"75gOGTT 92/180/153 mg/dL のいずれか以上を「あり」とする区分 ({EDITION} 要確認)。{_NO_DIAGNOSIS}"
    return Derived("gdm", "あり" if high else "なし", sources, method)


def _rubella(numbers: Values, words: Mapping[str, str]) -> Derived | None:
    titre = words.get("rubella", "")
    if not titre.removeprefix("<").isdigit():
        return None
    low = titre.startswith("<") or int(titre) <= 16
    method = f"HI価 16 倍以下を「要予防接種相談」とする区分 ({EDITION} 要確認)。{_NO_DIAGNOSIS}"
    return Derived("rubella.advice", "要予防接種相談" if low else "免疫あり", ("rubella",), method)


_RULES: tuple[Callable[[Values, Mapping[str, str]], Derived | None], ...] = (_hdp, _gdm, _rubella)
