"""Whatever the bytes are: Items and Problems, or one clear refusal. Never anything else, and nothing unsound."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.items import Item
from integrations.municipal_csv import mapping, profile
from integrations.problems import Problem, Unreadable
from integrations.tabular import dates
from integrations.tabular.dates import STYLES
from phr.records.validate import check
from tests.integrations.municipal_csv.files import ABOUT, GOLDEN, ROW, TOWN, read, sample, text_of

FOLDER = Path(profile.__file__).parent
DYNAMIC = {"zeros-lost", "wrong-width", "no-date"}  # codes that are chosen before they are said
ENCODINGS = ["utf-8", "cp932", "utf-16", "shift_jis", "euc_jp"]
CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", '"', '""', "1", "-", "±", "R8.4.1", "99999999", "20260400", "はい", "所見あり", "0000123",
                     "\x1a", "\ue000", "髙", "123456789018", "=1+1", "＋", "1e9", "NaN", "Infinity", "٣", "²",
                     "\u2028", "𠮷"]),
)  # fmt: skip


def survives(content: bytes, layout: profile.Profile) -> None:
    """Read and map it all: only Unreadable may be raised, only sound resources come out, messages hold no values."""
    try:
        found = read(content, layout)
    except Unreadable:
        return
    for it in found:
        if isinstance(it, Problem):
            continue
        assert isinstance(it, Item) and it.line >= 1
        mapped = mapping.resources(it, about=ABOUT)
        for resource in mapped.resources:
            assert [p for p in check(resource) if p.severity in ("error", "fatal")] == [], resource
            assert "\ufffd" not in str(resource) and "\udc80" not in str(resource)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from([*ROW, "皮膚", "皮膚所見", "支援", "備考"]), CELLS), max_size=6))
def test_any_cells(rows: list[dict[str, str]]) -> None:
    survives(text_of(rows).encode("utf-8", "surrogatepass"), sample())


@settings(max_examples=60)
@given(st.binary(max_size=400), st.sampled_from(ENCODINGS), st.booleans())
def test_any_bytes(content: bytes, encoding: str, headed: bool) -> None:
    layout = sample(f'encoding = ["{encoding}"]')
    survives((text_of([]).encode(encoding) if headed else b"") + content, layout)


@settings(max_examples=200)
@given(st.text(alphabet="0123456789RHSTM令和平成昭年月日元不詳明./- #:Ｒ８", max_size=12))
def test_any_date(text: str) -> None:
    """Either a FHIR date that exists, or nothing, or a fault; the same again."""
    found = dates.day(text, (*STYLES, "excel"))
    assert not (found.text and found.fault)
    if found.text:
        assert dates.day(found.text, ("gregorian",)).text == found.text


@settings(max_examples=100)
@given(st.dates(min_value=dates.FIRST_SOLAR))
def test_a_day_reads_the_same_in_every_style(day: dates.date) -> None:
    if day.year > 2100:
        return
    y, m, d = day.year, day.month, day.day
    spellings = [f"{day:%Y%m%d}", f"{y}年{m}月{d}日", day.isoformat(), f"{y}/{m}/{d}"]
    for era in {id(era): era for era in dates._eras().values()}.values():
        if era.start <= day <= era.end:
            of_era = y - era.start.year + 1
            spellings += [f"{era.name}{of_era}年{m}月{d}日", f"{era.name[0]}{of_era:02d}.{m:02d}.{d:02d}"]
    assert {dates.day(text).text for text in spellings} == {day.isoformat()}


def damaged(content: bytes, dice: random.Random) -> Iterator[bytes]:
    """Truncated, doubled, bit-flipped, mis-encoded, cut in and put together wrongly."""
    at = dice.randrange(len(content))
    yield content[:at]
    yield content + content
    yield content[at:] + content[:at]
    flipped = bytearray(content)
    for _ in range(dice.randrange(1, 20)):
        flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
    yield bytes(flipped)
    text = content.decode("utf-8", "replace")
    yield text.encode("cp932", "replace")
    yield text.encode("utf-16")
    yield text.encode("utf-8").decode("cp932", "replace").encode("utf-8")  # 文字化け
    yield content[:at] + b"\r\n" + content[at:]
    yield content[:at] + b'"' + content[at:]
    yield content.replace(b",", b";")
    yield content[:at] + b"\x00" * 40 + content[at:]


@pytest.mark.parametrize("name", sorted(profile.standard()))
def test_damaged_golden_files(name: str) -> None:
    content = (GOLDEN / f"{name}.csv").read_bytes()
    dice = random.Random(name)
    for variant in damaged(content, dice):
        survives(variant, profile.standard()[name])


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(profile.standard()))
def test_many_damaged_golden_files(name: str) -> None:
    content = (GOLDEN / f"{name}.csv").read_bytes()
    for seed in range(200):
        for variant in damaged(content, random.Random(seed)):
            survives(variant, profile.standard()[name])


def test_every_problem_has_words_and_every_word_a_problem() -> None:
    """What the sources say stands in wording.json, and nothing else does."""
    sources = "".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.py"))
    words = json.loads((FOLDER / "wording.json").read_text(encoding="utf-8"))
    said = set(re.findall(r'(?:say|warn|Problem)\(\s*"([a-z][a-z\-]+)"', sources)) | DYNAMIC
    faults = set(
        re.findall(r'fault="([a-z\-]+)"', (FOLDER.parent / "tabular" / "dates.py").read_text(encoding="utf-8"))
    )
    faults |= {"date-style", "year-without-era"}
    assert said <= set(words) and set(words) == said | faults


def test_messages_hold_no_values() -> None:
    """Whatever is told about a row, its cells are not in it."""
    secret = "ヒミツ7731"
    for column in ROW:
        found = read(text_of([{column: secret}]).encode())
        for it in found:
            for problem in it.problems if isinstance(it, Item) else (it,):
                assert secret not in str(problem.as_json()), column
    assert TOWN in text_of([{}])
