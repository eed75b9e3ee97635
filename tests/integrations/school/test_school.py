"""School checkups from CSV: the golden file, obesity with its edition, bad rows and bad files (integrations/school)."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.items import About, Identity, Item, Piece
from integrations.problems import Problem, Unreadable
from integrations.school import catalogue, connector, mapping, obesity, parse
from integrations.school.profile import ProfileError, folder, standard
from phr.fhir import questionnaires
from phr.records import validate
from phr.records.systems import OWN, OWN_ITEM

GOLDEN = (Path(__file__).parents[2] / "golden" / "school" / "checkup.csv").read_bytes()
HEAD, HANA, TARO = GOLDEN.decode().splitlines()
CODE = "B110210000001"
ABOUT = About(UUID(int=5), 7, CODE, "見本小学校", date(2026, 6, 1))
PROFILE = standard()["standard"]


def read(content: bytes | str) -> list[Item | Problem]:
    data = content if isinstance(content, bytes) else content.encode()
    return list(connector.items([Piece("a.csv", io.BytesIO(data))], profile="standard", code=CODE))


def items(content: bytes | str) -> list[Item]:
    return [one for one in read(content) if isinstance(one, Item)]


def problems(content: bytes | str) -> list[Problem]:
    return [one for one in read(content) if isinstance(one, Problem)]


def mapped(item: Item) -> dict[str, dict[str, Any]]:
    """By item; the Encounter under its type."""
    found = connector.resources(item, about=ABOUT)
    assert [p for r in found.resources for p in validate.check(r)] == []
    return {_named(r): r for r in found.resources}


def _named(resource: dict[str, Any]) -> str:
    if resource["resourceType"] != "Observation":
        return str(resource["resourceType"])
    return next(str(c["code"]) for c in resource["code"]["coding"] if c["system"] == OWN_ITEM)


def value(observation: dict[str, Any]) -> Any:
    if quantity := observation.get("valueQuantity"):
        return quantity["value"], quantity["code"]
    if coded := observation.get("valueCodeableConcept"):
        return coded["coding"][0]["code"]
    return observation["valueString"]


def test_a_checkup_becomes_observations() -> None:
    hana, taro = items(GOLDEN)
    assert hana.identity == Identity(
        f"{OWN}/NamingSystem/school-pupil/{CODE}", "0001", "見本 花", "みほん はな", "2018-07-07", "female"
    )
    found = mapped(hana)
    assert {k: value(v) for k, v in found.items() if k != "Encounter"} == {
        "s.height": (Decimal("121.5"), "cm"), "s.weight": (Decimal("23.4"), "kg"), "s.nutrition": "正常",
        "s.spine": "異常なし", "s.va.r": "B", "s.va.l": "B", "s.vac.r": "A", "s.hear.r": "正常", "s.hear.l": "異常あり",
        "s.urine.p": "−", "s.urine.g": "±", "s.heart": "異常なし", "d.bite": "0", "d.plaque": "1", "d.teeth": "C 46",
        "s.doctor": "要受診", "s.obesity": (Decimal("0.2"), "%"),
    }  # fmt: skip
    assert found["Encounter"]["period"] == {"start": "2026-05-20", "end": "2026-05-20"}
    assert found["s.height"]["encounter"]["reference"] == f"Encounter/{found['Encounter']['id']}"
    assert found["s.va.l"]["valueCodeableConcept"]["text"] == "0.9"  # the cell as received
    assert found["s.hear.l"]["valueCodeableConcept"]["coding"][1] == {
        "system": f"{OWN}/CodeSystem/school/{CODE}/hearing", "version": "1", "code": "○"
    }  # fmt: skip
    assert value(mapped(taro)["s.va.r"]) == value(mapped(taro)["s.va.l"]) == "A"
    assert value(mapped(taro)["s.doctor"]) == "心雑音, 要精密検査"


def test_obesity_is_computed_with_its_edition_or_taken_as_the_school_gives_it() -> None:
    hana = items(GOLDEN)[0]
    computed = mapped(hana)["s.obesity"]
    assert computed["method"]["coding"] == [{"system": f"{OWN}/CodeSystem/growth-edition", "code": "school-2000"}]
    assert len(computed["derivedFrom"]) == 2
    given_ = items(f"{HEAD},肥満度\n{HANA},-3.0\n")[0]
    taken = mapped(given_)["s.obesity"]
    assert value(taken) == (Decimal("-3.0"), "%")
    assert "derivedFrom" not in taken and taken["method"]["coding"][0]["code"] == "school-2000"


@pytest.mark.parametrize(
    ("edition", "told"), [("R5-2023", Decimal("0.4")), ("H22-2010", Decimal("-0.1")), ("school-2000", None)]
)
def test_the_degree_depends_on_the_edition(edition: str, told: Decimal | None) -> None:
    """A girl of three, 92 cm, 13 kg: +0.41 % by the 2023 survey, -0.14 % by that of 2010."""
    got = obesity.degree(edition=edition, sex="female", birth=date(2022, 4, 2), on=date(2025, 5, 1),
                         height=Decimal(92), weight=Decimal(13))  # fmt: skip
    assert got == told


def test_without_sex_or_birth_date_nothing_is_computed() -> None:
    [hana] = items(HEAD + "\n" + HANA.replace(",女,", ",,"))
    found = connector.resources(hana, about=ABOUT)
    assert "s.obesity" not in {_named(r) for r in found.resources}
    assert [p.code for p in found.problems] == ["obesity-unknown"]


def row(**changes: str) -> str:
    names = HEAD.split(",")
    fields = dict(zip(names, HANA.split(","), strict=True)) | changes
    return f"{HEAD}\n{','.join(fields[name] for name in names)}\n{TARO}\n"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"学籍番号": ""}, "no-number"),
        ({"学籍番号": "123456789018"}, "number-like-my-number"),
        ({"健康診断日": ""}, "no-date"),
        ({"健康診断日": "8.5.20"}, "no-date"),
        ({"健康診断日": "2018-07-06"}, "before-birth"),
        ({"修正区分": "7"}, "bad-correction"),
        ({"備考": "a,b"}, "field-count"),
        ({"備考": "\ufffd"}, "replacement-character"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_bad_row_falls_out_alone(changes: dict[str, str], code: str) -> None:
    content = row(**changes)
    assert [(p.code, p.line) for p in problems(content) if p.severity == "error"] == [(code, 2)]
    assert [i.identity.value for i in items(content)] == ["0002"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"身長": "百二十"}, "not-a-number"), ({"身長": "12.1"}, "implausible"), ({"視力右": "E"}, "unmapped-code"),
     ({"聴力右": "×"}, "unmapped-code"), ({"性別": "x"}, "unknown-sex"), ({"生年月日": "x"}, "bad-birth-date")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_doubtful_is_told_and_kept_as_received(changes: dict[str, str], code: str) -> None:
    item = items(row(**changes))[0]
    assert [p.code for p in item.problems] == [code]
    [(column, raw)] = changes.items()
    if column in ("身長", "視力右", "聴力右") and code != "implausible":
        assert raw in {value(o) for k, o in mapped(item).items() if k != "Encounter"}


def test_corrections_and_protection() -> None:
    assert items(row(修正区分="2"))[0].deleted
    assert items(row(不開示区分="1"))[0].identity.not_disclosed
    assert items(row(不開示区分="?"))[0].identity.not_disclosed  # in doubt, hidden
    hidden = items(row(不開示区分="1", 健康診断日=""))[0]
    assert hidden.identity.not_disclosed and connector.resources(hidden, about=ABOUT).resources == []


def test_the_future_becomes_nothing() -> None:
    found = connector.resources(items(row(健康診断日="2026-06-02"))[0], about=ABOUT)
    assert (found.resources, [p.code for p in found.problems]) == ([], ["future"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"), ("氏名,身長\n見本,1\n", "column-missing"), (f"{HEAD},学籍番号\n", "column-twice"),
        (f"{HEAD},個人番号\n", "my-number-column"), (HEAD.encode("euc_jp"), "encoding-differs"),
    ],
    ids=["empty", "column missing", "column twice", "my number", "encoding"],
)  # fmt: skip
def test_a_bad_file_is_refused_whole(content: bytes | str, code: str) -> None:
    with pytest.raises(Unreadable) as told:
        read(content)
    assert code in [p.code for p in told.value.problems]


def test_excels_encodings_are_read_alike() -> None:
    plain = [(i.key, i.content) for i in items(GOLDEN)]
    text = GOLDEN.decode()
    for data in (text.encode("cp932"), text.encode("utf-16"), b"\xef\xbb\xbf" + GOLDEN, GOLDEN.replace(b"\n", b"\r\n")):
        assert [(i.key, i.content) for i in items(data)] == plain


def test_the_form_at_home_and_the_file_speak_of_the_same_items() -> None:
    form = questionnaires.find(f"{OWN}/Questionnaire/school-checkup")
    assert form is not None
    asked = {item["linkId"]: item for group in form["item"] for item in group.get("item", [])}
    assert set(asked) == set(catalogue.items()) - {"s.obesity"}
    for id, item in asked.items():
        shape = catalogue.items()[id]
        assert item["code"] == shape.code["coding"], id
        options = [o["valueCoding"] for o in item.get("answerOption", [])]
        assert tuple(o["code"] for o in options) == shape.allowed, id
        assert {o["system"] for o in options} <= {catalogue.CODES.get(shape.value)}, id


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id = 1", "id"),
        ("x", "TOML"),
        ('id = "other"', "missing"),
    ],
)
def test_an_unsound_profile_is_refused_by_its_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ProfileError, match=r"mine\.toml") as error:
        folder(tmp_path)
    assert told in str(error.value) or "読めません" in str(error.value)


def test_a_profile_of_ones_own(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "school").mkdir()
    text = (Path(mapping.__file__).parent / "profiles" / "standard.toml").read_text(encoding="utf-8")
    own = text.replace('id = "standard"', 'id = "mine"').replace('["身長"]', '["しんちょう"]')
    (tmp_path / "school" / "mine.toml").write_text(own, encoding="utf-8")
    settings.PHR_IMPORT_PROFILES = str(tmp_path)
    assert list(connector.profiles()) == ["mine", "standard"]
    data = GOLDEN.decode().replace("身長", "しんちょう").encode()
    [hana, _] = (i for i in connector.items([Piece("a", io.BytesIO(data))], profile="mine", code=CODE)
                 if isinstance(i, Item))  # fmt: skip
    assert value(mapped(hana)["s.height"]) == (Decimal("121.5"), "cm")
    (tmp_path / "school" / "mine.toml").write_text(own.replace('"s.height"', '"s.hight"'), encoding="utf-8")
    assert list(connector.profiles()) == ["standard"]
    with pytest.raises(Unreadable):
        list(connector.items([], profile="mine", code=CODE))


@settings(max_examples=120)
@given(st.data())
def test_mutilated_files_are_read_or_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOLDEN) - 1))
    piece = data.draw(st.binary(min_size=1, max_size=5))
    content = data.draw(st.sampled_from([GOLDEN[:at], GOLDEN[:at] + piece + GOLDEN[at + 1 :], GOLDEN[at:], GOLDEN * 2]))
    try:
        found = items(content)
    except Unreadable:
        return
    for item in found:
        mapped(item)


CELLS = st.text(max_size=8).filter(lambda text: not set(text) & set(',"\r\n'))


@settings(max_examples=120)
@given(st.dictionaries(st.sampled_from(HEAD.split(",")), CELLS, max_size=5))
def test_whatever_stands_in_the_cells(cells: dict[str, str]) -> None:
    try:
        found = items(row(**cells))
    except (Unreadable, UnicodeEncodeError):
        return
    for item in found:
        mapped(item)


def test_keys_and_ids_stay() -> None:
    once, again = ([mapped(i) for i in items(GOLDEN)] for _ in range(2))
    assert once == again
    assert parse.PUPIL.startswith(OWN)
