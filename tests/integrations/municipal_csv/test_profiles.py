"""Source profiles: what is not understood is refused, with its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from integrations.municipal_csv import connector, profile
from integrations.municipal_csv.profile import ProfileError
from integrations.problems import Unreadable
from tests.integrations.municipal_csv.files import BASE, TOWN, read, sample, text_of


def loaded(folder: Path, changes: str = "", base: str = BASE) -> profile.Profile:
    file = folder / "sample.toml"
    file.write_text(base + changes, encoding="utf-8")
    return profile.load(file)


def test_a_sound_profile_is_read(tmp_path: Path) -> None:
    assert loaded(tmp_path) == sample()


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ('stage = "y1_6"', 'stage = "y9"', "stage"),
        ('form = "infant-checkup"', 'form = "infant"', "form"),
        ('form = "infant-checkup"', 'form = "vaccination"', "vaccine"),
        ('encoding = ["utf-8"]', 'encoding = ["utf-8", "latin-1"]', "encoding[1]"),
        ('encoding = ["utf-8"]', "encoding = []", "encoding"),
        ('encoding = ["utf-8"]', 'encodings = ["utf-8"]', "encodings"),
        ('title = "見本"', 'title = "見本"\ndelimiter = ";;"', "delimiter"),
        ('title = "見本"', 'title = "見本"\ndelimiter = "x"', "delimiter"),
        ('title = "見本"', 'title = "見本"\nheader_rows = 3', "header_rows"),
        ('title = "見本"', 'title = "見本"\nheader_rows = 0', "person.number"),
        ('title = "見本"', 'title = "見本"\ndates = ["julian"]', "dates[0]"),
        ('width = 7', 'width = "7"', "person.number.width"),
        ('name = "宛名番号", ', "", "person.number"),
        ('name = "宛名番号"', 'name = "宛名番号", at = 2', "person.number"),
        ('"2" = "female"', '"2" = "girl"', "sexes"),
        ('"ant.weight" =', '"ant.wieght" =', "items.ant.wieght"),
        ('codes = "judgement"', 'codes = "judgment"', "items.judge.codes"),
        ('version = "R8"', "", "maps.judgement"),
        ('id = "sample"', 'id = "Sample!"', "id"),
        ('id = "sample"', 'id = "other"', "id"),
        ('[person]', '[person', "$"),
        ('id = "sample"', 'id = "sample"\nextends = "nobody"', "extends"),
        ('id = "sample"', 'id = "sample"\nextends = "../sample"', "extends"),
        ('id = "sample"', 'id = "sample"\nextends = "sample"', "extends"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, before: str, after: str, place: str) -> None:
    assert before in BASE
    with pytest.raises(ProfileError) as refused:
        loaded(tmp_path, base=BASE.replace(before, after, 1))
    file, where, *text = str(refused.value).split(": ", 2)
    assert file == "sample.toml"
    assert where.startswith(place) or place in str(refused.value).split("`")
    assert "".join(text).strip()


def test_a_map_to_a_value_that_is_none_of_the_items_is_refused(tmp_path: Path) -> None:
    bad = '[maps.skin]\nversion = "1"\ncodes = { "1" = "きれい" }\n'
    with pytest.raises(ProfileError, match=r"maps\.skin\.codes\.1"):
        loaded(tmp_path, bad, BASE.replace('name = "皮膚",', 'name = "皮膚", codes = "skin",'))


def test_a_profile_of_the_operator_extends_a_standard_one(tmp_path: Path, settings: Any) -> None:
    settings.PHR_IMPORT_PROFILES = str(tmp_path)
    mine = tmp_path / "my-town.toml"
    mine.write_text(
        'extends = "infant-1y6m"\nid = "my-town"\nversion = "R8"\ntitle = "見本市"\n[person.number]\nwidth = 7\n'
    )
    assert "my-town" in connector.profiles() and "infant-1y6m" in connector.profiles()
    chosen = connector.chosen("my-town")
    assert (chosen.person.number.width, chosen.person.number.required) == (7, True)
    assert chosen.items == profile.standard()["infant-1y6m"].items
    mine.write_text(mine.read_text() + "widht = 8\n")  # edited while the server runs
    assert "my-town" in connector.profiles()  # so that choosing it says what is wrong
    assert connector.chosen("infant-1y6m")
    with pytest.raises(Unreadable) as refused:
        list(connector.items([], profile="my-town", code=TOWN))
    assert "my-town.toml: person.number" in refused.value.problems[0].en
    mine.write_text('extends = "_base"\nid = "my-town"\nversion = "1"\ntitle = "x"\n')
    base = tmp_path / "_base.toml"
    for width in (7, 8):
        base.write_text(f'extends = "infant-1y6m"\n[person.number]\nwidth = {width}\n')
        os.utime(base, ns=(0, width))  # however fast it is edited
        assert connector.chosen("my-town").person.number.width == width
    mine.rename(tmp_path / "vaccination.toml")
    with pytest.raises(Unreadable):
        list(connector.items([], profile="vaccination", code=TOWN))


def test_who_did_not_come_has_no_visit(tmp_path: Path) -> None:
    rows = [{"受診": "0", "受診日": ""}, {"受診": "1", "宛名番号": "0000124"}, {"受診": "?", "宛名番号": "0000125"}]
    layout = sample('attended = { name = "受診", yes = ["1"] }')
    found = [f for f in read(text_of(rows).encode(), layout) if getattr(f, "code", "") != "columns-absent"]
    assert [getattr(f, "code", None) or [p.code for p in f.problems] for f in found] == [  # type: ignore[union-attr]
        "not-attended", [], ["unknown-flag"]
    ]  # fmt: skip


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(Unreadable) as refused:
        list(connector.items([], profile="nobodys", code=TOWN))
    assert refused.value.problems[0].code == "unknown-profile"


def test_the_profile_of_the_readme_is_one(tmp_path: Path) -> None:
    text = (Path(profile.__file__).parent / "README.md").read_text(encoding="utf-8")
    (tmp_path / "my-town-3y.toml").write_text(text.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    mine = profile.load(tmp_path / "my-town-3y.toml")
    assert (mine.stage, mine.items["ant.weight"].unit, set(mine.maps["judgement"].codes)) == ("y3", "g", set("イロハ"))


def test_a_stage_by_column_and_a_key_of_the_source() -> None:
    by_column = sample("""
stage = ""
event.stage = { name = "健診コード" }
key = ["stage", "整理番号"]
maps.stages = { version = "1", codes = { "18" = "y1_6", "36" = "y3" } }
""")
    found = read(text_of([{"健診コード": "36", "整理番号": "A|7"}, {"健診コード": "99"}]).encode(), by_column)
    assert [getattr(f, "key", None) or getattr(f, "code", None) for f in found][-2:] == [
        "infant-checkup|0000123|y3|A\\|7", "unknown-stage"
    ]  # fmt: skip
    with pytest.raises(Unreadable):
        read(text_of([{"健診コード": "36"}]).encode(), by_column)


def test_vaccines_by_a_map_with_doses(tmp_path: Path) -> None:
    file = tmp_path / "shots.toml"
    file.write_text(
        'extends = "vaccination"\nid = "shots"\nversion = "1"\ntitle = "x"\n[vaccine]\ncodes = "v"\n'
        '[maps.v]\nversion = "2026"\ncodes = { "01" = "HEPB/1", "02" = "HEPB" }\n'
    )
    shots = profile.load(file)
    head = "宛名番号,接種日,接種コード,回数,修正区分,不開示区分\n"
    said = ("20250101,01,", "20250301,02,第2回", "20250401,77,x", "20250501,01,2")
    rows = "".join(f"0000000123,{row},,\n" for row in said)
    items = [i for i in read((head + rows).encode(), shots) if hasattr(i, "key")]
    assert [(i.content["vaccine"].get("id"), i.content["vaccine"].get("dose")) for i in items] == [
        ("HEPB", 1), ("HEPB", 2), (None, None), ("HEPB", 2)
    ]  # fmt: skip
    assert [[p.code for p in i.problems] for i in items] == [[], [], ["unmapped-vaccine", "bad-dose"], ["dose-differs"]]
    file.write_text(file.read_text().replace("HEPB/1", "HEPX/1"))
    with pytest.raises(ProfileError, match=r"maps\.v\.codes\.01"):
        profile.load(file)
