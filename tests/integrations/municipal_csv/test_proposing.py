"""A profile proposed from a sample: it loads, it reads the sample, it marks what is uncertain, it repeats no value."""

from __future__ import annotations

import tomllib
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from integrations.items import Item
from integrations.municipal_csv import profile, proposing
from integrations.problems import Unreadable
from tests.integrations.municipal_csv.files import GOLDEN, ROW, TOWN, read, text_of
from tests.integrations.municipal_csv.test_hazards import my_numbers

LAYOUTS = sorted(profile.standard())


def loaded(text: str, folder: Path) -> profile.Profile:
    file = folder / f"{tomllib.loads(text)['id']}.toml"
    file.write_text(text, encoding="utf-8")
    return profile.load(file)


@pytest.mark.parametrize("name", LAYOUTS)
def test_of_a_standard_layout_the_same_is_proposed(name: str, tmp_path: Path) -> None:
    content = (GOLDEN / f"{name}.csv").read_bytes()
    text = proposing.propose(content, id=name)
    assert f'extends = "{name}"' in text
    proposed = loaded(text, tmp_path)
    ours, theirs = (
        [i for i in read(content, p, code=TOWN) if isinstance(i, Item)] for p in (profile.standard()[name], proposed)
    )
    assert [(i.key, i.identity, i.said_at) for i in ours] == [(i.key, i.identity, i.said_at) for i in theirs]
    for one, other in zip(ours, theirs, strict=True):  # all but what hangs on a map nobody has filled in yet
        known = [[e for e in i.content.get("items", []) if not e["item"].startswith("judge")] for i in (one, other)]
        assert known[0] == known[1]


def test_other_habits_are_seen(tmp_path: Path) -> None:
    text = proposing.propose((GOLDEN / "two-headers.cp932.csv").read_bytes(), id="two")
    proposed = loaded(text, tmp_path)
    assert (proposed.encoding, proposed.header_rows, proposed.dates) == (["cp932"], 2, ["wareki"])
    assert (proposed.person.number.name, proposed.person.number.width) == ("本人/宛名 番号", 10)
    assert proposed.not_disclosed is None and "not_disclosed = false" in text
    (item,) = [i for i in read((GOLDEN / "two-headers.cp932.csv").read_bytes(), proposed) if isinstance(i, Item)]
    assert {e["item"]: e["value"] for e in item.content["items"]} == {
        "hdr.months": "18", "ant.weight": "10.2", "ant.height": "79.5", "judge": "unknown", "hdr.months.computed": "18"
    }  # fmt: skip
    bare = proposing.propose((GOLDEN / "no-header.utf16.csv").read_bytes(), id="bare")
    assert "header_rows = 0" in bare and "4: 日付" in bare


def test_likeness_is_marked_as_uncertain_and_widths_that_differ_are_told() -> None:
    rows = [{"宛名番号": "0000123"}, {"宛名番号": "124"}]
    text = proposing.propose(text_of(rows).replace("体重", "体重（ｋｇ）").replace(",", "\t").encode(), id="x")
    [line] = [line for line in text.splitlines() if "体重（ｋｇ）" in line]
    assert line.startswith('"ant.weight".name') and proposing.CHECK in line
    assert "zeros lost?" in text
    assert 'delimiter = "\\t"' in text


def test_nothing_of_a_person_is_repeated() -> None:
    for name in LAYOUTS:
        text = proposing.propose((GOLDEN / f"{name}.csv").read_bytes(), id=name)
        assert not any(word in text for word in ("見本 ", "ミホン", "00000001", "湿疹", "熱性"))
    secret = {name: "ヒミツ7731" for name in ROW if name != "判定"}  # its codes are what must be mapped
    assert "ヒミツ" not in proposing.propose(text_of([secret]).encode(), id="x")


@pytest.mark.parametrize("header", ["備考", "マイナンバー"])
def test_a_sample_with_my_numbers_is_refused(header: str) -> None:
    rows = [{"宛名番号": f"{n:07d}", header: text} for n, text in enumerate(my_numbers(5))]
    with pytest.raises(Unreadable) as refused:
        proposing.propose(text_of(rows).encode(), id="x")
    assert refused.value.problems[-1].code == "my-number-column"


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff\xff", b"\x00" * 50, b"\x1a", b"a\n", b'"', b",,,\n,,,\n"])
def test_whatever_is_given_it_answers_or_refuses(content: bytes) -> None:
    try:
        assert "extends" in proposing.propose(content, id="x")
    except Unreadable:
        pass


def test_the_command_prints_it_or_says_why_not(tmp_path: Path) -> None:
    out = StringIO()
    call_command("propose_profile", str(GOLDEN / "vaccination.csv"), stdout=out)
    assert tomllib.loads(out.getvalue())["id"] == "my-vaccination"
    (tmp_path / "bad.csv").write_text("個人番号,氏名\n1,2\n", encoding="utf-8")
    for arguments in ([str(tmp_path / "bad.csv")], [str(tmp_path / "none.csv")], [str(tmp_path), "--id", "x"]):
        with pytest.raises(CommandError):
            call_command("propose_profile", *arguments)
    with pytest.raises(CommandError):
        call_command("propose_profile", str(GOLDEN / "vaccination.csv"), "--id", "Not An Id")
