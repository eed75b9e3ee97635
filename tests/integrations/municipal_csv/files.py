"""Small municipal files, made by hand: everybody in them is invented."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from integrations.items import About, Item, Piece
from integrations.municipal_csv import mapping, parse, profile
from integrations.municipal_csv.profile import Profile
from integrations.problems import Problem

GOLDEN = Path(__file__).parents[2] / "golden" / "municipal"
TOWN = "990019"
HANA = UUID("48616e61-0000-8000-8000-000000000003")
ABOUT = About(HANA, 1, TOWN, "見本市", date(2026, 6, 1))

BASE = """
id = "sample"
version = "1"
title = "見本"
form = "infant-checkup"
stage = "y1_6"
encoding = ["utf-8"]
[sexes]
"1" = "male"
"2" = "female"
[person]
number = { name = "宛名番号", width = 7 }
name = { name = "氏名" }
kana = { name = "カナ" }
birth_date = { name = "生年月日" }
sex = { name = "性別" }
organization = { name = "団体コード" }
[event]
date = { name = "受診日" }
said_at = { name = "更新日時" }
[correction]
name = "修正区分"
yes = ["2"]
no = ["", "0", "1"]
[not_disclosed]
name = "不開示"
yes = ["1"]
[items]
"hdr.months" = { name = "月齢" }
"ant.weight" = { name = "体重" }
"ant.height" = { name = "身長" }
judge = { name = "判定", codes = "judgement" }
"judge.support" = { name = "支援" }
"org.skin" = { name = "皮膚", text = { name = "皮膚所見" } }
[maps.judgement]
version = "R8"
codes = { "1" = "ok", "4" = "needs-detail" }
"""
ROW = {
    "団体コード": TOWN, "宛名番号": "0000123", "氏名": "見本花子", "カナ": "ミホンハナコ", "生年月日": "20241015",
    "性別": "2", "受診日": "20260420", "月齢": "18", "体重": "10.2", "身長": "79.5", "判定": "1",
    "修正区分": "", "不開示": "",
}  # fmt: skip


@cache
def sample(changes: str = "") -> Profile:
    """The profile of these files, with further TOML laid over it."""
    import tomllib

    raw = tomllib.loads(BASE)
    return profile.checked(profile._over(raw, tomllib.loads(changes)), Path("sample.toml"))


def text_of(rows: Sequence[dict[str, str]], delimiter: str = ",") -> str:
    """A file of rows, each ROW with changes; every column that one of them has."""
    header = list(dict.fromkeys([*ROW, *(name for row in rows for name in row)]))
    lines = [delimiter.join(header), *(delimiter.join((ROW | row).get(name, "") for name in header) for row in rows)]
    return "\r\n".join(lines) + "\r\n"


def read(content: bytes, profile: Profile | None = None, *, code: str = TOWN) -> list[Item | Problem]:
    return list(parse.items([Piece("sample.csv", io.BytesIO(content))], profile=profile or sample(), code=code))


def items(content: bytes | str, profile: Profile | None = None, **more: Any) -> list[Item]:
    data = content.encode() if isinstance(content, str) else content
    return [one for one in read(data, profile, **more) if isinstance(one, Item)]


def codes(found: Iterable[Item | Problem]) -> list[str]:
    """The codes of all problems that are more than information, in order."""
    problems = [p for one in found for p in (one.problems if isinstance(one, Item) else (one,))]
    return [p.code for p in problems if p.severity != "information"]


def one(changes: dict[str, str], profile: Profile | None = None) -> Item:
    """The one Item of a file with one row."""
    (found,) = items(text_of([changes]), profile)
    return found


def problems_of(changes: dict[str, str], profile: Profile | None = None) -> list[str]:
    return codes(read(text_of([changes]).encode(), profile))


def entry(item: Item, name: str) -> dict[str, Any]:
    return next(e for e in item.content["items"] if e["item"] == name)


def resources(item: Item) -> list[dict[str, Any]]:
    return mapping.resources(item, about=ABOUT).resources


def observation(item: Item, name: str) -> dict[str, Any]:
    return next(
        r
        for r in resources(item)
        if r["resourceType"] == "Observation" and any(c.get("code") == name for c in r["code"].get("coding", ()))
    )


def hazard(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks the test of a line of the list of hazards (tests/golden/municipal/hazards.csv)."""

    def marked(test: Callable[..., None]) -> Callable[..., None]:
        test.hazard = name  # type: ignore[attr-defined]
        return test

    return marked
